"""Shading of sky and solids, and light of lamps: linear RGB for flat lists of n rays."""

from __future__ import annotations

import math

import torch

from dreamkit.tinyworld.render.ground import mix
from dreamkit.tinyworld.render.raycast import to_local
from dreamkit.tinyworld.render.scene_tensors import SceneTensors, noise
from dreamkit.tinyworld.render.style_presets import StylePreset
from dreamkit.tinyworld.world.solids import BODY, BUILDING, CABIN, CLOTHES, LAMP, LEAVES, LIGHT, SIGN

LAMP_RGB = (1.0, 0.72, 0.4)
HEAD_RGB = (1.0, 0.96, 0.86)


def sun_direction(preset: StylePreset) -> tuple[float, float, float]:
    """Unit vector towards the sun."""
    azimuth, elevation = math.radians(preset.sun[0]), math.radians(preset.sun[1])
    return (math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation))


def has_sun(preset: StylePreset) -> bool:
    """Whether the sun casts shadows."""
    return max(preset.sun_rgb) > 0


def sky(tensors: SceneTensors, preset: StylePreset, ray: torch.Tensor) -> torch.Tensor:
    """Colour of the sky [n, 3] in directions [n, 3]."""
    up = ray[:, 2].clamp(min=0)
    zenith, horizon = (torch.tensor(rgb, device=ray.device) for rgb in (preset.zenith, preset.horizon))
    colour = zenith + (horizon - zenith) * torch.exp(-up * 4.5)[:, None]
    if preset.clouds:
        # A flat layer of clouds, in perspective.
        plane = ray[:, :2] / (up + 0.12)[:, None]
        thick = noise(tensors, plane + 0.3, 3.0) + 0.5 * noise(tensors, plane, 0.9)
        cover = ((thick + 2 * preset.clouds - 1) * 1.6 + 0.3).clamp(0, 1) * (up * 12).clamp(max=1)
        colour = mix(colour, preset.cloud_rgb, cover * 0.85)
    if has_sun(preset):
        toward = (ray * torch.tensor(sun_direction(preset), device=ray.device)).sum(1).clamp(min=0)
        glow = 0.5 * toward**24 + 0.35 * toward**6 + 6.0 * (toward > 0.9988)
        colour = colour + torch.tensor(preset.glow, device=ray.device) * glow[:, None]
    elif preset.lamps:
        # A few stars.
        cell = torch.floor(torch.stack([torch.atan2(ray[:, 1], ray[:, 0]) * 150, ray[:, 2] * 150], 1))
        colour = colour + 0.06 * ((hashed(cell) > 0.996) & (up > 0.08))[:, None]
    return colour


def hashed(cell: torch.Tensor) -> torch.Tensor:
    """A pseudo-random number in 0..1 for each row of integers [n, k], the same on every device up to rounding."""
    weights = (0.1031, 0.1137, 0.0973, 0.1297)
    mixed = torch.zeros_like(cell[:, 0])
    for axis in range(cell.shape[1]):
        mixed = mixed + cell[:, axis] * weights[axis]
    value = torch.remainder(mixed, 1.0)
    value = torch.remainder(value * (value + 33.33) * 7.13, 1.0)
    return torch.remainder(value * (value + 17.17) * 91.7, 1.0)


def solids(
    tensors: SceneTensors,
    preset: StylePreset,
    frame: torch.Tensor,
    solid: torch.Tensor,
    point: torch.Tensor,
    ray: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Albedo, emitted light and world normals [n, 3] of solids [n], met by rays [n, 3] at points [n, 3]."""
    (x, y, z), _ = to_local(tensors, frame, solid, point[:, None], ray[:, None])
    local = torch.stack([x[:, 0], y[:, 0], z[:, 0]], 1)
    half, lean, material = tensors.half[solid], tensors.lean[solid], tensors.material[solid]
    normal = _normal(tensors, solid, local, half, lean)
    albedo = tensors.colour[solid]
    light = torch.zeros_like(albedo)
    place = local / half
    lamps = float(preset.lamps)
    albedo, light = _car(preset, material, place, local, half, normal, albedo, light)
    is_building = material == BUILDING
    if is_building.any():
        side = normal[:, 2] < 0.5
        flat = torch.where(normal[:, 0].abs() > 0.5, local[:, 1], local[:, 0])
        up = local[:, 2] + half[:, 2]
        column, storey = torch.remainder(flat + 100.25, 2.5), torch.remainder(up, 3.0)
        window = is_building & side & (column > 0.6) & (column < 1.9) & (storey > 1.0) & (storey < 2.5) & (up > 0.6)
        albedo = torch.where(window[:, None], torch.tensor((0.05, 0.07, 0.1), device=ray.device), albedo)
        cell = torch.stack(
            [torch.floor((flat + 100.25) / 2.5), torch.floor(up / 3.0), solid.float(), place[:, 0].sign()], 1
        )
        lit = window & (hashed(cell) > 0.6)
        light = light + lamps * 0.55 * lit[:, None] * torch.tensor((1.0, 0.72, 0.35), device=ray.device)
        albedo = (
            albedo * torch.where(is_building, 1 + 0.1 * noise(tensors, point[:, :2] + point[:, 2:], 17.0), 1.0)[:, None]
        )
    leaves = material == LEAVES
    rough = noise(tensors, point[:, :2] + point[:, 2:] * 0.7, 5.0)
    albedo = albedo * torch.where(leaves, 1 + 0.6 * rough, 1.0)[:, None]
    # Signs have a white rim and a grey back.
    rim = (place[:, 1].abs() > 0.86) | (place[:, 2].abs() > 0.86)
    sign = material == SIGN
    albedo = torch.where((sign & (normal[:, 0] < 0.5))[:, None], 0.25, albedo)
    albedo = torch.where((sign & (normal[:, 0] >= 0.5) & rim)[:, None], 0.7, albedo)
    # A traffic light has three lenses; the upper one (red) or the lower one (green) is lit.
    lens = (material == LIGHT) & (normal[:, 0] > 0.5)
    red = albedo[:, 0] > albedo[:, 1]
    third = torch.where(red, 0.64, -0.64)
    on = lens & ((local[:, 2] / half[:, 2] - third).abs() < 0.3) & (local[:, 1].abs() < 0.19)
    light = light + on[:, None] * albedo * (1.3 if not preset.lamps else 1.6)
    albedo = torch.where((material == LIGHT)[:, None], 0.02, albedo)
    light = light + lamps * (material == LAMP)[:, None] * 3.0 * torch.tensor(LAMP_RGB, device=ray.device)
    if preset.snow:
        lying = (normal[:, 2] > 0.35) & (material != LIGHT) & (material != CLOTHES)
        share = preset.snow * torch.where(leaves, (normal[:, 2] + 0.35 + 0.4 * rough).clamp(0, 0.85), lying * 0.85)
        albedo = mix(albedo, (0.82, 0.84, 0.88), share)
    turn = tensors.turn[frame, solid]
    nx = turn[:, 0] * normal[:, 0] - turn[:, 1] * normal[:, 1]
    ny = turn[:, 1] * normal[:, 0] + turn[:, 0] * normal[:, 1]
    return albedo, light, torch.stack([nx, ny, normal[:, 2]], 1)


def _normal(
    tensors: SceneTensors, solid: torch.Tensor, local: torch.Tensor, half: torch.Tensor, lean: torch.Tensor
) -> torch.Tensor:
    """Unit normals in the solid's axes: of the face with the nearest plane, or of the ellipsoid."""
    slope = lean / (2 * half[:, 2:])
    reach = half[:, :2] - lean / 2 - slope * local[:, 2:]
    sides = (local[:, :2].abs() - reach) / (1 + slope**2).sqrt()
    gaps = torch.cat([sides, local[:, 2:].abs() - half[:, 2:]], 1)
    face = torch.nn.functional.one_hot(gaps.argmax(1), 3).to(local.dtype)
    flat = face * local.sign()
    tilt = (face[:, :2] * slope).sum(1, keepdim=True)
    flat = torch.cat([flat[:, :2], flat[:, 2:] + tilt], 1)
    is_ball = solid >= tensors.kinds[2][0]
    ball = local / half**2
    return torch.nn.functional.normalize(torch.where(is_ball[:, None], ball, flat), dim=1)


def _car(
    preset: StylePreset,
    material: torch.Tensor,
    place: torch.Tensor,
    local: torch.Tensor,
    half: torch.Tensor,
    normal: torch.Tensor,
    albedo: torch.Tensor,
    light: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Albedo and emitted light, [n, 3] each, with the wheels, lights, plates and windows of vehicles added."""
    device = albedo.device
    body, cabin = material == BODY, material == CABIN
    side = normal[:, 1].abs() > 0.5
    wheel_x = local[:, 0].abs() - half[:, 0] * 0.62
    wheel = body & side & (torch.hypot(wheel_x, local[:, 2] + half[:, 2] - 0.2) < 0.36)
    ends = body & (normal[:, 0].abs() > 0.5)
    lens = ends & (place[:, 1].abs() > 0.62) & (place[:, 2] > 0.1) & (place[:, 2] < 0.75)
    front = normal[:, 0] > 0
    plate = ends & (place[:, 1].abs() < 0.28) & (place[:, 2].abs() < 0.25)
    albedo = torch.where(wheel[:, None], 0.015, albedo)
    albedo = torch.where(plate[:, None], 0.6, albedo)
    albedo = torch.where((lens & front)[:, None], 0.6, albedo)
    albedo = torch.where((lens & ~front)[:, None], torch.tensor((0.45, 0.02, 0.02), device=device), albedo)
    shine = 1.0 if preset.lamps else (0.25 if preset.fog > 1 / 200 else 0.0)
    glow = torch.where(
        front[:, None], torch.tensor(HEAD_RGB, device=device) * 5, torch.tensor((1.3, 0.03, 0.02), device=device)
    )
    light = light + shine * lens[:, None] * glow
    glass = cabin & (normal[:, 2] < 0.75) & (place[:, 2] > -0.85) & (place[:, 2] < 0.8)
    # Pillars: at both ends and the middle of the sides.
    pillar = side & ((place[:, 0].abs() < 0.05) | (place[:, 0].abs() > 0.93))
    albedo = torch.where((glass & ~pillar)[:, None], torch.tensor((0.025, 0.03, 0.036), device=device), albedo)
    return albedo, light


def lamp_light(tensors: SceneTensors, point: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Light of all street lamps [n, 3] at points [n, 3] with normals [n, 3]."""
    total = torch.zeros_like(point[:, 0])
    for x, y, z in tensors.lamps.tolist():
        to = torch.stack([x - point[:, 0], y - point[:, 1], z - point[:, 2]], 1)
        squared = (to * to).sum(1) + 0.5
        facing = ((to * normal).sum(1) / squared.sqrt()).clamp(min=0) * 0.85 + 0.15
        down = (to[:, 2] / squared.sqrt()).clamp(min=0)
        total = total + facing * down**1.5 / squared
    return total[:, None] * torch.tensor(LAMP_RGB, device=point.device) * 45


def head_light(ego: torch.Tensor, point: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Light of the ego car's headlights [n, 3]; `ego` is its x, y and heading for each point [n, 3]."""
    x, y = point[:, 0] - ego[:, 0], point[:, 1] - ego[:, 1]
    ahead = torch.cos(ego[:, 2]) * x + torch.sin(ego[:, 2]) * y - 3.0
    left = torch.cos(ego[:, 2]) * y - torch.sin(ego[:, 2]) * x
    lit = beam(ahead, left) * torch.exp(-((point[:, 2] - 0.6).clamp(min=0) / (0.6 + 0.05 * ahead.clamp(min=0))))
    back = torch.stack([-torch.cos(ego[:, 2]), -torch.sin(ego[:, 2]), torch.full_like(x, 0.35)], 1)
    facing = (normal * back).sum(1).clamp(min=0) * 0.8 + 0.35
    return (lit * facing)[:, None] * torch.tensor(HEAD_RGB, device=point.device) * 2.6


def beam(ahead: torch.Tensor, left: torch.Tensor, reach: float = 90.0) -> torch.Tensor:
    """Brightness on the ground `ahead` metres in front and `left` metres to the left of headlights; 0 past `reach`."""
    far = ahead.clamp(min=0.1)
    wide = left / (1.6 + 0.33 * far)
    fade = (1 - torch.hypot(ahead, left) / reach).clamp(min=0)
    return torch.exp(-(wide**2)) * torch.exp(-far / 24) * (far / 4).clamp(max=1) * fade
