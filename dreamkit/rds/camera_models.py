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
