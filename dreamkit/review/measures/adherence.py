"""Map adherence: whether the picture has edges where the condition has lines and boxes, compared with wrong maps.

The score of a map is the area under the ROC curve when the picture's local edge strength is used to predict the map's
outline: 0.5 is chance. Roads always have edges low in the middle, so a wrong map also scores above 0.5. Adherence is
the map's score less the mean score of the same map displaced and mirrored.
"""

from __future__ import annotations

import cv2
import numpy as np

from dreamkit.review.measures.frames import LAGS, sample_frames
from dreamkit.review.measures.matches import to_luminance

WIDTH = 256
SHIFT = 0.08  # of the picture's size: more than the width of a lane line, less than a lane
LEVELS = 256
OUTLINE_GREY = 40  # brightness step in a condition picture that counts as an edge
CLEAR_LAG = 0.005  # by how much ROC area the best lag must exceed the median over all lags


def edge_strength(picture_hwc: np.ndarray) -> np.ndarray:
    """Gradient of the luminance over the mean gradient around it, quantised: uint8 [h, WIDTH]."""
    luminance = to_luminance(picture_hwc, WIDTH).astype(np.float32)
    gradient = cv2.magnitude(cv2.Sobel(luminance, cv2.CV_32F, 1, 0), cv2.Sobel(luminance, cv2.CV_32F, 0, 1))
    around = cv2.blur(gradient, (WIDTH // 8, WIDTH // 8))
    return np.minimum(gradient / (around + 8.0) * 64, LEVELS - 1).astype(np.uint8)


def map_outline(condition_hwc: np.ndarray, height: int) -> np.ndarray:
    """Edges of a condition picture, thickened by one pixel on each side: bool [height, WIDTH]."""
    bright = cv2.resize(condition_hwc.max(-1), (WIDTH, height), interpolation=cv2.INTER_AREA)
    gradient = cv2.morphologyEx(bright, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return gradient > OUTLINE_GREY


def edge_score(strength: np.ndarray, lines: np.ndarray) -> float:
    """Area under the ROC curve of edge strength as a predictor of `lines`, 0..1; NaN for an empty or full map."""
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


def adherence(video_thwc: np.ndarray, condition_thwc: np.ndarray) -> float:
    """Mean over sampled frames of the map's score less the wrong maps' mean score: -1..1, 0 when the map is ignored.

    NaN when the condition has no line in any sampled frame.
    """
    gains = []
    for frame in sample_frames(min(len(video_thwc), len(condition_thwc))):
        strength = edge_strength(video_thwc[frame])
        lines = map_outline(condition_thwc[frame], strength.shape[0])
        right = edge_score(strength, lines)
        if np.isfinite(right):
            gains.append(right - np.mean([edge_score(strength, wrong) for wrong in wrong_maps(lines)]))
    return float(np.mean(gains)) if gains else float("nan")


def map_lag(video_thwc: np.ndarray, condition_thwc: np.ndarray) -> float:
    """Frames by which the video is behind its condition, -8..8, in fractions of a frame; NaN when nothing moves.

    It is the k for which the condition k frames earlier has the highest edge score.
    """
    length = min(len(video_thwc), len(condition_thwc))
    frames = sample_frames(length, margin=max(LAGS))
    strengths = {frame: edge_strength(video_thwc[frame]) for frame in frames}
    height = next(iter(strengths.values())).shape[0]
    wanted = {frame - shift for frame in frames for shift in LAGS if 0 <= frame - shift < length}
    lines = {frame: map_outline(condition_thwc[frame], height) for frame in wanted}
    profile = np.full(len(LAGS), np.nan)
    for index, shift in enumerate(LAGS):
        scores = [edge_score(strengths[frame], lines[frame - shift]) for frame in frames if frame - shift in lines]
        if len(scores) == len(frames) and np.isfinite(scores).all():
            profile[index] = np.mean(scores)
    return peak_lag(profile)


def peak_lag(profile: np.ndarray) -> float:
    """The lag of the highest value of a profile [len(LAGS)], refined by a parabola.

    NaN for fewer than five values, or when the highest is not CLEAR_LAG above their median.
    """
    if np.isfinite(profile).sum() < 5 or np.nanmax(profile) - np.nanmedian(profile) < CLEAR_LAG:
        return float("nan")
    best = int(np.nanargmax(profile))
    if 0 < best < len(profile) - 1 and np.isfinite(profile[best - 1 : best + 2]).all():
        before, top, after = profile[best - 1 : best + 2]
        bend = before - 2 * top + after
        return float(LAGS[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0))
    return float(LAGS[best])
