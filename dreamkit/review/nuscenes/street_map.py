"""The map of a clip in nuScenes' form: a picture of the drivable area, and the vector layers of the map expansion.

RDS-HQ has lines and no areas. The drivable area is taken along the drive: between the nearest road boundary to the left
and to the right of each pose, or `NO_BOUNDARY` metres where there is none within `REACH`. Lane lines become
`lane_divider`, crosswalks `ped_crossing`, wait lines narrow `stop_line` areas, traffic lights lines; road boundaries,
poles, signs and road markings stand in layers of their own names, which the devkit does not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from dreamkit.rds.labels import Shapes
from dreamkit.review.nuscenes.records import token_of

RESOLUTION = 0.1
"""Metres a pixel of the map picture, as the devkit expects."""
MARGIN, NEAR = 60.0, 150.0
"""Metres around the drive that a map picture has at least, and within which lines are kept."""
REACH, NO_BOUNDARY = 30.0, 3.5
STOP_WIDTH = 0.4
VERSION = "1.3"
_EMPTY = ("road_segment", "road_block", "lane", "walkway", "carpark_area", "road_divider", "lane_connector")


@dataclass(frozen=True)
class StreetMap:
    """A clip's map in the global frame.

    Attributes:
        offset: added to world coordinates, whole metres [3].
        size: width and height in metres.
        picture: 255 where the area is drivable, uint8 [H, W], north up.
        layers: the file of the map expansion.
    """

    offset: np.ndarray
    size: tuple[int, int]
    picture: np.ndarray
    layers: dict[str, Any]


def street_map(clip: str, layers: Mapping[str, Shapes], drives: Sequence[np.ndarray]) -> StreetMap:
    """The map of a clip.

    Args:
        clip: name of the clip.
        layers: its map layers by name, world metres.
        drives: places of the vehicle on each piece of the drive, world metres [T, 3].
    """
    path = np.concatenate(drives)
    near = {name: [part for part in shapes if _distance(part, path) < NEAR] for name, shapes in layers.items()}
    corners = np.concatenate([path, *(part for parts in near.values() for part in parts)])[:, :2]
    low, high = np.floor(corners.min(0) - MARGIN), np.ceil(corners.max(0) + MARGIN)
    offset, size = np.array([*-low, 0.0]), (int((high - low)[0]), int((high - low)[1]))
    moved = {name: [part + offset for part in parts] for name, parts in near.items()}
    areas = [drivable_area(drive + offset, moved.get("road_boundaries", [])) for drive in drives]
    strips = [strip for area in areas for strip in _strips(area)]
    picture = np.zeros((round(size[1] / RESOLUTION), round(size[0] / RESOLUTION)), np.uint8)
    for strip in strips:  # in one call, pixels of two strips would count as outside
        pixels = np.round(np.stack([strip[:, 0], size[1] - strip[:, 1]], 1) / RESOLUTION).astype(np.int32)
        cv2.fillPoly(picture, [pixels], 255)
    return StreetMap(offset, size, picture, _expansion(clip, moved, strips, size))


def _distance(part: np.ndarray, path: np.ndarray) -> float:
    """Metres from the nearest vertex of a shape to the drive, from above."""
    steps = path[:: max(1, len(path) // 50), None, :2]
    return float(np.linalg.norm(steps - part[None, :, :2], axis=-1).min())


def drivable_area(path: np.ndarray, boundaries: list[np.ndarray]) -> np.ndarray:
    """Outline of the drivable area along a drive, float64 [2 n, 2]: its left side, then its right side backwards.

    Args:
        path: places of the vehicle, metres [T, 3].
        boundaries: road boundaries, metres [n, 3] each.
    """
    steps = np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.arange(0, along[-1] + 1e-9, 1.0) if along[-1] > 1 else np.array([0.0])
    centre = np.stack([np.interp(at, along, path[:, axis]) for axis in (0, 1)], 1)
    forward = np.gradient(centre, axis=0) if len(centre) > 1 else np.array([[1.0, 0.0]])
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)
    if len(centre) == 1:  # a vehicle that stands: an area of some length around it
        centre, forward = centre + np.array([[-2.0], [2.0]]) * forward, np.repeat(forward, 2, axis=0)
    left = np.stack([-forward[:, 1], forward[:, 0]], 1)
    starts = [part[:-1, :2] for part in boundaries if len(part) > 1]
    ends = [part[1:, :2] for part in boundaries if len(part) > 1]
    a = np.concatenate(starts) if starts else np.zeros((0, 2))
    b = np.concatenate(ends) if ends else np.zeros((0, 2))
    sides = [centre + side * left * _reach(centre, side * left, a, b)[:, None] for side in (1.0, -1.0)]
    return np.concatenate([sides[0], sides[1][::-1]])


def _reach(centre: np.ndarray, way: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Metres from each point [n, 2] along its unit direction [n, 2] to the nearest of the segments a to b [m, 2]."""
    if not len(a):
        return np.full(len(centre), NO_BOUNDARY)
    edge, gap = b - a, a[None] - centre[:, None]
    cross = way[:, None, 0] * edge[None, :, 1] - way[:, None, 1] * edge[None, :, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (gap[..., 0] * edge[None, :, 1] - gap[..., 1] * edge[None, :, 0]) / cross
        s = (gap[..., 0] * way[:, None, 1] - gap[..., 1] * way[:, None, 0]) / cross
    met = (np.abs(cross) > 1e-9) & (t > 0.5) & (t < REACH) & (s >= 0) & (s <= 1)
    nearest = np.where(met, t, np.inf).min(1)
    return np.where(np.isfinite(nearest), nearest, NO_BOUNDARY)


def _strips(outline: np.ndarray) -> list[np.ndarray]:
    """The quadrangles between neighbouring poses of an outline from `drivable_area`."""
    half = len(outline) // 2
    left, right = outline[:half], outline[half:][::-1]
    return [np.stack([left[i], left[i + 1], right[i + 1], right[i]]) for i in range(half - 1)]


@dataclass
class _Expansion:
    """Nodes, lines and polygons of a map expansion.

    Attributes:
        clip: name of the clip, part of the tokens.
        layers: layer -> records.
    """

    clip: str
    layers: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"node": [], "line": [], "polygon": [], **{name: [] for name in _EMPTY}}
    )

    def token(self, kind: str) -> str:
        """A new token for a record of this kind."""
        return token_of("map", self.clip, kind, len(self.layers.setdefault(kind, [])))

    def nodes(self, points: np.ndarray) -> list[str]:
        """Add points [n, 2] or [n, 3]; returns their tokens."""
        tokens = []
        for x, y, *z in points.tolist():
            tokens.append(self.token("node"))
            self.layers["node"].append({"token": tokens[-1], "x": x, "y": y, **({"z": z[0]} if z else {})})
        return tokens

    def line(self, points: np.ndarray) -> str:
        """Add a line; returns its token."""
        token, nodes = self.token("line"), self.nodes(points)
        self.layers["line"].append({"token": token, "node_tokens": nodes})
        return token

    def polygon(self, points: np.ndarray) -> str:
        """Add an area; returns its token."""
        token, nodes = self.token("polygon"), self.nodes(points)
        self.layers["polygon"].append({"token": token, "exterior_node_tokens": nodes, "holes": []})
        return token

    def add(self, layer: str, **values: Any) -> None:
        """Add a record to a layer."""
        token = self.token(layer)
        self.layers[layer].append({"token": token, **values})


def _expansion(
    clip: str, moved: Mapping[str, list[np.ndarray]], strips: list[np.ndarray], size: tuple[int, int]
) -> dict[str, Any]:
    """The file of the map expansion."""
    made = _Expansion(clip)
    made.layers["drivable_area"] = []
    made.add("drivable_area", polygon_tokens=[made.polygon(strip) for strip in strips])
    for layer in ("ped_crossing", "stop_line", "lane_divider", "traffic_light"):
        made.layers.setdefault(layer, [])
    for part in moved.get("lanelines", []):
        if len(part) > 1:
            made.add("lane_divider", line_token=made.line(part), lane_divider_segments=[])
    for part in moved.get("crosswalks", []):
        if len(part) > 2:
            made.add("ped_crossing", polygon_token=made.polygon(part), road_segment_token="")
    for part in moved.get("wait_lines", []):
        for strip in _widened(part):
            made.add(
                "stop_line",
                polygon_token=made.polygon(strip),
                # The labels do not say what a wait line waits for; this type asks the devkit for no other record.
                stop_line_type="YIELD",
                ped_crossing_tokens=[],
                traffic_light_tokens=[],
                road_block_token="",
            )
    for part in moved.get("traffic_lights", []):
        middle = part.mean(0).tolist()
        made.add(
            "traffic_light",
            line_token=made.line(np.stack([part.min(0), part.max(0)])),
            traffic_light_type="VERTICAL",
            from_road_block_token="",
            items=[],
            pose=dict(zip(("tx", "ty", "tz", "rx", "ry", "rz"), [*middle, 0.0, 0.0, 0.0], strict=True)),
        )
    for layer, name in (("road_boundaries", "road_boundary"), ("poles", "pole")):
        made.layers[name] = []
        for part in moved.get(layer, []):
            made.add(name, line_token=made.line(part))
    for layer, name in (("road_markings", "road_marking"), ("traffic_signs", "traffic_sign")):
        made.layers[name] = []
        for part in moved.get(layer, []):
            made.add(name, polygon_token=made.polygon(part))
    return {"version": VERSION, "canvas_edge": list(size), "arcline_path_3": {}, "connectivity": {}, **made.layers}


def _widened(line: np.ndarray) -> list[np.ndarray]:
    """The segments of a line [n, 3] as quadrangles [4, 3] of STOP_WIDTH metres."""
    strips = []
    for a, b in pairwise(line):
        way = (b - a)[:2]
        length = float(np.linalg.norm(way))
        if length > 0.05:
            across = np.array([-way[1], way[0], 0.0]) / length * STOP_WIDTH / 2
            strips.append(np.stack([a + across, b + across, b - across, a - across]))
    return strips
