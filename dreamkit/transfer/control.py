"""The control branch: encodes a condition video and adds to the output of the base model's first blocks.

Source: cosmos-transfer1 diffusion/networks/general_dit_ctrl_enc.py and general_dit_ctrl_enc_multiview.py; weights:
diffusion/inference/inference_utils.py (load_spatial_temporal_weights, resize_control_weight_map).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.errors import DreamkitError
from dreamkit.transfer.config import DEFAULT_WEIGHT, PATCH, SPATIAL_COMPRESSION, DenoiserConfig
from dreamkit.transfer.dit import Prepared, Trunk
from dreamkit.transfer.patches import patchify

Weight = float | torch.Tensor  # one number, or a map [L, 1] over the tokens


@dataclass(frozen=True)
class PreparedControl:
    """Inputs of a branch that are the same at every step of a window.

    Attributes:
        trunk: inputs of its trunk.
        hint_BLC: features of the condition video, before the last linear.
        weight: factor of the branch's outputs.
    """

    trunk: Prepared
    hint_BLC: torch.Tensor
    weight: Weight


class ControlBranch(nn.Module):
    """The branch of one control (HDMap or LiDAR); its outputs are added to the base model's tokens, block by block."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.trunk = Trunk(config, config.control_blocks)
        self.hint_patch = nn.Linear((config.latent_channels + 1) * config.patch**2, width, bias=False)
        widths = (width, *config.hint_widths)
        self.hint = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.hint_out = nn.Linear(config.hint_widths[-1], width)
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(config.control_blocks))

    def prepare(self, trunk: Prepared, hint_BCTHW: torch.Tensor, weight: Weight) -> PreparedControl:
        """Compute the inputs that are the same at every step, from the condition video's latent [B, C, V x T, H, W]."""
        hint_BCTHW = hint_BCTHW.to(self.hint_patch.weight.dtype)
        padding_mask = torch.zeros_like(hint_BCTHW[:, :1])
        x = self.hint_patch(patchify(torch.cat([hint_BCTHW, padding_mask], dim=1), self.config.patch))
        for linear in self.hint:
            x = F.silu(linear(x))
        return PreparedControl(trunk, x, weight)

    def run(
        self, latent_BCTHW: torch.Tensor, c_noise_B: torch.Tensor, control: PreparedControl
    ) -> Iterator[torch.Tensor]:
        """Yield the weighted output [B, L, D] of one block after another, for a noisy latent [B, C, V x T, H, W]."""
        trunk = self.trunk
        emb_BD, shared_B3D = trunk.timestep(c_noise_B)
        x_BLD = trunk.embed(latent_BCTHW, control.trunk)
        for index, out in enumerate(self.out):
            x_BLD = trunk.block(index, x_BLD, emb_BD, shared_B3D, control.trunk)
            if index == 0:
                x_BLD = x_BLD + self.hint_out(control.hint_BLC)
            yield out(x_BLD) * control.weight


def normalize_weights(
    weights: Sequence[float | torch.Tensor | None], frames: int, grid: tuple[int, int, int]
) -> list[Weight]:
    """Weights of the branches from the user's: maps are clamped at 0, then all are divided by max(1, their sum).

    Args:
        weights: for each control a number, a map float [T, H, W] or [H, W] of any size, or None (DEFAULT_WEIGHT).
        frames: pixel frames of the window, to which maps are resampled first.
        grid: (latent frames, tokens down, tokens across).

    Returns:
        Numbers, or maps float32 [L, 1] when any weight is a map.

    Raises:
        DreamkitError: a number is negative or not finite, or a map has another number of axes.
    """
    values = [DEFAULT_WEIGHT if w is None else w for w in weights]
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.ndim not in (2, 3):
                raise DreamkitError(
                    f"A control weight map has shape {list(value.shape)}, not [T, H, W] or [H, W].",
                    "Save the map as a float tensor with one weight per pixel, or per frame and pixel.",
                )
        elif not 0 <= value < float("inf"):
            raise DreamkitError(f"The control weight is {value}, not 0 or more.", "Use 0.3 to 1 for most scenes.")
    if not any(isinstance(value, torch.Tensor) for value in values):
        total = max(1.0, float(sum(values)))
        return [float(value) / total for value in values]
    maps_NTHW = torch.stack([_stretch(value, frames, grid) for value in values]).clamp(min=0)
    maps_NTHW = maps_NTHW / maps_NTHW.sum(0, keepdim=True).clamp(min=1)
    return [_to_grid(map_THW, grid).flatten()[:, None] for map_THW in maps_NTHW]


def _stretch(value: float | torch.Tensor, frames: int, grid: tuple[int, int, int]) -> torch.Tensor:
    """A weight as a map [frames, H, W] at 16 x 16 pixels a token, from which upstream resamples maps to tokens."""
    token = SPATIAL_COMPRESSION * PATCH
    size = (frames, grid[1] * token, grid[2] * token)
    if not isinstance(value, torch.Tensor):
        return torch.full(size, float(value))
    map_THW = value.float() if value.ndim == 3 else value.float().expand(frames, *value.shape)
    return F.interpolate(map_THW[None, None], size=size, mode="trilinear", align_corners=False)[0, 0]


def _to_grid(map_THW: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
    """A map [T, H, W] in pixels resampled to tokens, trilinearly; the first frame is a latent frame by itself."""
    frames, height, width = grid
    first = F.interpolate(map_THW[None, None, :1], size=(1, height, width), mode="trilinear", align_corners=False)
    if frames == 1:
        return first[0, 0]
    rest = F.interpolate(
        map_THW[None, None, 1:], size=(frames - 1, height, width), mode="trilinear", align_corners=False
    )
    return torch.cat([first, rest], dim=2)[0, 0]
