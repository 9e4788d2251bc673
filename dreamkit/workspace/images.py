"""Pictures as the browser gets them: JPEG bytes, and those inside a page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

QUALITY = 75


def jpeg(picture_hwc: np.ndarray, quality: int = QUALITY) -> bytes:
    """Uint8 [H, W, 3] RGB as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture_hwc, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV could not encode the picture")
    return data.tobytes()


def data_url(picture: bytes) -> str:
    """A JPEG inside the page."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
