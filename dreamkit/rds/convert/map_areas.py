"""Shapes of maps: edges of the road from polygons that touch or overlap, and lines that neighbours share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np

_STEP = 0.5


def outer_edges(areas: Sequence[np.ndarray], margin: float = 0.3) -> list[np.ndarray]:
    """The parts of polygons' borders that lie in no other polygon: the edges of the area that they cover together.

    Args:
        areas: polygons [n, 3] in metres, closed or not.
        margin: metres by which a border may miss the neighbour's and still count as shared.

    Returns:
        Polylines [n, 3].
    """
    if not areas:
        return []
    centre = np.concatenate(areas).mean(0)[:2]
    flat = [np.ascontiguousarray(area[:, :2] - centre, np.float32).reshape(-1, 1, 2) for area in areas]
    found = []
    for index, area in enumerate(areas):
        points = _border(area)
        others = [polygon for other, polygon in enumerate(flat) if other != index]
        outer = np.array([not _inside(point[:2] - centre, others, margin) for point in points])
        found += _runs(points, outer)
    return found


def lines_once(lines: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Lines [n, 3] without exact repetitions in either direction, such as the line that two lanes share."""
    found: dict[bytes, np.ndarray] = {}
    for line in lines:
        forward = len(line) < 2 or tuple(line[0]) <= tuple(line[-1])
        found.setdefault(np.ascontiguousarray(line if forward else line[::-1]).tobytes(), line)
    return list(found.values())


def _border(area: np.ndarray) -> np.ndarray:
    """The closed border of a polygon with points at most _STEP metres apart, [n, 3]."""
    closed = area if np.allclose(area[0], area[-1]) else np.concatenate([area, area[:1]])
    pieces = []
    for a, b in pairwise(closed):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / _STEP)))
        pieces.append(a + (b - a) * (np.arange(count) / count)[:, None])
    return np.concatenate([*pieces, closed[:1]])


def _inside(point: np.ndarray, polygons: Sequence[np.ndarray], margin: float) -> bool:
    """Whether a point lies in a polygon, or at most `margin` metres outside one."""
    place = (float(point[0]), float(point[1]))
    return any(cv2.pointPolygonTest(polygon, place, True) > -margin for polygon in polygons)


def _runs(points: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Polylines of successive wanted points, thinned to corners; a run over the closed border's seam is one line."""
    if wanted.all():
        return [_corners_only(points)]
    first = int(np.flatnonzero(~wanted)[0])
    # The last point repeats the first, so the border is turned without it.
    points, wanted = np.roll(points[:-1], -first, 0), np.roll(wanted[:-1], -first)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(int)))
    runs = (points[begin:end] for begin, end in zip(edges[::2], edges[1::2], strict=True))
    return [_corners_only(run) for run in runs if len(run) > 2]


def _corners_only(points: np.ndarray) -> np.ndarray:
    """A polyline without the points that lie on the line between their neighbours, within a centimetre."""
    kept = [0]
    for index in range(1, len(points) - 1):
        a, b, c = points[kept[-1]], points[index], points[index + 1]
        length = np.linalg.norm(c - a)
        if length == 0 or np.linalg.norm(np.cross(c - a, b - a)) / length > 0.01:
            kept.append(index)
    return points[[*kept, len(points) - 1]]
