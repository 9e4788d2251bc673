"""What a multi-view model adds: which camera a token belongs to, and which latents are given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dreamkit.transfer.config import DenoiserConfig

VIEW_IDS: dict[int, tuple[int, ...]] = {6: (0, 1, 2, 3, 4, 5), 5: (0, 1, 2, 4, 5)}
"""Rows of the view table: all six cameras, or the five of a Waymo-style rig (no rear camera)."""


class ViewEmbedding(nn.Module):
    """Six channels beside the latent that name the camera: a table row plus the repeat-frame linear."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(config.view_table, config.view_width))
        self.repeat = nn.Linear(1, config.view_width)

    def forward(
        self, view_ids: Sequence[int], latent_shape: Sequence[int], frame_repeat: torch.Tensor | None = None
    ) -> torch.Tensor:
        """View channels [B, C, V x T, H, W] for a latent of `latent_shape`.

        `frame_repeat` [B, V] is 0 for ordinary videos; its linear's bias still counts, as upstream.
        """
        batch, _, frames, height, width = latent_shape
        # Row by row: an index tensor would be a copy to the device that everything waits for.
        rows_BVC = torch.stack([self.table[row] for row in view_ids]).expand(batch, -1, -1)
        if frame_repeat is None:
            frame_repeat = self.table.new_zeros(batch, len(view_ids))
        rows_BVC = rows_BVC + self.repeat(frame_repeat.to(self.table.dtype)[..., None])
        per_frame_BTC = rows_BVC.repeat_interleave(frames // len(view_ids), dim=1)
        return per_frame_BTC.transpose(1, 2)[..., None, None].expand(-1, -1, -1, height, width)


def condition_mask(views: int, frames: int, given: int, device: torch.device) -> torch.Tensor:
    """Mask, float32 [1, 1, V x T, 1, 1]: 1 on the front view and on the first `given` frames of every view."""
    mask_VT = torch.zeros(views, frames, device=device)
    mask_VT[0] = 1.0
    mask_VT[:, :given] = 1.0
    return mask_VT.reshape(1, 1, views * frames, 1, 1)
