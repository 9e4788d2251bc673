"""Checks of `dreamkit check` on time: timestamps, repeated poses, uneven steps, and numbering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding, and_others
from dreamkit.rds.labels import CAMERA_HZ, LABEL_STEP
from dreamkit.rds.timestamps import TIMESTAMP_FOLDER

_RATE_TOLERANCE = 0.03
_UNITS = {1000: "nanoseconds", 0.001: "milliseconds", 1e-6: "seconds"}
_OTHER_UNIT, _LATE = 300.0, 10**6
"""Factor from one frame to the next of times in two units, where both are above this number; clips may begin near 0."""
_STANDING = 10
"""Frames with the same pose after which the vehicle counts as standing."""
REPEATED = 1.25
"""Frames for each different pose from which poses count as repeated."""
_WINDOW = 4
"""Steps on each side that a step is compared with."""


def timestamp_findings(numbers: np.ndarray, times: np.ndarray, frames: int) -> Iterator[LabelFinding]:
    """Times that do not ascend, another rate than that of the poses, missing frames, and another number of frames.

    Args:
        numbers: frame numbers, int64 [K], ascending.
        times: their times in microseconds, int64 [K].
        frames: number of poses.
    """
    if abs(int(numbers[-1]) - (frames - 1)) > LABEL_STEP:
        what = f"timestamps reach frame {numbers[-1]}, poses frame {frames - 1}"
        yield LabelFinding(WARNING, TIMESTAMP_FOLDER, what, "poses and timestamps of different stretches or rates")
    if len(numbers) < 2:
        return
    step = np.diff(times) / np.diff(numbers)
    ratio = times[1:] / np.maximum(times[:-1], 1)
    late = np.minimum(times[1:], times[:-1]) > _LATE
    if len(mixed := np.flatnonzero(late & ((ratio > _OTHER_UNIT) | (ratio < 1 / _OTHER_UNIT)))):
        what = f"from frame {numbers[mixed[0] + 1]} on, times are {ratio[mixed[0]]:.3g} times those before"
        cause = "two units in one clip, such as microseconds and nanoseconds; the format has microseconds"
        yield LabelFinding(ERROR, TIMESTAMP_FOLDER, what, cause, int(numbers[mixed[0] + 1]))
        return
    if (step <= 0).any():
        frame = int(numbers[1:][step <= 0][0])
        what = f"{int((step <= 0).sum())} timestamps are not later than the one before"
        yield LabelFinding(ERROR, TIMESTAMP_FOLDER, what, "frames in another order than in time", frame)
        return
    usual = float(np.median(step))
    rate = 1e6 / usual
    for factor, unit in _UNITS.items():
        if abs(rate * factor / CAMERA_HZ - 1) < _RATE_TOLERANCE:
            yield LabelFinding(WARNING, TIMESTAMP_FOLDER, f"the timestamps are {unit}", "the format has microseconds")
            return
    if abs(rate / CAMERA_HZ - 1) > _RATE_TOLERANCE:
        pace = (
            f"{CAMERA_HZ / rate:.2g} times too fast" if rate < CAMERA_HZ else f"{rate / CAMERA_HZ:.2g} times too slow"
        )
        what = f"the timestamps say {rate:.3g} frames a second, the format {CAMERA_HZ}: videos would play {pace}"
        cause = (
            f"poses of another rate, numbered 0, 1, 2, ...; interpolate them to {CAMERA_HZ} Hz, and number objects and "
            "LiDAR by the new frames"
        )
        yield LabelFinding(ERROR, TIMESTAMP_FOLDER, what, cause)
    uneven = np.flatnonzero(np.abs(step / usual - 1) > 0.5)
    if len(uneven):
        worst = step[uneven[0]] / 1000
        what = f"{len(uneven)} steps in time are uneven; the first is {worst:.0f} ms instead of {usual / 1000:.0f} ms"
        cause = "lost frames, so that motion jumps there; interpolate the poses at even times"
        yield LabelFinding(WARNING, TIMESTAMP_FOLDER, what, cause, int(numbers[uneven[0] + 1]))


def repetitions(poses: np.ndarray) -> float:
    """Frames for each different pose while the vehicle moves, 1 when no pose repeats.

    Args:
        poses: float64 [T, 4, 4].
    """
    changes = np.flatnonzero((np.diff(poses, axis=0) != 0).any((1, 2)))
    runs = np.diff(changes)
    runs = runs[runs <= _STANDING]
    return float(runs.mean()) if len(runs) >= 4 else 1.0


def distinct_places(poses: np.ndarray) -> np.ndarray:
    """Positions float64 [N, 3] of poses [T, 4, 4], without those of poses that are equal to the one before."""
    return poses[np.append(True, (np.diff(poses, axis=0) != 0).any((1, 2))), :3, 3]


def repeated_findings(tracks: Mapping[str, np.ndarray]) -> Iterator[LabelFinding]:
    """Poses that are written several times each.

    Args:
        tracks: poses float64 [T, 4, 4] by camera, and those of the vehicle.
    """
    repeated = {name: count for name, track in tracks.items() if (count := repetitions(track)) >= REPEATED}
    if repeated:
        name, count = next(iter(repeated.items()))
        what = f"the poses of {and_others(list(repeated), name)} come {count:.2g} times each"
        cause = (
            f"poses at {CAMERA_HZ / count:.0f} Hz written at {CAMERA_HZ} Hz, so motion stutters; `dreamkit check "
            "FOLDER --fix OUT` writes a copy with poses in between"
        )
        yield LabelFinding(ERROR, "pose", what, cause)


def uneven_findings(tracks: Mapping[str, np.ndarray], longest: float) -> Iterator[LabelFinding]:
    """Single steps much longer or shorter than those around them, which are even.

    Args:
        tracks: poses float64 [T, 4, 4] by camera, and those of the vehicle, none of them repeated throughout.
        longest: metres of a step above which another check reports it.
    """
    by_frames: dict[tuple[int, ...], list[str]] = {}
    for name, track in tracks.items():
        if uneven := _uneven_steps(track[:, :3, 3], longest):
            by_frames.setdefault(uneven, []).append(name)
    for uneven, names in by_frames.items():
        frame = uneven[0]
        step = np.linalg.norm(np.diff(tracks[names[0]][frame - 2 : frame + 1, :3, 3], axis=0), axis=1)
        what = (
            f"{and_others(names, names[0])} moves unevenly at {len(uneven)} frames; at the first {step[1]:.2f} m, "
            f"before it {step[0]:.2f} m"
        )
        cause = "frames that were lost or written twice; interpolate the poses at even times"
        yield LabelFinding(WARNING, "pose", what, cause, frame)


def _uneven_steps(positions: np.ndarray, longest: float) -> tuple[int, ...]:
    """Frames whose step from the frame before is uneven, of positions [T, 3]."""
    step = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    if len(step) < 2 * _WINDOW + 1:
        return ()
    around = np.lib.stride_tricks.sliding_window_view(step, 2 * _WINDOW + 1)
    middle = around[:, _WINDOW]
    # The two largest and the two smallest are left out, so that one lost frame does not hide the next.
    others = np.sort(np.delete(around, _WINDOW, axis=1), axis=1)[:, 2:-2]
    usual = others.mean(1)
    steady = (usual > 0.05) & (np.ptp(others, axis=1) < 0.25 * usual)
    ratio = middle / np.where(usual > 0, usual, 1)
    uneven = steady & ((ratio > 1.6) | (ratio < 0.4)) & (middle <= longest)
    return tuple((np.flatnonzero(uneven) + _WINDOW + 1).tolist())


def numbered_by_sweep(numbers: Sequence[int] | np.ndarray, frames: int) -> bool:
    """Whether labels at 10 Hz are numbered 0, 1, 2, ... instead of by the frames of the poses."""
    count = len(numbers)
    consecutive = count > LABEL_STEP and list(numbers) == list(range(int(numbers[0]), int(numbers[0]) + count))
    return consecutive and abs(count * LABEL_STEP - frames) <= 2 * LABEL_STEP
