"""Latents to tokens and back, and sinusoidal features of the noise level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def patchify(x_BCTHW: torch.Tensor, patch: int) -> torch.Tensor:
    """Latent [B, C, T, H, W] to tokens [B, T H/p W/p, C p p]; in a token the channel varies slowest."""
    b, c, t, h, w = x_BCTHW.shape
    x = x_BCTHW.reshape(b, c, t, h // patch, patch, w // patch, patch)
    return x.permute(0, 2, 3, 5, 1, 4, 6).reshape(b, t * (h // patch) * (w // patch), c * patch * patch)


def unpatchify(x_BLD: torch.Tensor, latent_shape: Sequence[int], patch: int) -> torch.Tensor:
    """Tokens [B, L, p p C] to a latent [B, C, T, H, W]; in a token the channel varies fastest."""
    b, _, t, h, w = latent_shape
    x = x_BLD.reshape(b, t, h // patch, w // patch, patch, patch, -1)
    return x.permute(0, 6, 1, 2, 4, 3, 5).reshape(b, -1, t, h, w)


def timestep_features(c_noise_B: torch.Tensor, width: int) -> torch.Tensor:
    """Cosines, then sines, of c_noise [B] at width / 2 frequencies from 1 to 1e-4; [B, width] in c_noise's dtype."""
    half = width // 2
    frequency = torch.exp(-math.log(10000) / half * torch.arange(half, dtype=torch.float32, device=c_noise_B.device))
    angle = c_noise_B.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1).to(c_noise_B.dtype)
