"""Cameras of the made-up car: six nominal poses with a small random variation from car to car.

The nominal poses are close to those of a published clip: wide front camera 1.3 m above the ground behind the
windscreen, two cross cameras at the sides, three cameras facing backwards. Lenses are the kit's default f-theta table.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.rig import default_cameras

# Camera -> position in the vehicle (x forward, y left, z up, metres), heading to the left and pitch up (degrees).
NOMINAL_POSES = {
    "front_wide_120fov": ((1.8, 0.0, 1.35), 0.0, 0.0),
    "cross_left_120fov": ((1.0, 1.0, 0.95), 63.0, 0.5),
    "cross_right_120fov": ((1.0, -1.0, 0.95), -64.0, 0.5),
    "rear_tele_30fov": ((-1.5, 0.0, 1.4), 180.0, 0.0),
    "rear_left_70fov": ((1.5, 1.0, 1.0), 153.0, -1.0),
    "rear_right_70fov": ((1.5, -1.0, 1.0), -155.0, 0.0),
}


def camera_rig(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, FTheta]]:
    """Camera-to-vehicle poses float64 [4, 4] and f-theta lenses by camera name, with random variation."""
    table = default_cameras()
    poses, lenses = {}, {}
    for name, (place, heading, pitch) in NOMINAL_POSES.items():
        moved = np.array(place) + rng.uniform(-1, 1, 3) * (0.2, 0.08, 0.12)
        turned = np.deg2rad([heading, pitch, 0.0] + rng.uniform(-1, 1, 3) * (2.0, 1.2, 0.8))
        poses[name] = camera_pose(moved, *turned)
        lens = table[f"camera_{name}"]
        polynomial = tuple(np.array(lens.polynomial) * rng.uniform(0.98, 1.01))
        cx, cy = lens.cx + rng.uniform(-12, 12), lens.cy + rng.uniform(-15, 15)
        lenses[name] = replace(lens, cx=cx, cy=cy, polynomial=polynomial)
    return poses, lenses


def camera_pose(place: np.ndarray, heading: float, pitch: float, roll: float) -> np.ndarray:
    """Camera-to-vehicle pose [4, 4] from radians: heading to the left, pitch up, roll clockwise seen from behind."""
    forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    down = np.cross(forward, right)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * right + np.sin(roll) * down
    pose[:3, 1] = np.cos(roll) * down - np.sin(roll) * right
    pose[:3, 2] = forward
    pose[:3, 3] = place
    return pose
