"""Edge agreement: whether a picture's edges lie on the projected lines and boxes of the labels, or beside them.

The score of a projection is the area under the ROC curve when the picture's local edge strength predicts the projected
lines, as in `adherence`. It is compared with the scores of the same lines displaced by up to 8 % of the picture: the
displacement with the highest score is the offset of the picture from the labels. Straight lines fit as well when they
are moved along themselves, so of all displacements with nearly the highest score the smallest is taken.

What it can tell depends on the pictures. A view with few long lines, such as a side view with a kerb beside a lane
line, fits nearly as well where the lines are moved from one edge of the road to the next, even in pictures without any
fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dreamkit.review.measures.adherence import LEVELS, SHIFT, WIDTH, edge_strength

STEP = 2
"""Pixels of a WIDTH-wide picture from one displacement to the next."""
NEARLY = 0.05
"""Part of the rise of the highest score over the mean, by which a score may be lower and still count as the highest."""
FEWEST = 60
"""Pixels of projected lines that a picture needs for a score."""


@dataclass(frozen=True)
class EdgeAgreement:
    """How well projected lines fit the edges of pictures.

    Attributes:
        score: ROC area of the lines where they were projected, 0..1; 0.5 is chance; NaN without lines.
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
        lines: where the labels' lines lie in each, bool [h, WIDTH] with the height of `edge_strength`.
    """
    profiles = []
    for picture, where in zip(pictures, lines, strict=True):
        if where.sum() >= FEWEST:
            profiles.append(_profile(edge_strength(picture), where))
    if not profiles:
        return EdgeAgreement(float("nan"), float("nan"), float("nan"), (0.0, 0.0))
    mean = np.nanmean(profiles, axis=0)
    rows, columns = mean.shape[0] // 2, mean.shape[1] // 2
    score, best, average = float(mean[rows, columns]), float(np.nanmax(mean)), float(np.nanmean(mean))
    right, down = np.meshgrid(np.arange(-columns, columns + 1), np.arange(-rows, rows + 1))
    good = mean >= best - NEARLY * (best - average)
    row, column = np.unravel_index(np.argmin(np.where(good, np.hypot(right, down), np.inf)), mean.shape)
    offset = int(right[row, column]) * STEP / WIDTH, int(down[row, column]) * STEP / WIDTH
    border = row in (0, mean.shape[0] - 1) or column in (0, mean.shape[1] - 1)
    return EdgeAgreement(score, score - average, best, offset, bool(border))


def _profile(strength: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """ROC area at each displacement, [2 m + 1, 2 n + 1]; NaN where too few lines are left."""
    n = round(strength.shape[1] * SHIFT / STEP)
    m = max(1, round(strength.shape[0] * SHIFT / STEP))
    # The inner part of the picture stays the same for all displacements, so that their scores compare.
    height, width = strength.shape
    inner = strength[m * STEP : height - m * STEP, n * STEP : width - n * STEP]
    whole = np.bincount(inner.ravel(), minlength=LEVELS).astype(np.float64)
    profile = np.full((2 * m + 1, 2 * n + 1), np.nan)
    for row in range(2 * m + 1):
        for column in range(2 * n + 1):
            top, left = (2 * m - row) * STEP, (2 * n - column) * STEP
            chosen = lines[top : top + inner.shape[0], left : left + inner.shape[1]]
            on = np.bincount(inner[chosen], minlength=LEVELS).astype(np.float64)
            off = whole - on
            if on.sum() >= FEWEST / 2 and off.sum():
                profile[row, column] = (on * (np.cumsum(off) - off / 2)).sum() / (on.sum() * off.sum())
    return profile
