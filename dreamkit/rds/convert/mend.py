"""A mended copy of a clip's labels: repeated poses, swapped intrinsics, 10 Hz numbering, float32 far from the origin.

What cannot be mended without guessing is left as it is, and `dreamkit check` names it. The folder that is mended is
never written to.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.convert.pose_tracks import at_camera_rate, is_repeated, smoothed, spread_repeats
from dreamkit.rds.labels import (
    LABEL_STEP,
    LAYERS,
    LIDAR_FOLDER,
    OBJECT_FOLDER,
    VEHICLE_FOLDER,
    Objects,
    Shapes,
    frame_number,
    layer_path,
    read_layer,
    read_objects,
)
from dreamkit.rds.lidar_labels import read_lidar
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.poses import require_poses
from dreamkit.rds.rig_views import focal_first, is_centre_first
from dreamkit.rds.tars import open_tar
from dreamkit.workspace.files import replacing

_FAR = 10_000.0
"""Metres from the origin where float32 rounds to a millimetre."""


@dataclass(frozen=True)
class _Tracks:
    """Pose tracks of a tar: the frame numbers, and poses [N, 4, 4] with the dtype that they were written in."""

    numbers: np.ndarray
    poses: dict[str, np.ndarray]
    is_single: bool


def mend_clip(root: Path, clip: str, out: Path) -> list[str]:
    """Write a mended copy of a clip into another folder.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        out: folder of the copy.

    Returns:
        A sentence for each thing that was mended; none when the copy is equal.

    Raises:
        DreamkitError: the copy would lie in the folder itself, or a tar is missing or damaged.
    """
    root, out = Path(root), Path(out)
    if out.resolve() == root.resolve():
        raise DreamkitError(f"{out} is the folder itself.", "Give --fix a new folder for the mended copy.")
    for path in sorted(root.glob(f"*/{clip}.*")):
        with replacing(out / path.parent.name / path.name) as partial:
            shutil.copyfile(path, partial)
    told = [*_mend_intrinsics(root, clip, out), *_mend_poses_and_boxes(root, clip, out)]
    return told


def _mend_intrinsics(root: Path, clip: str, out: Path) -> list[str]:
    """Write pinhole vectors in the order of the format."""
    path = layer_path(root, clip, "pinhole_intrinsic")
    if not path.is_file():
        return []
    tar = open_tar(path, clip)
    found, swapped = {}, []
    for key in tar.members:
        if match := re.search(r"(?:^|\.)pinhole_intrinsic\.([^.]+)\.npy$", key):
            camera = Pinhole.from_vector(tar.array(key))
            if is_centre_first(camera):
                camera = focal_first(camera)
                swapped.append(match[1])
            found[match[1]] = camera
    if not swapped:
        return []
    writer.write_cameras(out, clip, found)
    return [f"Intrinsics were in the order cx, cy, fx, fy: {', '.join(sorted(swapped))}."]


def _read_tracks(root: Path, clip: str, folder: str, pattern: str) -> _Tracks:
    """The poses of a tar by camera, all with the same frame numbers."""
    tar = open_tar(layer_path(root, clip, folder), clip)
    found: dict[str, dict[int, np.ndarray]] = {}
    single = False
    for key in tar.members:
        if match := re.search(pattern, key):
            pose = tar.array(key)
            single |= pose.dtype == np.float32
            name = match[2] if match.lastindex == 2 else "vehicle"
            found.setdefault(name, {})[frame_number(tar, match[1])] = require_poses(pose, f"{tar.path}: {key}")
    numbers = sorted(set().union(*found.values())) if found else []
    for name, track in found.items():
        if sorted(track) != numbers:
            raise DreamkitError(
                f"{tar.path}: {name} lacks frames that other cameras have, so the clip is not mended.",
                "Leave this camera out when converting, or write all its frames.",
            )
    if not numbers:
        raise DreamkitError(f"{tar.path} holds no poses.", "Convert this file again.")
    poses = {name: np.stack([track[number] for number in numbers]) for name, track in found.items()}
    return _Tracks(np.array(numbers), poses, single)


def _mend_poses_and_boxes(root: Path, clip: str, out: Path) -> list[str]:
    """Mend rates and places of poses, boxes, map and sweeps, which have to agree."""
    tracks = {"pose": _read_tracks(root, clip, "pose", r"(?:^|\.)(\d+)\.pose\.([^.]+)\.npy$")}
    if layer_path(root, clip, VEHICLE_FOLDER).is_file():
        tracks[VEHICLE_FOLDER] = _read_tracks(root, clip, VEHICLE_FOLDER, r"(?:^|\.)(\d+)\.vehicle_pose\.npy$")
    boxed = layer_path(root, clip, OBJECT_FOLDER).is_file()
    objects = read_objects(root, clip) if boxed else None
    told: list[str] = []
    before = {folder: found.poses for folder, found in tracks.items()}
    tracks = {folder: _mended_rate(folder, found, told) for folder, found in tracks.items()}
    frames = len(next(iter(tracks["pose"].poses.values())))
    mended = _mended_objects(objects, frames, told) if objects else None
    origin = _far_origin(tracks)
    if origin is not None:
        tracks = {folder: _moved_tracks(found, origin) for folder, found in tracks.items()}
        mended = replace(mended, pose=_moved(mended.pose, origin)) if mended else None
        _move_the_rest(root, clip, out, origin)
        told.append(
            f"Poses were float32 {np.abs(origin).max() / 1000:.0f} km from the origin: {origin.tolist()} m was "
            "subtracted from all coordinates, and the steps of rounding were smoothed."
        )
    changed = any(tracks[folder].poses is not poses for folder, poses in before.items())
    if changed:
        writer.write_camera_poses(out, clip, tracks["pose"].poses)
        if VEHICLE_FOLDER in tracks:
            writer.write_vehicle_poses(out, clip, tracks[VEHICLE_FOLDER].poses["vehicle"])
    if mended is not None and mended is not objects:
        writer.write_objects(out, clip, mended)
    return told


def _mended_rate(folder: str, found: _Tracks, told: list[str]) -> _Tracks:
    """Tracks at 30 Hz, numbered from 0 without gaps, and without repeated poses."""
    steps = np.unique(np.diff(found.numbers))
    if len(steps) == 1 and steps[0] == LABEL_STEP and found.numbers[0] == 0:
        told.append(f"{folder} had every third frame only: the others are interpolated.")
        return replace(
            found,
            numbers=np.arange(found.numbers[-1] + 1),
            poses={name: at_camera_rate(poses) for name, poses in found.poses.items()},
        )
    repeated = [name for name, poses in found.poses.items() if is_repeated(poses)]
    if not repeated or (len(steps) and (steps != 1).any()):
        return found
    told.append(f"{folder} repeated poses of a lower rate: they are interpolated ({', '.join(sorted(repeated))}).")
    poses = {name: spread_repeats(track) if name in repeated else track for name, track in found.poses.items()}
    return replace(found, poses=poses)


def _mended_objects(objects: Objects, frames: int, told: list[str]) -> Objects:
    """Labels numbered by the frames of the poses, without copies on the frames that follow a label."""
    steps = np.diff(objects.frames)
    count = len(objects.frames)
    if count > 2 and (steps == 1).all() and abs(count * LABEL_STEP - frames) <= 2 * LABEL_STEP:
        told.append(f"Boxes were numbered at 10 Hz (0 to {count - 1} for {frames} frames): numbers are times three.")
        return replace(objects, frames=objects.frames * LABEL_STEP, frame=objects.frame * LABEL_STEP)
    kept = [0, *(i for i in range(1, count) if steps[i - 1] >= LABEL_STEP or not _same_rows(objects, i - 1, i))]
    if len(kept) == count:
        return objects
    told.append(f"{count - len(kept)} of {count} labelled frames repeated the boxes of the frame before: left out.")
    numbers = objects.frames[kept]
    rows = np.flatnonzero(np.isin(objects.frame, numbers))
    return Objects(
        frames=numbers,
        ids=objects.ids,
        frame=objects.frame[rows],
        track=objects.track[rows],
        pose=objects.pose[rows],
        size=objects.size[rows],
        moving=objects.moving[rows],
        kind=tuple(objects.kind[row] for row in rows),
    )


def _same_rows(objects: Objects, first: int, second: int) -> bool:
    """Whether two labelled frames have the same boxes at the same places."""
    a, b = (np.flatnonzero(objects.frame == objects.frames[index]) for index in (first, second))
    return (
        len(a) == len(b)
        and len(a) > 0
        and bool((objects.track[a] == objects.track[b]).all())
        and np.array_equal(objects.pose[a], objects.pose[b])
    )


def _far_origin(tracks: Mapping[str, _Tracks]) -> np.ndarray | None:
    """What to subtract where float32 poses lie far from the origin, whole metres [3]; None elsewhere."""
    for found in sorted(tracks.values(), key=lambda one: "vehicle" not in one.poses):
        first = next(iter(found.poses.values()))[0, :3, 3]
        if found.is_single and np.abs(first).max() > _FAR:
            return np.round(first)
    return None


def _moved(poses: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Poses [..., 4, 4] with the origin subtracted."""
    result = poses.copy()
    result[..., :3, 3] -= origin
    return result


def _moved_tracks(found: _Tracks, origin: np.ndarray) -> _Tracks:
    """Tracks near the origin; those that were float32 without its steps."""
    poses = {name: _moved(track, origin) for name, track in found.poses.items()}
    if found.is_single:
        step = float(np.spacing(np.float32(np.abs(origin).max())))
        poses = {name: smoothed(track, step) for name, track in poses.items()}
    return replace(found, poses=poses)


def _move_the_rest(root: Path, clip: str, out: Path, origin: np.ndarray) -> None:
    """Write map and sweeps with the origin subtracted."""
    for name in LAYERS:
        if layer_path(root, clip, f"3d_{name}").is_file():
            shapes = read_layer(root, clip, name)
            writer.write_layer(out, clip, name, Shapes(shapes.points - origin, shapes.starts))
    if layer_path(root, clip, LIDAR_FOLDER).is_file():
        lidar = read_lidar(root, clip)
        sweeps = {frame: lidar.load(frame) for frame in lidar.frames}
        writer.write_lidar(
            out, clip, {frame: replace(one, to_world=_moved(one.to_world, origin)) for frame, one in sweeps.items()}
        )
