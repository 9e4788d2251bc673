"""A recorded drive in one form for all converters, and that drive written as an RDS-HQ clip.

A converter fills a `Drive` with what its data set says, at its own rates and in its own world axes; `write_drive`
resamples it to the format's 30 Hz poses and 10 Hz boxes, moves the coordinates near the origin, and writes the tars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.convert.timelines import CAMERA_FRAMES, box_frames, frame_times, poses_at, rising
from dreamkit.rds.labels import LAYERS, Objects, Shapes, layer_path
from dreamkit.rds.mounts import NOMINAL_POSES, nominal_mount
from dreamkit.rds.poses import require_poses
from dreamkit.rds.rig import default_cameras
from dreamkit.workspace.file_names import check_name
from dreamkit.workspace.files import write_json

RECORD_FOLDER = "conversion"
"""Folder of a JSON file a clip: where the clip came from, and what was subtracted from its coordinates."""
_MOVED = 0.3
_FARTHEST_MAP = 200.0


@dataclass(frozen=True)
class TrackedBox:
    """One label of a tracked object.

    Attributes:
        track: name of the track, the same in all frames.
        kind: object type of the published vocabularies (`dreamkit.rds.objects.CLASS_OF` and OTHER_TYPES).
        time: seconds, on the clock of the ego poses.
        pose: box centre to world, float64 [4, 4]; x along the length, z up.
        size: length, width, height in metres.
        moving: whether the object moves; None to see it from the track, which moves when it spans over 0.3 m.
    """

    track: str
    kind: str
    time: float
    pose: np.ndarray
    size: tuple[float, float, float]
    moving: bool | None = None


@dataclass(frozen=True)
class DriveCamera:
    """A camera fixed to the vehicle.

    Attributes:
        to_ego: camera-to-ego (sensor-to-ego) pose, float64 [4, 4]; camera axes x right, y down, z forward.
        lens: its intrinsics, or None when they are not known.
    """

    to_ego: np.ndarray
    lens: CameraModel | None


@dataclass(frozen=True)
class Drive:
    """One recorded drive.

    Attributes:
        clip: name of the clip.
        times: seconds of the ego poses, rising, float64 [N].
        ego: ego-to-world poses at these times, float64 [N, 4, 4]; ego axes x forward, y left, z up.
        cameras: name -> camera.
        layers: map layer (a key of `labels.LAYERS`) -> arrays [n, 3] of world vertices in metres.
        boxes: labels of objects in any order.
        start: seconds of frame 0; the first ego pose when left out.
        end: seconds of the last frame at most; the last ego pose when left out.
        source: what the clip was made from, for the record: format, version, folder.
    """

    clip: str
    times: np.ndarray
    ego: np.ndarray
    cameras: Mapping[str, DriveCamera]
    layers: Mapping[str, Sequence[np.ndarray]]
    boxes: Sequence[TrackedBox]
    start: float | None = None
    end: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict)


def write_drive(root: Path, drive: Drive) -> dict[str, Any]:
    """Write a drive as the clip of an RDS-HQ folder; tars of the clip that exist are replaced.

    Ego poses are interpolated to 30 Hz (positions linearly, rotations by slerp) and boxes to every third frame, inside
    a track only and not across its gaps. Map shapes farther than 200 m from the drive are left out, and every layer is
    written, also an empty one. The position of the first frame, rounded to metres, is subtracted from all coordinates.

    Args:
        root: the RDS-HQ folder.
        drive: the drive.

    Returns:
        The clip's record, as in `conversion/<clip>.json`: source, origin (metres), start (seconds), frames, and counts.

    Raises:
        DreamkitError: times do not rise, poses are unusable or missing for over 0.5 s, or a name cannot be a file's.
    """
    check_name(drive.clip, "clip")
    times, ego = rising(drive.times, f"The ego poses of {drive.clip}"), require_poses(drive.ego, f"{drive.clip}: ego")
    at = frame_times(times, drive.start, drive.end, drive.clip)
    vehicle = poses_at(times, ego, at, f"The ego poses of {drive.clip}")
    origin = np.round(vehicle[0, :3, 3])
    vehicle[:, :3, 3] -= origin
    if not drive.cameras:
        raise DreamkitError(
            f"The drive {drive.clip} has no camera.", "Give at least one, or `nominal_cameras()` of this module."
        )
    mounts = {
        name: require_poses(camera.to_ego, f"{drive.clip}: {name} to ego") for name, camera in drive.cameras.items()
    }
    if unknown := sorted(set(drive.layers) - set(LAYERS)):
        raise DreamkitError(f"The map layer {unknown[0]!r} is unknown.", f"The format has {', '.join(LAYERS)}.")
    layers = {name: Shapes.of(_near(drive.layers.get(name, ()), origin, vehicle)) for name in LAYERS}
    _require_map_here(drive, layers, origin)
    objects = tracked_objects(drive.boxes, at, origin)
    writer.write_vehicle_poses(root, drive.clip, vehicle)
    writer.write_cameras(root, drive.clip, {name: cam.lens for name, cam in drive.cameras.items() if cam.lens})
    for name, shapes in layers.items():
        if len(shapes) or name != "lanes":
            writer.write_layer(root, drive.clip, name, shapes)
    writer.write_objects(root, drive.clip, objects)
    record = {
        "source": dict(drive.source),
        "origin": origin.tolist(),
        "start": float(at[0]),
        "frames": len(at),
        "tracks": len(objects.ids),
        "boxes": len(objects),
        "shapes": {name: len(shapes) for name, shapes in layers.items() if len(shapes)},
    }
    write_json(layer_path(root, drive.clip, RECORD_FOLDER).with_suffix(".json"), record)
    # Last, because a folder's clips are those with camera poses: one that was interrupted before is none.
    writer.write_camera_poses(root, drive.clip, {name: vehicle @ mount for name, mount in mounts.items()})
    return record


def nominal_cameras() -> dict[str, DriveCamera]:
    """The six views with their nominal places and lenses, for a drive without calibration."""
    lenses = {f"camera_{view}": default_cameras()[f"camera_{view}"] for view in NOMINAL_POSES}
    return {name: DriveCamera(nominal_mount(name.removeprefix("camera_")).pose, lens) for name, lens in lenses.items()}


def _near(shapes: Sequence[np.ndarray], origin: np.ndarray, vehicle: np.ndarray) -> list[np.ndarray]:
    """Shapes with the origin subtracted, without those that are nowhere near the drive."""
    path = vehicle[:: max(1, len(vehicle) // 50), :2, 3]
    found = []
    for shape in shapes:
        points = np.asarray(shape, np.float64).reshape(-1, 3) - origin
        if len(points) and np.linalg.norm(points[:, None, :2] - path, axis=2).min() <= _FARTHEST_MAP:
            found.append(points)
    return found


def _require_map_here(drive: Drive, layers: Mapping[str, Shapes], origin: np.ndarray) -> None:
    """Raise where a map was given and nothing of it lies near the drive."""
    given = [np.asarray(shape, np.float64).reshape(-1, 3) for shapes in drive.layers.values() for shape in shapes]
    if given and not any(len(shapes) for shapes in layers.values()):
        nearest = min(float(np.linalg.norm(shape[:, :2] - origin[:2], axis=1).min()) for shape in given if len(shape))
        raise DreamkitError(
            f"The map of {drive.clip} lies in another place than the drive: its nearest vertex is "
            f"{nearest / 1000:.1f} km from the first pose.",
            "Give map and poses in the same world axes, in metres.",
        )


def tracked_objects(boxes: Sequence[TrackedBox], at: np.ndarray, origin: np.ndarray) -> Objects:
    """Labels resampled to every third of the 30 Hz frames.

    Args:
        boxes: labels of all tracks.
        at: seconds of the frames, float64 [T].
        origin: world position to subtract, float64 [3].
    """
    numbers = np.arange(0, len(at), CAMERA_FRAMES)
    tracks: dict[str, list[TrackedBox]] = {}
    for box in boxes:
        tracks.setdefault(box.track, []).append(box)
    ids = tuple(sorted(tracks))
    rows: list[tuple[int, int, np.ndarray, np.ndarray, bool, str]] = []
    period = label_period(boxes)
    for index, track in enumerate(ids):
        labels = sorted(tracks[track], key=lambda box: box.time)
        times = rising(np.array([box.time for box in labels]), f"The labels of track {track}")
        poses = require_poses(np.array([box.pose for box in labels]), f"The boxes of track {track}")
        sizes = np.array([box.size for box in labels], np.float64)
        moves = float(np.ptp(poses[:, :3, 3], axis=0).max()) > _MOVED
        which, pose, size, before = box_frames(times, poses, sizes, at[numbers], 1.5 * period)
        pose[:, :3, 3] -= origin
        for row, label in enumerate(before):
            moving = moves if labels[label].moving is None else bool(labels[label].moving)
            rows.append((int(numbers[which[row]]), index, pose[row], size[row], moving, labels[label].kind))
    rows.sort(key=lambda row: row[:2])
    return Objects(
        frames=numbers,
        ids=ids,
        frame=np.array([row[0] for row in rows], np.int64),
        track=np.array([row[1] for row in rows], np.int64),
        pose=np.array([row[2] for row in rows], np.float64).reshape(-1, 4, 4),
        size=np.array([row[3] for row in rows], np.float64).reshape(-1, 3),
        moving=np.array([row[4] for row in rows], bool),
        kind=tuple(row[5] for row in rows),
    )


def label_period(boxes: Sequence[TrackedBox]) -> float:
    """Median seconds between labelled moments; 0.1 where there are fewer than two."""
    moments = np.unique([box.time for box in boxes])
    return float(np.median(np.diff(moments))) if len(moments) > 1 else 0.1
