"""SIFT features and matches between pictures of one scene, across time and across cameras."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

WIDTH = 512  # pictures are resized to this width before matching
MAX_FEATURES = 500
RATIO = 0.8  # Lowe's test: nearest over second nearest descriptor distance
FULL_WIDTH = 1024  # errors are given in pixels of a view this wide, the models' own size


@dataclass(frozen=True)
class Features:
    """SIFT features of one picture.

    Attributes:
        points: (x, y) float64 [N, 2], in pixels of a WIDTH-wide picture.
        descriptors: float32 [N, 128].
        height: of the WIDTH-wide picture.
    """

    points: np.ndarray
    descriptors: np.ndarray
    height: int


def to_luminance(picture_hwc: np.ndarray, width: int = WIDTH) -> np.ndarray:
    """Luminance uint8 [h, width] of a picture uint8 [H, W, 3], RGB, in the same proportions."""
    luminance = cv2.cvtColor(picture_hwc, cv2.COLOR_RGB2GRAY)
    height = round(luminance.shape[0] * width / luminance.shape[1])
    if luminance.shape[1] == width:
        return luminance
    how = cv2.INTER_AREA if luminance.shape[1] > width else cv2.INTER_CUBIC
    return cv2.resize(luminance, (width, height), interpolation=how)


def find_features(picture_hwc: np.ndarray) -> Features:
    """The MAX_FEATURES strongest SIFT features of a picture, uint8 [H, W, 3]."""
    small = to_luminance(picture_hwc)
    # Generated and foggy pictures are low in contrast; half of OpenCV's default threshold keeps enough points.
    sift = cv2.SIFT.create(MAX_FEATURES, contrastThreshold=0.02)
    found, descriptors = sift.detectAndCompute(small, None)  # pyright: ignore[reportCallIssue, reportArgumentType] mask
    if descriptors is None:
        return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32), small.shape[0])
    points = np.array([point.pt for point in found], np.float64)
    return Features(points, descriptors, small.shape[0])


def match_features(a: Features, b: Features) -> np.ndarray:
    """Index pairs int [M, 2] of features that are each other's nearest and pass the ratio test."""
    if len(a.points) < 2 or len(b.points) < 2:
        return np.zeros((0, 2), int)
    distances = np.maximum(
        (a.descriptors**2).sum(1)[:, None] + (b.descriptors**2).sum(1) - 2 * a.descriptors @ b.descriptors.T, 0
    )
    two = np.argpartition(distances, 1, axis=1)[:, :2]
    rows = np.arange(len(distances))
    near, far = np.sort(distances[rows[:, None], two], axis=1).T
    best = distances.argmin(1)
    good = (near < RATIO**2 * far) & (distances.argmin(0)[best] == rows)
    return np.stack([rows[good], best[good]], axis=1)
