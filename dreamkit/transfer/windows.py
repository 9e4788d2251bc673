"""How a video of any length is covered by windows of fixed length."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def single_view_starts(frames: int, window: int) -> list[int]:
    """Starts every `window - 1` frames: this model takes no previous frames, and later windows drop their first one."""
    return list(range(0, max(1, frames - 1), window - 1))


def multi_view_starts(frames: int, window: int, given: int) -> list[int]:
    """Starts every `window - given` frames, the last moved back to end with the video (121 frames: 0, 48, 64)."""
    if frames <= window:
        return [0]
    last = frames - window
    return [*range(0, last, window - given), last]


def latents_of(frames: int) -> int:
    """Latent frames that a window's first so many pixel frames make."""
    return 0 if frames == 0 else 1 + (frames - 1) // 8


def cut_window(frames_THWC: np.ndarray, start: int, window: int) -> np.ndarray:
    """Frames start .. start + window; where the video ends, its last frame stands still."""
    part = frames_THWC[start : start + window]
    missing = window - len(part)
    return part if missing == 0 else np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])


def cut_weight(
    weight: float | torch.Tensor | None, frames: int, start: int, window: int
) -> float | torch.Tensor | None:
    """The window's part of a control weight; a map in time is stretched over the whole video first."""
    if not isinstance(weight, torch.Tensor) or weight.ndim != 3:
        return weight
    size = (frames, *weight.shape[1:])
    map_THW = F.interpolate(weight.float()[None, None], size=size, mode="trilinear", align_corners=False)[0, 0]
    index = torch.arange(start, start + window).clamp(max=frames - 1)
    return map_THW[index]
