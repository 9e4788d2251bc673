"""Fog, falling rain and snow, the bloom of lamps, and the tone curve."""

from __future__ import annotations

import torch
from torch.nn import functional

from dreamkit.tinyworld.render import shade
from dreamkit.tinyworld.render.style_presets import StylePreset


def through_air(
    preset: StylePreset,
    ray: torch.Tensor,
    frame: torch.Tensor,
    spread: torch.Tensor,
    light: torch.Tensor,
    reached: torch.Tensor,
) -> torch.Tensor:
    """Light that reaches the camera: fog over the distance, and rain or snow in front.

    Args:
        preset: the style.
        ray: unit rays in world axes, float32 [M, p, 3].
        frame: frame number at 30 Hz, int64 [M].
        spread: radians between neighbouring rays [M].
        light: linear RGB from the surfaces [M, p, 3].
        reached: distance of the surfaces, metres [M, p]; infinite for the sky.

    Returns:
        Linear RGB [M, p, 3].
    """
    device = light.device
    fog = torch.tensor(preset.fog_rgb, device=device)
    share = 1 - torch.exp(-reached * preset.fog)
    # The sky is not fogged, except for a band of haze at the horizon.
    haze = torch.exp(-ray[..., 2].clamp(min=0) * 9) * min(1.0, preset.fog * 70)
    share = torch.where(reached.isfinite(), share, haze)
    light = light + (fog - light) * share[..., None]
    if not preset.falling:
        return light
    # Drops and flakes have the same size in pixels in every lens.
    finer = (0.0036 / spread).clamp(min=1)[:, None]
    azimuth = torch.atan2(ray[..., 1], ray[..., 0]) * finer
    rise = ray[..., 2] * finer
    time = (frame.float() / 30)[:, None]
    covered = torch.zeros_like(azimuth)
    layers = ((26.0, 1.1), (44.0, 0.8), (70.0, 0.6)) if preset.falling == "snow" else ((60.0, 7.0), (110.0, 6.0))
    for index, (cells, speed) in enumerate(layers):
        squeeze = 1.0 if preset.falling == "snow" else 0.11
        u, v = azimuth * cells, rise * cells * squeeze + time * speed * cells * squeeze * 0.25
        cell = torch.stack([u.floor(), v.floor(), torch.full_like(u, index)], -1).flatten(0, -2)
        chance = shade.hashed(cell).reshape(u.shape)
        if preset.falling == "snow":
            gap = torch.hypot(u - u.floor() - 0.25 - 0.5 * torch.remainder(chance * 17, 1), v - v.floor() - 0.5)
            covered = torch.maximum(covered, ((chance > 0.86) & (gap < 0.16)) * 0.7)
        else:
            covered = torch.maximum(covered, ((chance > 0.78) & ((u - u.floor() - 0.5).abs() < 0.08)) * 0.14)
    white = torch.tensor((1.3, 1.33, 1.38) if preset.falling == "snow" else (0.7, 0.73, 0.78), device=device)
    return light + (white - light) * covered[..., None]


def develop(light: torch.Tensor, preset: StylePreset) -> torch.Tensor:
    """uint8 pictures from linear light [N, H, W, 3]: bloom of bright lamps, soft saturation, gamma 2.2."""
    if preset.lamps or preset.fog > 1 / 60:
        bright = (light - 0.8).clamp(min=0, max=3).permute(0, 3, 1, 2)
        for share, part in ((0.35, 50), (0.35, 16)):
            light = light + share * _blurred(bright, max(1, light.shape[1] // part)).permute(0, 2, 3, 1)
    curve = 1 - torch.exp(-1.0 * preset.exposure * light.clamp(min=0))
    return (curve ** (1 / 2.2) * 255 + 0.5).clamp(0, 255).to(torch.uint8)


def _blurred(images: torch.Tensor, radius: int) -> torch.Tensor:
    """Images [N, C, H, W] after two separable box filters."""
    for _ in range(2):
        for shape, pad in (((1, 2 * radius + 1), (0, radius)), ((2 * radius + 1, 1), (radius, 0))):
            images = functional.avg_pool2d(images, shape, 1, pad, count_include_pad=False)
    return images
