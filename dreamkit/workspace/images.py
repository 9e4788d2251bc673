"""JPEG pictures for notebooks and pages: encode to bytes, and wrap as a data URL."""

from __future__ import annotations

import base64

import cv2
import numpy as np

QUALITY = 75


def jpeg(picture_hwc: np.ndarray, quality: int = QUALITY) -> bytes:
    """JPEG bytes of a picture, uint8 [H, W, 3], RGB.

    Raises:
        ValueError: OpenCV cannot encode it (another shape or type).
    """
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture_hwc, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV could not encode the picture")
    return data.tobytes()


def data_url(picture: bytes, media_type: str = "image/jpeg") -> str:
    """The bytes of a picture file as a `data:` URL, to stand inside an HTML page."""
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"
