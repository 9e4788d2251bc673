"""World shapes to the strokes and hulls of a picture: what is dropped, cut, rounded and faded, and how.

The rules are facts read from nv-tlabs/cosmos-av-sample-toolkits (utils/camera/base.py); see `dreamkit.rds.hdmap`.
The shapes of several frames are projected in one go.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from dreamkit.rds.ftheta import Camera
from dreamkit.rds.labels import Shapes

# The layers that the reference draws; lanes (pairs of lane borders) are in the format but not among them.
DRAWN = (
    "lanelines",
    "road_boundaries",
    "crosswalks",
    "road_markings",
    "wait_lines",
    "poles",
    "traffic_signs",
    "traffic_lights",
)
# How far in front of the camera's plane a crossing edge is cut, as a share of the way to its visible end.
_LINE_CUT, _HULL_CUT = 0.2, 0.05


@dataclass(frozen=True)
class Rules:
    """What may be varied about the drawing; the defaults are what the models were trained on.

    depth_max: metres at which colours reach black; line_width, box_width: pixels of a 1280x720 picture;
    resample: metres between points of lane lines and road boundaries; layers: which map layers to draw.
    """

    depth_max: float = 122.5
    line_width: int = 8
    box_width: int = 5
    resample: float = 0.8
    layers: tuple[str, ...] = DRAWN
    keep_shapes_without_vertex: bool = False


@dataclass(frozen=True)
class Layer:
    """Shapes of one colour: `frame` is None for the map, or each shape's frame number, ascending, for boxes."""

    shapes: Shapes
    colour: tuple[int, int, int]
    filled: bool
    width: int = 0
    frame: np.ndarray | None = None


# The marks of a filled layer are (polygon int32 [n, 2], colour) pairs; of lines, rows x1 y1 x2 y2 and their colours.
Marks = list[tuple[np.ndarray, tuple[int, int, int]]] | tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Seen:
    """Shapes in camera space: shape i of the batch's frame[i] is rows starts[i] to starts[i + 1] of points [P, 3]."""

    points: np.ndarray
    starts: np.ndarray
    frame: np.ndarray


def _gather(layer: Layer, world_to_camera: np.ndarray, batch: list[int], depth_max: float) -> _Seen:
    """The shapes that are not wholly behind the camera nor wholly beyond the largest depth, frame after frame."""
    shapes = layer.shapes
    first, length = shapes.starts[:-1], np.diff(shapes.starts)
    if layer.frame is None:
        # Depth alone decides here, so only the third row of each pose is used. [F, P]
        depth = shapes.points @ world_to_camera[:, 2, :3].T + world_to_camera[:, 2, 3]
        near = np.minimum.reduceat(depth, first, axis=0).T
        far = np.maximum.reduceat(depth, first, axis=0).T
        frame, shape = np.nonzero((far >= 0) & (near <= depth_max))
    else:
        pairs = [np.arange(*np.searchsorted(layer.frame, [number, number + 1])) for number in batch]
        frame, shape = np.repeat(np.arange(len(batch)), [len(p) for p in pairs]), np.concatenate(pairs)
    count = length[shape]
    starts = np.concatenate([[0], np.cumsum(count)])
    rows = np.arange(starts[-1]) - np.repeat(starts[:-1] - first[shape], count)
    points = np.empty((len(rows), 3))
    for index in range(len(batch)):
        mine = slice(*starts[np.searchsorted(frame, [index, index + 1])])
        points[mine] = shapes.points[rows[mine]] @ world_to_camera[index, :3, :3].T + world_to_camera[index, :3, 3]
    return _Seen(points, starts, frame)


def _keep(seen: _Seen, kept: np.ndarray) -> tuple[_Seen, np.ndarray]:
    """The shapes where kept is true, and the rows of their points."""
    rows = np.repeat(kept, np.diff(seen.starts))
    starts = np.concatenate([[0], np.cumsum(np.diff(seen.starts)[kept])])
    return _Seen(seen.points[rows], starts, seen.frame[kept]), rows


def _any(flags: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.logical_or.reduceat(flags, starts[:-1])


def project(layer: Layer, camera: Camera, world_to_camera: np.ndarray, batch: list[int], rules: Rules) -> list[Marks]:
    """The marks of one layer for each frame of the batch; world_to_camera is float64 [len(batch), 4, 4]."""
    seen = _gather(layer, world_to_camera, batch, rules.depth_max)
    if layer.frame is not None and len(seen.frame):
        depth = seen.points[:, 2]
        far, near = np.maximum.reduceat(depth, seen.starts[:-1]), np.minimum.reduceat(depth, seen.starts[:-1])
        seen, _ = _keep(seen, (far >= 0) & (near <= rules.depth_max))
    if not len(seen.frame):
        return [[] if layer.filled else (np.zeros((0, 4), np.int32), np.zeros((0, 3), np.int32)) for _ in batch]
    pixels = camera.project(seen.points)
    # Lines round to the nearest pixel, hulls truncate towards zero.
    pixels = _to_int(pixels if layer.filled else np.round(pixels))
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    if layer.filled:
        inside &= seen.points[:, 2] > 0
    if not rules.keep_shapes_without_vertex:
        seen, rows = _keep(seen, _any(inside, seen.starts))
        pixels = pixels[rows]
    if layer.filled:
        return _hulls(layer, camera, seen, pixels, len(batch), rules)
    return _lines(layer, camera, seen, pixels, len(batch), rules)


def _to_int(pixels: np.ndarray) -> np.ndarray:
    # What an x86 processor makes of numbers that do not fit, so that lines through such ends keep their direction.
    return np.where(np.abs(pixels) < 2**31, pixels, -(2**31)).astype(np.int32)


def _faded(depth: np.ndarray, colour: tuple[int, int, int], depth_max: float) -> np.ndarray:
    """Colours int32 [n, 3] at these mean depths; 2 (depth_max - depth) / 255 of the full colour."""
    weight = 2 * (depth_max - depth) / 255
    # Beyond depth_max the weight of a hull turns negative, and the reference's cast to a byte wraps round.
    return (weight[:, None] * np.array(colour)).astype(np.int32) & 255


def _lines(layer: Layer, camera: Camera, seen: _Seen, pixels: np.ndarray, count: int, rules: Rules) -> list[Marks]:
    depth = seen.points[:, 2]
    first = np.ones(len(depth), bool)
    first[seen.starts[1:-1] - 1] = False
    if len(first):
        first[-1] = False
    a = np.flatnonzero(first)
    # Both ends behind: nothing to draw.
    a = a[(depth[a] >= 0) | (depth[a + 1] >= 0)]
    b = a + 1
    ends = np.concatenate([pixels[a], pixels[b]], 1)
    crossing = np.flatnonzero(depth[a] * depth[b] < 0)
    if len(crossing):
        front = np.where(depth[a[crossing]] < 0, b[crossing], a[crossing])
        behind = a[crossing] + b[crossing] - front
        p, q = seen.points[front], seen.points[behind]
        t = -q[:, 2] / (p[:, 2] - q[:, 2]) + _LINE_CUT
        q = t[:, None] * p + (1 - t)[:, None] * q
        # The cut point itself may lie behind when the visible end is very near; the reference projects it all the same.
        ends[crossing] = _to_int(np.concatenate([camera.project(p / p[:, 2:]), camera.project(q / q[:, 2:])], 1))
    colours = _faded(np.clip((depth[a] + depth[b]) / 2, 0, rules.depth_max), layer.colour, rules.depth_max)
    frame = np.repeat(seen.frame, np.diff(seen.starts))[a]
    ends, kept = _clip(ends, camera.width, camera.height, layer.width)
    kept &= ~_covered(ends, frame)
    ends, colours, frame = ends[kept], colours[kept], frame[kept]
    bounds = np.searchsorted(frame, np.arange(count + 1))
    return [(ends[i:j], colours[i:j]) for i, j in pairwise(bounds)]


def _clip(ends: np.ndarray, width: int, height: int, stroke: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut strokes at the picture's border as cv2.clipLine does; the flag is false for those that cannot touch it."""
    x, y = ends[:, 0::2], ends[:, 1::2]
    kept = ~((x < -stroke).all(1) | (x >= width + stroke).all(1) | (y < -stroke).all(1) | (y >= height + stroke).all(1))
    outside = ((x < 0) | (x >= width) | (y < 0) | (y >= height)).any(1)
    ends = ends.copy()
    for row in np.flatnonzero(kept & outside).tolist():
        x1, y1, x2, y2 = ends[row].tolist()
        _, p, q = cv2.clipLine((0, 0, width, height), (x1, y1), (x2, y2))
        ends[row] = (*p, *q)
    return ends, kept


def _covered(ends: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Strokes shrunk to a dot on which the next stroke starts: it paints over them entirely."""
    covered = np.zeros(len(ends), bool)
    covered[:-1] = (
        (ends[:-1, :2] == ends[:-1, 2:]).all(1) & (ends[:-1, 2:] == ends[1:, :2]).all(1) & (frame[:-1] == frame[1:])
    )
    return covered


def _hulls(layer: Layer, camera: Camera, seen: _Seen, pixels: np.ndarray, count: int, rules: Rules) -> list[Marks]:
    marks: list[Marks] = [[] for _ in range(count)]
    for index, (i, j) in enumerate(pairwise(seen.starts)):
        points, corners_2d = seen.points[i:j], pixels[i:j]
        if (points[:, 2] < 0).any():
            points = _cut_behind(points)
            corners_2d = _to_int(camera.project(points))
        hull = _clip_polygon(cv2.convexHull(corners_2d).reshape(-1, 2), camera.width, camera.height)
        if hull is not None:
            colour = _faded(points[:, 2].mean(keepdims=True), layer.colour, rules.depth_max)[0]
            marks[seen.frame[index]].append((hull, tuple(colour.tolist())))
    return marks


def _cut_behind(points: np.ndarray) -> np.ndarray:
    """A walk cut at the camera's plane: its visible vertices, and a point a little in front on crossing edges"""
    result = []
    for p, q in pairwise(points):
        if p[2] >= 0:
            result.append(p)
            if q[2] < 0:
                result.append(q + (-q[2] / (p[2] - q[2]) + _HULL_CUT) * (p - q))
        elif q[2] >= 0:
            result.append(p + (-p[2] / (q[2] - p[2]) + _HULL_CUT) * (q - p))
    if points[-1, 2] >= 0:
        result.append(points[-1])
    return np.array(result)


def _clip_polygon(hull: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """A convex polygon inside 0..width x 0..height, corners truncated to int32 [n, 2]; None when it has no area."""
    if len(hull) < 3:
        return None
    if (hull >= 0).all() and (hull <= (width, height)).all():
        return hull
    points = hull.astype(np.float64)
    for axis, bound, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        if not len(points):
            return None
        distance = (points[:, axis] - bound) * sign
        following = np.roll(points, -1, 0)
        next_distance = np.roll(distance, -1)
        crosses = distance * next_distance < 0
        t = distance / np.where(crosses, distance - next_distance, 1)
        cut = points + (following - points) * t[:, None]
        cut[:, axis] = bound
        keep = np.stack([distance >= 0, crosses], 1)
        points = np.stack([points, cut], 1)[keep]
    x, y = points.T
    area = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) if len(points) > 2 else 0.0
    # What only touches the border has no area left and is dropped.
    return points.astype(np.int32) if abs(area) > 1e-9 else None
