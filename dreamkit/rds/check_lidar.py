"""Checks of `dreamkit check` on LiDAR sweeps: numbering, damage, units, and the axes that the points are in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.check_poses import MILLIMETRES
from dreamkit.rds.check_precision import precision_findings
from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.check_time import numbered_by_sweep
from dreamkit.rds.labels import LABEL_STEP, LIDAR_FOLDER
from dreamkit.rds.lidar_labels import Lidar

_FARTHEST = 150.0
"""Metres that half of a sweep's points may be away; sensors see some 200 m at most."""
_MOUNTED = 10.0
"""Metres from the vehicle's place to its LiDAR."""
_DRIVEN = 20.0
"""Metres of driving that tell points in the sensor's axes from points in the world's."""


@dataclass(frozen=True)
class _SweepSummary:
    """What one sweep says: its middle [2] and median reach in metres, its place in the world [3], and its points."""

    number: int
    middle: np.ndarray
    reach: float
    place: np.ndarray
    points: int


def lidar_findings(lidar: Lidar, path: np.ndarray) -> Iterator[LabelFinding]:
    """Missing, damaged and empty sweeps, and points in other units or axes; all sweeps are read.

    Args:
        lidar: the sweeps of the clip.
        path: world positions of the vehicle, or of a camera without it, float64 [T, 3].
    """
    by_sweep = numbered_by_sweep(lidar.frames, len(path))
    if by_sweep:
        what = f"the sweeps are numbered {lidar.frames[0]} to {lidar.frames[-1]}, the poses 0 to {len(path) - 1}"
        cause = f"sweeps numbered one by one; number them by the frames of the poses, 0, {LABEL_STEP}, {2 * LABEL_STEP}"
        yield LabelFinding(ERROR, LIDAR_FOLDER, what, cause)
    else:
        yield from _number_findings(lidar, len(path))
    sweeps: list[_SweepSummary] = []
    faults: list[tuple[int, DreamkitError]] = []
    for number in lidar.frames:
        try:
            sweep = lidar.load(number)
        except DreamkitError as error:
            faults.append((number, error))
            continue
        points = sweep.xyz.astype(np.float64)
        reach = float(np.median(np.linalg.norm(points, axis=1))) if len(points) else 0.0
        middle = np.median(points[:, :2], 0) if len(points) else np.zeros(2)
        sweeps.append(_SweepSummary(number, middle, reach, sweep.to_world[:3, 3], len(points)))
    by_hint: dict[str, list[tuple[int, DreamkitError]]] = {}
    for number, error in faults:
        by_hint.setdefault(error.hint, []).append((number, error))
    for (number, error), *others in by_hint.values():
        more = f" ({len(others)} more sweeps of {len(lidar.frames)} likewise)" if others else ""
        yield LabelFinding(ERROR, LIDAR_FOLDER, error.message.rstrip(".") + more, error.hint, number)
    empty = [sweep.number for sweep in sweeps if not sweep.points]
    if empty:
        what = f"{len(empty)} of {len(lidar.frames)} sweeps are without points"
        yield LabelFinding(WARNING, LIDAR_FOLDER, what, "a filter that dropped all", empty[0])
    yield from _place_findings([sweep for sweep in sweeps if sweep.points], None if by_sweep else path)


def _number_findings(lidar: Lidar, frames: int) -> Iterator[LabelFinding]:
    """Sweeps that are missing, or after the last frame."""
    expected = range(0, frames, LABEL_STEP)
    missing = sorted(set(expected) - set(lidar.frames))
    if missing:
        what = f"{len(missing)} of {len(expected)} sweeps are missing"
        cause = f"the format has a sweep at every {LABEL_STEP}rd frame number; the nearest ones are used"
        yield LabelFinding(WARNING, LIDAR_FOLDER, what, cause, missing[0])
    if lidar.frames[-1] > frames - 1 + LABEL_STEP:
        what = f"sweeps reach frame {lidar.frames[-1]}, poses frame {frames - 1}"
        yield LabelFinding(WARNING, LIDAR_FOLDER, what, "sweeps numbered at another rate than the poses", frames)


def _place_findings(sweeps: Sequence[_SweepSummary], path: np.ndarray | None) -> Iterator[LabelFinding]:
    """Points in other units or in the world's axes, and sweeps away from the vehicle.

    Args:
        sweeps: those with points.
        path: world positions of the vehicle by frame; None when the sweeps' numbers are not frames.
    """
    if not sweeps:
        return
    places = np.array([sweep.place for sweep in sweeps])
    reach = float(np.median([sweep.reach for sweep in sweeps]))
    yield from precision_findings(LIDAR_FOLDER, {"the sensor": places})
    if moves_with_drive(np.array([sweep.middle for sweep in sweeps]), places[:, :2]):
        what = "the points of the sweeps move with the drive"
        cause = "points in world coordinates; the format has the sensor's axes, and lidar_to_world brings them there"
        yield LabelFinding(ERROR, LIDAR_FOLDER, what, cause, sweeps[0].number)
    elif reach > _FARTHEST:
        what = f"half of the points are over {reach:.0f} m away from the sensor"
        cause = MILLIMETRES if reach > 1000 else "points in world coordinates; the format has the sensor's axes"
        if reach > 1000:
            cause += "; or points in world coordinates instead of the sensor's axes"
        yield LabelFinding(ERROR, LIDAR_FOLDER, what, cause, sweeps[0].number)
    if path is None:
        return
    at = path[np.minimum([sweep.number for sweep in sweeps], len(path) - 1)]
    away = np.linalg.norm(places - at, axis=1)
    if np.median(away) > _MOUNTED:
        what = f"lidar_to_world lies {np.median(away):.0f} m away from the vehicle"
        cause = "world-to-LiDAR matrices, another world frame, or sweeps of other frames than their numbers"
        yield LabelFinding(ERROR, LIDAR_FOLDER, what, cause, sweeps[int(away.argmax())].number)


def moves_with_drive(middles: np.ndarray, places: np.ndarray) -> bool:
    """Whether the middle of the points follows the place of the sensor, as it does for points in world coordinates.

    Args:
        middles: median x and y of the points of each sweep, float64 [S, 2].
        places: x and y of the sensor in the world, float64 [S, 2].
    """
    place, middle = places - places.mean(0), middles - middles.mean(0)
    spread = float((place**2).sum())
    if len(places) < 3 or np.linalg.norm(np.ptp(places, axis=0)) < _DRIVEN:
        return False
    slope = float((place * middle).sum()) / spread
    left = float(((middle - slope * place) ** 2).sum())
    return 0.7 < slope < 1.3 and left < 0.1 * spread
