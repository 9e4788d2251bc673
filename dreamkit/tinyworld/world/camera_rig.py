"""Cameras of the made-up car: six nominal poses with a small random variation from car to car.

The nominal poses are close to those of a published clip: wide front camera 1.3 m above the ground behind the
windscreen, two cross cameras at the sides, three cameras facing backwards. Lenses are the kit's default f-theta table.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.mounts import NOMINAL_POSES, camera_pose
from dreamkit.rds.rig import default_cameras


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
