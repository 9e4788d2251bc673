"""The nominal six-camera rig: yaw and field of view of each camera, and pixels to rays.

Measures across views need the directions of the cameras, and a generated video rarely has a calibration. So the rig is
nominal: the camera's name gives the field of view, yaw is that of RDS-HQ rigs, rounded, and the lens is an equidistant
fisheye (radius proportional to angle) over the frame's width. The yaw of the one calibration published with the sample
data differs from it by up to 14 degrees (rear right).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """Nominal direction and field of view of one camera.

    Attributes:
        yaw: radians, clockwise from straight ahead, seen from above.
        fov: full horizontal field of view, radians.
    """

    yaw: float
    fov: float


def _view(yaw_degrees: float, fov_degrees: float) -> View:
    return View(np.deg2rad(yaw_degrees), np.deg2rad(fov_degrees))


NOMINAL = {
    "front_wide_120fov": _view(0, 120),
    "cross_left_120fov": _view(-62, 120),
    "cross_right_120fov": _view(62, 120),
    "rear_tele_30fov": _view(180, 30),
    "rear_left_70fov": _view(-153, 70),
    "rear_right_70fov": _view(153, 70),
}

# Neighbours with overlapping views. The published cross-view errors are of the first two pairs.
PAIRS = (
    ("front_wide_120fov", "cross_left_120fov"),
    ("front_wide_120fov", "cross_right_120fov"),
    ("rear_tele_30fov", "rear_left_70fov"),
    ("rear_tele_30fov", "rear_right_70fov"),
)


def camera_rays(points_n2: np.ndarray, view: View, height: int, width: int) -> np.ndarray:
    """Unit rays [N, 3] of pixels (x, y) float [N, 2], in the camera's frame: x right, y down, z forward."""
    focal = width / view.fov  # pixels a radian
    offset = points_n2 - np.array([(width - 1) / 2, (height - 1) / 2])
    angle = np.linalg.norm(offset, axis=-1) / focal
    scale = np.sinc(angle / np.pi) / focal  # sin(angle) / radius, finite at the centre
    return np.concatenate([offset * scale[..., None], np.cos(angle)[..., None]], axis=-1)


def to_car(rays: np.ndarray, view: View) -> np.ndarray:
    """Rotate rays [..., 3] from the camera's frame to the car's, by the nominal yaw."""
    cos, sin = np.cos(view.yaw), np.sin(view.yaw)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return rays @ turn.T
