"""Poses and intrinsics of a clip's cameras, and the default cameras.

Poses are camera-to-world or vehicle-to-world 4x4 matrices at 30 Hz, intrinsics are vectors (`dreamkit.rds.ftheta`,
`dreamkit.rds.pinhole`).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CAMERA_MODELS, CameraModel
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.labels import VEHICLE_FOLDER, frame_number, layer_path, no_member, numbered
from dreamkit.rds.poses import require_poses
from dreamkit.rds.tars import Tar, open_tar

log = logging.getLogger(__name__)

_DEFAULT_TABLE = Path(__file__).with_name("default_ftheta.json")


def read_camera_poses(
    root: Path, clip: str, cameras: Sequence[str] | None = None, folder: str = "pose"
) -> dict[str, np.ndarray]:
    """Camera-to-world poses float64 [T, 4, 4] by camera name (`camera_front_wide_120fov`).

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        cameras: names as in the file; all cameras of the file when left out.
        folder: the pose folder.

    Raises:
        DreamkitError: the tar is missing or damaged, or a camera or a frame is missing in it.
    """
    tar = open_tar(layer_path(root, clip, folder), clip)
    pattern = re.compile(r"(?:^|\.)(\d+)\.pose\.([^.]+)\.npy$")
    found: dict[str, dict[int, str]] = {}
    for key in tar.members:
        if match := pattern.search(key):
            found.setdefault(match[2], {})[frame_number(tar, match[1])] = key
    if not found:
        raise no_member(tar, "000000.pose.camera_front_wide_120fov.npy")
    unknown = sorted(set(cameras or ()) - found.keys())
    if unknown:
        raise DreamkitError(f"{tar.path} has no poses of {', '.join(unknown)}.", f"It has {', '.join(sorted(found))}.")
    return {name: _pose_track(tar, found[name], name) for name in (cameras or sorted(found))}


def read_vehicle_poses(root: Path, clip: str) -> np.ndarray:
    """Vehicle-to-world poses float64 [T, 4, 4]; the vehicle's x points forward, y left, z up.

    Raises:
        DreamkitError: the tar is missing or damaged, or a frame is missing in it.
    """
    tar = open_tar(layer_path(root, clip, VEHICLE_FOLDER), clip)
    keys = numbered(tar, re.compile(r"(?:^|\.)(\d+)\.vehicle_pose\.npy$"))
    if not keys:
        raise no_member(tar, "000000.vehicle_pose.npy")
    return _pose_track(tar, keys, "vehicle")


def _pose_track(tar: Tar, keys: dict[int, str], name: str) -> np.ndarray:
    """Poses float64 [T, 4, 4] of the members with frame numbers 0 to T - 1."""
    numbers = sorted(keys)
    gaps = [a + 1 for a, b in zip([-1, *numbers], numbers, strict=False) if b != a + 1]
    if gaps:
        raise DreamkitError(
            f"{tar.path}: frame {gaps[0]} of {name} is missing ({len(numbers)} frames up to {numbers[-1]}).",
            "Poses are needed for every frame at 30 Hz, numbered from 000000.",
        )
    poses = [tar.array(keys[number]) for number in numbers]
    for number, pose in zip(numbers, poses, strict=True):
        require_poses(pose, f"{tar.path}: {name}, frame {number}")
        if np.shape(pose) != (4, 4):
            raise DreamkitError(
                f"{tar.path}: {name}, frame {number} has the shape {list(np.shape(pose))} instead of 4x4.",
                "Write one pose for each frame and camera.",
            )
    return np.stack(poses).astype(np.float64)


def read_cameras(
    root: Path, clip: str, cameras: Sequence[str] | None = None, model: str = "ftheta"
) -> dict[str, CameraModel]:
    """The clip's cameras by name.

    Where a clip has no f-theta intrinsics of a camera, the camera of the default table is returned and a warning is
    logged.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        cameras: names as in the file; all cameras of the file when left out.
        model: a key of CAMERA_MODELS.

    Raises:
        DreamkitError: the tar is damaged or a camera has no usable intrinsics; or the model is unknown.
    """
    if model not in CAMERA_MODELS:
        raise DreamkitError(f"The camera model {model!r} is unknown.", f"Choose {' or '.join(CAMERA_MODELS)}.")
    path = layer_path(root, clip, f"{model}_intrinsic")
    if not path.is_file() and model == "ftheta":
        log.warning(
            "%s is missing: the default f-theta cameras are used, and the picture may not fit a real video", path
        )
        return _defaults(cameras, path)
    tar = open_tar(path, clip)
    pattern = re.compile(rf"(?:^|\.){model}_intrinsic\.([^.]+)\.npy$")
    keys = {match[1]: key for key in tar.members if (match := pattern.search(key))}
    found: dict[str, CameraModel] = {}
    for name in cameras or sorted(keys):
        if name not in keys:
            if model != "ftheta":
                raise DreamkitError(
                    f"{tar.path} has no intrinsics of {name}.", f"It has {', '.join(sorted(keys)) or 'none'}."
                )
            log.warning("%s has no intrinsics of %s: the default f-theta camera is used", tar.path, name)
            found |= _defaults([name], path)
            continue
        vector = tar.array(keys[name])
        try:
            found[name] = CAMERA_MODELS[model].from_vector(vector)
        except DreamkitError as error:
            raise DreamkitError(f"{tar.path}: {keys[name]}: {error.message}", error.hint) from None
    return found


def default_cameras() -> dict[str, FTheta]:
    """The seven nominal f-theta cameras of 1920x1080 pixels that ship with the package, by name."""
    table = json.loads(_DEFAULT_TABLE.read_text())["cameras"]
    return {name: FTheta.from_vector(np.array(vector, np.float64)) for name, vector in table.items()}


def _defaults(cameras: Sequence[str] | None, path: Path) -> dict[str, CameraModel]:
    """Cameras of the default table by name; `path` is the tar that lacks them, for the message."""
    table = default_cameras()
    unknown = sorted(set(cameras or ()) - table.keys())
    if unknown:
        hint = (
            "For cameras of other names, `dreamkit rig propose` drafts a rig file, which render takes by --rig; the "
            f"table has {', '.join(table)}."
        )
        if (path.parents[1] / "pinhole_intrinsic" / path.name).is_file():
            hint = f"The clip has pinhole intrinsics: add --camera-model pinhole. {hint}"
        raise DreamkitError(
            f"{path} gives no intrinsics of {', '.join(unknown)}, and the default table has none either.", hint
        )
    return {name: table[name] for name in (cameras or table)}
