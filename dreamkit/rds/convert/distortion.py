"""Pinhole cameras with radial distortion as f-theta cameras, which the format has.

With a = tan(angle), OpenCV's model puts a ray at the radius f * a * (1 + k1 a^2 + k2 a^4 + k3 a^6) from the centre. The
polynomial from angle to radius is fitted to that; tangential terms have no counterpart and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.pinhole import Pinhole

_SAMPLES = 800
_STEEPEST = 1.5


def distorted_radius(tangent: np.ndarray, k: Sequence[float]) -> np.ndarray:
    """Radius in focal lengths of rays at tan(angle), for the radial coefficients k1, k2, k3."""
    k1, k2, k3 = k
    square = tangent * tangent
    return tangent * (1 + square * (k1 + square * (k2 + square * k3)))


def ftheta_of_distorted(camera: Pinhole, k: Sequence[float]) -> tuple[FTheta, float]:
    """The f-theta camera nearest to a pinhole camera with radial distortion, and its largest error in pixels.

    Args:
        camera: the pinhole camera.
        k: radial coefficients k1, k2, k3 of OpenCV's model.

    Raises:
        DreamkitError: the distorted radius stops growing inside the picture.
    """
    corner = max(
        np.hypot((x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy)
        for x in (0, camera.width)
        for y in (0, camera.height)
    )
    angles = np.linspace(0, _STEEPEST, 4 * _SAMPLES)
    radii = distorted_radius(np.tan(angles), k)
    falling = np.flatnonzero(np.diff(radii) <= 0)
    last = int(falling[0]) + 1 if len(falling) else len(radii)
    if radii[last - 1] < corner:
        raise DreamkitError(
            f"The distortion k = {[float(value) for value in k]} folds the picture of {camera.width}x{camera.height} "
            "pixels over before its corners.",
            "Check the order of the coefficients: k1, k2, p1, p2, k3; or undistort the pictures.",
        )
    inside = np.linspace(0, corner, _SAMPLES)
    angle = np.interp(inside, radii[:last], angles[:last])
    pixels = inside * camera.fy
    powers = np.arange(1, 6)
    scale = angle[-1]
    solution = np.linalg.lstsq((angle[:, None] / scale) ** powers, pixels, rcond=None)[0] / scale**powers
    size = (camera.cx, camera.cy, camera.width, camera.height)
    found = FTheta(*size, (0.0, *solution.tolist()), False, (camera.fx / camera.fy, 0.0, 0.0))
    rays = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    error = np.abs(found.project(rays)[:, 0] - (inside * camera.fx + camera.cx)).max()
    return found, float(error)
