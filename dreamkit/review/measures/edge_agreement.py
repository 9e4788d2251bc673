"""Edge agreement: whether a picture's edges lie on the projected lines and boxes of the labels, or beside them.

The score of a projection is the mean strength of the picture's edges across the lines: the gradient of the luminance
along each line's normal, over the mean gradient around it. Edges that run another way count little, and lines in a
crowd, such as those of far boxes, count less each. The score is compared with the scores of the same lines displaced by
up to 8 % of the picture: the displacement with the highest score is the offset of the picture from the labels. Straight
lines fit as well when they are moved along themselves, so of all displacements with nearly the highest score the
smallest is taken.

What it can tell depends on the pictures. Where the edges of one line fit another, such as a kerb's a lane line, in few
long lines, the best place can be wrong, even in pictures without any fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dreamkit.review.measures.adherence import SHIFT, WIDTH
from dreamkit.review.measures.matches import to_luminance

STEP = 2
"""Pixels of a WIDTH-wide picture from one displacement to the next."""
NEARLY = 0.05
"""Part of the rise of the highest score over the mean, by which a score may be lower and still count as the highest."""
FEWEST = 60
"""Pixels of projected lines that a picture needs for a score."""
_DIRECTIONS = 6
"""Directions of edges, 30 degrees apart."""
_CROWD = 9
"""Pixels of the square in which lines are counted, to give those in a crowd less weight."""
_STRAIGHT = 0.6
"""Coherence of the structure tensor, 0 to 1, from which a pixel's line has a direction."""
_STRONGEST = 4.0
"""Times the mean gradient around it that an edge counts at most."""


@dataclass(frozen=True)
class EdgeAgreement:
    """How well projected lines fit the edges of pictures.

    Attributes:
        score: mean strength of the edges across the lines where they were projected; NaN without lines.
        gain: `score` less the mean over all displacements.
        best: the highest score of a displacement.
        offset: the smallest displacement with nearly that score, right and down in parts of the picture's width.
        at_border: whether it is one of the largest that were tried, so that the score may rise beyond; then the offset
            is no measurement.
    """

    score: float
    gain: float
    best: float
    offset: tuple[float, float]
    at_border: bool = False

    @property
    def lift(self) -> float:
        """The highest score less the mean over all displacements."""
        return self.best - (self.score - self.gain)

    @property
    def distance(self) -> float:
        """Length of the offset in parts of the picture's width."""
        return float(np.hypot(*self.offset))


def edge_agreement(pictures: Sequence[np.ndarray], lines: Sequence[np.ndarray]) -> EdgeAgreement:
    """The agreement of pictures with projected lines, over all of them.

    Args:
        pictures: uint8 [H, W, 3] each.
        lines: where the labels' lines lie in each, bool [h, WIDTH] with the height of `to_luminance`.
    """
    profiles = []
    for picture, where in zip(pictures, lines, strict=True):
        rows, columns, directions, weights = _directed(where)
        if len(rows) >= FEWEST:
            profiles.append(_profile(_strengths(picture), rows, columns, directions, weights))
    if not profiles:
        return EdgeAgreement(float("nan"), float("nan"), float("nan"), (0.0, 0.0))
    known = np.isfinite(profiles).sum(0)
    mean = np.where(known > 0, np.nansum(profiles, axis=0) / np.maximum(known, 1), np.nan)
    rows, columns = mean.shape[0] // 2, mean.shape[1] // 2
    score, best, average = float(mean[rows, columns]), float(np.nanmax(mean)), float(np.nanmean(mean))
    right, down = np.meshgrid(np.arange(-columns, columns + 1), np.arange(-rows, rows + 1))
    good = mean >= best - NEARLY * (best - average)
    row, column = np.unravel_index(np.argmin(np.where(good, np.hypot(right, down), np.inf)), mean.shape)
    offset = int(right[row, column]) * STEP / WIDTH, int(down[row, column]) * STEP / WIDTH
    border = row in (0, mean.shape[0] - 1) or column in (0, mean.shape[1] - 1)
    return EdgeAgreement(score, score - average, best, offset, bool(border))


def _strengths(picture: np.ndarray) -> np.ndarray:
    """Gradient in each direction over the mean gradient around, float32 [_DIRECTIONS, h, WIDTH]."""
    luminance = to_luminance(picture, WIDTH).astype(np.float32)
    right, down = cv2.Sobel(luminance, cv2.CV_32F, 1, 0), cv2.Sobel(luminance, cv2.CV_32F, 0, 1)
    around = cv2.blur(cv2.magnitude(right, down), (WIDTH // 8, WIDTH // 8)) + 8.0
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    across = (np.abs(right * np.cos(angle) + down * np.sin(angle)) / around for angle in angles)
    return np.stack([cv2.GaussianBlur(np.minimum(one, _STRONGEST), (0, 0), 1.0) for one in across])


def _directed(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns, directions of the normal and weights [N] of the pixels of lines [h, w] that have a direction.

    The direction is that of the structure tensor of the blurred lines (Bigun and Granlund 1987).
    """
    drawn = lines.astype(np.float32)
    soft = cv2.GaussianBlur(drawn, (0, 0), 1.5)
    right, down = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(one, (0, 0), 2.0) for one in (right * right, down * down, right * down))
    straight = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9)
    rows, columns = np.nonzero(lines & (straight > _STRAIGHT))
    normal = 0.5 * np.arctan2(2 * xy, xx - yy)[rows, columns]
    directions = np.round(normal / np.pi * _DIRECTIONS).astype(int) % _DIRECTIONS
    crowd = cv2.blur(drawn, (_CROWD, _CROWD))[rows, columns]
    return rows, columns, directions, 1 / np.maximum(crowd, 1 / _CROWD**2)


def _profile(
    strengths: np.ndarray, rows: np.ndarray, columns: np.ndarray, directions: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean strength at each displacement, [2 m + 1, 2 n + 1]; NaN where less than half of the lines are left."""
    _, height, width = strengths.shape
    n, m = round(width * SHIFT / STEP), max(1, round(height * SHIFT / STEP))
    profile = np.full((2 * m + 1, 2 * n + 1), np.nan)
    for row in range(2 * m + 1):
        for column in range(2 * n + 1):
            down, right = rows + (row - m) * STEP, columns + (column - n) * STEP
            inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
            share = weights[inside]
            if share.sum() > 0.5 * weights.sum():
                found = strengths[directions[inside], down[inside], right[inside]]
                profile[row, column] = float((share * found).sum() / share.sum())
    return profile
