"""The control branch: encodes a condition video and adds to the output of the base model's first blocks.

Source: cosmos-transfer1 diffusion/networks/general_dit_ctrl_enc.py and general_dit_ctrl_enc_multiview.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.transfer.config import DenoiserConfig
from dreamkit.transfer.dit import Begun, Prepared, Trunk
from dreamkit.transfer.fused_ops import Tokens
from dreamkit.transfer.patches import patchify
from dreamkit.transfer.weight_maps import Weight


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
        self,
        latent_BCTHW: torch.Tensor,
        c_noise_B: torch.Tensor,
        control: PreparedControl,
        begun: Begun | None = None,
    ) -> Iterator[torch.Tensor]:
        """Yield the weighted output [B, L, D] of one block after another, for a noisy latent [B, C, V x T, H, W].

        `begun` is the result of `trunk.begin` for the same inputs, where it has been computed already.
        """
        trunk = self.trunk
        begun = begun or trunk.begin(latent_BCTHW, c_noise_B, control.trunk, keep=False)
        tokens = begun.tokens
        for index, out in enumerate(self.out):
            tokens = trunk.block(index, tokens, begun.emb_BD, begun.shared_B3D, control.trunk)
            if index == 0:
                tokens.added_BLD = self.hint_out(control.hint_BLC)
            tokens = Tokens(trunk.ops.settle(tokens))
            yield out(tokens.x_BLD) * control.weight
