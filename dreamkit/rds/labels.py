"""Map and object labels of RDS-HQ folders as typed arrays, and the paths of a clip's tars.

The format (docs/rds_hq_format.md of nv-tlabs/cosmos-av-sample-toolkits): one folder a layer, one tar a clip. Map layers
are a JSON of labels with vertices in world metres. Objects and LiDAR sweeps come at 10 Hz and are numbered by the
frames of the 30 Hz poses. Poses and intrinsics are read by `dreamkit.rds.rig`, sweeps by `dreamkit.rds.lidar_labels`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.poses import require_poses
from dreamkit.rds.tars import Tar, decoding, open_tar

log = logging.getLogger(__name__)

_OBJECT_FIELDS = ("object_to_world", "object_lwh", "object_is_moving", "object_type")
LAYERS = {
    "lanelines": "polyline",
    "lanes": "polyline",
    "road_boundaries": "polyline",
    "wait_lines": "polyline",
    "poles": "polyline",
    "crosswalks": "polygon",
    "road_markings": "polygon",
    "traffic_signs": "cuboid",
    "traffic_lights": "cuboid",
}
"""Map layer -> the shape of its labels."""
OBJECT_FOLDER, LIDAR_FOLDER, VEHICLE_FOLDER = "all_object_info", "lidar_raw", "vehicle_pose"
CAMERA_HZ = 30
LABEL_HZ = 10
MOST_KILOMETRES = 500
"""Of the shapes of one map layer: lines are resampled at every 0.8 m, so their length is memory and time."""
MOST_FRAME = 10**6
LABEL_STEP = CAMERA_HZ // LABEL_HZ
"""Frames from one label to the next."""


@dataclass(frozen=True)
class Shapes:
    """Polylines, polygons or cuboids of one map layer.

    Attributes:
        points: vertices of all shapes one after another, world metres, float64 [P, 3].
        starts: shape s has the rows starts[s] to starts[s + 1] of points, int64 [S + 1].
    """

    points: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, shapes: Iterable[np.ndarray]) -> Shapes:
        """Shapes of arrays [n, 3] of vertices, one array a shape.

        Raises:
            ValueError: an array has another shape.
        """
        parts = [np.asarray(shape, np.float64) for shape in shapes]
        for part in parts:
            if part.ndim != 2 or part.shape[1] != 3:
                raise ValueError(f"vertices of shape {list(part.shape)}; expected [n, 3]")
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return cls(np.concatenate(parts) if parts else np.zeros((0, 3)), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.points[a:b] for a, b in zip(self.starts[:-1], self.starts[1:], strict=True))


@dataclass(frozen=True)
class Objects:
    """Tracked boxes, one row for each object in each labelled frame (R rows), sorted by frame and then by track.

    Attributes:
        frames: the labelled frame numbers, also those without an object, int64 [K].
        ids: names of the tracks, sorted as text.
        frame: frame number of each row, int64 [R].
        track: index into `ids` of each row, int64 [R].
        pose: box centre to world, float64 [R, 4, 4].
        size: length, width, height in metres, float64 [R, 3].
        moving: whether the object moves, bool [R].
        kind: object types as written in the file, R of them.
    """

    frames: np.ndarray
    ids: tuple[str, ...]
    frame: np.ndarray
    track: np.ndarray
    pose: np.ndarray
    size: np.ndarray
    moving: np.ndarray
    kind: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)


def list_clips(root: Path, poses: str = "pose") -> list[str]:
    """Names of the clips in an RDS-HQ folder, sorted: those of the tars in its pose folder.

    Args:
        root: the RDS-HQ folder.
        poses: its folder of camera poses.

    Raises:
        DreamkitError: there is no such folder, or no tar in it.
    """
    folder = Path(root) / poses
    if not folder.is_dir():
        raise DreamkitError(
            f"{folder} is missing, so {root} is not an RDS-HQ folder.",
            "Give the folder that holds pose/, 3d_lanelines/, all_object_info/ and the others. Recorded drives of a "
            "public data set become such a folder with `dreamkit convert`.",
        )
    clips = sorted(path.stem for path in folder.glob("*.tar") if not path.name.startswith("."))
    if not clips:
        raise DreamkitError(
            f"{folder} holds no .tar, so there is no clip.", "Give an RDS-HQ folder with the poses of a clip."
        )
    return clips


def layer_path(root: Path, clip: str, folder: str) -> Path:
    """Path of a clip's tar in a folder of the data set."""
    return Path(root) / folder / f"{clip}.tar"


def read_layer(root: Path, clip: str, layer: str) -> Shapes:
    """One map layer of a clip: shapes in the order of the file.

    A layer with labels that hold no vertices is empty, not an error. Shapes of too few points are kept, but not drawn.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        layer: a key of LAYERS.

    Raises:
        DreamkitError: the tar is missing or damaged, or its labels have another form.
    """
    tar = open_tar(layer_path(root, clip, f"3d_{layer}"), clip)
    keys = [key for key in tar.members if key.endswith(".json")]
    if not keys:
        raise DreamkitError(f"{tar.path} holds no .json member.", f"The format names it {clip}.{layer}.json.")
    key = next((key for key in keys if key.removesuffix(".json").endswith(layer)), keys[0])
    data = tar.json(key)
    if not isinstance(data, dict) or not isinstance(data.get("labels"), list):
        raise DreamkitError(f"{tar.path}: {key} has no list of labels.", 'The format is {"labels": [...]}.')
    shapes = []
    for index, label in enumerate(data["labels"]):
        with decoding(tar.path, f"{key}, label {index}"):
            if not isinstance(label, (dict, list)):
                raise ValueError(f"a {type(label).__name__} instead of a table")
            found = [_points(vertices) for vertices in _vertex_lists(label)]
            if LAYERS[layer] == "cuboid" and any(len(points) not in (0, 8) for points in found):
                raise ValueError(f"a cuboid of {[len(points) for points in found]} vertices; expected 8")
            shapes += [points for points in found if len(points)]
    kilometres = sum(float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()) for points in shapes) / 1000
    if not kilometres <= MOST_KILOMETRES:  # also where it overflows
        raise DreamkitError(
            f"{tar.path}: the shapes of {layer} are {kilometres:,.0f} km long together; a clip has some 10, and"
            f" {MOST_KILOMETRES} km at most are drawn.",
            "A vertex lies far from the others; convert the map of this clip again.",
        )
    return Shapes.of(shapes)


def read_map(root: Path, clip: str, layers: Sequence[str] = tuple(LAYERS)) -> dict[str, Shapes]:
    """Map layers of a clip by name, without those whose tar is missing; a warning is logged for them.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        layers: keys of LAYERS.

    Raises:
        DreamkitError: none of the layers is there, or one is damaged.
    """
    found = {}
    for layer in layers:
        path = layer_path(root, clip, f"3d_{layer}")
        if path.is_file():
            found[layer] = read_layer(root, clip, layer)
        elif layer != "lanes":  # nothing draws lanes by default, and most folders have none
            log.warning("%s is missing: %s are not drawn", path, layer.replace("_", " "))
    if not found:
        raise DreamkitError(
            f"{root} has no map layer of clip {clip}: none of {', '.join(f'3d_{name}' for name in layers)}.",
            "Check the clip's name, and that the 3d_* folders were fetched.",
        )
    return found


def _vertex_lists(label: Any) -> Iterator[list]:
    """Every list of vertices below a label, in the order of the file, whatever the nesting."""
    if isinstance(label, dict):
        for name, value in label.items():
            if name == "vertices":
                yield value
            elif name == "polylines" and isinstance(value, list) and all(isinstance(line, list) for line in value):
                yield from value
            else:
                yield from _vertex_lists(value)
    elif isinstance(label, list):
        for item in label:
            yield from _vertex_lists(item)


def _points(vertices: Any) -> np.ndarray:
    """A list of vertices as float64 [n, 3]; each is a list of three numbers or a table of x, y, z."""
    if not isinstance(vertices, list):
        raise ValueError("vertices that are not a list")
    rows = [[v["x"], v["y"], v["z"]] if isinstance(v, dict) else v for v in vertices]
    points = np.array(rows, np.float64) if rows else np.zeros((0, 3))
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"vertices of shape {list(points.shape)}; expected [n, 3]")
    if not np.isfinite(points).all():
        raise ValueError("a vertex that is not finite")
    return points


def read_objects(root: Path, clip: str) -> Objects:
    """All tracked objects of a clip; a labelled frame without objects counts as labelled.

    Raises:
        DreamkitError: the tar is missing or damaged, or an object lacks a field or has an impossible one.
    """
    tar = open_tar(layer_path(root, clip, OBJECT_FOLDER), clip)
    keys = numbered(tar, re.compile(r"(?:^|\.)(\d+)\.all_object_info\.json$"))
    if not keys:
        raise no_member(tar, "000000.all_object_info.json")
    rows = []
    for number, key in sorted(keys.items()):
        data = tar.json(key)
        if not isinstance(data, dict):
            raise DreamkitError(
                f"{tar.path}: {key} is not a table of objects by track.", "The format is {track id: {...}}."
            )
        for track, info in sorted(data.items()):
            rows.append((number, track, *_object(info, f"{tar.path}: {key}, object {track}")))
    ids = tuple(sorted({row[1] for row in rows}))
    index = {track: i for i, track in enumerate(ids)}
    return Objects(
        frames=np.array(sorted(keys), np.int64),
        ids=ids,
        frame=np.array([row[0] for row in rows], np.int64),
        track=np.array([index[row[1]] for row in rows], np.int64),
        pose=np.array([row[2] for row in rows], np.float64).reshape(-1, 4, 4),
        size=np.array([row[3] for row in rows], np.float64).reshape(-1, 3),
        moving=np.array([row[4] for row in rows], bool),
        kind=tuple(row[5] for row in rows),
    )


def _object(info: Any, where: str) -> tuple[np.ndarray, np.ndarray, bool, str]:
    """Pose [4, 4], size [3], whether it moves, and type of one labelled object."""
    known = info if isinstance(info, dict) else {}
    missing = [name for name in _OBJECT_FIELDS if name not in known]
    if missing:
        raise DreamkitError(f"{where} lacks {', '.join(missing)}.", "Convert the objects of this clip again.")
    pose = require_poses(info["object_to_world"], where)
    try:
        size = np.asarray(info["object_lwh"], np.float64)
    except (TypeError, ValueError, OverflowError):
        size = np.zeros(0)
    if pose.ndim != 2 or size.shape != (3,) or not np.isfinite(size).all() or (size < 0).any():
        raise DreamkitError(
            f"{where} has the object_lwh {str(info['object_lwh'])[:80]}.",
            "An object needs a 4x4 object_to_world, and three sizes in metres in object_lwh, none negative.",
        )
    moving = info["object_is_moving"]
    if moving not in (True, False):  # any text counts as true in Python, "false" too
        raise DreamkitError(
            f"{where} has the object_is_moving {str(moving)[:80]!r}.", "Write true or false, without quotes."
        )
    return pose, size, bool(moving), str(info["object_type"])


def numbered(tar: Tar, pattern: re.Pattern[str]) -> dict[int, str]:
    """Frame number -> key of the tar's members that match; the pattern's first group is the number.

    Raises:
        DreamkitError: a number is over MOST_FRAME.
    """
    return {frame_number(tar, match[1]): key for key in tar.members if (match := pattern.search(key))}


def frame_number(tar: Tar, digits: str) -> int:
    """The frame number in a member's name.

    Raises:
        DreamkitError: it is over MOST_FRAME, nine hours.
    """
    digits = digits.lstrip("0") or "0"
    if len(digits) > 7 or int(digits) > MOST_FRAME:
        raise DreamkitError(
            f"{tar.path} has a member of frame {digits[:40]}; frames are numbered up to {MOST_FRAME:,}.",
            "Number the frames of each clip from 000000, and convert it again.",
        )
    return int(digits)


def no_member(tar: Tar, example: str) -> DreamkitError:
    """The error for a tar without any member of the expected kind; `example` is the name of such a member."""
    found = next(iter(tar.members), None)
    hint = f"It holds {found}; convert this file again with the format's names." if found else "Fetch this file again."
    return DreamkitError(f"{tar.path} holds no member named like {example}.", hint)
