"""Read the LiDAR sweeps of RDS-HQ folders, one at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.labels import LIDAR_FOLDER, layer_path, no_member, numbered
from dreamkit.rds.poses import require_poses
from dreamkit.rds.tars import Tar, decoding, open_tar


@dataclass(frozen=True)
class LidarFrame:
    """One LiDAR sweep.

    Attributes:
        xyz: points in metres in the sensor's axes, float32 [N, 3].
        to_world: sensor-to-world pose, float64 [4, 4].
        intensity: float32 [N], or None.
    """

    xyz: np.ndarray
    to_world: np.ndarray
    intensity: np.ndarray | None = None


@dataclass(frozen=True)
class Lidar:
    """The LiDAR sweeps of a clip, decoded one at a time.

    Attributes:
        tar: the clip's tar.
        keys: frame number -> name of the sweep in the tar.
    """

    tar: Tar
    keys: dict[int, str]

    @property
    def frames(self) -> tuple[int, ...]:
        """Frame numbers with a sweep, ascending."""
        return tuple(sorted(self.keys))

    def load(self, frame: int) -> LidarFrame:
        """One sweep, without points that are not finite.

        Raises:
            DreamkitError: the sweep is damaged.
        """
        key = self.keys[frame]
        arrays = self.tar.arrays(key)
        where = f"{self.tar.path}: {key}"
        missing = {"xyz", "lidar_to_world"} - arrays.keys()
        if missing:
            raise DreamkitError(
                f"{where} has no {' and no '.join(sorted(missing))}.", "A sweep is an .npz with xyz and lidar_to_world."
            )
        with decoding(self.tar.path, key):
            xyz = np.asarray(arrays["xyz"], np.float32)
            intensity = arrays.get("intensity")
            intensity = None if intensity is None else np.asarray(intensity, np.float32).squeeze()
        xyz = require_points(xyz, where)
        finite = np.isfinite(xyz).all(1)
        return LidarFrame(
            xyz[finite],
            require_poses(arrays["lidar_to_world"], where),
            intensity[finite] if intensity is not None and intensity.shape == (len(xyz),) else None,
        )


def require_points(xyz: np.ndarray, where: str) -> np.ndarray:
    """Points of a sweep, [N, 3]; an array without numbers is a sweep without points.

    Args:
        xyz: what the file has.
        where: the file and member, which the message begins with.

    Raises:
        DreamkitError: they have another shape; the hint names what such a shape usually is.
    """
    if not xyz.size:
        return np.zeros((0, 3), xyz.dtype)
    if xyz.ndim == 2 and xyz.shape[1] == 3:
        return xyz
    hint = "Write x, y and z in metres in the sensor's axes, one row a point."
    if xyz.ndim == 2 and xyz.shape[0] in (3, 4) and xyz.shape[1] > 4:
        hint = "The array is transposed: write its transpose, one row a point, with x, y and z alone."
    elif xyz.ndim == 2 and xyz.shape[1] > 3:
        hint = "Further columns are probably intensity, ring or time: write the first three as xyz, x, y and z."
    raise DreamkitError(f"{where} has xyz of the shape {list(xyz.shape)} instead of [N, 3].", hint)


def read_lidar(root: Path, clip: str) -> Lidar:
    """The LiDAR sweeps of a clip; only the list of them is read here.

    Raises:
        DreamkitError: the tar is missing or damaged, or holds no sweep.
    """
    tar = open_tar(layer_path(root, clip, LIDAR_FOLDER), clip)
    keys = numbered(tar, re.compile(r"(?:^|\.)(\d+)\.lidar_raw\.npz$"))
    if not keys:
        raise no_member(tar, "000000.lidar_raw.npz")
    return Lidar(tar, keys)
