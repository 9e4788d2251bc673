"""Lanczos resizing of whole pictures, fast when only the height changes (1280x720 drawn, 1280x704 for the models).

cv2.resize runs its eight-tap filter across the rows even when they keep their width. Here the rows are mixed by a
small matrix product instead: the filter's weights, rounded to 1/2048 as OpenCV rounds them, repeat with the ratio's
period, so one [44, 53] matrix serves all of 720 -> 704. Products and sums are whole numbers below 2^24, hence exact in
float32; the result differs from cv2.INTER_LANCZOS4 by one grey level in a few bytes of ten thousand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

_ONE = 2048
_REACH = 4


@dataclass(frozen=True)
class Resizer:
    """Resizes pictures uint8 [h, w] or [h, w, 3] of `size_in` to `size`, both (width, height); made by `resizer`."""

    size_in: tuple[int, int]
    size: tuple[int, int]
    weights: np.ndarray | None

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The resized picture, uint8 [height, width] or [height, width, 3]."""
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
        # Only the periods that a lit row can reach; the rest stays black.
        first = max(0, (int(lit[0]) - _REACH - 1) // taken)
        last = min(periods, (int(lit[-1]) + _REACH + 1) // taken + 1)
        low, high = first * taken - _REACH, last * taken + _REACH
        source = np.empty((high - low, picture[0].size), np.float32)
        source[:] = picture.reshape(rows_in, -1)[np.clip(np.arange(low, high), 0, rows_in - 1)]
        for period in range(first, last):
            start = (period - first) * taken
            mixed = self.weights @ source[start : start + taken + 2 * _REACH]
            # Halves round up as in OpenCV's fixed point; the addend is smaller than the step of the sums.
            out = result[period * made : (period + 1) * made].reshape(made, -1)
            cv2.convertScaleAbs(np.maximum(mixed, 0, out=mixed), out, 1 / _ONE, 1 / (4 * _ONE))
        return result


def resizer(size_in: tuple[int, int], size: tuple[int, int]) -> Resizer:
    """A Lanczos resizer between two (width, height).

    It is cv2.resize itself when the width changes too, or when the rows' period is long.
    """
    rows_in, rows_out = size_in[1], size[1]
    periods = math.gcd(rows_in, rows_out)
    taken, made = rows_in // periods, rows_out // periods
    if size_in[0] != size[0] or periods < 4 or size_in == size:
        return Resizer(size_in, size, None)
    # The filter's answer to one lit row at a time, taken from OpenCV itself away from the borders.
    # A tall picture of three periods holds a whole one in its middle.
    impulses = cv2.resize(np.eye(3 * taken, dtype=np.float32), (3 * taken, 3 * made), interpolation=cv2.INTER_LANCZOS4)
    weights = np.round(impulses[made : 2 * made, taken - _REACH : 2 * taken + _REACH] * _ONE)
    return Resizer(size_in, size, np.ascontiguousarray(weights, np.float32))
