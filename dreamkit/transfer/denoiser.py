"""The denoiser: the network F of EDM (trunk and output layer), with control branches.

Structure: cosmos-transfer1 diffusion/networks/general_dit.py. Shape letters: B batch, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dreamkit.transfer.config import DenoiserConfig
from dreamkit.transfer.control import ControlBranch, PreparedControl
from dreamkit.transfer.dit import Begun, Modulation, Prepared, Trunk
from dreamkit.transfer.fused_ops import Tokens
from dreamkit.transfer.patches import unpatchify

Controls = Sequence[tuple[ControlBranch, PreparedControl]]


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
        controls: Controls = (),
        begun: Sequence[Begun] | None = None,
    ) -> torch.Tensor:
        """Evaluate the network once.

        Args:
            latent_BCTHW: c_in * x, in the network's dtype.
            c_noise_B: ln(sigma) / 4, in the network's dtype.
            prepared: result of `self.trunk.prepare`.
            controls: branches with the result of their `prepare`; the sum of their outputs is added after each of the
                first blocks.
            begun: result of `begin` for the same inputs, where it has been computed already.

        Returns:
            [B, C, V x T, H, W] in the network's dtype.
        """
        trunk = self.trunk
        own, *others = begun or [trunk.begin(latent_BCTHW, c_noise_B, prepared, keep=False)]
        tokens = own.tokens
        # Branches run block by block beside the base, so that only one block's control output is in memory.
        running = [
            branch.run(latent_BCTHW, c_noise_B, control, start)
            for (branch, control), start in zip(controls, others or [None] * len(controls), strict=True)
        ]
        most_outputs = max((len(branch.out) for branch, _ in controls), default=0)
        for index in range(len(trunk.blocks)):
            tokens = trunk.block(index, tokens, own.emb_BD, own.shared_B3D, prepared)
            if index < most_outputs:  # the branches' blocks run now: without the pending sum a tensor less is in memory
                tokens = Tokens(trunk.ops.settle(tokens))
            for run in running:
                out_BLD = next(run, None)
                if out_BLD is not None:
                    tokens.added_BLD = out_BLD if tokens.added_BLD is None else tokens.added_BLD + out_BLD
                del out_BLD  # the next block frees the memory as soon as it has added it
        shift, scale = self.final_modulation(own.emb_BD, own.shared_B3D)
        _, x_BLD = trunk.ops.modulate(tokens, scale, shift)
        return unpatchify(self.final(x_BLD), latent_BCTHW.shape, self.config.patch)

    def begin(
        self, latent_BCTHW: torch.Tensor, c_noise_B: torch.Tensor, prepared: Prepared, controls: Controls
    ) -> list[Begun]:
        """The part that all passes of guidance share: base and branches up to the first cross-attention to the text."""
        trunks = [(self.trunk, prepared), *((branch.trunk, control.trunk) for branch, control in controls)]
        return [trunk.begin(latent_BCTHW, c_noise_B, inputs, keep=True) for trunk, inputs in trunks]
