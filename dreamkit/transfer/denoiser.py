"""The denoiser: the network F of EDM (trunk and output layer), with control branches.

Structure: cosmos-transfer1 diffusion/networks/general_dit.py. Shape letters: B batch, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dreamkit.transfer.config import DenoiserConfig
from dreamkit.transfer.control import ControlBranch, PreparedControl
from dreamkit.transfer.dit import Modulation, Prepared, Trunk
from dreamkit.transfer.patches import unpatchify


class Denoiser(nn.Module):
    """The network F of EDM: raw prediction from c_in * x and c_noise; `sampling.denoise` turns it into x0."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config, config.blocks)
        self.final_modulation = Modulation(config, 2)
        self.final = nn.Linear(config.width, config.patch**2 * config.latent_channels, bias=False)

    def forward(
        self,
        latent_BCTHW: torch.Tensor,
        c_noise_B: torch.Tensor,
        prepared: Prepared,
        controls: Sequence[tuple[ControlBranch, PreparedControl]] = (),
    ) -> torch.Tensor:
        """Evaluate the network once.

        Args:
            latent_BCTHW: c_in * x, in the network's dtype.
            c_noise_B: ln(sigma) / 4, in the network's dtype.
            prepared: result of `self.trunk.prepare`.
            controls: branches with the result of their `prepare`; the sum of their outputs is added after each of the
                first blocks.

        Returns:
            [B, C, V x T, H, W] in the network's dtype.
        """
        trunk = self.trunk
        emb_BD, shared_B3D = trunk.timestep(c_noise_B)
        x_BLD = trunk.embed(latent_BCTHW, prepared)
        # Branches run block by block beside the base, so that only one block's control output is in memory.
        running = [branch.run(latent_BCTHW, c_noise_B, control) for branch, control in controls]
        for index in range(len(trunk.blocks)):
            x_BLD = trunk.block(index, x_BLD, emb_BD, shared_B3D, prepared)
            outputs = [out for out in (next(run, None) for run in running) if out is not None]
            if outputs:
                x_BLD = x_BLD + sum(outputs[1:], outputs[0])
        shift, scale = self.final_modulation(emb_BD, shared_B3D)
        x_BLD = self.final(trunk.ops.modulate(x_BLD, scale, shift))
        return unpatchify(x_BLD, latent_BCTHW.shape, self.config.patch)
