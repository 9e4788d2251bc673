"""Latents of condition videos, the forms of control weights and of given latents, and the inputs of a whole video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from dreamkit.transfer.windows import WindowPlan

Weights = Mapping[str, "float | torch.Tensor | None"]
"""Control -> number, map [T, H, W] or [H, W], or None for the default."""
Given = tuple[torch.Tensor, torch.Tensor]
"""Mask and clean latent of the part of a window that is not generated; see `sampling.denoise`."""


@dataclass(frozen=True)
class EncodedControls:
    """The latents of the condition videos of one result, for any number of prompts; made by `encode_controls`.

    Attributes:
        windows: the windows that they belong to.
        latents: per window: control -> float32 [1, C, V x T, H, W] in host memory, times sigma_data.
        peak_gpu_bytes: most GPU memory that encoding took; 0 on a CPU.
    """

    windows: WindowPlan
    latents: tuple[Mapping[str, torch.Tensor], ...]
    peak_gpu_bytes: int


@dataclass(frozen=True)
class VideoInputs:
    """What all windows of one video, or of one set of views, are made from.

    Attributes:
        text_VMC: prompt embeddings, one per view.
        negative_VMC: embeddings of the negative prompt; zeros for none.
        controls: latents of the condition videos.
        weights: control weights; maps cover the whole video.
        steps: solver steps.
        guidance: g in cond + g (cond - uncond); 0 for no guidance.
        seed: of the first window's noise; window i has seed + i.
        fps: frames a second of the result.
    """

    text_VMC: torch.Tensor
    negative_VMC: torch.Tensor
    controls: EncodedControls
    weights: Weights | None
    steps: int
    guidance: float
    seed: int
    fps: float
