"""Rigid poses as 4x4 matrices: checks, quaternions, interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError

_POSE_HINT = "Poses are 4x4 camera-to-world (or vehicle- or object-to-world) matrices."


def require_poses(poses: Any, where: str) -> np.ndarray:
    """The poses as float64 [..., 4, 4].

    Args:
        poses: 4x4 matrices, with any leading dimensions.
        where: the file and member, which the message begins with.

    Raises:
        DreamkitError: a pose is no 4x4 matrix, not finite, or cannot be inverted; names the index of the first one.
    """
    try:
        poses = np.asarray(poses, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DreamkitError(f"{where}: a pose is not a 4x4 matrix of numbers.", _POSE_HINT) from None
    if poses.shape[-2:] != (4, 4):
        raise DreamkitError(f"{where}: a pose has the shape {list(poses.shape)} instead of 4x4.", _POSE_HINT)
    flat = poses.reshape(-1, 4, 4)
    bad = np.flatnonzero(~np.isfinite(flat).all((1, 2)))
    if len(bad):
        raise DreamkitError(
            f"{where}: the pose at index {bad[0]} has a value that is not a finite number ({len(bad)} such poses).",
            "Fill or drop these frames when converting the data.",
        )
    with np.errstate(over="ignore", invalid="ignore"):
        # The whole matrix too: its last row may be anything.
        sizes = np.abs([np.linalg.det(flat[:, :3, :3]), np.linalg.det(flat)])
    bad = np.flatnonzero(~((sizes > 1e-6) & (sizes < 1e6)).all(0))
    if len(bad):
        raise DreamkitError(f"{where}: the pose at index {bad[0]} has a rotation that cannot be inverted.", _POSE_HINT)
    return poses


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Rotation matrices [N, 3, 3] to unit quaternions [N, 4] (x, y, z, w)."""
    m = np.asarray(rotations, np.float64)
    trace = np.trace(m, axis1=-2, axis2=-1)
    # Shepperd's method: computing from the largest of x, y, z, w avoids cancellation.
    choice = np.argmax(np.stack([m[:, 0, 0], m[:, 1, 1], m[:, 2, 2], trace], -1), -1)
    q = np.empty((len(m), 4))
    for start in range(3):
        rows = np.flatnonzero(choice == start)
        i, j, k = start, (start + 1) % 3, (start + 2) % 3
        r = m[rows]
        q[rows, i] = 1 - trace[rows] + 2 * r[:, i, i]
        q[rows, j] = r[:, j, i] + r[:, i, j]
        q[rows, k] = r[:, k, i] + r[:, i, k]
        q[rows, 3] = r[:, k, j] - r[:, j, k]
    rows = np.flatnonzero(choice == 3)
    r = m[rows]
    q[rows] = np.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1], 1 + trace[rows]], -1)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def rotations(q: np.ndarray) -> np.ndarray:
    """Unit quaternions [N, 4] (x, y, z, w) to rotation matrices [N, 3, 3]."""
    x, y, z, w = np.moveaxis(q, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def interpolate(first: np.ndarray, second: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Poses between two, float64 [N, 4, 4]: positions are interpolated linearly, rotations by slerp.

    Args:
        first: poses at t = 0, [N, 4, 4].
        second: poses at t = 1, [N, 4, 4].
        t: float [N], 0 to 1.
    """
    t = np.asarray(t, np.float64)[:, None]
    a, b = quaternions(first[:, :3, :3]), quaternions(second[:, :3, :3])
    cosine = (a * b).sum(-1, keepdims=True)
    b = np.where(cosine < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-9
    safe = np.where(near, 1, sine)
    q = np.where(near, (1 - t) * a + t * b, (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / safe)
    result = np.tile(np.eye(4), (len(t), 1, 1))
    result[:, :3, :3] = rotations(q / np.linalg.norm(q, axis=-1, keepdims=True))
    result[:, :3, 3] = (1 - t) * first[:, :3, 3] + t * second[:, :3, 3]
    return result


def resample(poses: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Poses at fractional frame numbers, float64 [N, 4, 4].

    Args:
        poses: one pose a frame, [T, 4, 4].
        at: frame numbers, float [N]; before the first and after the last frame those two poses are returned.
    """
    at = np.clip(np.asarray(at, np.float64), 0, len(poses) - 1)
    low = np.minimum(np.floor(at).astype(int), max(len(poses) - 2, 0))
    high = np.minimum(low + 1, len(poses) - 1)
    result = interpolate(poses[low], poses[high], at - low)
    whole = at == np.round(at)
    result[whole] = poses[at[whole].astype(int)]
    return result
