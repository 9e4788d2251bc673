"""Inputs of the multi-view models: the view embedding, and the mask of given latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dreamkit.transfer.config import DenoiserConfig
from dreamkit.workspace.cameras import FIVE_VIEWS, SIX_VIEWS

# Number of views -> row of the view table for each view.
VIEW_IDS: dict[int, tuple[int, ...]] = {
    len(rig): tuple(camera.embedding for camera in rig.cameras) for rig in (SIX_VIEWS, FIVE_VIEWS)
}


class ViewEmbedding(nn.Module):
    """Input channels that identify the camera: a row of a learned table plus the repeat-frame linear."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(config.view_table, config.view_width))
        self.repeat = nn.Linear(1, config.view_width)

    def forward(
        self, view_ids: Sequence[int], latent_shape: Sequence[int], frame_repeat: torch.Tensor | None = None
    ) -> torch.Tensor:
        """View channels [B, view_width, V x T, H, W].

        Args:
            view_ids: row of the table for each view.
            latent_shape: (B, C, V x T, H, W) of the latent.
            frame_repeat: [B, V], input of the repeat-frame linear; None for zeros, as for ordinary videos. Its bias is
                added in both cases, as upstream.
        """
        batch, _, frames, height, width = latent_shape
        # Row by row: indexing with a tensor would copy it to the GPU and synchronise.
        rows_BVC = torch.stack([self.table[row] for row in view_ids]).expand(batch, -1, -1)
        if frame_repeat is None:
            frame_repeat = self.table.new_zeros(batch, len(view_ids))
        rows_BVC = rows_BVC + self.repeat(frame_repeat.to(self.table.dtype)[..., None])
        per_frame_BTC = rows_BVC.repeat_interleave(frames // len(view_ids), dim=1)
        return per_frame_BTC.transpose(1, 2)[..., None, None].expand(-1, -1, -1, height, width)


def condition_mask(views: int, frames: int, given: int, device: torch.device) -> torch.Tensor:
    """Mask of given latents, float32 [1, 1, V x T, 1, 1]: 1 in the front view and in every view's first `given`."""
    mask_VT = torch.zeros(views, frames, device=device)
    mask_VT[0] = 1.0
    mask_VT[:, :given] = 1.0
    return mask_VT.reshape(1, 1, views * frames, 1, 1)
