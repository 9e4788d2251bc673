"""Checks of `dreamkit check` on map, objects and LiDAR: units, place, rate, types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.check_poses import MAX_SPEED, MILLIMETRES
from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.labels import CAMERA_HZ, LABEL_HZ, LABEL_STEP, LIDAR_FOLDER, OBJECT_FOLDER, Objects, Shapes
from dreamkit.rds.lidar_labels import Lidar
from dreamkit.rds.objects import unknown_types

_LARGEST_MAP = 20_000  # metres


def map_findings(layers: Mapping[str, Shapes], path: np.ndarray) -> Iterator[LabelFinding]:
    """Shapes too small to draw, and a map in another place or in other units.

    Args:
        layers: the map layers by name.
        path: world positions of the vehicle, or of a camera without it, float64 [T, 3].
    """
    for name, shapes in layers.items():
        short = sum(len(part) < 2 for part in shapes)
        if short:
            what = f"{short} of {len(shapes)} shapes have a single point"
            yield LabelFinding(WARNING, f"3d_{name}", what, "a filter that split lines into points; they are not drawn")
    points = np.concatenate([shapes.points for shapes in layers.values()] or [np.zeros((0, 3))])
    if not len(points):
        if layers:
            yield LabelFinding(WARNING, "3d_*", "every map layer is empty", "a clip outside the mapped area")
        return
    nearest = np.linalg.norm(points[:, None, :2] - path[None, :: max(1, len(path) // 20), :2], axis=2).min()
    extent = np.ptp(points, axis=0).max()
    if nearest > 100:
        what = f"no map vertex within 100 m of the drive; the nearest is {nearest:.0f} m off"
        cause = MILLIMETRES if extent > _LARGEST_MAP else "map and poses in different world frames"
        yield LabelFinding(ERROR, "3d_*", what, cause)
    elif extent > _LARGEST_MAP:
        yield LabelFinding(ERROR, "3d_*", f"the map spans {extent:.0f} m", MILLIMETRES)


def object_findings(
    objects: Objects, layers: Mapping[str, Shapes], path: np.ndarray, path_is_ground: bool
) -> Iterator[LabelFinding]:
    """Boxes of impossible size, below the road, that jump, of unknown type, or not labelled at 10 Hz.

    Args:
        objects: the labelled boxes.
        layers: the map layers by name, for the height of the road.
        path: world positions of the vehicle, or of a camera without it, float64 [T, 3].
        path_is_ground: whether the path lies on the road, as the vehicle's does.
    """
    yield from _rate_findings(objects, len(path))
    for kind, count in unknown_types(objects).items():
        what = f"{count} labels of the unknown type {kind!r}"
        cause = "a vocabulary of your own; map it to the published types, or it is drawn in white"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, cause)
    if not len(objects):
        return
    length = np.median(objects.size.max(1))
    if length > 100:
        yield LabelFinding(ERROR, OBJECT_FOLDER, f"objects are {length:.0f} m long", MILLIMETRES)
        return
    flat = np.flatnonzero((objects.size <= 0.01).any(1))
    if len(flat):
        what = f"{len(flat)} boxes have a side of 1 cm or less"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, "sizes that were not set", int(objects.frame[flat[0]]))
    yield from _sunken_findings(objects, layers, path, path_is_ground)
    for track in range(len(objects.ids)):
        rows = np.flatnonzero(objects.track == track)
        seconds = np.diff(objects.frame[rows]) / CAMERA_HZ
        speed = np.linalg.norm(np.diff(objects.pose[rows, :3, 3], axis=0), axis=1) / np.maximum(seconds, 1e-9)
        if len(speed) and speed.max() > 2 * MAX_SPEED:
            what = f"object {objects.ids[track]} moves at {speed.max():.0f} m/s"
            frame = int(objects.frame[rows[speed.argmax() + 1]])
            yield LabelFinding(WARNING, OBJECT_FOLDER, what, "a track id given to two objects", frame)


def _rate_findings(objects: Objects, frames: int) -> Iterator[LabelFinding]:
    """Labels that end early or late, or come less often than at 10 Hz."""
    last = int(objects.frames[-1])
    if last < frames - 1 - 2 * LABEL_STEP:
        what = f"the last labelled frame is {last} of {frames} frames"
        cause = "labels of a shorter stretch; the last boxes stay in the picture"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, cause, last)
    if last >= frames:
        what = f"labels reach frame {last}, poses frame {frames - 1}"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, f"labels numbered at another rate than {CAMERA_HZ} Hz", frames)
    steps = np.diff(objects.frames)
    if len(steps) and np.median(steps) > 2 * LABEL_STEP:
        cause = f"labels at a lower rate than {LABEL_HZ} Hz; boxes between them move in straight lines"
        yield LabelFinding(WARNING, OBJECT_FOLDER, f"labels come every {np.median(steps):.0f} frames", cause)


def _sunken_findings(
    objects: Objects, layers: Mapping[str, Shapes], path: np.ndarray, path_is_ground: bool
) -> Iterator[LabelFinding]:
    """Boxes whose centre lies more than half a metre below the nearest point of the road, of at most 1000 of them."""
    lines = [layers[name].points for name in ("lanelines", "road_boundaries") if name in layers]
    ground = np.concatenate([*lines, path if path_is_ground else np.zeros((0, 3))])
    if not len(ground):
        return
    centre = objects.pose[:, :3, 3]
    chosen = np.arange(0, len(centre), max(1, len(centre) // 1000))
    away = np.linalg.norm(centre[chosen, None, :2] - ground[None, :, :2], axis=2)
    depth = ground[away.argmin(1), 2] - centre[chosen, 2]
    sunken = np.flatnonzero((away.min(1) < 10) & (depth > 0.5))
    if len(sunken):
        row = chosen[sunken[0]]
        what = (
            f"the middle of object {objects.ids[objects.track[row]]} lies {depth[sunken[0]]:.1f} m under the road; "
            f"so do {len(sunken)} of the {len(chosen)} boxes checked"
        )
        cause = "poses of the box's top or bottom instead of its middle, or another height reference than the map's"
        yield LabelFinding(ERROR, OBJECT_FOLDER, what, cause, int(objects.frame[row]))


def lidar_findings(lidar: Lidar, frames: int) -> Iterator[LabelFinding]:
    """Missing, damaged and empty sweeps, and points in other units; about five sweeps are read.

    Args:
        lidar: the sweeps of the clip.
        frames: number of frames of the clip.
    """
    expected = range(0, frames, LABEL_STEP)
    missing = sorted(set(expected) - set(lidar.frames))
    if missing:
        what = f"{len(missing)} of {len(expected)} sweeps are missing"
        cause = f"the format has a sweep at every {LABEL_STEP}rd frame number; the nearest ones are used"
        yield LabelFinding(WARNING, LIDAR_FOLDER, what, cause, missing[0])
    for number in lidar.frames[:: max(1, len(lidar.frames) // 5)]:
        try:
            reach = np.linalg.norm(lidar.load(number).xyz, axis=1)
        except DreamkitError as error:
            yield LabelFinding(ERROR, LIDAR_FOLDER, error.message, error.hint, number)
            continue
        if not len(reach):
            yield LabelFinding(WARNING, LIDAR_FOLDER, "a sweep without points", "a filter that dropped all", number)
        elif np.median(reach) > 1000:
            what = f"half of the points are over {np.median(reach):.0f} m away"
            yield LabelFinding(ERROR, LIDAR_FOLDER, what, MILLIMETRES, number)
            return
