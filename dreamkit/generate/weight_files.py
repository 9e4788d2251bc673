"""Files of control weight maps. How a map is applied: see `dreamkit.transfer.weight_maps`."""

from __future__ import annotations

from pathlib import Path

import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.tensor_files import load_tensors

MOST_NUMBERS = 2**29
"""Of a weight map: 2 GiB in float32, some 600 frames of 704x1280."""


def read_weight_map(path: Path) -> torch.Tensor:
    """A weight map, float32 [T, H, W] or [H, W].

    Raises:
        DreamkitError: not a tensor file, or a tensor of another shape, or not finite.
    """
    weight = load_tensors(path, f"The weight map {path} cannot be read", "Save one tensor with torch.save.")
    if not isinstance(weight, torch.Tensor) or weight.ndim not in (2, 3) or not weight.numel():
        found = f"a tensor of shape {list(weight.shape)}" if isinstance(weight, torch.Tensor) else type(weight).__name__
        raise DreamkitError(f"The weight map {path} is {found}.", "Save one tensor of shape [T, H, W] or [H, W].")
    if weight.is_complex() or weight.numel() > MOST_NUMBERS:
        raise DreamkitError(
            f"The weight map {path} is a tensor of shape {list(weight.shape)} and type {weight.dtype}.",
            f"Save a map of real numbers, at most {MOST_NUMBERS:,}; it is stretched to the video's size.",
        )
    weight = weight.float()
    if not (weight.amin().isfinite() and weight.amax().isfinite()):  # NaN spreads to both; no copy is made
        raise DreamkitError(f"The weight map {path} holds values that are not finite.", "Use numbers of at least 0.")
    return weight
