"""Road markings as rectangles in road coordinates, and the matching RDS-HQ map layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamkit.rds.labels import Shapes
from dreamkit.tinyworld.world.road import MEDIAN_GAP, Curve, Junction, Road, corner_centres

LINE_WIDTH = 0.3  # wider than real lines, so that a line covers more than a pixel at the tiny model's size
KINDS = ("white", "yellow", "stripes", "arrow", "bar")
_LAYER = {"stripes": "crosswalks", "arrow": "road_markings", "bar": "wait_lines"}
# Metres between vertices; on bends a chord stays within some centimetres of the line.
_ON_BENDS, _ON_STRAIGHTS = 4.0, 8.0


@dataclass(frozen=True)
class Paint:
    """A painted rectangle in road coordinates: s in s0..s1 and side in d0..d1.

    Attributes:
        road: index of the road.
        kind: one of KINDS; an arrow points to s1.
        s0, s1: start and end along the road, metres.
        d0, d1: right and left side, metres to the left of the road's curve.
    """

    road: int
    kind: str
    s0: float
    s1: float
    d0: float
    d1: float


def stretches(roads: tuple[Road, ...], junction: Junction | None, index: int, extent: tuple[float, float]) -> list:
    """Parts (s0, s1) of a road with lane lines: all of it, or the two parts outside a junction."""
    if junction is None:
        return [extent]
    low, high = junction.reach(roads, index)
    return [(extent[0], low - 5.0), (high + 5.0, extent[1])]


def paint(
    roads: tuple[Road, ...],
    junction: Junction | None,
    extents: list[tuple[float, float]],
    crossing: float | None,
    arrows: list[tuple[int, int, float]],
) -> list[Paint]:
    """All road markings of a scene.

    Args:
        roads: one or two.
        junction: where they cross, or None.
        extents: (s0, s1) of each road.
        crossing: s of a crosswalk on the first road outside junctions, or None.
        arrows: (road, lane, s) of straight-on arrows.
    """
    found = []
    for index, road in enumerate(roads):
        for s0, s1 in stretches(roads, junction, index, extents[index]):
            for side, yellow in road.lines:
                kind = "yellow" if yellow else "white"
                found.append(Paint(index, kind, s0, s1, side - LINE_WIDTH / 2, side + LINE_WIDTH / 2))
        if junction:
            low, high = junction.reach(roads, index)
            found += _crosswalk(index, road, low - 3.9, True, False) + _crosswalk(index, road, high + 0.7, False, True)
    if crossing is not None:
        found += _crosswalk(0, roads[0], crossing, True, True)
    for index, lane, s in arrows:
        side, ahead = roads[index].centre(lane), 1.5 if lane >= 0 else -1.5
        found.append(Paint(index, "arrow", s - ahead, s + ahead, side - 0.7, side + 0.7))
    return found


def _crosswalk(index: int, road: Road, s: float, before: bool, after: bool) -> list[Paint]:
    """A crosswalk from s to s + 3.2, with wait lines before it (for traffic along the curve) and after it."""
    right, left = road.edges
    found = [Paint(index, "stripes", s, s + 3.2, right + 0.4, left - 0.4)]
    if before:
        found.append(Paint(index, "bar", s - 1.6, s - 1.1, -(road.median + road.right * road.lane), -road.median - 0.3))
    if after and road.left:
        found.append(Paint(index, "bar", s + 4.3, s + 4.8, road.median + 0.3, road.median + road.left * road.lane))
    return found


def ground_layers(
    roads: tuple[Road, ...], junction: Junction | None, painted: list[Paint], extents: list[tuple[float, float]]
) -> dict[str, Shapes]:
    """Lane lines, wait lines, crosswalks, road markings and road boundaries as RDS-HQ shapes, in world metres."""
    layers: dict[str, list[np.ndarray]] = {
        name: [] for name in ("lanelines", "wait_lines", "crosswalks", "road_markings", "road_boundaries")
    }
    for mark in painted:
        curve = roads[mark.road].curve
        s, side = (mark.s0 + mark.s1) / 2, (mark.d0 + mark.d1) / 2
        if mark.kind in ("white", "yellow"):
            layers["lanelines"].append(_flat(curve.at(_steps(mark.s0, mark.s1, curve), side)[0]))
        elif mark.kind == "bar":
            layers["wait_lines"].append(_flat(curve.at(np.array([s, s]), np.array([mark.d0, mark.d1]))[0]))
        else:
            sides = _steps(mark.d0, mark.d1)
            around = np.concatenate([sides, sides[::-1]])
            at = np.repeat([mark.s0, mark.s1], len(sides))
            layers[_LAYER[mark.kind]].append(_flat(curve.at(at, around)[0]))
    layers["road_boundaries"] = boundaries(roads, junction, extents)
    return {name: Shapes.of(shapes) for name, shapes in layers.items()}


def boundaries(
    roads: tuple[Road, ...], junction: Junction | None, extents: list[tuple[float, float]]
) -> list[np.ndarray]:
    """Boundary polylines [n, 3]: both edges and the median's, or the four rounded corners of a junction."""
    main, found = roads[0], []
    sides = [*main.edges, *([MEDIAN_GAP - main.median, main.median - MEDIAN_GAP] if main.median else [])]
    if junction is None:
        return [_flat(main.curve.at(_steps(*extents[0], main.curve), side)[0]) for side in sides]
    cross = roads[1]
    for centre, (end, other_end) in zip(corner_centres(roads, junction), _ENDS, strict=True):
        toward = 1.0 if centre[0] < junction.at[0] else -1.0
        inward = 1.0 if centre[1] < 0 else -1.0
        turn = np.linspace(0, np.pi / 2, 7)
        arc = centre + junction.radius * np.stack([toward * np.sin(turn), inward * np.cos(turn)], 1)
        along = _steps(extents[0][end], centre[0], main.curve)[:-1]
        first = main.curve.at(along, centre[1] + inward * junction.radius)[0]
        middle = main.curve.at(arc[:, 0], arc[:, 1])[0]
        away = _steps(junction.at[1] + centre[1], extents[1][other_end], cross.curve)[1:]
        last = cross.curve.at(away, junction.at[0] - (centre[0] + toward * junction.radius))[0]
        found.append(_flat(np.concatenate([first, middle, last])))
    return found


# For each corner, which ends of the first and second road its boundary runs to.
_ENDS = ((0, 0), (1, 0), (1, 1), (0, 1))


def _steps(a: float, b: float, curve: Curve | None = None) -> np.ndarray:
    every = _ON_STRAIGHTS if curve is not None and np.ptp(curve.heading) < 1e-6 else _ON_BENDS
    return np.linspace(a, b, max(2, round(abs(b - a) / every) + 1))


def _flat(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.zeros((len(points), 1))], 1)
