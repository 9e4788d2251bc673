"""Roadside objects: poles, lamps, signs and traffic lights (in the map), buildings and trees (not in the map).

Every object is made of convex solids: boxes with a heading, wedges (boxes whose sides lean inwards) and ellipsoids.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dreamkit.rds.labels import Shapes
from dreamkit.tinyworld.world.road import Junction, Road
from dreamkit.tinyworld.world.solids import BALL, BOX, BUILDING, LAMP, LEAVES, LIGHT, PLAIN, POLE, SIGN, WEDGE, Solid


def roadside_solids(
    rng: np.random.Generator, setting: str, roads: tuple[Road, ...], junction: Junction | None, green: bool
) -> tuple[list[Solid], np.ndarray]:
    """All roadside solids, and the positions [L, 3] of street lamps; `green` are the lights of the first road."""
    solids, lamps = [], []
    for index, road in enumerate(roads):
        gaps = [junction.reach(roads, index)] if junction else []
        extent = (-75.0, 185.0) if index == 0 else (-85.0, 85.0)
        found, lit = _poles(rng, setting, road, extent, gaps)
        solids += found
        lamps += lit
        if setting == "street":
            solids += _buildings(rng, road, extent, gaps, roads[1 - index] if junction else None)
            solids += _trees(rng, road, extent, gaps, (3.6, 4.6), 0.05)
        else:
            solids += _trees(rng, road, extent, gaps, (4.0, 22.0), 0.12 if setting == "highway" else 0.16)
            solids += _buildings(rng, road, extent, gaps, None, away=30.0, chance=0.25)
        if setting != "street" or rng.random() < 0.5:
            solids += _signs(rng, setting, road, extent, gaps)
    if junction:
        solids += _traffic_lights(roads, junction, green)
    return solids, np.array(lamps, np.float64).reshape(-1, 3)


def _is_free(s: float, gaps: list[tuple[float, float]], room: float) -> bool:
    return not any(a - room < s < b + room for a, b in gaps)


def _poles(
    rng: np.random.Generator, setting: str, road: Road, extent: tuple[float, float], gaps: list
) -> tuple[list[Solid], list[tuple[float, float, float]]]:
    solids, lamps = [], []
    lit = setting != "rural"
    height = float(rng.uniform(7.2, 9.0) if lit else rng.uniform(5.0, 6.5))
    spacing, sides = float(rng.uniform(24, 38)), road.edges if rng.random() < 0.7 else road.edges[:1]
    for edge in sides:
        out = np.sign(edge)
        for s in np.arange(extent[0] + rng.uniform(0, spacing), extent[1], spacing):
            if not _is_free(s, gaps, 2.0):
                continue
            (x, y), heading = road.curve.at(s, edge + out * 0.9)
            heading = float(heading)
            solids.append(_pole((x, y), height, heading))
            if lit:
                # An arm over the road with the lamp at its end.
                arm, end = road.curve.at(s, edge - out * 0.1)[0], road.curve.at(s, edge - out * 1.0)[0]
                solids.append(Solid(BOX, PLAIN, (*arm, height - 0.05), (0.06, 1.0, 0.06), heading, (0.12, 0.12, 0.13)))
                solids.append(Solid(BOX, LAMP, (*end, height - 0.1), (0.16, 0.4, 0.1), heading, (0.5, 0.48, 0.42)))
                lamps.append((float(end[0]), float(end[1]), height - 0.2))
    return solids, lamps


def _pole(place: tuple[float, float], height: float, heading: float) -> Solid:
    x, y = place
    return Solid(
        BOX, POLE, (float(x), float(y), height / 2), (0.12, 0.12, height / 2), heading, (0.1, 0.1, 0.11), layer="poles"
    )


def _signs(rng: np.random.Generator, setting: str, road: Road, extent: tuple[float, float], gaps: list) -> list[Solid]:
    """Small square signs on posts, facing the traffic; large green ones beside a highway."""
    solids = []
    large = setting == "highway"
    for edge in road.edges:
        for s in np.arange(extent[0] + rng.uniform(0, 50), extent[1], rng.uniform(35, 80)):
            if not _is_free(s, gaps, 3.0):
                continue
            side = edge + np.sign(edge) * (2.4 if large else 1.2)
            (x, y), heading = road.curve.at(s, side)
            half = (0.05, 1.8, 1.1) if large else (0.03, 0.42, 0.42)
            z = 4.6 if large else 2.7
            colour = (0.02, 0.2, 0.09) if large else ((0.55, 0.03, 0.03) if edge < 0 else (0.03, 0.1, 0.45))
            solids.append(_pole((x, y), z - half[2], float(heading)))
            facing = float(heading) + (np.pi if edge < 0 else 0.0)
            solids.append(Solid(BOX, SIGN, (float(x), float(y), z), half, facing, colour, layer="traffic_signs"))
    return solids


def _traffic_lights(roads: tuple[Road, ...], junction: Junction, green: bool) -> list[Solid]:
    """Traffic lights of every approach, on its far right and near right corners."""
    solids = []
    for index, road in enumerate(roads):
        low, high = junction.reach(roads, index)
        right, left = road.edges
        shown = green if index == 0 else not green
        colour = (0.05, 0.9, 0.25) if shown else (0.95, 0.05, 0.03)
        for s, side, turned in (
            (high - 1.0, right - 1.2, np.pi),
            (low - 5.4, right - 1.2, np.pi),
            (low + 1.0, left + 1.2, 0.0),
            (high + 5.4, left + 1.2, 0.0),
        ):
            (x, y), heading = road.curve.at(s, side)
            solids.append(_pole((x, y), 4.2, float(heading)))
            solids.append(
                Solid(
                    BOX,
                    LIGHT,
                    (float(x), float(y), 4.75),
                    (0.2, 0.25, 0.55),
                    float(heading) + turned,
                    colour,
                    layer="traffic_lights",
                )
            )
    return solids


_WALLS = ((0.42, 0.22, 0.15), (0.5, 0.44, 0.34), (0.33, 0.33, 0.35), (0.55, 0.52, 0.47), (0.28, 0.2, 0.16))


def _buildings(
    rng: np.random.Generator,
    road: Road,
    extent: tuple[float, float],
    gaps: list,
    cross: Road | None,
    away: float = 5.0,
    chance: float = 0.85,
) -> list[Solid]:
    solids = []
    for edge in road.edges:
        s = extent[0]
        while s < extent[1]:
            width, depth = rng.uniform(9, 20), rng.uniform(8, 12)
            height = float(rng.choice([4.5, 7.5, 10.5, 13.5, 19.5], p=[0.15, 0.3, 0.25, 0.2, 0.1]))
            side = edge + np.sign(edge) * (away + rng.uniform(0, 2.5) + depth / 2)
            place, heading = road.curve.at(s + width / 2, side)
            colour = tuple(np.array(_WALLS[rng.integers(len(_WALLS))]) * rng.uniform(0.8, 1.2))
            if rng.random() < chance and _is_free(s + width / 2, gaps, width / 2 + 3 if cross else 0):
                half = (width / 2, depth / 2, height / 2)
                solids.append(
                    Solid(BOX, BUILDING, (float(place[0]), float(place[1]), height / 2), half, float(heading), colour)
                )
            s += width + rng.uniform(0, 4)
    return solids


def _trees(
    rng: np.random.Generator,
    road: Road,
    extent: tuple[float, float],
    gaps: list,
    away: tuple[float, float],
    density: float,
) -> list[Solid]:
    """Broad-leaved trees as ellipsoids on trunks, conifers as steep wedges; `density` trees per metre on each side."""
    solids = []
    for edge in road.edges:
        for s in rng.uniform(*extent, rng.poisson(density * (extent[1] - extent[0]))):
            if not _is_free(s, gaps, 5.0):
                continue
            side = edge + np.sign(edge) * rng.uniform(*away)
            (x, y), _ = road.curve.at(s, side)
            x, y, tall = float(x), float(y), float(rng.uniform(4.5, 9))
            shade = float(rng.uniform(0.7, 1.2))
            green = (0.05 * shade, 0.12 * shade, 0.03 * shade)
            if rng.random() < 0.65:
                wide = tall * float(rng.uniform(0.22, 0.3))
                crown = (wide, wide, tall * 0.32)
                solids.append(Solid(BALL, LEAVES, (x, y, tall * 0.68), crown, 0.0, green))
                solids.append(
                    Solid(BOX, PLAIN, (x, y, tall * 0.25), (0.13, 0.13, tall * 0.25), 0.3, (0.07, 0.05, 0.03))
                )
            else:
                wide = tall * 0.25
                turned = float(rng.uniform(0, 1.5))
                colour = (0.03 * shade, 0.09 * shade, 0.04 * shade)
                solids.append(
                    Solid(WEDGE, LEAVES, (x, y, tall * 0.55), (wide, wide, tall * 0.45), turned, colour, (wide, wide))
                )
                solids.append(
                    Solid(BOX, PLAIN, (x, y, tall * 0.06), (0.15, 0.15, tall * 0.06), 0.3, (0.07, 0.05, 0.03))
                )
    return solids


def map_layers(solids: Iterable[Solid]) -> dict[str, Shapes]:
    """RDS-HQ map layers of solids: poles as vertical lines, signs and lights as cuboids, in world metres."""
    layers: dict[str, list[np.ndarray]] = {"poles": [], "traffic_signs": [], "traffic_lights": []}
    for solid in solids:
        if solid.layer == "poles":
            x, y, z = solid.centre
            layers["poles"].append(np.array([[x, y, 0.0], [x, y, z + solid.half[2]]]))
        elif solid.layer:
            layers[solid.layer].append(_cuboid(solid))
    return {name: Shapes.of(shapes) for name, shapes in layers.items()}


def _cuboid(solid: Solid) -> np.ndarray:
    """Corners [8, 3]: the four of one face in a circle, then those of the opposite face in the same order."""
    signs = np.array([(a, b, c) for c in (1, -1) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))])
    local = signs * np.array(solid.half)
    cosine, sine = np.cos(solid.heading), np.sin(solid.heading)
    turned = np.stack([cosine * local[:, 0] - sine * local[:, 1], sine * local[:, 0] + cosine * local[:, 1]], 1)
    return np.concatenate([turned, local[:, 2:]], 1) + np.array(solid.centre)
