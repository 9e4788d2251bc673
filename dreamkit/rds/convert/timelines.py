"""Poses and boxes at the format's moments: 30 Hz frames, boxes on every third of them, gaps left as gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.labels import CAMERA_HZ, LABEL_STEP
from dreamkit.rds.poses import interpolate

CAMERA_FRAMES = LABEL_STEP
"""30 Hz frames from one box label to the next."""
_LONGEST_GAP = 0.5
_SAME = 1e-3
_LONGEST = 3600.0


def rising(times: Any, what: str) -> np.ndarray:
    """The times as float64 [N].

    Args:
        times: seconds.
        what: begins the message.

    Raises:
        DreamkitError: there is none, one is not finite, or one is not later than the one before.
    """
    values = np.asarray(times, np.float64).reshape(-1)
    if not len(values) or not np.isfinite(values).all():
        raise DreamkitError(f"{what} have no usable times.", "Give a time in seconds for each.")
    back = np.flatnonzero(np.diff(values) <= 0)
    if len(back):
        first, second = values[back[0] : back[0] + 2]
        raise DreamkitError(
            f"{what} are not in the order of time: number {back[0] + 1} is at {second:.6f} s and the one before at "
            f"{first:.6f} s ({len(back)} such places).",
            "Sort them by time and drop doubles when reading the data.",
        )
    return values


def frame_times(times: np.ndarray, start: float | None, end: float | None, clip: str) -> np.ndarray:
    """Seconds of the 30 Hz frames, float64 [T].

    Args:
        times: seconds of the ego poses, rising.
        start: seconds of frame 0; the first pose when None.
        end: seconds of the last frame at most; the last pose when None.
        clip: name of the clip, for the message.

    Raises:
        DreamkitError: the span holds no two frames, or is longer than an hour.
    """
    first = times[0] if start is None else max(start, times[0])
    last = times[-1] if end is None else min(end, times[-1])
    if not 1 / CAMERA_HZ <= last - first <= _LONGEST:
        raise DreamkitError(
            f"The drive {clip} is {last - first:.3f} s long, from {first:.3f} to {last:.3f} s.",
            "Times are seconds; a drive has at least two frames and at most an hour.",
        )
    return first + np.arange(int((last - first) * CAMERA_HZ + 1e-6) + 1) / CAMERA_HZ


def poses_at(times: np.ndarray, poses: np.ndarray, at: np.ndarray, what: str) -> np.ndarray:
    """Poses at other times, float64 [T, 4, 4]: positions linearly, rotations by slerp.

    Args:
        times: seconds of the poses, rising, [N].
        poses: float64 [N, 4, 4].
        at: seconds inside the span of `times`, [T].
        what: begins the message.

    Raises:
        DreamkitError: poses around a wanted time are more than 0.5 s and more than 1.5 usual steps apart.
    """
    high = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    low = high - 1
    gaps = times[high] - times[low]
    longest = max(_LONGEST_GAP, 1.5 * float(np.median(np.diff(times)))) if len(times) > 1 else _LONGEST_GAP
    wide = np.flatnonzero((gaps > longest) & (at > times[low] + _SAME) & (at < times[high] - _SAME))
    if len(wide):
        before = times[low[wide[0]]]
        raise DreamkitError(
            f"{what} are missing for {gaps[wide[0]]:.2f} s after {before:.3f} s.",
            "Split the drive there, or give the poses of that stretch.",
        )
    return interpolate(poses[low], poses[high], np.clip((at - times[low]) / gaps, 0, 1))


def box_frames(
    times: np.ndarray, poses: np.ndarray, sizes: np.ndarray, at: np.ndarray, longest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The labels of one track at other times; none before the first, after the last, or in a gap.

    Args:
        times: seconds of the labels, rising, [N].
        poses: float64 [N, 4, 4].
        sizes: float64 [N, 3].
        at: wanted seconds, [K].
        longest: seconds between two labels up to which boxes between them are interpolated.

    Returns:
        Indices into `at` [M], poses [M, 4, 4], sizes [M, 3], and the index of the label at or before each [M].
    """
    near = np.clip(np.searchsorted(times, at), 1, len(times)) - 1
    nearest = np.where(
        (near + 1 < len(times)) & (np.abs(times[np.minimum(near + 1, len(times) - 1)] - at) < np.abs(times[near] - at)),
        near + 1,
        near,
    )
    exact = np.abs(times[nearest] - at) <= _SAME
    low = np.searchsorted(times, at, "right") - 1
    high = np.minimum(low + 1, len(times) - 1)
    inside = (low >= 0) & (low + 1 < len(times)) & (times[high] - times[np.maximum(low, 0)] <= longest + _SAME)
    which = np.flatnonzero(exact | inside)
    low, high = np.where(exact, nearest, low)[which], np.where(exact, nearest, high)[which]
    t = np.where(exact[which], 0.0, (at[which] - times[low]) / np.maximum(times[high] - times[low], 1e-9))
    size = sizes[low] + (sizes[high] - sizes[low]) * t[:, None]
    pose = np.where(exact[which, None, None], poses[low], interpolate(poses[low], poses[high], t))
    return which, pose, size, low
