"""Small conversions that a converter of one's own needs: intrinsics in either order, ego-centred boxes and lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.intrinsics import finite_vector
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.rig_views import focal_first, is_centre_first


def any_pinhole(values: Any, width: int, height: int) -> Pinhole:
    """A pinhole camera of a 3x3 matrix, of [fx, fy, cx, cy], or of [cx, cy, fx, fy].

    The order of four numbers is told from the focal lengths, which are equal, and the centre, which is near the
    picture's; where that does not decide, focal lengths come first.

    Args:
        values: matrix [3, 3] or four numbers, in pixels.
        width: width of the picture in pixels.
        height: height of the picture in pixels.

    Raises:
        DreamkitError: the numbers describe no camera without skew and distortion.
    """
    matrix = np.asarray(values, dtype=object)
    if matrix.shape == (3, 3):
        m = finite_vector(matrix.reshape(9), (9,), "pinhole").reshape(3, 3)
        if abs(m[0, 1]) > 1e-3 * abs(m[0, 0]) or np.abs(m[[1, 2, 2], [0, 0, 1]]).max() > 1e-6:
            raise DreamkitError(
                f"The camera matrix {m.tolist()} has a skew, or entries below the diagonal.",
                "Give the matrix of a pinhole camera without skew: fx 0 cx, 0 fy cy, 0 0 1.",
            )
        return Pinhole(m[0, 0], m[1, 1], m[0, 2], m[1, 2], width, height)
    fx, fy, cx, cy = finite_vector(values, (4,), "pinhole").tolist()
    camera = Pinhole(fx, fy, cx, cy, width, height)
    return focal_first(camera) if is_centre_first(camera) else camera


def box_pose(centre: Sequence[float], yaw: float) -> np.ndarray:
    """Pose [4, 4] of a box in the axes of its centre.

    Args:
        centre: x, y, z of the box's middle in metres.
        yaw: radians to the left, about z.
    """
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = centre
    return pose


def world_points(to_world: np.ndarray, points: Any) -> np.ndarray:
    """Points [n, 3] (metres) moved by a pose [4, 4], float64 [n, 3]."""
    return np.asarray(points, np.float64).reshape(-1, 3) @ to_world[:3, :3].T + to_world[:3, 3]


def joined_lines(pieces: Iterable[np.ndarray], tolerance: float = 0.3, step: float = 0.5) -> list[np.ndarray]:
    """Lines that each of many pieces adds to those before it, for maps that come anew with each frame.

    A piece is sampled, and samples nearer than about the tolerance to an earlier line are left out; what remains in
    a row becomes a line, joined to its neighbours by one sample more at each end.

    Args:
        pieces: world vertices [n, 3] of each line of each frame, in the order of time.
        tolerance: metres between a line and its repetition in another frame.
        step: metres between samples.
    """
    taken: set[tuple[int, int, int]] = set()
    around = [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]
    found: list[list[np.ndarray]] = []
    for piece in pieces:
        points = _sampled(np.asarray(piece, np.float64).reshape(-1, 3), min(step, tolerance))
        cells = [(x, y, z) for x, y, z in np.floor(points / tolerance).astype(int).tolist()]
        new = np.array([cell not in taken for cell in cells], bool)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], new, [False]]).astype(int)))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            run = points[max(0, begin - 1) : end + 1]
            if len(run) > 1:
                _append(found, run, 3 * tolerance)
        for x, y, z in (cell for cell, is_new in zip(cells, new, strict=True) if is_new):
            taken.update((x + a, y + b, z + c) for a, b, c in around)
    return [_thinned(np.concatenate(parts), step) for parts in found]


def _append(lines: list[list[np.ndarray]], run: np.ndarray, reach: float) -> None:
    """Add a run to the line that ends where it begins, or as a line of its own."""
    for parts in reversed(lines):
        if np.linalg.norm(parts[-1][-1] - run[0]) <= reach:
            parts.append(run)
            return
    lines.append([run])


def _sampled(points: np.ndarray, step: float) -> np.ndarray:
    """A polyline [n, 3] sampled about every `step` metres, with its ends."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if len(points) < 2 or along[-1] == 0:
        return points[:1]
    at = np.linspace(0, along[-1], max(2, int(np.ceil(along[-1] / step)) + 1))
    return np.stack([np.interp(at, along, points[:, axis]) for axis in range(3)], 1)


def _thinned(points: np.ndarray, step: float) -> np.ndarray:
    """A finely sampled polyline with points about every `step` metres and both ends."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    kept = np.unique([*np.searchsorted(along, np.arange(0, along[-1], step)), len(points) - 1])
    return points[kept]
