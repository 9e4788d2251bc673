"""Write RDS-HQ folders: what `dreamkit.rds.labels` reads, for converters and for the made-up world.

Each function writes one tar, whole or not at all, with the names the published data has (`<clip>.<key>`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.ftheta import Camera, FTheta
from dreamkit.rds.labels import LAYERS, LidarFrame, Objects, Shapes, layer_path
from dreamkit.rds.poses import require_poses
from dreamkit.rds.tars import encode_npy, encode_npz, write_tar

_SHAPE_KEY = {"polyline": "polyline3d", "polygon": "surface", "cuboid": "cuboid3d"}


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def write_layer(root: Path, clip: str, layer: str, shapes: Shapes) -> None:
    """One map layer (a key of LAYERS); an empty one is written as such."""
    labels = []
    for part in shapes:
        vertices = {"vertices": part.tolist()}
        shape = (
            {"polylines3d": {"polylines": [vertices]}} if layer == "lanes" else {_SHAPE_KEY[LAYERS[layer]]: vertices}
        )
        labels.append({"labelFamily": "SHAPE3D", "labelData": {"shape3d": shape}})
    write_tar(layer_path(root, clip, f"3d_{layer}"), clip, {f"{layer}.json": _json({"labels": labels})})


def write_map(root: Path, clip: str, layers: Mapping[str, Shapes]) -> None:
    """Several map layers by name."""
    for layer, shapes in layers.items():
        write_layer(root, clip, layer, shapes)


def write_objects(root: Path, clip: str, objects: Objects) -> None:
    """All tracked objects, one member a labelled frame."""
    frames: dict[int, dict[str, Any]] = {int(frame): {} for frame in objects.frames}
    for row, frame in enumerate(objects.frame.tolist()):
        frames[frame][objects.ids[objects.track[row]]] = {
            "object_to_world": objects.pose[row].tolist(),
            "object_lwh": objects.size[row].tolist(),
            "object_is_moving": bool(objects.moving[row]),
            "object_type": objects.kind[row],
        }
    members = {f"{frame:06d}.all_object_info.json": _json(found) for frame, found in sorted(frames.items())}
    write_tar(layer_path(root, clip, "all_object_info"), clip, members)


def write_camera_poses(root: Path, clip: str, poses: Mapping[str, np.ndarray], folder: str = "pose") -> None:
    """Camera-to-world poses [T, 4, 4] by camera; `folder` may be another one, for a novel trajectory.

    Raises:
        DreamkitError: cameras that differ in their number of frames, or a pose that cannot be one.
    """
    counts = {len(track) for track in poses.values()}
    if len(counts) != 1 or 0 in counts:
        raise DreamkitError(
            f"camera poses of clip {clip} with {sorted(counts)} frames; all cameras need the same number"
        )
    tracks = {camera: require_poses(track, camera) for camera, track in poses.items()}
    members = {
        f"{frame:06d}.pose.{camera}.npy": encode_npy(track[frame])
        for frame in range(counts.pop())
        for camera, track in tracks.items()
    }
    write_tar(layer_path(root, clip, folder), clip, members)


def write_vehicle_poses(root: Path, clip: str, poses: np.ndarray, folder: str = "vehicle_pose") -> None:
    """Vehicle-to-world poses [T, 4, 4]."""
    members = {
        f"{frame:06d}.vehicle_pose.npy": encode_npy(pose) for frame, pose in enumerate(require_poses(poses, "vehicle"))
    }
    write_tar(layer_path(root, clip, folder), clip, members)


def write_cameras(root: Path, clip: str, cameras: Mapping[str, Camera]) -> None:
    """Intrinsics by camera; f-theta and pinhole cameras go to their own folders."""
    for model in ("ftheta", "pinhole"):
        members = {
            f"{model}_intrinsic.{name}.npy": encode_npy(camera.vector())
            for name, camera in cameras.items()
            if isinstance(camera, FTheta) == (model == "ftheta")
        }
        if members:
            write_tar(layer_path(root, clip, f"{model}_intrinsic"), clip, members)


def write_lidar(root: Path, clip: str, sweeps: Mapping[int, LidarFrame]) -> None:
    """LiDAR sweeps by frame number."""
    members = {}
    for frame, sweep in sorted(sweeps.items()):
        arrays = {"xyz": sweep.xyz.astype(np.float32), "lidar_to_world": sweep.to_world}
        if sweep.intensity is not None:
            arrays["intensity"] = sweep.intensity.astype(np.float32)
        members[f"{frame:06d}.lidar_raw.npz"] = encode_npz(arrays)
    write_tar(layer_path(root, clip, "lidar_raw"), clip, members)
