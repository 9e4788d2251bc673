"""Where the cameras of a clip are and how they see: poses, intrinsics, and the default cameras.

Poses are camera-to-world or vehicle-to-world 4x4 matrices at 30 Hz, intrinsics are vectors (`dreamkit.rds.ftheta`).
Every public reader raises DreamkitError on whatever it cannot use.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.ftheta import Camera, FTheta, Pinhole
from dreamkit.rds.labels import layer_path, numbered
from dreamkit.rds.poses import require_poses
from dreamkit.rds.tars import Tar, open_tar

log = logging.getLogger(__name__)

_DEFAULT_TABLE = Path(__file__).with_name("default_ftheta.json")


def read_camera_poses(
    root: Path, clip: str, cameras: Sequence[str] | None = None, folder: str = "pose"
) -> dict[str, np.ndarray]:
    """Camera-to-world poses float64 [T, 4, 4] by camera (names as in the file, `camera_front_wide_120fov`).

    All cameras of the file, or those asked for; `folder` may name another pose folder of the same layout.
    """
    tar = open_tar(layer_path(root, clip, folder), clip)
    pattern = re.compile(r"(?:^|\.)(\d+)\.pose\.([^.]+)\.npy$")
    found: dict[str, dict[int, str]] = {}
    for key in tar.members:
        if match := pattern.search(key):
            found.setdefault(match[2], {})[int(match[1])] = key
    if not found:
        raise DreamkitError(f"{tar.path} holds no member named like 000000.pose.camera_front_wide_120fov.npy")
    unknown = sorted(set(cameras or ()) - found.keys())
    if unknown:
        raise DreamkitError(f"{tar.path} has no poses of {', '.join(unknown)}", f"It has {', '.join(sorted(found))}.")
    return {name: _pose_track(tar, found[name], name) for name in (cameras or sorted(found))}


def read_vehicle_poses(root: Path, clip: str) -> np.ndarray:
    """Vehicle-to-world poses float64 [T, 4, 4]; the vehicle's x points forward, y left, z up."""
    tar = open_tar(layer_path(root, clip, "vehicle_pose"), clip)
    keys = numbered(tar, re.compile(r"(?:^|\.)(\d+)\.vehicle_pose\.npy$"))
    if not keys:
        raise DreamkitError(f"{tar.path} holds no member named like 000000.vehicle_pose.npy")
    return _pose_track(tar, keys, "vehicle")


def _pose_track(tar: Tar, keys: dict[int, str], name: str) -> np.ndarray:
    numbers = sorted(keys)
    gaps = [a + 1 for a, b in zip([-1, *numbers], numbers, strict=False) if b != a + 1]
    if gaps:
        raise DreamkitError(
            f"{tar.path}: frame {gaps[0]} of {name} is missing ({len(numbers)} frames up to {numbers[-1]})",
            "Poses are wanted for every frame at 30 Hz, numbered from 000000.",
        )
    poses = [tar.array(keys[number]) for number in numbers]
    for number, pose in zip(numbers, poses, strict=True):
        require_poses(pose, f"{tar.path}: {name}, frame {number}")
        if np.shape(pose) != (4, 4):
            raise DreamkitError(f"{tar.path}: {name}, frame {number}: shape {list(np.shape(pose))}; expected 4x4")
    return np.stack(poses).astype(np.float64)


def read_cameras(
    root: Path, clip: str, cameras: Sequence[str] | None = None, model: str = "ftheta"
) -> dict[str, Camera]:
    """The clip's camera models by name, `model` ftheta or pinhole; all of the file, or those asked for.

    A clip without f-theta intrinsics, or without those of a camera, gets the default table's camera and a warning.
    """
    if model not in ("ftheta", "pinhole"):
        raise DreamkitError(f"unknown camera model {model!r}", "It is ftheta or pinhole.")
    path = layer_path(root, clip, f"{model}_intrinsic")
    if not path.is_file() and model == "ftheta":
        log.warning(
            "%s is missing: the default f-theta cameras are used, and the picture may not fit a real video", path
        )
        return _defaults(cameras, path)
    tar = open_tar(path, clip)
    pattern = re.compile(rf"(?:^|\.){model}_intrinsic\.([^.]+)\.npy$")
    keys = {match[1]: key for key in tar.members if (match := pattern.search(key))}
    kind = FTheta if model == "ftheta" else Pinhole
    found: dict[str, Camera] = {}
    for name in cameras or sorted(keys):
        if name not in keys:
            if model != "ftheta":
                raise DreamkitError(
                    f"{tar.path} has no intrinsics of {name}", f"It has {', '.join(sorted(keys)) or 'none'}."
                )
            log.warning("%s has no intrinsics of %s: the default f-theta camera is used", tar.path, name)
            found |= _defaults([name], path)
            continue
        vector = tar.array(keys[name])
        try:
            found[name] = kind.from_vector(vector)
        except DreamkitError as error:
            raise DreamkitError(f"{tar.path}: {keys[name]}: {error.message}", error.hint) from None
    return found


def default_cameras() -> dict[str, FTheta]:
    """The f-theta table shipped with the package: nominal 1920x1080 cameras of the seven names."""
    table = json.loads(_DEFAULT_TABLE.read_text())["cameras"]
    return {name: FTheta.from_vector(np.array(vector, np.float64)) for name, vector in table.items()}


def _defaults(cameras: Sequence[str] | None, path: Path) -> dict[str, Camera]:
    table = default_cameras()
    unknown = sorted(set(cameras or ()) - table.keys())
    if unknown:
        raise DreamkitError(
            f"{path} gives no intrinsics of {', '.join(unknown)}, and the default table has none either",
            f"The table has {', '.join(table)}; write the intrinsics, or rename the cameras.",
        )
    return {name: table[name] for name in (cameras or table)}
