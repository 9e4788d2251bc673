"""HDMap condition pictures: the map and the boxes of a clip, drawn as in the models' training videos.

Source of the rules: utils/camera/base.py, minimap_utils.py and bbox_utils.py of nv-tlabs/cosmos-av-sample-toolkits.
Each layer and each class of box is drawn on black, later shapes over earlier ones, and the layers are joined by their
maximum. Colours fade with depth and are black at 122.5 m. A shape with no vertex in the picture is left out, unless
`Rules(keep_shapes_without_vertex=True)`. Line ends are rounded to pixels, but truncated where the line crosses the
camera's plane; filled shapes are the convex hulls of truncated corners.

A MapScene holds world geometry only and can be pickled, so that several processes can draw the frames of a clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.labels import LAYERS, Shapes
from dreamkit.rds.objects import CLASS_OF, OTHERS, Boxes, box_corners
from dreamkit.rds.strokes import Hulls, Layer, Marks, Rules, project_layer

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
    OTHERS: (255, 255, 255),
}
# An order of a cuboid's eight corners in which every edge connects two neighbours.
_CUBOID_ORDER = np.array([0, 1, 2, 3, 0, 4, 5, 6, 7, 4, 5, 1, 2, 6, 7, 3])
_RESAMPLED = ("lanelines", "road_boundaries")
# Frames projected together: more cost cache misses, fewer cost numpy calls.
_BATCH = 8


@dataclass(frozen=True)
class MapScene:
    """The map and boxes of a clip, prepared for drawing.

    Attributes:
        layers: shapes by colour, in drawing order.
        rules: settings of the drawing.
    """

    layers: tuple[Layer, ...]
    rules: Rules = field(default_factory=Rules)


def build_scene(layers: Mapping[str, Shapes], boxes: Boxes, rules: Rules = Rules()) -> MapScene:
    """Prepare map layers and boxes for drawing: lines resampled, polygons closed, cuboids as polylines.

    Args:
        layers: map layers by name, as from `labels.read_map`; missing ones are not drawn.
        boxes: boxes of every frame, as from `objects.every_frame`.
        rules: settings of the drawing.
    """
    prepared = [_map_layer(name, layers[name], rules) for name in rules.layers if name in layers]
    outlines = box_corners(boxes)[:, _CUBOID_ORDER]
    classes = np.array([CLASS_OF.get(kind, OTHERS) for kind in boxes.kind])
    for name, colour in BOX_COLOURS.items():
        rows = np.flatnonzero(classes == name)
        shapes = Shapes(outlines[rows].reshape(-1, 3), np.arange(len(rows) + 1) * len(_CUBOID_ORDER))
        prepared.append(Layer(shapes, colour, False, rules.box_width, boxes.frame[rows]))
    return MapScene(tuple(layer for layer in prepared if len(layer.shapes)), rules)


def _map_layer(name: str, shapes: Shapes, rules: Rules) -> Layer:
    """One map layer; shapes of a single point are left out."""
    parts = [part for part in shapes if len(part) > 1]
    if LAYERS[name] == "polyline":
        if name in _RESAMPLED and rules.resample > 0:
            parts = [resample_line(part, rules.resample) for part in parts]
        return Layer(Shapes.of(parts), LAYER_COLOURS[name], False, rules.line_width)
    if LAYERS[name] == "cuboid":
        closed = [part[_CUBOID_ORDER] for part in parts]
    else:  # two points are closed too; their hull has no area and is left out when it is drawn
        closed = [part[[*range(len(part)), 0]] for part in parts]
    return Layer(Shapes.of(closed), LAYER_COLOURS[name], True)


def resample_line(points: np.ndarray, interval: float) -> np.ndarray:
    """A polyline [n, 3] with points added about every `interval` metres; its own vertices stay."""
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    # The reference toolkit's count, which is one piece fewer than length / interval.
    pieces = np.maximum((lengths / interval).astype(int), 2) - 1
    edge = np.repeat(np.arange(len(pieces)), pieces)
    step = (np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[edge]
    return np.concatenate([points[edge] + (points[edge + 1] - points[edge]) * step[:, None], points[-1:]])


def draw_hdmap_frames(
    scene: MapScene, camera: CameraModel, poses: np.ndarray, frames: Sequence[int]
) -> Iterator[np.ndarray]:
    """HDMap pictures uint8 [H, W, 3] (RGB) of the camera's height and width, one a frame.

    Args:
        scene: from `build_scene`.
        camera: scaled to the size of the picture.
        poses: camera-to-world, float64 [T, 4, 4], indexed by frame number.
        frames: the frame numbers to draw, in any order.
    """
    scratch = np.zeros((camera.height, camera.width, 3), np.uint8)
    for first in range(0, len(frames), _BATCH):
        batch = list(frames[first : first + _BATCH])
        world_to_camera = np.linalg.inv(poses[batch])
        strokes = [project_layer(layer, camera, world_to_camera, batch, scene.rules) for layer in scene.layers]
        for index in range(len(batch)):
            picture = np.zeros_like(scratch)
            for layer, marks in zip(scene.layers, strokes, strict=True):
                _stamp(picture, scratch, layer, marks[index])
            yield picture


def _stamp(picture: np.ndarray, scratch: np.ndarray, layer: Layer, marks: Marks) -> None:
    """Draw a layer on the black scratch picture, join it to the picture by maximum, and clear the scratch picture."""
    height = len(picture)
    if isinstance(marks, Hulls):
        if not marks.polygons:
            return
        for polygon, colour in zip(marks.polygons, marks.colours, strict=True):
            cv2.fillPoly(scratch, [polygon], colour)
        rows = np.concatenate([polygon[:, 1] for polygon in marks.polygons])
        top, bottom = int(rows.min()), int(rows.max()) + 1
    else:
        ends = marks.ends
        if not len(ends):
            return
        line, width = cv2.line, layer.width
        for x1, y1, x2, y2, colour in zip(*ends.T.tolist(), marks.colours.tolist(), strict=True):
            line(scratch, (x1, y1), (x2, y2), colour, width)
        top, bottom = int(ends[:, 1::2].min()) - width, int(ends[:, 1::2].max()) + width + 1
    band = slice(max(0, top), min(height, max(0, bottom)))
    np.maximum(picture[band], scratch[band], out=picture[band])
    scratch[band] = 0
