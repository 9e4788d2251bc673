"""Checks of `dreamkit check` on map and objects: units, place, rate, types, coverage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dreamkit.rds.check_layers import distance_findings, height_findings, layer_findings
from dreamkit.rds.check_poses import MAX_SPEED, MILLIMETRES
from dreamkit.rds.check_precision import float32_findings, precision_findings
from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.check_time import distinct_places, numbered_by_sweep, repetitions
from dreamkit.rds.labels import CAMERA_HZ, LABEL_HZ, LABEL_STEP, OBJECT_FOLDER, Objects, Shapes
from dreamkit.rds.objects import CLASS_OF, unknown_types
from dreamkit.workspace.paths import TYPE_TABLE

_LARGEST_MAP = 20_000  # metres
_COVERED, _BESIDE, _HEIGHT = 100, 30, 20
"""Metres: to the nearest vertex where a map covers the drive; within which heights are compared; their difference."""
_MOST_TYPES = 8
_FAR_OBJECTS = 500  # metres
_LONGEST_GAP = 10 * LABEL_STEP
_TWO_OBJECTS = "a track id given to two objects"
_UNTRACKED = ("-1", "", "None", "null", "nan")


def map_findings(
    layers: Mapping[str, Shapes], path: np.ndarray, start: np.ndarray | None = None
) -> Iterator[LabelFinding]:
    """Shapes too small to draw, and a map in another place or in other units.

    Args:
        layers: the map layers by name.
        path: world positions of the vehicle, or of a camera without it, float64 [T, 3].
        start: the vehicle's first pose [4, 4], or None.
    """
    for name, shapes in layers.items():
        short = sum(len(part) < 2 for part in shapes)
        if short:
            what = f"{short} of {len(shapes)} shapes have a single point"
            yield LabelFinding(WARNING, f"3d_{name}", what, "a filter that split lines into points; they are not drawn")
    filled = {name: shapes for name, shapes in layers.items() if len(shapes.points)}
    if not filled:
        if layers:
            yield LabelFinding(WARNING, "3d_*", "every map layer is empty", "a clip outside the mapped area")
        return
    odd = list(layer_findings(filled, path, start))
    yield from odd
    told = {layer for finding in odd for layer in finding.layer.split(", ")}
    rest = {name: shapes for name, shapes in filled.items() if f"3d_{name}" not in told}
    if not rest or "3d_*" in told:
        return
    points = np.concatenate([shapes.points for shapes in rest.values()])
    sampled = np.arange(0, len(path), max(1, len(path) // 20))
    distance = np.linalg.norm(points[:, None, :2] - path[None, sampled, :2], axis=2)
    nearest = distance.min()
    extent = np.ptp(points, axis=0).max()
    if nearest > _COVERED:
        what = f"no map vertex within {_COVERED} m of the drive; the nearest is {nearest:.0f} m off"
        cause = MILLIMETRES if extent > _LARGEST_MAP else "map and poses in different world frames"
        yield LabelFinding(ERROR, "3d_*", what, cause)
    elif extent > _LARGEST_MAP:
        yield LabelFinding(ERROR, "3d_*", f"the map spans {extent:.0f} m", MILLIMETRES)
    else:
        yield from distance_findings(rest, path)
        uneven = list(height_findings(rest, path))
        yield from uneven
        if not odd and not uneven:
            yield from _place_findings(rest, points, path, sampled, distance)


def _place_findings(
    layers: Mapping[str, Shapes], points: np.ndarray, path: np.ndarray, sampled: np.ndarray, distance: np.ndarray
) -> Iterator[LabelFinding]:
    """A map of another height than the drive, of a part of it, or far from the origin in float32.

    Args:
        layers: the map layers by name.
        points: the vertices of all of them, float64 [P, 3].
        path: world positions of the vehicle, float64 [T, 3].
        sampled: frames of the path that are compared, int64 [S].
        distance: horizontal distance of vertices and positions in metres, [P, S].
    """
    yield from float32_findings("3d_*", {name: shapes.points for name, shapes in layers.items()})
    uncovered = sampled[distance.min(0) > _COVERED]
    if len(uncovered):
        what = f"no map vertex within {_COVERED} m of the drive in {len(uncovered)} of {len(sampled)} frames looked at"
        yield LabelFinding(WARNING, "3d_*", what, "a map of a shorter stretch than the clip", int(uncovered[0]))
    close, at = np.nonzero(distance < _BESIDE)
    if len(close):
        height = float(np.median(points[close, 2] - path[sampled[at], 2]))
        if abs(height) > _HEIGHT:
            what = f"the map lies {abs(height):.0f} m {'above' if height > 0 else 'below'} the drive"
            cause = "a flat map (z = 0), or heights of another reference than those of the poses; nothing of it is seen"
            yield LabelFinding(ERROR, "3d_*", what, cause)


def object_findings(
    objects: Objects,
    layers: Mapping[str, Shapes],
    path: np.ndarray,
    path_is_ground: bool,
    types: Mapping[str, str],
) -> Iterator[LabelFinding]:
    """Boxes of impossible size, below the road, that jump, of unknown type, or not labelled at 10 Hz.

    Args:
        objects: the labelled boxes.
        layers: the map layers by name, for the height of the road.
        path: world positions of the vehicle, or of a camera without it, float64 [T, 3].
        path_is_ground: whether the path lies on the road, as the vehicle's does.
        types: own object types and the class of their boxes; empty where the user has not said.
    """
    yield from rate_findings(objects, len(path))
    tracks = {f"object {name}": objects.pose[objects.track == track] for track, name in enumerate(objects.ids)}
    places = {name: distinct_places(track) for name, track in tracks.items()}
    yield from precision_findings(OBJECT_FOLDER, places)
    if unknown := {kind: count for kind, count in unknown_types(objects).items() if not types.get(kind)}:
        listed = ", ".join(f"{kind!r} ({count})" for kind, count in list(unknown.items())[:_MOST_TYPES])
        more = f" and {len(unknown) - _MOST_TYPES} more" if len(unknown) > _MOST_TYPES else ""
        what = f"labels of unknown types: {listed}{more}"
        cause = f"a vocabulary of your own; say what it is in {TYPE_TABLE} of the workspace, or it is drawn in white"
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
    yield from _order_findings(objects, types)
    yield from _pose_findings(objects, path)
    yield from _sunken_findings(objects, layers, path, path_is_ground)
    for track in range(len(objects.ids)):
        rows = np.flatnonzero(objects.track == track)
        seconds = np.diff(objects.frame[rows]) / CAMERA_HZ
        speed = np.linalg.norm(np.diff(objects.pose[rows, :3, 3], axis=0), axis=1) / np.maximum(seconds, 1e-9)
        if len(speed) and speed.max() > 2 * MAX_SPEED:
            what = f"object {objects.ids[track]} moves at {speed.max():.0f} m/s"
            frame = int(objects.frame[rows[speed.argmax() + 1]])
            shared = objects.ids[track] in _UNTRACKED
            cause = "boxes without a track, all under one id; give each an id of its own" if shared else _TWO_OBJECTS
            yield LabelFinding(WARNING, OBJECT_FOLDER, what, cause, frame)


def _order_findings(objects: Objects, types: Mapping[str, str]) -> Iterator[LabelFinding]:
    """Cars and trucks that are usually wider or higher than long."""
    classes = {kind: types.get(kind) or CLASS_OF.get(kind, "") for kind in set(objects.kind)}
    rows = np.array([classes[kind] in ("Car", "Truck") for kind in objects.kind], bool)
    if not rows.any():
        return
    length, width, height = np.median(objects.size[rows], axis=0)
    if length < max(width, height):
        what = f"cars and trucks are {length:.1f} m long, {width:.1f} m wide and {height:.1f} m high"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, "sizes in another order; object_lwh is length, width, height")


def _pose_findings(objects: Objects, path: np.ndarray) -> Iterator[LabelFinding]:
    """Boxes far from the drive, and matrices that are no rigid poses."""
    away = np.linalg.norm(objects.pose[:, :2, 3] - path[np.minimum(objects.frame, len(path) - 1), :2], axis=1)
    if np.median(away) > _FAR_OBJECTS:
        what = f"half of the boxes are over {np.median(away):.0f} m away from the vehicle"
        yield LabelFinding(ERROR, OBJECT_FOLDER, what, "objects and poses in different world frames")
    rotation = objects.pose[:, :3, :3]
    off = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max((1, 2))
    bad = np.flatnonzero((off > 0.05) | (np.abs(objects.pose[:, 3] - [0, 0, 0, 1]).max(1) > 1e-6))
    if len(bad):
        what = f"{len(bad)} of {len(off)} boxes have a matrix that is no rotation and place"
        cause = "a scale in the matrix, a transposed matrix, or the size in it; the size belongs into object_lwh"
        yield LabelFinding(ERROR, OBJECT_FOLDER, what, cause, int(objects.frame[bad[0]]))


def rate_findings(objects: Objects, frames: int) -> Iterator[LabelFinding]:
    """Labels that do not cover the clip, are numbered at another rate, come less often than at 10 Hz, or repeat.

    Args:
        objects: the labelled boxes.
        frames: number of frames of the clip.
    """
    first, last = int(objects.frames[0]), int(objects.frames[-1])
    if numbered_by_sweep(objects.frames, frames):
        what = f"the labels are numbered {first} to {last} in steps of 1, the poses 0 to {frames - 1}"
        cause = f"labels numbered one by one; number them by the frames of the poses, 0, {LABEL_STEP}, {2 * LABEL_STEP}"
        yield LabelFinding(ERROR, OBJECT_FOLDER, what, cause)
        return
    if first > 2 * LABEL_STEP:
        what = f"the first labelled frame is {first}"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, "labels of a shorter stretch; before it there are no boxes", 0)
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
    elif len(steps) and steps.max() > _LONGEST_GAP:
        gap = int(steps.argmax())
        what = f"no frame is labelled between {objects.frames[gap]} and {objects.frames[gap + 1]}"
        cause = "labels that were lost; boxes there are interpolated in straight lines"
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, cause, int(objects.frames[gap]))
    repeated = _repeated_labels(objects)
    if repeated > 1.25:
        what = f"labels of moving objects come {repeated:.2g} times each"
        cause = (
            f"labels at {CAMERA_HZ / repeated:.0f} Hz written at {CAMERA_HZ} Hz, so boxes stutter; write each label "
            "once, at its own frame: boxes in between are interpolated"
        )
        yield LabelFinding(WARNING, OBJECT_FOLDER, what, cause)


def _repeated_labels(objects: Objects) -> float:
    """Frames for each different pose of a moving object labelled at every frame; the median of the longest tracks."""
    if len(objects.frames) < 2 or np.median(np.diff(objects.frames)) > 1:
        return 1.0
    tracks, counts = np.unique(objects.track[objects.moving], return_counts=True)
    longest = tracks[np.argsort(counts)[::-1][:10]]
    poses = [objects.pose[objects.track == track] for track in longest]
    found = [repetitions(track) for track in poses if np.ptp(track[:, :3, 3], axis=0).max() > 1]
    return float(np.median(found)) if found else 1.0


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
