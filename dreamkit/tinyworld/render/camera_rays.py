"""Rendering of one batch of cameras: trace rays, light the surfaces, add reflections, fog and weather."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from dreamkit.tinyworld.render import shade
from dreamkit.tinyworld.render.ground import ground_at
from dreamkit.tinyworld.render.raycast import Picks, cone_meets, order_tiles, pick, to_local, trace
from dreamkit.tinyworld.render.scene_tensors import SceneTensors
from dreamkit.tinyworld.render.style_presets import StylePreset
from dreamkit.tinyworld.render.weather import through_air
from dreamkit.tinyworld.world.solids import BODY

_SHADOW_REACH = 90.0  # metres from the camera within which the ground gets shadows
_LAMP_REACH = 26.0  # metres that the headlights of other vehicles reach
_SMALLEST = 0.15  # apparent radius in pixels below which a solid is left out


@dataclass(frozen=True)
class CameraBatch:
    """N pictures to render: tiled rays of V cameras, and the camera, frame and pose of each picture.

    Attributes:
        ray: unit rays in camera axes, float32 [V, tiles, p, 3].
        axis: axis of the cone around each tile, float32 [V, tiles, 3].
        angle: half its opening angle, radians [V, tiles].
        spread: radians between neighbouring rays [V].
        view: camera of each picture, int64 [N].
        frame: frame number of each picture, int64 [N].
        pose: camera-to-world, float32 [N, 4, 4].
    """

    ray: torch.Tensor
    axis: torch.Tensor
    angle: torch.Tensor
    spread: torch.Tensor
    view: torch.Tensor
    frame: torch.Tensor
    pose: torch.Tensor


@dataclass(frozen=True)
class RaySamples:
    """What each ray meets, float32 [N, tiles, p] unless noted.

    Attributes:
        light: linear RGB [N, tiles, p, 3].
        determined: share of the surface that the condition determines.
        marks: share that is paint, kerb or a mapped object.
        distance: metres along the ray; 0 for the sky.
        still: whether the surface is static, bool.
        track: index of the road user that is met, int64; -1 for anything else.
    """

    light: torch.Tensor
    determined: torch.Tensor
    marks: torch.Tensor
    distance: torch.Tensor
    still: torch.Tensor
    track: torch.Tensor


@dataclass(frozen=True)
class _Tiled:
    """M tiles sorted by `order_tiles`: frame [M], eye [M, 3], world ray [M, p, 3], spread [M]."""

    frame: torch.Tensor
    eye: torch.Tensor
    ray: torch.Tensor
    spread: torch.Tensor


def trace_cameras(tensors: SceneTensors, preset: StylePreset, batch: CameraBatch) -> RaySamples:
    """Trace and shade all rays of a batch."""
    count, tiles = len(batch.view), batch.ray.shape[1]
    ray = _turned(batch.ray[batch.view], batch.pose[:, None, None]).flatten(0, 1)
    axis = _turned(batch.axis[batch.view], batch.pose[:, None]).flatten(0, 1)
    frame, view = batch.frame.repeat_interleave(tiles), batch.view.repeat_interleave(tiles)
    eye, angle = batch.pose[:, :3, 3].repeat_interleave(tiles, 0), batch.angle[batch.view].flatten()
    smallest = float(batch.spread.min()) * _SMALLEST
    meets, away = cone_meets(tensors, frame, eye, axis, angle, smallest)
    order = order_tiles(meets)
    tiled = _Tiled(frame[order], eye[order], ray[order], batch.spread[view][order])
    distance, solid = trace(
        tensors, tiled.frame, pick(tensors, meets[order], away[order]), tiled.eye[:, None], tiled.ray
    )
    down = tiled.ray[..., 2]
    floor = torch.where(down < -1e-5, -tiled.eye[:, 2:] / down.clamp(max=-1e-5), torch.inf)
    light, determined, marks, mirror = _surface_light(tensors, preset, tiled, distance, solid, floor)
    if preset.wet:
        light = light + _reflected(tensors, preset, tiled, floor, distance, mirror, axis[order], angle[order], smallest)
    reached = torch.minimum(distance, floor)
    light = through_air(preset, tiled.ray, tiled.frame, tiled.spread, light, reached)
    track = torch.where(floor < distance, -1, tensors.track[solid])
    reached = torch.where(reached.isfinite(), reached, 0.0)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)

    def restored(values: torch.Tensor) -> torch.Tensor:
        return values[back].unflatten(0, (count, tiles))

    return RaySamples(*map(restored, (light, determined, marks, reached, (track < 0) & (reached > 0), track)))


def _turned(ray: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Rays [..., 3] rotated by poses [..., 4, 4]."""
    # Not a matrix product: a GPU may run it in TF32, with ten bits of mantissa.
    x, y, z = (ray[..., axis, None] * pose[..., :3, axis] for axis in range(3))
    return x + y + z


def _surface_light(
    tensors: SceneTensors,
    preset: StylePreset,
    tiled: _Tiled,
    distance: torch.Tensor,
    solid: torch.Tensor,
    floor: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Light [M, p, 3] before fog, and the shares [M, p] of determined surface, marks, and reflectivity."""
    light = torch.zeros_like(tiled.ray)
    shares = torch.zeros(*distance.shape, 3, device=light.device)
    on_ground, on_solid = floor < distance, distance < floor
    nothing = ~(on_ground | on_solid)
    light[nothing] = shade.sky(tensors, preset, tiled.ray[nothing])
    row, _ = on_solid.nonzero(as_tuple=True)
    if len(row):
        light[on_solid] = _lit_solids(
            tensors, preset, tiled, row, tiled.ray[on_solid], distance[on_solid], solid[on_solid]
        )
        shares[on_solid] = tensors.mapped[solid[on_solid]].float()[:, None] * torch.tensor(
            (1.0, 1.0, 0.0), device=light.device
        )
    row, _ = on_ground.nonzero(as_tuple=True)
    if len(row):
        ray, t = tiled.ray[on_ground], floor[on_ground]
        point = tiled.eye[row] + ray * t[:, None]
        found = ground_at(tensors, preset, point[:, :2], ray, t, tiled.spread[row])
        open_sky, sunlit, lamps = _ground_light(tensors, preset, tiled, floor, on_ground)
        up = torch.zeros_like(point)
        up[:, 2] = 1
        arriving = _arriving(preset, up, sunlit[on_ground]) * open_sky[on_ground][:, None]
        if preset.lamps:
            arriving = arriving + shade.lamp_light(tensors, point, up) + lamps[on_ground][:, None]
            arriving = arriving + shade.head_light(tensors.ego[tiled.frame[row]], point, up)
        light[on_ground] = found.albedo * arriving
        shares[on_ground] = torch.stack([found.road, found.marks, found.mirror], 1)
    return light, shares[..., 0], shares[..., 1], shares[..., 2]


def _lit_solids(
    tensors: SceneTensors,
    preset: StylePreset,
    tiled: _Tiled,
    row: torch.Tensor,
    ray: torch.Tensor,
    distance: torch.Tensor,
    solid: torch.Tensor,
) -> torch.Tensor:
    """Light [n, 3] from solids along rays [n, 3] of tiles `row` [n]."""
    point = tiled.eye[row] + ray * distance[:, None]
    frame = tiled.frame[row]
    albedo, own, normal = shade.solids(tensors, preset, frame, solid, point, ray)
    arriving = _arriving(preset, normal, torch.ones_like(distance))
    if preset.lamps:
        arriving = arriving + 0.5 * shade.lamp_light(tensors, point, normal)
        arriving = arriving + shade.head_light(tensors.ego[frame], point, normal)
    # Car paint and glass reflect some sky, more at grazing angles.
    glossy = (tensors.track[solid] >= 0).float() * 0.9 + 0.1
    cosine = (ray * normal).sum(1)
    mirrored = ray - 2 * cosine[:, None] * normal
    slant = 0.04 + 0.5 * (1 - cosine.abs()).clamp(0, 1) ** 4
    sky = shade.sky(tensors, preset, mirrored) * (mirrored[:, 2:] > -0.05)
    return albedo * arriving + own + sky.clamp(max=1.5) * (glossy * slant)[:, None] * 0.8


def _arriving(preset: StylePreset, normal: torch.Tensor, sunlit: torch.Tensor) -> torch.Tensor:
    """Irradiance [n, 3] of sun and sky on surfaces with normals [n, 3]; `sunlit` [n] is 0..1."""
    device = normal.device
    sky = torch.tensor(preset.sky_rgb, device=device)
    facing = 0.62 + 0.38 * normal[:, 2]
    # Light that the ground reflects onto walls and undersides.
    bounce = (0.5 - 0.5 * normal[:, 2]) * (0.12 + 0.5 * preset.snow)
    total = sky * (facing + bounce)[:, None]
    if shade.has_sun(preset):
        sun = torch.tensor(shade.sun_direction(preset), device=device)
        total = total + torch.tensor(preset.sun_rgb, device=device) * ((normal @ sun).clamp(min=0) * sunlit)[:, None]
    return total


def _ground_light(
    tensors: SceneTensors, preset: StylePreset, tiled: _Tiled, floor: torch.Tensor, on_ground: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For ground points [M, p]: share of sky not hidden by vehicles, sunlit share, and light of their headlights."""
    near = on_ground & (floor < _SHADOW_REACH)
    xy = tiled.eye[:, None, :2] + tiled.ray[..., :2] * torch.where(near, floor, 0.0)[..., None]
    low = torch.where(near[..., None], xy, torch.inf).amin(1)
    high = torch.where(near[..., None], xy, -torch.inf).amax(1)
    open_sky, lamps = torch.ones_like(floor), torch.zeros_like(floor)
    centre = tensors.centre[tiled.frame]
    reach = _LAMP_REACH if preset.lamps else 2.0
    touched = _circle_meets(centre[..., :2], tensors.radius + reach, low, high) & (tensors.material == BODY)
    for order, frame, places, solid, m in _in_lists(tensors, tiled, touched, xy):
        (x, y, _), _ = to_local(tensors, frame, solid, places, places)
        half = tensors.half[solid]
        beside = torch.hypot((x.abs() - half[:, :1]).clamp(min=0), (y.abs() - half[:, 1:2]).clamp(min=0))
        rows = order[:m]
        open_sky[rows] = torch.minimum(open_sky[rows], 1 - 0.8 * torch.exp(-beside / 0.45))
        if preset.lamps:
            lamps[rows] = lamps[rows] + 1.6 * shade.beam(x - half[:, :1], y, _LAMP_REACH)
    sunlit = torch.ones_like(floor)
    if shade.has_sun(preset):
        sun = shade.sun_direction(preset)
        # A solid's shadow reaches from its base to the shadow of its top.
        slope = torch.tensor(sun[:2], device=xy.device) / sun[2]
        top = (tensors.centre[0, :, 2] + tensors.half[:, 2]).clamp(0, 40)
        middle = centre[..., :2] - slope * top[:, None] / 2
        radius = tensors.radius + slope.norm() * top / 2
        meets = _circle_meets(middle, radius, low, high)
        order = order_tiles(meets)
        picks = pick(tensors, meets[order], torch.zeros_like(radius).expand_as(meets))
        origin = torch.cat([xy[order], torch.zeros_like(xy[order][..., :1])], -1)
        ray = torch.tensor(sun, device=xy.device).expand(len(order), 1, 3)
        blocked, _ = trace(tensors, tiled.frame[order], picks, origin, ray, 0.02)
        sunlit[order] = (~blocked.isfinite()).float()
        sunlit = torch.where(near, sunlit, 1.0)
    return open_sky, sunlit, lamps


def _in_lists(tensors: SceneTensors, tiled: _Tiled, touched: torch.Tensor, xy: torch.Tensor) -> list[tuple]:
    """For each k, the k-th boxes of all tiles that have one: (order, frames, ground points [m, p, 3], solids, m)."""
    order = order_tiles(touched)
    picks = pick(tensors, touched[order], torch.zeros(1, device=xy.device).expand_as(touched))
    places = torch.cat([xy, torch.zeros_like(xy[..., :1])], -1)[order]
    frame = tiled.frame[order]
    return [(order, frame[:m], places[:m], picks.solids[0][:m, k], m) for k, m in enumerate(picks.lengths[0])]


def _circle_meets(centre: torch.Tensor, radius: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Whether circles (centre [M, B, 2], radius [B]) meet rectangles low..high [M, 2], bool [M, B]."""
    nearest = torch.maximum(torch.minimum(centre, high[:, None]), low[:, None])
    return ((centre - nearest).norm(dim=-1) < radius) & (high[:, :1] >= low[:, :1])


def _reflected(
    tensors: SceneTensors,
    preset: StylePreset,
    tiled: _Tiled,
    floor: torch.Tensor,
    distance: torch.Tensor,
    mirror: torch.Tensor,
    axis: torch.Tensor,
    angle: torch.Tensor,
    smallest: float,
) -> torch.Tensor:
    """Light [M, p, 3] that a wet road reflects, traced from the camera's mirror image below the ground."""
    flip = torch.tensor((1.0, 1.0, -1.0), device=floor.device)
    eye = tiled.eye * flip
    # Ripples stretch reflections vertically, as on wet asphalt.
    ripple = shade.noise(
        tensors, (tiled.eye[:, None, :2] + tiled.ray[..., :2] * floor.clamp(max=200)[..., None]).reshape(-1, 2), 6.0
    )
    ray = tiled.ray * flip
    tilt = 0.035 * ripple.reshape(floor.shape)
    ray = functional.normalize(torch.stack([ray[..., 0], ray[..., 1], ray[..., 2] * (1 + 2 * tilt)], -1), dim=-1)
    meets, away = cone_meets(tensors, tiled.frame, eye, axis * flip, angle + 0.03, smallest)
    order = order_tiles(meets)
    picks: Picks = pick(tensors, meets[order], away[order])
    start = torch.where(floor < distance, floor, torch.inf)
    hit, solid = trace(tensors, tiled.frame[order], picks, eye[order][:, None], ray[order], start[order])
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    hit, solid = hit[back], solid[back]
    wet = (mirror > 0) & start.isfinite()
    light = torch.zeros_like(ray)
    from_sky = wet & ~hit.isfinite()
    light[from_sky] = shade.sky(tensors, preset, ray[from_sky])
    on_solid = wet & hit.isfinite()
    row, _ = on_solid.nonzero(as_tuple=True)
    if len(row):
        below = _Tiled(tiled.frame, eye, ray, tiled.spread)
        light[on_solid] = _lit_solids(tensors, preset, below, row, ray[on_solid], hit[on_solid], solid[on_solid])
    slant = 0.16 + 0.8 * (1 - tiled.ray[..., 2].abs()) ** 6
    return light * (mirror * slant)[..., None]
