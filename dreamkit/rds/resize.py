"""Lanczos resizing of whole pictures, fast when only the height changes (1280x720 drawn, 1280x704 for the models).

cv2.resize filters with eight taps along each row even when the width stays the same. Here a matrix product mixes the
rows instead: the filter's weights, rounded to 1/2048 as in OpenCV, repeat with the period of the ratio, so one [44, 53]
matrix serves all of 720 -> 704. Products and sums are whole numbers below 2^24 and so exact in float32. The result
differs from cv2.INTER_LANCZOS4 by one grey level in a few of ten thousand values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

_SCALE = 2048
_REACH = 4


@dataclass(frozen=True)
class Resizer:
    """Resizes pictures; made by `resizer`.

    Attributes:
        size_in: width and height of the given pictures.
        size: width and height of the resized pictures.
        weights: weights of the rows of one period, times 2048, float32 [rows out, rows in]; None for cv2.resize.
    """

    size_in: tuple[int, int]
    size: tuple[int, int]
    weights: np.ndarray | None

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8 [H, W] or [H, W, 3] resized; the picture itself when the size stays the same."""
        if self.size_in == self.size:
            return picture
        if self.weights is None:
            return cv2.resize(picture, self.size, interpolation=cv2.INTER_LANCZOS4)
        (width, rows_in), (_, rows_out) = self.size_in, self.size
        periods = math.gcd(rows_in, rows_out)
        taken, made = rows_in // periods, rows_out // periods
        result = np.zeros((rows_out, width, *picture.shape[2:]), np.uint8)
        lit = np.flatnonzero(picture.reshape(rows_in, -1).any(1))
        if not len(lit):
            return result
        # Only periods within reach of a row that is not black are computed; the others stay black.
        first = max(0, (int(lit[0]) - _REACH - 1) // taken)
        last = min(periods, (int(lit[-1]) + _REACH + 1) // taken + 1)
        low, high = first * taken - _REACH, last * taken + _REACH
        source = np.empty((high - low, picture[0].size), np.float32)
        source[:] = picture.reshape(rows_in, -1)[np.clip(np.arange(low, high), 0, rows_in - 1)]
        for period in range(first, last):
            start = (period - first) * taken
            mixed = self.weights @ source[start : start + taken + 2 * _REACH]
            # Halves round up as in OpenCV's fixed-point code: the addend is smaller than the step of the sums.
            out = result[period * made : (period + 1) * made].reshape(made, -1)
            cv2.convertScaleAbs(np.maximum(mixed, 0, out=mixed), out, 1 / _SCALE, 1 / (4 * _SCALE))
        return result


def resizer(size_in: tuple[int, int], size: tuple[int, int]) -> Resizer:
    """A Lanczos resizer from one (width, height) to another.

    It calls cv2.resize when the width changes too, or when the period of the rows is long.
    """
    rows_in, rows_out = size_in[1], size[1]
    periods = math.gcd(rows_in, rows_out)
    taken, made = rows_in // periods, rows_out // periods
    if size_in[0] != size[0] or periods < 4 or size_in == size:
        return Resizer(size_in, size, None)
    # OpenCV's response to one white row at a time. The middle one of three periods is free of border effects.
    impulses = cv2.resize(np.eye(3 * taken, dtype=np.float32), (3 * taken, 3 * made), interpolation=cv2.INTER_LANCZOS4)
    weights = np.round(impulses[made : 2 * made, taken - _REACH : 2 * taken + _REACH] * _SCALE)
    return Resizer(size_in, size, np.ascontiguousarray(weights, np.float32))
