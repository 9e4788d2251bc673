"""Surface of the made-up ground at given points, filtered over each pixel's footprint."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dreamkit.tinyworld.render.scene_tensors import SceneTensors, noise, road_coordinates
from dreamkit.tinyworld.render.style_presets import StylePreset
from dreamkit.tinyworld.world.markings import Paint
from dreamkit.tinyworld.world.road import KERB, MEDIAN_GAP

_STRIPE = 1.2
_PAINT = {"white": (0.78, 0.78, 0.76), "yellow": (0.78, 0.47, 0.05), "stripes": (0.74, 0.74, 0.73)}
_SIDEWALK = 3.2


@dataclass(frozen=True)
class Ground:
    """The ground at n points.

    Attributes:
        albedo: linear RGB [n, 3].
        mirror: reflectivity [n], 0 dry to 1 puddle.
        road: share of the footprint [n] that is road or kerb.
        marks: share of the footprint [n] that is paint or kerb.
    """

    albedo: torch.Tensor
    mirror: torch.Tensor
    road: torch.Tensor
    marks: torch.Tensor


def overlap(x: torch.Tensor, width: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Share of the interval x - width/2 .. x + width/2 that lies in low..high."""
    return ((x + width / 2).clamp(max=high) - (x - width / 2).clamp(min=low)).clamp(min=0) / width


def _stripes(x: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Share of the interval x - width/2 .. x + width/2 under stripes that fill half of every period."""

    def area(at: torch.Tensor) -> torch.Tensor:
        whole = torch.floor(at / _STRIPE)
        return whole * _STRIPE / 2 + (at - whole * _STRIPE).clamp(max=_STRIPE / 2)

    return (area(x + width / 2) - area(x - width / 2)) / width


def mix(a: torch.Tensor, b: tuple[float, ...] | torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Linear interpolation from colours a [n, 3] to b by share [n]."""
    if isinstance(b, tuple):
        b = torch.tensor(b, device=a.device)
    return a + (b - a) * share[:, None]


def ground_at(
    tensors: SceneTensors,
    preset: StylePreset,
    xy: torch.Tensor,
    ray: torch.Tensor,
    distance: torch.Tensor,
    spread: torch.Tensor,
) -> Ground:
    """The ground at points xy [n, 2].

    Args:
        tensors: the scene.
        preset: the style.
        xy: world metres [n, 2].
        ray: unit rays [n, 3] that meet the points.
        distance: along the rays, metres [n].
        spread: radians between neighbouring rays [n].
    """
    coordinates = road_coordinates(tensors, xy)
    across = (distance * spread).clamp(min=1e-3)
    along = across / ray[:, 2].abs().clamp(min=1e-3)
    flat = ray[:, :2] / ray[:, :2].norm(dim=1, keepdim=True).clamp(min=1e-6)
    feet = []  # extent of the footprint along and across each road
    for s_side_cos_sin in coordinates:
        cosine = (flat[:, 0] * s_side_cos_sin[2] + flat[:, 1] * s_side_cos_sin[3]).abs()
        sine = (1 - cosine**2).clamp(min=0).sqrt()
        feet.append((across * sine + along * cosine, across * cosine + along * sine))
    edge, foot, island = _edge_distance(tensors, coordinates, feet)
    road = overlap(edge, foot, -1e4, 0.0)
    kerb = overlap(edge, foot, 0.0, KERB)
    within = rim = torch.zeros_like(road)
    if island is not None:
        # The median has a kerb along its edge and is paved inside.
        within = overlap(island, feet[0][1], -1e4, 0.0)
        rim = overlap(island, feet[0][1], -KERB, 0.0)
        road, kerb = road * (1 - within), kerb + rim
    coarse, fine = noise(tensors, xy, 90.0), noise(tensors, xy, 13.0) * (0.4 / along).clamp(max=1.0)
    albedo = _beside(tensors, edge, foot, coarse, fine)
    asphalt = 0.098 * (1 + 0.16 * fine + 0.10 * coarse) * (1 - 0.14 * _tracks(tensors, coordinates, feet))
    painted, marks = _paint(tensors, preset, asphalt[:, None].expand(-1, 3), coordinates, feet)
    snow = preset.snow
    if snow:
        albedo = mix(albedo, (0.82, 0.84, 0.88), snow * (0.9 + 0.1 * fine).clamp(0, 1) * torch.ones_like(edge))
        cover = snow * (0.6 + 0.12 * coarse + 0.12 * fine - 0.3 * _tracks(tensors, coordinates, feet)).clamp(0, 0.9)
        painted = mix(painted, (0.8, 0.82, 0.86), cover)
    if preset.wet:
        painted = painted * 0.6
        albedo = albedo * 0.75
    albedo = mix(albedo, (0.36, 0.355, 0.34) if not snow else (0.62, 0.63, 0.65), kerb)
    if island is not None:
        albedo = mix(albedo, (0.22, 0.21, 0.2) if not snow else (0.75, 0.77, 0.8), (within - rim).clamp(min=0))
    albedo = mix(albedo, painted, road)
    puddles = (0.75 + 0.5 * coarse + 0.2 * fine).clamp(0.35, 1.0)
    return Ground(albedo, preset.wet * road * puddles, (road + kerb).clamp(max=1), (marks * road + kerb).clamp(max=1))


def _edge_distance(
    tensors: SceneTensors, coordinates: torch.Tensor, feet: list
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Metres beyond the nearest boundary (negative on the road), footprint across it, metres beyond the median."""
    beyond = []
    for road, found in zip(tensors.roads, coordinates, strict=True):
        right, left = road.edges
        beyond.append(torch.maximum(found[1] - left, right - found[1]))
    first = tensors.roads[0]
    island = coordinates[0, 1].abs() - (first.median - MEDIAN_GAP) if first.median else None
    if len(beyond) == 1:
        return beyond[0], feet[0][1], island
    assert tensors.junction is not None  # two roads cross
    a, b, r = beyond[0], beyond[1], tensors.junction.radius
    # Union of both roads with corners of radius r: outside both, the distance is r less that to the arc's centre.
    rounded = r - torch.hypot((r - a).clamp(min=0), (r - b).clamp(min=0))
    edge = torch.where((a < r) & (b < r), rounded, torch.minimum(a, b))
    edge = torch.where((a < 0) | (b < 0), torch.minimum(torch.minimum(a, b), edge), edge)
    return edge, torch.where(a < b, feet[0][1], feet[1][1]), island


def _tracks(tensors: SceneTensors, coordinates: torch.Tensor, feet: list) -> torch.Tensor:
    """Darkness of wheel tracks, 0..1 [n]: two bands per lane, on the first road."""
    road = tensors.roads[0]
    side = coordinates[0, 1].abs() - road.median
    within = torch.remainder(side, road.lane) - road.lane / 2
    deep = (1 - (within.abs() - 0.8).abs() / 0.45).clamp(min=0)
    return deep * ((side > 0) & (side < max(road.right, road.left) * road.lane)) * (1.0 / feet[0][1]).clamp(max=1)


def _paint(
    tensors: SceneTensors, preset: StylePreset, base: torch.Tensor, coordinates: torch.Tensor, feet: list
) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour of the road with its paint [n, 3], and the painted share [n]."""
    marks = torch.zeros_like(base[:, 0])
    lengthwise: dict[tuple, torch.Tensor] = {}
    for mark in tensors.paint:
        (s, side), (foot_s, foot_side) = coordinates[mark.road, :2], feet[mark.road]
        key = (mark.road, mark.s0, mark.s1)
        if key not in lengthwise:
            lengthwise[key] = overlap(s, foot_s, mark.s0, mark.s1)
        cover = lengthwise[key] * overlap(side, foot_side, mark.d0, mark.d1)
        full = cover
        if mark.kind == "stripes":
            cover = cover * _stripes(side, foot_side)
        elif mark.kind == "arrow":
            cover = cover * _arrow(tensors, mark, s, side)
        base = mix(base, _PAINT.get(mark.kind, _PAINT["white"]), cover * (0.92 - 0.25 * preset.snow))
        marks = torch.maximum(marks, full)
    return base, marks


def _arrow(tensors: SceneTensors, mark: Paint, s: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """1 inside an arrow that fills the rectangle and points in the direction of its lane, else 0."""
    along = (s - mark.s0) / (mark.s1 - mark.s0)
    if mark.d0 > 0:
        along = 1 - along
    off = (side - (mark.d0 + mark.d1) / 2).abs() / ((mark.d1 - mark.d0) / 2)
    return (((along < 0.6) & (off < 0.28)) | ((along >= 0.6) & (off < (1 - along) / 0.4))).float()


def _beside(
    tensors: SceneTensors, edge: torch.Tensor, foot: torch.Tensor, coarse: torch.Tensor, fine: torch.Tensor
) -> torch.Tensor:
    """Albedo [n, 3] beyond the kerb: pavement and yards in a street, gravel and grass elsewhere."""
    grass = torch.tensor((0.06, 0.11, 0.025), device=edge.device) * (1 + 0.35 * fine + 0.3 * coarse)[:, None]
    if tensors.setting == "street":
        yard = mix(grass, (0.16, 0.15, 0.14), (coarse * 3 + 0.3).clamp(0, 1))
        return mix(yard, (0.25, 0.245, 0.235), overlap(edge, foot, 0.0, _SIDEWALK) * (0.92 + 0.08 * fine))
    gravel = overlap(edge, foot, 0.0, 1.2)
    return mix(grass, (0.2, 0.17, 0.13), gravel * 0.8)
