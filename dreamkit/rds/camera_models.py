"""The f-theta and the pinhole camera model by name, and pictures resampled from one camera to another."""

from __future__ import annotations

import cv2
import numpy as np

from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.pinhole import Pinhole

CameraModel = FTheta | Pinhole
CAMERA_MODELS: dict[str, type[FTheta] | type[Pinhole]] = {"ftheta": FTheta, "pinhole": Pinhole}


def rectification_map(camera: CameraModel, pinhole: Pinhole) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of a pinhole picture lies in another camera's picture.

    Args:
        camera: the camera that took the picture.
        pinhole: the camera whose picture is wanted, with the same centre and axes.

    Returns:
        Columns and rows in the picture of `camera`, float32 [H, W] each with the pinhole's height and width, as
        `cv2.remap` takes them. Compute it once for all pictures of a video.
    """
    v, u = np.mgrid[0 : pinhole.height, 0 : pinhole.width].astype(np.float32)
    pixels = camera.project(pinhole.unproject(np.stack([u, v], -1)))
    return pixels[..., 0].astype(np.float32), pixels[..., 1].astype(np.float32)


def rectify_picture(image: np.ndarray, camera: CameraModel, pinhole: Pinhole) -> np.ndarray:
    """A camera's picture resampled to a pinhole camera at the same place.

        camera = read_cameras(root, clip)["camera_front_wide_120fov"]
        straight = rectify_picture(frame, camera, Pinhole.from_fov(90, width=1280, height=720))

    Args:
        image: picture of `camera`, uint8 [H, W, 3].
        camera: the camera that took it; its width and height are those of the picture.
        pinhole: the camera whose picture is wanted, with the same centre and axes.

    Returns:
        uint8 [pinhole.height, pinhole.width, 3], bilinearly interpolated; black outside the picture of `camera`.
    """
    columns, rows = rectification_map(camera, pinhole)
    return cv2.remap(image, columns, rows, cv2.INTER_LINEAR)


def stretched_camera(camera: CameraModel, width: int, height: int) -> CameraModel:
    """The camera of a picture that was resized to width x height pixels; the ratio of the sides may change.

    The centre of a pixel at u lies at (u + 0.5) * ratio - 0.5 afterwards, as `cv2.resize` has it. An f-theta camera
    keeps its polynomial, scaled by the ratio of the heights, and its linear term takes the rest.

    Args:
        camera: the camera of the picture before.
        width: of the resized picture in pixels.
        height: of the resized picture in pixels.
    """
    if (width, height) == (camera.width, camera.height):
        return camera
    sx, sy = width / camera.width, height / camera.height
    cx, cy = (camera.cx + 0.5) * sx - 0.5, (camera.cy + 0.5) * sy - 0.5
    if isinstance(camera, Pinhole):
        return Pinhole(camera.fx * sx, camera.fy * sy, cx, cy, width, height)
    powers = np.arange(6)
    factor = (1 / sy) ** powers if camera.is_backward else np.full(6, sy)
    c, d, e = camera.linear
    polynomial = tuple((np.array(camera.polynomial) * factor).tolist())
    return FTheta(cx, cy, width, height, polynomial, camera.is_backward, (c * sx / sy, d * sx / sy, e))


def inscribed_pinhole(camera: CameraModel, width: int, height: int) -> Pinhole:
    """The widest centred pinhole camera with square pixels whose picture lies wholly inside another camera's picture.

    Args:
        camera: the camera that took the picture.
        width: of the pinhole's picture in pixels.
        height: of the pinhole's picture in pixels.
    """
    across, down = np.linspace(0, width - 1, 33), np.linspace(0, height - 1, 33)
    border = [np.stack([across, np.full(33, v)], -1) for v in (0, height - 1)]
    border += [np.stack([np.full(33, u), down], -1) for u in (0, width - 1)]
    edge = np.concatenate(border)

    def pinhole(focal: float) -> Pinhole:
        return Pinhole(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

    def inside(focal: float) -> bool:
        pixels = camera.project(pinhole(focal).unproject(edge))
        return bool(((pixels >= 0) & (pixels <= [camera.width - 1, camera.height - 1])).all())

    low, high = width / 20, width * 20.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if inside(middle) else (middle, high)
    return pinhole(high)
