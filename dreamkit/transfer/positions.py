"""Positions of tokens: rotary angles in self-attention, and absolute positions added before every block.

Both are computed in the network's dtype. Upstream registers them as buffers and casts them with the weights, so the
released weights were trained with angles in bf16; float32 networks get float32 angles.
Source: cosmos-transfer1 diffusion/module/position_embedding.py.
"""

from __future__ import annotations

import torch
from torch import nn

from dreamkit.transfer.config import DenoiserConfig


def axis_dims(width: int) -> tuple[int, int, int]:
    """Channels of (t, h, w): h and w get an even third of `width` each, t the rest."""
    third = width // 6 * 2
    return width - 2 * third, third, third


def rope_table(
    config: DenoiserConfig,
    frames: int,
    height: int,
    width: int,
    *,
    views: int = 1,
    fps: float,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotary cosines and sines for a grid of tokens; every view begins at time 0.

    Args:
        config: the network's sizes.
        frames: latent frames of one view.
        height: tokens down.
        width: tokens across.
        views: number of views, which follow one another on the time axis.
        fps: frame rate of the video; positions in time are scaled by base_fps / fps.
        device: device of the tables.
        dtype: dtype of the angles (see the module's docstring); the results are float32.

    Returns:
        (cos, sin), each float32 [views * frames * height * width, head_dim], halves repeated (rotate-half form).
    """
    dim_t, dim_h, dim_w = axis_dims(config.head_dim)

    def angles(length: int, dim: int, extrapolation: float, fps: float | None) -> torch.Tensor:
        theta = 10000.0 * extrapolation ** (dim / (dim - 2))
        exponent = (torch.arange(0, dim, 2, device=device).float() / dim).to(dtype)
        position = torch.arange(length, device=device).to(dtype)
        # Two operations, as upstream, because bf16 rounds after each.
        if fps is not None:
            position = position / fps * config.base_fps
        return torch.outer(position, 1.0 / theta**exponent)  # [length, dim / 2]

    t = angles(frames, dim_t, config.rope_t_extrapolation, fps)
    h = angles(height, dim_h, 1.0, None)
    w = angles(width, dim_w, 1.0, None)
    shape = (views, frames, height, width)
    half = torch.cat(
        [
            t[None, :, None, None].expand(*shape, -1),
            h[None, None, :, None].expand(*shape, -1),
            w[None, None, None, :].expand(*shape, -1),
        ],
        dim=-1,
    ).reshape(-1, config.head_dim // 2)
    full = torch.cat([half, half], dim=-1).float()
    return full.cos(), full.sin()


class LearnedPositions(nn.Module):
    """Sum of three learned tables, scaled to unit root mean square for each token (single-view models)."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.pos_emb_t = nn.Parameter(torch.empty(config.table_t, config.width))
        self.pos_emb_h = nn.Parameter(torch.empty(config.table_h, config.width))
        self.pos_emb_w = nn.Parameter(torch.empty(config.table_w, config.width))

    def forward(self, frames: int, height: int, width: int) -> torch.Tensor:
        """Positions of a grid of tokens, [frames * height * width, D] in the parameters' dtype."""
        sum_THWD = (
            self.pos_emb_t[:frames, None, None]
            + self.pos_emb_h[None, :height, None]
            + self.pos_emb_w[None, None, :width]
        )
        sum_LD = sum_THWD.flatten(0, 2)
        root_mean_square = sum_LD.float().square().mean(-1, keepdim=True).sqrt() + 1e-6
        return sum_LD / root_mean_square.to(sum_LD.dtype)


def sincos_positions(
    config: DenoiserConfig, frames: int, height: int, width: int, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Fixed positions of the multi-view models: sines, then cosines, of t, h and w, concatenated, not normalised.

    Returns:
        [frames * height * width, D] in `dtype`, for one view.
    """

    def table(length: int, dim: int) -> torch.Tensor:
        half = dim // 2
        omega = 1.0 / 10000 ** (torch.arange(half, dtype=torch.float64, device=device) / half)
        angle = torch.outer(torch.arange(length, dtype=torch.float64, device=device), omega)
        return torch.cat([angle.sin(), angle.cos()], dim=-1).to(dtype)

    dim_t, dim_h, dim_w = axis_dims(config.width)
    shape = (frames, height, width)
    return torch.cat(
        [
            table(frames, dim_t)[:, None, None].expand(*shape, -1),
            table(height, dim_h)[None, :, None].expand(*shape, -1),
            table(width, dim_w)[None, None, :].expand(*shape, -1),
        ],
        dim=-1,
    ).flatten(0, 2)
