"""How much of each box the pictures show: points on its outside that lie in a picture and behind no other box.

nuScenes' levels are the visible part of an object in all cameras' pictures. Here only labelled boxes hide others:
buildings, trees and boxes without a label do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dreamkit.rds.camera_models import CameraModel

_GRID = 5
FARTHEST = 122.5
"""Metres from a camera beyond which condition videos are black, so that a picture need not show a box there."""


def face_points() -> tuple[np.ndarray, np.ndarray]:
    """Points on the faces of a box of side 2 around the origin, float64 [6 n, 3], and the faces' outer normals."""
    ticks = (np.arange(_GRID) + 0.5) / _GRID * 2 - 1
    a, b = (axis.ravel() for axis in np.meshgrid(ticks, ticks, indexing="ij"))
    points, normals = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            face = np.empty((len(a), 3))
            face[:, axis], face[:, (axis + 1) % 3], face[:, (axis + 2) % 3] = sign, a, b
            points.append(face)
            normals.append(np.tile(np.eye(3)[axis] * sign, (len(a), 1)))
    return np.concatenate(points), np.concatenate(normals)


def visible_shares(
    poses: np.ndarray, sizes: np.ndarray, cameras: Sequence[tuple[CameraModel, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """For each box the part that the cameras see, and whether any of it lies in a picture.

    Args:
        poses: box centre to world, float64 [N, 4, 4].
        sizes: length, width, height in metres, float64 [N, 3].
        cameras: model and camera-to-world pose [4, 4] of each camera.

    Returns:
        Share 0 to 1 float64 [N]: points seen by a camera, of those on faces turned to a camera; and bool [N], whether
        a point of such a face lies in a picture, hidden or not.
    """
    unit, outward = face_points()
    faced = np.zeros((len(poses), len(unit)), bool)
    inside, seen = faced.copy(), faced.copy()
    if not len(poses):
        return np.zeros(0), np.zeros(0, bool)
    points = (unit * sizes[:, None] / 2) @ poses[:, :3, :3].swapaxes(1, 2) + poses[:, None, :3, 3]
    normals = outward @ poses[:, :3, :3].swapaxes(1, 2)
    for model, pose in cameras:
        towards = pose[:3, 3] - points
        facing = (towards * normals).sum(-1) > 0
        near = np.linalg.norm(towards, axis=-1) < FARTHEST
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        pixels = model.project(np.where(local[..., 2:] > 0.05, local, np.array([0, 0, 1.0])))
        in_picture = (local[..., 2] > 0.05) & ((pixels >= 0) & (pixels <= [model.width - 1, model.height - 1])).all(-1)
        shown = facing & near & in_picture
        faced |= facing & near
        inside |= shown
        for box in np.flatnonzero(shown.any(1)):
            rows = shown[box]
            seen[box, rows] |= ~_hidden(pose[:3, 3], points[box, rows], poses, sizes, int(box))
    share = seen.sum(1) / np.maximum(faced.sum(1), 1)
    return share, inside.max(1)


def _hidden(eye: np.ndarray, points: np.ndarray, poses: np.ndarray, sizes: np.ndarray, own: int) -> np.ndarray:
    """Whether another box lies between the eye and each point of a box, bool [P]."""
    others = np.delete(np.arange(len(poses)), own)
    nearer = np.linalg.norm(poses[others, :3, 3] - eye, axis=1) - np.linalg.norm(sizes[others], axis=1) / 2
    others = others[nearer < np.linalg.norm(points - eye, axis=1).max()]
    hidden = np.zeros(len(points), bool)
    for other in others:
        turn, half = poses[other, :3, :3], sizes[other] / 2
        start = (eye - poses[other, :3, 3]) @ turn
        way = (points - eye) @ turn
        with np.errstate(divide="ignore", invalid="ignore"):  # a ray along a face: infinities compare rightly
            first, second = (-half - start) / way, (half - start) / way
        enter = np.nanmax(np.minimum(first, second), axis=1)
        leave = np.nanmin(np.maximum(first, second), axis=1)
        hidden |= (enter < leave) & (leave > 0) & (enter < 0.995)
    return hidden
