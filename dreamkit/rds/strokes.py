"""Project world shapes to the lines and convex hulls of a picture: selection, clipping and colour.

Source of the rules: utils/camera/base.py of nv-tlabs/cosmos-av-sample-toolkits; see `dreamkit.rds.hdmap`.
The shapes of several frames are projected together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.labels import Shapes

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
"""The layers that the reference toolkit draws; lanes (pairs of lane borders) are in the format, but not drawn."""
# Where an edge across the camera's plane is cut: at this fraction of the way from the plane to its visible end.
_LINE_CUT, _HULL_CUT = 0.2, 0.05


@dataclass(frozen=True)
class Rules:
    """Settings of the drawing; the defaults are those of the models' training videos.

    Attributes:
        depth_max: depth in metres at which colours are black.
        line_width: width of map lines in pixels of the drawn picture.
        box_width: width of box edges in pixels of the drawn picture.
        resample: distance in metres between points of lane lines and road boundaries.
        layers: the map layers to draw.
        keep_shapes_without_vertex: also draw shapes that cross the picture without a vertex in it.
    """

    depth_max: float = 122.5
    line_width: int = 8
    box_width: int = 5
    resample: float = 0.8
    layers: tuple[str, ...] = DRAWN
    keep_shapes_without_vertex: bool = False


@dataclass(frozen=True)
class Layer:
    """Shapes of one colour.

    Attributes:
        shapes: world geometry.
        colour: RGB at depth 0, 0 to 255.
        filled: True for filled convex hulls, False for lines.
        width: width of the lines in pixels.
        frame: frame number of each shape, ascending; None for map shapes, which are drawn in every frame.
    """

    shapes: Shapes
    colour: tuple[int, int, int]
    filled: bool
    width: int = 0
    frame: np.ndarray | None = None


@dataclass(frozen=True)
class Lines:
    """Line segments to draw in one picture.

    Attributes:
        ends: x1, y1, x2, y2 in pixels, int32 [n, 4].
        colours: RGB, int32 [n, 3].
    """

    ends: np.ndarray
    colours: np.ndarray


@dataclass(frozen=True)
class Hulls:
    """Filled polygons to draw in one picture.

    Attributes:
        polygons: corners x, y in pixels, int32 [n, 2] each.
        colours: RGB of each polygon.
    """

    polygons: list[np.ndarray] = field(default_factory=list)
    colours: list[tuple[int, ...]] = field(default_factory=list)


Marks = Lines | Hulls


@dataclass(frozen=True)
class _CameraShapes:
    """Shapes in camera axes.

    Attributes:
        points: vertices, float64 [P, 3].
        starts: shape i has the rows starts[i] to starts[i + 1] of points.
        frame: index into the batch of each shape's frame.
    """

    points: np.ndarray
    starts: np.ndarray
    frame: np.ndarray


def _gather(layer: Layer, world_to_camera: np.ndarray, batch: list[int], depth_max: float) -> _CameraShapes:
    """The shapes of each frame of the batch; map shapes wholly behind the camera or beyond depth_max are left out."""
    shapes = layer.shapes
    first, length = shapes.starts[:-1], np.diff(shapes.starts)
    if layer.frame is None:
        # [F, P]; the third row of a pose is enough for the depth.
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
    return _CameraShapes(points, starts, frame)


def _keep(seen: _CameraShapes, kept: np.ndarray) -> tuple[_CameraShapes, np.ndarray]:
    """The shapes where kept is true, and the rows of their points."""
    rows = np.repeat(kept, np.diff(seen.starts))
    starts = np.concatenate([[0], np.cumsum(np.diff(seen.starts)[kept])])
    return _CameraShapes(seen.points[rows], starts, seen.frame[kept]), rows


def _any(flags: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Whether a flag of the points is set, for each shape."""
    return np.logical_or.reduceat(flags, starts[:-1])


def project_layer(
    layer: Layer, camera: CameraModel, world_to_camera: np.ndarray, batch: list[int], rules: Rules
) -> Sequence[Marks]:
    """The lines or hulls to draw of one layer in each frame of a batch.

    Args:
        layer: the shapes.
        camera: scaled to the size of the picture.
        world_to_camera: poses of the batch, float64 [len(batch), 4, 4].
        batch: frame numbers.
        rules: settings of the drawing.

    Returns:
        Hulls for a filled layer, else Lines; one for each frame of the batch.
    """
    seen = _gather(layer, world_to_camera, batch, rules.depth_max)
    if layer.frame is not None and len(seen.frame):
        depth = seen.points[:, 2]
        far, near = np.maximum.reduceat(depth, seen.starts[:-1]), np.minimum.reduceat(depth, seen.starts[:-1])
        seen, _ = _keep(seen, (far >= 0) & (near <= rules.depth_max))
    if not len(seen.frame):
        return [Hulls() if layer.filled else _no_lines() for _ in batch]
    pixels = camera.project(seen.points)
    # The reference toolkit rounds ends of lines, and truncates corners of hulls towards zero.
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


def _no_lines() -> Lines:
    return Lines(np.zeros((0, 4), np.int32), np.zeros((0, 3), np.int32))


def _to_int(pixels: np.ndarray) -> np.ndarray:
    """Pixels as int32; numbers that do not fit become -2^31, as on x86 processors, where the reference was run."""
    return np.where(np.abs(pixels) < 2**31, pixels, -(2**31)).astype(np.int32)


def _faded(depth: np.ndarray, colour: tuple[int, int, int], depth_max: float) -> np.ndarray:
    """Colours int32 [n, 3] at mean depths [n]: the colour times 2 (depth_max - depth) / 255."""
    weight = np.minimum(2 * (depth_max - depth) / 255, 1.0)  # below 1 at the 122.5 m of condition pictures
    # Beyond depth_max the weight of a hull is negative, and the reference toolkit's cast to uint8 wraps around.
    return (weight[:, None] * np.array(colour)).astype(np.int32) & 255


def _lines(
    layer: Layer, camera: CameraModel, seen: _CameraShapes, pixels: np.ndarray, count: int, rules: Rules
) -> list[Lines]:
    """Line segments of each of `count` frames; `pixels` int32 [P, 2] are the projected points."""
    depth = seen.points[:, 2]
    has_next = np.ones(len(depth), bool)
    has_next[seen.starts[1:-1] - 1] = False
    if len(has_next):
        has_next[-1] = False
    a = np.flatnonzero(has_next)
    # Segments with both ends behind the camera are not drawn.
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
        # The cut point can lie behind the camera when the visible end is very near; the reference projects it too.
        ends[crossing] = _to_int(np.concatenate([camera.project(p / p[:, 2:]), camera.project(q / q[:, 2:])], 1))
    colours = _faded(np.clip((depth[a] + depth[b]) / 2, 0, rules.depth_max), layer.colour, rules.depth_max)
    frame = np.repeat(seen.frame, np.diff(seen.starts))[a]
    ends, kept = _clip_lines(ends, camera.width, camera.height, layer.width)
    kept &= ~_covered(ends, frame)
    ends, colours, frame = ends[kept], colours[kept], frame[kept]
    bounds = np.searchsorted(frame, np.arange(count + 1))
    return [Lines(ends[i:j], colours[i:j]) for i, j in pairwise(bounds)]


def _clip_lines(ends: np.ndarray, width: int, height: int, stroke: int) -> tuple[np.ndarray, np.ndarray]:
    """Line segments cut at the picture's border as cv2.clipLine does, and whether each can touch the picture."""
    x, y = ends[:, 0::2], ends[:, 1::2]
    beyond_x = (x < -stroke).all(1) | (x >= width + stroke).all(1)
    beyond_y = (y < -stroke).all(1) | (y >= height + stroke).all(1)
    kept = np.logical_not(beyond_x | beyond_y)
    outside = ((x < 0) | (x >= width) | (y < 0) | (y >= height)).any(1)
    ends = ends.copy()
    for row in np.flatnonzero(kept & outside).tolist():
        x1, y1, x2, y2 = ends[row].tolist()
        _, p, q = cv2.clipLine((0, 0, width, height), (x1, y1), (x2, y2))
        ends[row] = (*p, *q)
    return ends, kept


def _covered(ends: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Whether a segment is a single pixel on which the next one starts, and so is painted over by it."""
    covered = np.zeros(len(ends), bool)
    covered[:-1] = (
        (ends[:-1, :2] == ends[:-1, 2:]).all(1) & (ends[:-1, 2:] == ends[1:, :2]).all(1) & (frame[:-1] == frame[1:])
    )
    return covered


def _hulls(
    layer: Layer, camera: CameraModel, seen: _CameraShapes, pixels: np.ndarray, count: int, rules: Rules
) -> list[Hulls]:
    """Convex hulls of each of `count` frames; `pixels` int32 [P, 2] are the projected points."""
    marks = [Hulls() for _ in range(count)]
    for index, (i, j) in enumerate(pairwise(seen.starts)):
        points, corners_2d = seen.points[i:j], pixels[i:j]
        if (points[:, 2] < 0).any():
            points = _cut_behind(points)
            corners_2d = _to_int(camera.project(points))
        hull = _clip_polygon(cv2.convexHull(corners_2d).reshape(-1, 2), camera.width, camera.height)
        if hull is not None:
            colour = _faded(points[:, 2].mean(keepdims=True), layer.colour, rules.depth_max)[0]
            marks[seen.frame[index]].polygons.append(hull)
            marks[seen.frame[index]].colours.append(tuple(colour.tolist()))
    return marks


def _cut_behind(points: np.ndarray) -> np.ndarray:
    """A polyline [n, 3] cut at the camera's plane: its visible vertices, and a point on each edge across the plane."""
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
    """A convex polygon cut to 0..width x 0..height, corners truncated to int32 [n, 2]; None without any area."""
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
    # A polygon that only touches the border has no area left.
    return points.astype(np.int32) if abs(area) > 1e-9 else None
