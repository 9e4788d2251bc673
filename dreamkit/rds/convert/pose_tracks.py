"""Tracks of poses mended: interpolated between the poses that are there, and without steps of rounding."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dreamkit.rds.labels import LABEL_STEP
from dreamkit.rds.poses import interpolate, resample

_REPEATED_SHARE = 0.4
_MOVES = 1.0
_WINDOW = 15


def at_camera_rate(poses: np.ndarray) -> np.ndarray:
    """Poses of every third frame [N, 4, 4] at every frame, [3 (N - 1) + 1, 4, 4]."""
    return resample(poses, np.arange(LABEL_STEP * (len(poses) - 1) + 1) / LABEL_STEP)


def is_repeated(poses: np.ndarray) -> bool:
    """Whether a camera that moves has the very same pose on many successive frames."""
    if len(poses) < 3 or np.linalg.norm(poses[-1, :3, 3] - poses[0, :3, 3]) < _MOVES:
        return False
    return bool((np.diff(poses, axis=0) == 0).all((1, 2)).mean() > _REPEATED_SHARE)


def spread_repeats(poses: np.ndarray) -> np.ndarray:
    """Poses [T, 4, 4] interpolated from the first frame of each run of equal ones to the next.

    A run longer than four times the usual one is a stop and stays; the last run goes on as the one before it.
    """
    starts = np.concatenate([[0], np.flatnonzero(~(np.diff(poses, axis=0) == 0).all((1, 2))) + 1])
    usual = int(np.median(np.diff(starts))) if len(starts) > 1 else 1
    result = poses.copy()
    for first, following in pairwise(starts.tolist()):
        begin = max(first, following - usual) if following - first > 4 * usual else first
        t = np.arange(following - begin) / (following - begin)
        result[begin:following] = interpolate(
            np.repeat(poses[begin][None], len(t), 0), np.repeat(poses[following][None], len(t), 0), t
        )
    last = starts[-1]
    if len(starts) > 1 and last + 1 < len(poses):
        motion = np.linalg.inv(result[last - 1]) @ result[last]
        for frame in range(last + 1, len(poses)):
            result[frame] = result[frame - 1] @ motion
    return result


def smoothed(poses: np.ndarray, step: float) -> np.ndarray:
    """Poses [T, 4, 4] whose positions follow a parabola fitted around each frame, at most `step` metres off."""
    count = len(poses)
    result = poses.copy()
    for frame in range(count):
        low, high = max(0, frame - _WINDOW), min(count, frame + _WINDOW + 1)
        if high - low < 5:
            continue
        t = np.arange(low, high) - frame
        fitted = np.polynomial.polynomial.polyfit(t, poses[low:high, :3, 3], 2)[0]
        away = fitted - poses[frame, :3, 3]
        result[frame, :3, 3] += np.clip(away, -step, step)
    return result
