"""Labels with cameras of one's own: other names and headings, pinhole vectors in either order, tall pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rds_clips import camera_to_vehicle, drive, map_layers, objects

from dreamkit.rds import writer
from dreamkit.rds.labels import layer_path
from dreamkit.rds.tars import encode_npy, write_tar

CLIP = "fleet_0001"
# Name -> heading to the left in degrees, horizontal focal length, width, height.
FLEET = {
    "cam_f": (2.0, 960.0, 1920, 1080),
    "cam_f_tele": (0.0, 3800.0, 1920, 1080),
    "cam_fl": (52.0, 1000.0, 1920, 1200),
    "cam_fr": (-52.0, 1000.0, 1920, 1200),
    "cam_bl": (120.0, 1000.0, 1920, 1080),
    "cam_br": (-118.0, 1000.0, 1920, 1080),
    "cam_b": (179.0, 1700.0, 1920, 1080),
}


def write_fleet(
    root: Path, names=tuple(FLEET), frames: int = 12, centre_first=("cam_bl",), with_vehicle: bool = True
) -> Path:
    """Write a clip with pinhole cameras of these names; returns the folder."""
    vehicle = drive(frames)
    writer.write_map(root, CLIP, map_layers())
    writer.write_objects(root, CLIP, objects(frames))
    if with_vehicle:
        writer.write_vehicle_poses(root, CLIP, vehicle)
    writer.write_camera_poses(root, CLIP, {name: vehicle @ camera_to_vehicle(FLEET[name][0]) for name in names})
    vectors = {}
    for name in names:
        _, focal, width, height = FLEET[name]
        pairs = [focal, focal, width / 2, height / 2]
        vectors[name] = [*(pairs[2:] + pairs[:2] if name in centre_first else pairs), width, height]
    write_vectors(root, vectors)
    return root


def write_vectors(root: Path, vectors, model: str = "pinhole") -> None:
    """Write intrinsics as they are, float32."""
    members = {
        f"{model}_intrinsic.{name}.npy": encode_npy(np.array(vector, np.float32)) for name, vector in vectors.items()
    }
    write_tar(layer_path(root, CLIP, f"{model}_intrinsic"), CLIP, members)
