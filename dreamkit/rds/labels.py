"""The labels of RDS-HQ folders as small typed arrays; a reader raises DreamkitError on whatever it cannot use.

The format (docs/rds_hq_format.md of nv-tlabs/cosmos-av-sample-toolkits): one folder a layer, one tar a clip. Map layers
are a JSON of labels with vertices in world metres; objects and LiDAR sweeps come at 10 Hz, so with every third frame
number of the 30 Hz poses. Poses and intrinsics are read by `dreamkit.rds.rig`.
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

# Each map layer and the shape of its labels.
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
CAMERA_HZ = 30
LABEL_HZ = 10


@dataclass(frozen=True)
class Shapes:
    """Polylines, polygons or cuboids of one layer: shape s is rows starts[s] to starts[s + 1] of points [P, 3]."""

    points: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, shapes: Iterable[np.ndarray]) -> Shapes:
        """From arrays [n, 3]."""
        parts = [np.asarray(shape, np.float64).reshape(-1, 3) for shape in shapes]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return cls(np.concatenate(parts) if parts else np.zeros((0, 3)), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.points[a:b] for a, b in zip(self.starts[:-1], self.starts[1:], strict=True))


@dataclass(frozen=True)
class Objects:
    """Tracked boxes, one row for each object in each labelled frame (R rows), by frame and then by track.

    frames: int64 [K], the labelled frame numbers, also those without an object; ids: the tracks, sorted as text;
    frame, track: int64 [R], the row's frame number and index into ids; pose: float64 [R, 4, 4], box centre to world;
    size: float64 [R, 3], length, width, height in metres; moving: bool [R]; kind: the R object types as written.
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


@dataclass(frozen=True)
class LidarFrame:
    """One sweep: points float32 [N, 3] in the sensor's metres, intensity float32 [N] or None, sensor-to-world pose."""

    xyz: np.ndarray
    to_world: np.ndarray
    intensity: np.ndarray | None = None


@dataclass(frozen=True)
class Lidar:
    """The sweeps of a clip, decoded one at a time; `frames` are their frame numbers (every third one)."""

    tar: Tar
    keys: dict[int, str]

    @property
    def frames(self) -> tuple[int, ...]:
        """Frame numbers that have a sweep, ascending."""
        return tuple(sorted(self.keys))

    def load(self, frame: int) -> LidarFrame:
        """One sweep; raises DreamkitError when it is damaged."""
        key = self.keys[frame]
        arrays = self.tar.arrays(key)
        where = f"{self.tar.path}: {key}"
        missing = {"xyz", "lidar_to_world"} - arrays.keys()
        if missing:
            raise DreamkitError(f"{where} has no {' and no '.join(sorted(missing))}")
        with decoding(self.tar.path, key):
            xyz = np.asarray(arrays["xyz"], np.float32)
            xyz = xyz.reshape(-1, 3)
            intensity = arrays.get("intensity")
            intensity = None if intensity is None else np.asarray(intensity, np.float32).reshape(-1)
        return LidarFrame(
            xyz[np.isfinite(xyz).all(1)],
            require_poses(arrays["lidar_to_world"], where),
            intensity if intensity is not None and len(intensity) == len(xyz) else None,
        )


def list_clips(root: Path, poses: str = "pose") -> list[str]:
    """The clips of a folder: the names of the tars in its pose folder, sorted."""
    folder = Path(root) / poses
    if not folder.is_dir():
        raise DreamkitError(
            f"{folder} is missing, so {root} is not an RDS-HQ folder",
            "Give the folder that holds pose/, 3d_lanelines/, all_object_info/ and the others.",
        )
    clips = sorted(path.stem for path in folder.glob("*.tar") if not path.name.startswith("."))
    if not clips:
        raise DreamkitError(f"{folder} holds no .tar, so there is no clip to work on")
    return clips


def layer_path(root: Path, clip: str, folder: str) -> Path:
    """Where a layer's tar of a clip lies."""
    return Path(root) / folder / f"{clip}.tar"


def read_layer(root: Path, clip: str, layer: str) -> Shapes:
    """One map layer (a key of LAYERS): shapes in the order of the file, vertices in world metres.

    A layer with labels that hold no vertices is empty, not an error. Shapes of too few points are kept, but not drawn.
    """
    tar = open_tar(layer_path(root, clip, f"3d_{layer}"), clip)
    keys = [key for key in tar.members if key.endswith(".json")]
    if not keys:
        raise DreamkitError(f"{tar.path} holds no .json member", f"Expected {clip}.{layer}.json.")
    key = next((key for key in keys if key.removesuffix(".json").endswith(layer)), keys[0])
    data = tar.json(key)
    if not isinstance(data, dict) or not isinstance(data.get("labels"), list):
        raise DreamkitError(f"{tar.path}: {key} has no list of labels", 'Expected {"labels": [...]}.')
    shapes = []
    for index, label in enumerate(data["labels"]):
        with decoding(tar.path, f"{key}, label {index}"):
            found = [_points(vertices) for vertices in _vertex_lists(label)]
            if LAYERS[layer] == "cuboid" and any(len(points) not in (0, 8) for points in found):
                raise ValueError(f"a cuboid of {[len(points) for points in found]} vertices; expected 8")
            shapes += [points for points in found if len(points)]
    return Shapes.of(shapes)


def read_map(root: Path, clip: str, layers: Sequence[str] = tuple(LAYERS)) -> dict[str, Shapes]:
    """The map layers that the folder has. A missing tar is skipped with a warning; none at all is an error."""
    found = {}
    for layer in layers:
        path = layer_path(root, clip, f"3d_{layer}")
        if path.is_file():
            found[layer] = read_layer(root, clip, layer)
        elif layer != "lanes":  # nothing draws lanes by default, and most folders do without
            log.warning("%s is missing: %s are not drawn", path, layer.replace("_", " "))
    if not found:
        raise DreamkitError(
            f"{root} has no map layer of clip {clip}: none of {', '.join(f'3d_{name}' for name in layers)}",
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
    """All tracked objects of a clip; a labelled frame without objects counts as labelled."""
    tar = open_tar(layer_path(root, clip, "all_object_info"), clip)
    keys = numbered(tar, re.compile(r"(?:^|\.)(\d+)\.all_object_info\.json$"))
    if not keys:
        raise DreamkitError(f"{tar.path} holds no member named like 000000.all_object_info.json")
    rows = []
    for number, key in sorted(keys.items()):
        data = tar.json(key)
        if not isinstance(data, dict):
            raise DreamkitError(f"{tar.path}: {key} is not a table of objects by track", "Expected {track id: {...}}.")
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
    missing = (
        []
        if not isinstance(info, dict)
        else [name for name in ("object_to_world", "object_lwh", "object_is_moving", "object_type") if name not in info]
    )
    if not isinstance(info, dict) or missing:
        raise DreamkitError(f"{where} lacks {', '.join(missing) or 'its fields'}")
    pose = require_poses(info["object_to_world"], where)
    try:
        size = np.asarray(info["object_lwh"], np.float64)
    except (TypeError, ValueError, OverflowError):
        size = np.zeros(0)
    if pose.ndim != 2 or size.shape != (3,) or not np.isfinite(size).all() or (size < 0).any():
        raise DreamkitError(
            f"{where} needs a 4x4 object_to_world and three sizes in metres, none negative; "
            f"got {str(info['object_lwh'])[:80]}"
        )
    return pose, size, bool(info["object_is_moving"]), str(info["object_type"])


def read_lidar(root: Path, clip: str) -> Lidar:
    """The clip's LiDAR sweeps, to be loaded one at a time."""
    tar = open_tar(layer_path(root, clip, "lidar_raw"), clip)
    keys = numbered(tar, re.compile(r"(?:^|\.)(\d+)\.lidar_raw\.npz$"))
    if not keys:
        raise DreamkitError(f"{tar.path} holds no member named like 000000.lidar_raw.npz")
    return Lidar(tar, keys)


def numbered(tar: Tar, pattern: re.Pattern[str]) -> dict[int, str]:
    """The tar's keys that match, by the frame number in the pattern's first group."""
    return {int(match[1]): key for key in tar.members if (match := pattern.search(key))}
