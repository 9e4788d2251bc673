"""Write RDS-HQ folders, for converters of other data sets and for the tiny world.

Each function writes one tar with the member names of the published data (`<clip>.<key>`), whole or not at all.

Lengths are metres. The world is any right-handed frame with z up, the same for all files of a clip, with the drive
within some kilometres of its origin (`dreamkit.rds.convert.drive.write_drive` takes care of that, and of the rates).
Poses are matrices [4, 4] to the world: the vehicle's x points forward, y left, z up; a camera's x right, y down, z
forward; a box's x along its length, z up. Frames are numbered from 0 at 30 Hz; boxes and sweeps are labelled at 10 Hz,
on frames 0, 3, 6, ...
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CAMERA_MODELS, CameraModel
from dreamkit.rds.labels import LAYERS, LIDAR_FOLDER, OBJECT_FOLDER, VEHICLE_FOLDER, Objects, Shapes, layer_path
from dreamkit.rds.lidar_labels import LidarFrame
from dreamkit.rds.poses import require_poses
from dreamkit.rds.tars import encode_npy, encode_npz, write_tar

_SHAPE_KEY = {"polyline": "polyline3d", "polygon": "surface", "cuboid": "cuboid3d"}


def _json(value: Any) -> bytes:
    """JSON as bytes, without spaces."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def write_layer(root: Path, clip: str, layer: str, shapes: Shapes) -> None:
    """Write one map layer, also an empty one.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        layer: a key of LAYERS.
        shapes: polylines [n, 3], polygons [n, 3] (not closed) or cuboids [8, 3] as `LAYERS[layer]` says, world metres;
            a cuboid has its upper face first, clockwise from the front left, then the lower face.
    """
    labels = []
    for part in shapes:
        vertices = {"vertices": part.tolist()}
        shape = (
            {"polylines3d": {"polylines": [vertices]}} if layer == "lanes" else {_SHAPE_KEY[LAYERS[layer]]: vertices}
        )
        labels.append({"labelFamily": "SHAPE3D", "labelData": {"shape3d": shape}})
    write_tar(layer_path(root, clip, f"3d_{layer}"), clip, {f"{layer}.json": _json({"labels": labels})})


def write_map(root: Path, clip: str, layers: Mapping[str, Shapes]) -> None:
    """Write map layers by name, as `write_layer`."""
    for layer, shapes in layers.items():
        write_layer(root, clip, layer, shapes)


def write_objects(root: Path, clip: str, objects: Objects) -> None:
    """Write all tracked objects of a clip, one member a labelled frame.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        objects: a row for each object in each labelled frame: pose of the box's middle to the world [4, 4], length,
            width and height in metres, whether it moves, and its type out of the published vocabularies
            (`objects.CLASS_OF`, `objects.OTHER_TYPES`). Frames without objects are listed in `frames` too.
    """
    frames: dict[int, dict[str, Any]] = {int(frame): {} for frame in objects.frames}
    for row, frame in enumerate(objects.frame.tolist()):
        frames[frame][objects.ids[objects.track[row]]] = {
            "object_to_world": objects.pose[row].tolist(),
            "object_lwh": objects.size[row].tolist(),
            "object_is_moving": bool(objects.moving[row]),
            "object_type": objects.kind[row],
        }
    members = {f"{frame:06d}.all_object_info.json": _json(found) for frame, found in sorted(frames.items())}
    write_tar(layer_path(root, clip, OBJECT_FOLDER), clip, members)


def write_camera_poses(root: Path, clip: str, poses: Mapping[str, np.ndarray], folder: str = "pose") -> None:
    """Write camera-to-world poses [T, 4, 4] by camera.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        poses: camera -> float [T, 4, 4] at 30 Hz, the same T for all; camera axes x right, y down, z forward.
        folder: the pose folder; another one than `pose` for a novel trajectory.

    Raises:
        DreamkitError: the cameras have no frames or different numbers of them, or a pose is not usable.
    """
    counts = {len(track) for track in poses.values()}
    if len(counts) != 1 or 0 in counts:
        raise DreamkitError(
            f"The camera poses of the clip {clip} have {sorted(counts)} frames.",
            "Give the same number of frames for all cameras.",
        )
    tracks = {camera: require_poses(track, camera) for camera, track in poses.items()}
    members = {
        f"{frame:06d}.pose.{camera}.npy": encode_npy(track[frame])
        for frame in range(counts.pop())
        for camera, track in tracks.items()
    }
    write_tar(layer_path(root, clip, folder), clip, members)


def write_vehicle_poses(root: Path, clip: str, poses: np.ndarray, folder: str = VEHICLE_FOLDER) -> None:
    """Write vehicle-to-world poses float [T, 4, 4], one a frame at 30 Hz; x forward, y left, z up, origin on the road.

    Raises:
        DreamkitError: a pose is not usable, see `require_poses`.
    """
    members = {
        f"{frame:06d}.vehicle_pose.npy": encode_npy(pose) for frame, pose in enumerate(require_poses(poses, "vehicle"))
    }
    write_tar(layer_path(root, clip, folder), clip, members)


def write_cameras(root: Path, clip: str, cameras: Mapping[str, CameraModel]) -> None:
    """Write intrinsics by camera; f-theta and pinhole cameras go to a folder each.

    Vectors are in pixels of the camera's whole picture: fx, fy, cx, cy, width, height of a pinhole camera without
    distortion; cx, cy, width, height, six coefficients, is_backward, c, d, e of an f-theta camera.
    """
    for model, kind in CAMERA_MODELS.items():
        members = {
            f"{model}_intrinsic.{name}.npy": encode_npy(camera.vector())
            for name, camera in cameras.items()
            if isinstance(camera, kind)
        }
        if members:
            write_tar(layer_path(root, clip, f"{model}_intrinsic"), clip, members)


def write_lidar(root: Path, clip: str, sweeps: Mapping[int, LidarFrame]) -> None:
    """Write LiDAR sweeps by frame number (0, 3, 6, ...): points [P, 3] in the sensor's axes, and its pose."""
    members = {}
    for frame, sweep in sorted(sweeps.items()):
        arrays = {"xyz": sweep.xyz.astype(np.float32), "lidar_to_world": sweep.to_world}
        if sweep.intensity is not None:
            arrays["intensity"] = sweep.intensity.astype(np.float32)
        members[f"{frame:06d}.lidar_raw.npz"] = encode_npz(arrays)
    write_tar(layer_path(root, clip, LIDAR_FOLDER), clip, members)
