"""Camera poses in another convention than the format's: what they are instead, and how they are seen in a picture.

The format has camera-to-world matrices with OpenCV's camera axes: x right, y down, z forward.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# The axis of the camera that points up in the world -> the convention with that axis, and what a picture shows.
_UP_AXES = {
    "+z": ("those of a vehicle (x forward, y left, z up)", "the horizon would stand on end or not be there at all"),
    "+y": ("OpenGL's (x right, y up, z backward)", "the picture would be upside down and show what lies behind"),
    "-z": ("x forward, y right, z down", "the horizon would stand on end or not be there at all"),
    "+x": ("turned by a quarter: x is up", "the horizon would stand on end"),
    "-x": ("turned by a quarter: x is down", "the horizon would stand on end"),
}
_UPRIGHT = 0.7
_STEADY = 0.05


def convention_fault(poses: np.ndarray, vehicle: np.ndarray) -> str | None:
    """A sentence on the convention of a camera's poses, or None when they are camera-to-world with OpenCV's axes.

    Args:
        poses: float64 [T, 4, 4].
        vehicle: vehicle-to-world, float64 [T', 4, 4], x forward, y left, z up.
    """
    count = min(len(poses), len(vehicle))
    poses, vehicle = poses[:count], vehicle[:count]
    if (np.linalg.det(poses[:, :3, :3]) < 0).any():
        return "mirror: they are left-handed; negate one axis when converting"
    local = np.linalg.inv(vehicle) @ poses
    moved = np.linalg.norm(vehicle[:, :3, 3] - vehicle[0, :3, 3], axis=1).max() > 1
    if moved and _spread(local) > 1:
        if _spread(poses) < _STEADY:
            return "stand still while the vehicle drives: they are camera-to-vehicle, not camera-to-world"
        if _spread(np.linalg.inv(vehicle) @ np.linalg.inv(poses)) < _STEADY:
            return "are world-to-camera: write their inverse, camera-to-world"
        if _spread(np.linalg.inv(poses) @ np.linalg.inv(vehicle)) < _STEADY:
            return "are world-to-camera, or the vehicle's are world-to-vehicle: write camera-to-world"
    up = np.median(local[:, 2, :3], 0)
    axis = int(np.abs(up).argmax())
    name = f"{'+' if up[axis] > 0 else '-'}{'xyz'[axis]}"
    if name in _UP_AXES and abs(up[axis]) > _UPRIGHT:
        convention, seen = _UP_AXES[name]
        return f"have camera axes that are {convention}, not OpenCV's (x right, y down, z forward): {seen}"
    return None


def _spread(poses: np.ndarray) -> float:
    """How far poses [T, 4, 4] move from the first one, metres."""
    return float(np.linalg.norm(poses[:, :3, 3] - poses[0, :3, 3], axis=1).max())


def convention_faults(cameras: Mapping[str, np.ndarray], vehicle: np.ndarray | None) -> dict[str, str]:
    """Camera -> the sentence of `convention_fault`, for cameras that have one; none without the vehicle's poses."""
    if vehicle is None:
        return {}
    found = {name: convention_fault(track, vehicle) for name, track in cameras.items()}
    return {name: fault for name, fault in found.items() if fault}
