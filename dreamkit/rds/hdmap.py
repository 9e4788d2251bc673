"""HDMap condition pictures: the map and the boxes of a clip, drawn the way the models' training videos were drawn.

The rules are facts from nv-tlabs/cosmos-av-sample-toolkits (utils/camera/base.py, minimap_utils.py, bbox_utils.py):
each layer and each class of box is drawn on black, later strokes over earlier ones, and the layers are joined by the
brightest value; colours fade with depth and reach black at 122.5 m; a shape with no vertex in the picture is left out;
line ends are rounded to pixels, but truncated where the line crosses the camera's plane; filled shapes are the convex
hulls of truncated corners. `Rules(keep_shapes_without_vertex=True)` draws the shapes that the reference leaves out.

A Scene holds world geometry only and pickles, so that the frames of a clip can be drawn in several processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from dreamkit.rds.ftheta import Camera
from dreamkit.rds.labels import LAYERS, Shapes
from dreamkit.rds.objects import CLASS_OF, Boxes, corners
from dreamkit.rds.strokes import Layer, Marks, Rules, project

LAYER_COLOURS = {
    "lanelines": (98, 183, 249),
    "lanes": (56, 103, 221),
    "poles": (66, 40, 144),
    "road_boundaries": (200, 36, 35),
    "wait_lines": (185, 63, 34),
    "crosswalks": (206, 131, 63),
    "road_markings": (126, 204, 205),
    "traffic_signs": (131, 175, 155),
    "traffic_lights": (252, 157, 155),
}
BOX_COLOURS = {
    "Car": (255, 0, 0),
    "Truck": (0, 0, 255),
    "Pedestrian": (0, 255, 0),
    "Cyclist": (255, 255, 0),
    "Others": (255, 255, 255),
}
# A walk over a cuboid's eight corners that passes every edge.
_CUBOID_WALK = np.array([0, 1, 2, 3, 0, 4, 5, 6, 7, 4, 5, 1, 2, 6, 7, 3])
_RESAMPLED = ("lanelines", "road_boundaries")
# Frames projected together: enough to make numpy calls cheap, few enough to stay in the cache.
_BATCH = 8


@dataclass(frozen=True)
class Scene:
    """What a clip's pictures are drawn from."""

    layers: tuple[Layer, ...]
    rules: Rules = field(default_factory=Rules)


def build_scene(layers: Mapping[str, Shapes], boxes: Boxes, rules: Rules = Rules()) -> Scene:
    """Prepare map layers and boxes for drawing: lines resampled, polygons closed, cuboids walked."""
    prepared = []
    for name in rules.layers:
        shapes = layers.get(name, Shapes.of([]))
        if LAYERS[name] == "polyline":
            parts = [part for part in shapes if len(part) > 1]
            if name in _RESAMPLED and rules.resample > 0:
                parts = [resample_line(part, rules.resample) for part in parts]
            prepared.append(Layer(Shapes.of(parts), LAYER_COLOURS[name], False, rules.line_width))
        else:
            close = (
                (lambda part: part[_CUBOID_WALK])
                if LAYERS[name] == "cuboid"
                else (lambda part: part[[*range(len(part)), 0]])
            )
            # Two points are closed like any polygon; the hull of a line is dropped while drawing.
            prepared.append(
                Layer(Shapes.of(close(part) for part in shapes if len(part) > 1), LAYER_COLOURS[name], True)
            )
    walks = corners(boxes)[:, _CUBOID_WALK]
    classes = np.array([CLASS_OF.get(kind, "Others") for kind in boxes.kind])
    for name, colour in BOX_COLOURS.items():
        rows = np.flatnonzero(classes == name)
        starts = np.arange(len(rows) + 1) * len(_CUBOID_WALK)
        prepared.append(
            Layer(Shapes(walks[rows].reshape(-1, 3), starts), colour, False, rules.box_width, boxes.frame[rows])
        )
    return Scene(tuple(layer for layer in prepared if len(layer.shapes)), rules)


def resample_line(points: np.ndarray, interval: float) -> np.ndarray:
    """A polyline [n, 3] cut to pieces of about `interval` metres; its own vertices stay."""
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    # n numbers from end to end, the last one left to the next piece: the reference's count, one short of the obvious.
    pieces = np.maximum((lengths / interval).astype(int), 2) - 1
    edge = np.repeat(np.arange(len(pieces)), pieces)
    step = (np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[edge]
    return np.concatenate([points[edge] + (points[edge + 1] - points[edge]) * step[:, None], points[-1:]])


def draw(scene: Scene, camera: Camera, poses: np.ndarray, frames: Sequence[int]) -> Iterator[np.ndarray]:
    """Pictures uint8 [height, width, 3] (RGB) of the camera's size, one a frame.

    Args:
        scene: from `build_scene`.
        camera: scaled to the size that is to be drawn.
        poses: camera-to-world, float64 [T, 4, 4], indexed by frame number.
        frames: the frame numbers to draw, in any order.
    """
    scratch = np.zeros((camera.height, camera.width, 3), np.uint8)
    for first in range(0, len(frames), _BATCH):
        batch = list(frames[first : first + _BATCH])
        world_to_camera = np.linalg.inv(poses[batch])
        strokes = [project(layer, camera, world_to_camera, batch, scene.rules) for layer in scene.layers]
        for index in range(len(batch)):
            picture = np.zeros_like(scratch)
            for layer, marks in zip(scene.layers, strokes, strict=True):
                _stamp(picture, scratch, layer, marks[index])
            yield picture


def _stamp(picture: np.ndarray, scratch: np.ndarray, layer: Layer, marks: Marks) -> None:
    """Draw one layer on the scratch canvas, join it to the picture by maximum, and leave the scratch black again."""
    height = len(picture)
    if layer.filled:
        if not marks:
            return
        for polygon, colour in marks:
            cv2.fillPoly(scratch, [polygon], colour)
        rows = np.concatenate([polygon[:, 1] for polygon, _ in marks])
        top, bottom = int(rows.min()), int(rows.max()) + 1
    else:
        ends, colours = marks
        if not len(ends):
            return
        line, width = cv2.line, layer.width
        for x1, y1, x2, y2, colour in zip(*ends.T.tolist(), colours.tolist(), strict=True):
            line(scratch, (x1, y1), (x2, y2), colour, width)
        top, bottom = int(ends[:, 1::2].min()) - width, int(ends[:, 1::2].max()) + width + 1
    band = slice(max(0, top), min(height, max(0, bottom)))
    np.maximum(picture[band], scratch[band], out=picture[band])
    scratch[band] = 0
