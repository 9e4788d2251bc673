"""Does the picture follow the map: edges of the picture where the condition has lines and boxes, against a wrong map.

The score of a map is the area under the ROC curve with which the picture's local edge strength tells the map's outline
from the rest: 0.5 is chance. Roads always have edges low in the middle, so a wrong map scores over 0.5 too; adherence
is the right map's score less the mean of the same map displaced and mirrored.
"""

from __future__ import annotations

import cv2
import numpy as np

from dreamkit.review.measures.matches import grey

WIDTH = 256
SAMPLES = 8
LAGS = tuple(range(-8, 9))
SHIFT = 0.08  # of the picture's size: further than a lane line is wide, less than a lane
LEVELS = 256
CLEAR_LAG = 0.005  # the best lag must beat the profile's median by this much area, or there is nothing to read


def edge_strength(picture_hwc: np.ndarray) -> np.ndarray:
    """Gradient of the luminance over its neighbourhood's mean gradient, quantised: uint8 [h, WIDTH]."""
    luminance = grey(picture_hwc, WIDTH).astype(np.float32)
    gradient = cv2.magnitude(cv2.Sobel(luminance, cv2.CV_32F, 1, 0), cv2.Sobel(luminance, cv2.CV_32F, 0, 1))
    around = cv2.blur(gradient, (WIDTH // 8, WIDTH // 8))
    return np.minimum(gradient / (around + 8.0) * 64, LEVELS - 1).astype(np.uint8)


def outline(condition_hwc: np.ndarray, height: int) -> np.ndarray:
    """Where a condition picture has edges of its own, one pixel to each side: bool [height, WIDTH]."""
    bright = cv2.resize(condition_hwc.max(-1), (WIDTH, height), interpolation=cv2.INTER_AREA)
    gradient = cv2.morphologyEx(bright, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return gradient > 40


def score(strength: np.ndarray, lines: np.ndarray) -> float:
    """Area under the ROC curve of edge strength as a sign of `lines`, 0..1; NaN for an empty or full map."""
    on = np.bincount(strength[lines], minlength=LEVELS).astype(np.float64)
    off = np.bincount(strength[~lines], minlength=LEVELS).astype(np.float64)
    if not on.sum() or not off.sum():
        return float("nan")
    below = np.cumsum(off) - off / 2
    return float((on * below).sum() / (on.sum() * off.sum()))


def wrong_maps(lines: np.ndarray) -> list[np.ndarray]:
    """The map displaced left, right, up and down, and mirrored."""
    dy, dx = round(lines.shape[0] * SHIFT), round(lines.shape[1] * SHIFT)
    moved = [np.roll(lines, shift, axis) for shift, axis in ((dx, 1), (-dx, 1), (dy, 0), (-dy, 0))]
    return [*moved, lines[:, ::-1]]


def sample_frames(frames: int, samples: int = SAMPLES, margin: int = 0) -> list[int]:
    """Frame indices spread evenly, `margin` frames from both ends where there is room."""
    margin = min(margin, max(0, (frames - 1) // 3))
    return sorted({int(at) for at in np.linspace(margin, frames - 1 - margin, min(samples, frames)).round()})


def adherence(video_thwc: np.ndarray, condition_thwc: np.ndarray) -> float:
    """Mean over sampled frames of the map's score less the wrong maps' mean score: -1..1, 0 when the map is ignored.

    NaN when no sampled frame of the condition has a line.
    """
    gains = []
    for frame in sample_frames(min(len(video_thwc), len(condition_thwc))):
        strength = edge_strength(video_thwc[frame])
        lines = outline(condition_thwc[frame], strength.shape[0])
        right = score(strength, lines)
        if np.isfinite(right):
            gains.append(right - np.mean([score(strength, wrong) for wrong in wrong_maps(lines)]))
    return float(np.mean(gains)) if gains else float("nan")


def lag(video_thwc: np.ndarray, condition_thwc: np.ndarray) -> float:
    """Frames by which the video trails its condition, -8..8, to a fraction of a frame; NaN when nothing moves.

    The score of the condition `k` frames earlier, as a function of k, peaks at the lag.
    """
    length = min(len(video_thwc), len(condition_thwc))
    frames = sample_frames(length, margin=max(LAGS))
    strengths = {frame: edge_strength(video_thwc[frame]) for frame in frames}
    height = next(iter(strengths.values())).shape[0]
    wanted = {frame - shift for frame in frames for shift in LAGS if 0 <= frame - shift < length}
    lines = {frame: outline(condition_thwc[frame], height) for frame in wanted}
    profile = np.full(len(LAGS), np.nan)
    for index, shift in enumerate(LAGS):
        scores = [score(strengths[frame], lines[frame - shift]) for frame in frames if frame - shift in lines]
        if len(scores) == len(frames) and np.isfinite(scores).all():
            profile[index] = np.mean(scores)
    return peak(profile)


def peak(profile: np.ndarray) -> float:
    """The lag of the highest value of a profile over LAGS, refined by a parabola; NaN unless it stands out."""
    if np.isfinite(profile).sum() < 5 or np.nanmax(profile) - np.nanmedian(profile) < CLEAR_LAG:
        return float("nan")
    best = int(np.nanargmax(profile))
    if 0 < best < len(profile) - 1 and np.isfinite(profile[best - 1 : best + 2]).all():
        before, top, after = profile[best - 1 : best + 2]
        bend = before - 2 * top + after
        return float(LAGS[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0))
    return float(LAGS[best])
