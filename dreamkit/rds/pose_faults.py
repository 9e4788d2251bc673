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
_INVERTED = ("+x", "-x", "+z", "-z")
_UPRIGHT = 0.7
_STEADY = 0.05


def convention_fault(poses: np.ndarray, vehicle: np.ndarray) -> str | None:
    """A sentence on the convention of a camera's poses, or None when they are camera-to-world with OpenCV's axes.

    Args:
        poses: float64 [T, 4, 4].
        vehicle: vehicle-to-world, float64 [T', 4, 4], x forward, y left, z up.
    """
    if (np.linalg.det(poses[:, :3, :3]) < 0).any():
        return "mirror: they are left-handed; negate one axis when converting"
    return motion_fault(poses, vehicle) or axes_fault(poses, vehicle)


def motion_fault(poses: np.ndarray, vehicle: np.ndarray) -> str | None:
    """A sentence when a camera does not move as one fixed to the vehicle and its inverse, or its place on it, does."""
    count = min(len(poses), len(vehicle))
    poses, vehicle = poses[:count], vehicle[:count]
    moved = np.linalg.norm(vehicle[:, :3, 3] - vehicle[0, :3, 3], axis=1).max() > 1
    if not moved or _spread(np.linalg.inv(vehicle) @ poses) < 1:
        return None
    if _spread(poses) < _STEADY:
        if _up_axis(poses) != "-y" and _up_axis(np.linalg.inv(poses)) == "-y":
            return "stand still while the vehicle drives: they are vehicle-to-camera, not camera-to-world"
        return "stand still while the vehicle drives: they are camera-to-vehicle, not camera-to-world"
    if _spread(np.linalg.inv(vehicle) @ np.linalg.inv(poses)) < _STEADY:
        return "are world-to-camera: write their inverse, camera-to-world"
    if _spread(vehicle @ poses) < _STEADY:
        return "do not fit the vehicle's, which are world-to-vehicle: write the inverse of those, vehicle-to-world"
    return None


def axes_fault(poses: np.ndarray, vehicle: np.ndarray) -> str | None:
    """A sentence when another axis than -y of a camera points up."""
    count = min(len(poses), len(vehicle))
    local = np.linalg.inv(vehicle[:count]) @ poses[:count]
    name = _up_axis(local)
    if name not in _UP_AXES:
        return None
    if name in _INVERTED and _up_axis(np.linalg.inv(local)) == "-y":
        return "fit a vehicle whose cameras' places were inverted: use camera-to-vehicle, not vehicle-to-camera"
    convention, seen = _UP_AXES[name]
    return f"have camera axes that are {convention}, not OpenCV's (x right, y down, z forward): {seen}"


def _up_axis(local: np.ndarray) -> str:
    """The axis of a camera that points up, such as "-y", from poses [T, 4, 4] on the vehicle; empty where none does."""
    up = np.median(local[:, 2, :3], 0)
    axis = int(np.abs(up).argmax())
    return f"{'+' if up[axis] > 0 else '-'}{'xyz'[axis]}" if abs(up[axis]) >= _UPRIGHT else ""


def _spread(poses: np.ndarray) -> float:
    """How far poses [T, 4, 4] move from the first one, metres."""
    return float(np.linalg.norm(poses[:, :3, 3] - poses[0, :3, 3], axis=1).max())


def convention_faults(cameras: Mapping[str, np.ndarray], vehicle: np.ndarray | None) -> dict[str, str]:
    """Camera -> the sentence of `convention_fault`, for cameras that have one; none without the vehicle's poses.

    Axes count only where most cameras have them: a single such camera may as well look steeply up or down.
    """
    if vehicle is None:
        return {}
    found = {name: convention_fault(track, vehicle) for name, track in cameras.items()}
    axes = {name for name, track in cameras.items() if found[name] and found[name] == axes_fault(track, vehicle)}
    few = len(axes) * 2 <= len(cameras)
    return {name: fault for name, fault in found.items() if fault and not (few and name in axes)}
