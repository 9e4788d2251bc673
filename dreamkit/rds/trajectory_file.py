"""The YAML file of a novel trajectory, and the step from it to poses and collisions.

    name: lane_change_left      # folder of the new poses
    clips: [clip_a]             # all clips of the labels when left out
    shift: -0.5                 # metres to the left over the whole drive
    rotate: 2                   # degrees to the left over the whole drive
    speed: 1.0                  # factor of the recorded speed
    lane_change: {metres: 3.5, from: 30, frames: 90}
    brake: {to: 0.3, from: 60, frames: 60}
    vehicle: {length: 4.8, width: 1.9, height: 1.6, rear: 1.0}

Frames are those of the new drive at 30 Hz; every entry but `name` may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CAMERA_MODELS
from dreamkit.rds.collisions import Collision, VehicleSize, find_collisions
from dreamkit.rds.drawing import read_boxes
from dreamkit.rds.labels import LIDAR_FOLDER, OBJECT_FOLDER, VEHICLE_FOLDER, Shapes, layer_path, read_map
from dreamkit.rds.objects import Boxes
from dreamkit.rds.rig import read_camera_poses, read_vehicle_poses
from dreamkit.rds.trajectory import Manoeuvre, change_drive
from dreamkit.rds.writer import write_camera_poses
from dreamkit.workspace.file_names import check_name
from dreamkit.workspace.files import nearest, read_yaml, write_json

_EXAMPLE = "The heading of dreamkit/rds/trajectory_file.py shows a whole file."
_PARTS = {
    "lane_change": {"metres": "lane_change", "from": "change_from", "frames": "change_frames"},
    "brake": {"to": "brake_to", "from": "brake_from", "frames": "brake_frames"},
}
_RESERVED = ("pose", VEHICLE_FOLDER, OBJECT_FOLDER, LIDAR_FOLDER, *(f"{model}_intrinsic" for model in CAMERA_MODELS))
_SIMPLE = ("shift", "rotate", "speed")
_SIZES = tuple(field.name for field in fields(VehicleSize))


@dataclass(frozen=True)
class TrajectoryFile:
    """A novel trajectory.

    Attributes:
        name: folder of the new poses.
        clips: the clips that it is made of; None for all.
        manoeuvre: the change of the recorded drive.
        vehicle: size of the vehicle, for collisions.
    """

    name: str
    clips: tuple[str, ...] | None
    manoeuvre: Manoeuvre
    vehicle: VehicleSize


@dataclass(frozen=True)
class NovelDrive:
    """A clip's novel drive.

    Attributes:
        clip: name of the clip.
        recorded: recorded vehicle poses, float64 [T, 4, 4].
        poses: vehicle poses of the novel drive, float64 [T', 4, 4].
        cameras: camera-to-world by camera, float64 [T', 4, 4] each.
        boxes: boxes of every recorded frame.
        layers: the map of the clip.
        collisions: what the vehicle touches on the novel drive and not on the recorded one.
    """

    clip: str
    recorded: np.ndarray
    poses: np.ndarray
    cameras: Mapping[str, np.ndarray]
    boxes: Boxes
    layers: Mapping[str, Shapes]
    collisions: tuple[Collision, ...]


def read_trajectory(path: Path) -> TrajectoryFile:
    """The file of a novel trajectory.

    Raises:
        DreamkitError: the file is missing or not YAML, or has an unknown entry or a value that cannot be.
    """
    table = read_yaml(path, "trajectory file")
    _check_keys(table, ("name", "clips", "vehicle", *_SIMPLE, *_PARTS), f"The trajectory file {path}")
    name, clips = table.get("name"), table.get("clips")
    if not isinstance(name, str) or not name or name in _RESERVED or name.startswith("3d_"):
        raise DreamkitError(
            f"The trajectory file {path} has the name {name!r}.",
            "Write `name: NAME`, the folder of the new poses; folders of the format, such as pose, cannot be it.",
        )
    check_name(name, "trajectory")
    if clips is not None and not (isinstance(clips, list) and all(isinstance(clip, str) for clip in clips)):
        raise DreamkitError(f"The trajectory file {path} has the clips {clips!r}.", "Write `clips: [NAME, NAME]`.")
    values: dict[str, Any] = {key: _number(table[key], f"{path}: {key}") for key in _SIMPLE if key in table}
    for part, names in _PARTS.items():
        if part in table:
            found = _numbers(table[part], tuple(names), f"{path}: {part}")
            if next(iter(names)) not in found:
                raise DreamkitError(f"The trajectory file {path}: {part} lacks `{next(iter(names))}`.", _EXAMPLE)
            values |= {
                names[key]: value if key in ("metres", "to") else _whole(value, f"{path}: {part}: {key}")
                for key, value in found.items()
            }
    sizes = _numbers(table.get("vehicle", {}), _SIZES, f"{path}: vehicle")
    if any(value <= 0 for value in sizes.values()):
        raise DreamkitError(f"The trajectory file {path} has a vehicle of the size {sizes}.", "Give positive metres.")
    return TrajectoryFile(name, tuple(clips) if clips else None, Manoeuvre(**values), VehicleSize(**sizes))


def _check_keys(table: Any, known: tuple[str, ...], where: str) -> None:
    """Raise DreamkitError unless it is a table of known keys."""
    if not isinstance(table, Mapping):
        raise DreamkitError(f"{where} is no table of {', '.join(known)}.", _EXAMPLE)
    for key in table:
        if key not in known:
            close = nearest(str(key), known)
            hint = f"Did you mean {close}?" if close else f"Known are {', '.join(known)}."
            raise DreamkitError(f"{where} has the unknown entry {key!r}.", hint)


def _numbers(table: Any, known: tuple[str, ...], where: str) -> dict[str, float]:
    """A table of numbers."""
    _check_keys(table, known, where)
    return {key: _number(value, f"{where}: {key}") for key, value in table.items()}


def _number(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e6:
        raise DreamkitError(f"{where} is {value!r}.", "Write a number.")
    return float(value)


def _whole(value: float, where: str) -> int:
    if value != int(value):
        raise DreamkitError(f"{where} is {value!r}.", "Write a whole number of frames.")
    return int(value)


def plan_drive(root: Path, clip: str, trajectory: TrajectoryFile) -> NovelDrive:
    """The novel drive of a clip, with what the vehicle would touch; nothing is written.

    Raises:
        DreamkitError: labels are missing or damaged.
    """
    vehicle, cameras = read_vehicle_poses(root, clip), read_camera_poses(root, clip)
    poses, moved = change_drive(vehicle, cameras, trajectory.manoeuvre)
    boxes, layers = read_boxes(root, clip, len(vehicle)), read_map(root, clip)
    before = {(one.layer, one.name) for one in find_collisions(vehicle, boxes, layers, trajectory.vehicle)}
    touched = find_collisions(poses, boxes, layers, trajectory.vehicle)
    # What the recorded drive touches too is the vehicle's own box, or a label that lies a little off.
    new = tuple(one for one in touched if (one.layer, one.name) not in before)
    return NovelDrive(clip, vehicle, poses, moved, boxes, layers, new)


def write_novel_drive(root: Path, drive: NovelDrive, trajectory: TrajectoryFile) -> Path:
    """Write the camera poses of a novel drive as a pose folder of the clip; returns the tar.

    A JSON file beside it has the manoeuvre and the collisions, and marks the tar as written here.

    Raises:
        DreamkitError: there is such a tar that was not written here.
    """
    path = layer_path(root, drive.clip, trajectory.name)
    record = path.with_suffix(".json")
    if path.is_file() and not record.is_file():
        raise DreamkitError(
            f"{path} exists and was not written from a trajectory file.", "Give the trajectory another name."
        )
    found = {"manoeuvre": asdict(trajectory.manoeuvre), "vehicle": asdict(trajectory.vehicle)}
    write_json(record, {**found, "collisions": [asdict(one) for one in drive.collisions]})
    write_camera_poses(root, drive.clip, drive.cameras, trajectory.name)
    return path
