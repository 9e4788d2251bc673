"""Checks of `dreamkit check` on boxes: parked ones stand still, others drive forward, and cars are as large as cars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.labels import OBJECT_FOLDER, Objects
from dreamkit.rds.objects import CLASS_OF

_DRIVEN, _STANDING = 10.0, 1.0
"""Metres that the vehicle must drive to tell boxes in its axes, and that a parked box may move."""
_FEWEST_LABELS = 5
_MOVED = 5.0
"""Metres that a box must move before its direction is known."""
_ACROSS = 60.0
"""Degrees between the direction and the heading of half of the moving boxes."""
_SHORTEST, _NARROWEST = 2.8, 1.2
"""Metres of length and width of half of the cars at least; the shortest car on sale has 2.7 m by 1.7 m."""


def box_findings(objects: Objects, vehicle: np.ndarray | None, types: Mapping[str, str]) -> Iterator[LabelFinding]:
    """Boxes relative to the vehicle, boxes that drive sideways or backward, and cars of half their size.

    Args:
        objects: the labelled boxes.
        vehicle: vehicle-to-world poses float64 [T, 4, 4], or None.
        types: own object types and the class of their boxes.
    """
    tracks = [np.flatnonzero(objects.track == track) for track in range(len(objects.ids))]
    tracks = [rows for rows in tracks if len(rows) >= _FEWEST_LABELS and np.diff(objects.frame[rows]).min() > 0]
    if vehicle is not None:
        relative = list(_relative_findings(objects, tracks, vehicle))
        yield from relative
        if relative:
            return
    yield from _heading_findings(objects, tracks)
    yield from _size_findings(objects, types)


def _relative_findings(objects: Objects, tracks: list[np.ndarray], vehicle: np.ndarray) -> Iterator[LabelFinding]:
    """Boxes of which more stand still once they are taken to be in the vehicle's axes."""
    if np.linalg.norm(np.ptp(vehicle[:, :2, 3], axis=0)) < _DRIVEN:
        return
    given = found = 0
    for rows in tracks:
        poses = vehicle[np.minimum(objects.frame[rows], len(vehicle) - 1)]
        if np.linalg.norm(np.ptp(poses[:, :2, 3], axis=0)) < _DRIVEN:
            continue
        places = objects.pose[rows, :3, 3]
        moved = (poses[:, :3, :3] @ places[..., None])[..., 0] + poses[:, :3, 3]
        given += np.ptp(places[:, :2], axis=0).max() < _STANDING
        # Oncoming traffic at the vehicle's own speed would stand still as well; it drives where it faces.
        step = places[-1] - places[0]
        ahead = step @ objects.pose[rows[0], :3, 0] > np.linalg.norm(step) / 2
        found += np.ptp(moved[:, :2], axis=0).max() < _STANDING and not ahead
    if found > 2 * given and (found >= 2 or len(tracks) < 4):
        what = f"{found} boxes stand still if they are taken to be relative to the vehicle; as they are, {given}"
        cause = "boxes relative to the vehicle; multiply each by the vehicle's pose of its frame, into the world"
        yield LabelFinding(ERROR, OBJECT_FOLDER, what, cause)


def _heading_findings(objects: Objects, tracks: list[np.ndarray]) -> Iterator[LabelFinding]:
    """Moving boxes whose x axis does not point along their motion."""
    angles = []
    for rows in tracks:
        way = objects.pose[rows[-1], :2, 3] - objects.pose[rows[0], :2, 3]
        if np.linalg.norm(way) > _MOVED:
            ahead = objects.pose[rows, :2, 0].mean(0)
            angles.append(np.degrees(np.arctan2(ahead[0] * way[1] - ahead[1] * way[0], ahead @ way)))
    if len(angles) and (usual := float(np.median(np.abs(angles)))) > _ACROSS:
        what = f"moving boxes go {usual:.0f} degrees beside their own x axis; {len(angles)} such boxes move"
        cause = "yaw measured from another axis or the other way round, length and width swapped, or x and y swapped"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, cause)


def _size_findings(objects: Objects, types: Mapping[str, str]) -> Iterator[LabelFinding]:
    """Cars that are about half as large as cars are."""
    cars = np.array([(types.get(kind) or CLASS_OF.get(kind)) == "Car" for kind in objects.kind], bool)
    if cars.any():
        length, width, _ = np.median(objects.size[cars], axis=0)
        if 0.01 < length < _SHORTEST and width < _NARROWEST:
            what = f"half of the cars are at most {length:.2g} m long and {width:.2g} m wide"
            cause = "half sizes, from the middle to the sides; object_lwh has whole ones, in metres"
            yield LabelFinding(WARNING, OBJECT_FOLDER, what, cause)
