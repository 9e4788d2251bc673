"""Files of control weight maps. How a map is applied: see `dreamkit.transfer.weight_maps`."""

from __future__ import annotations

from pathlib import Path

import torch

from dreamkit.errors import DreamkitError, first_line


def read_weight_map(path: Path) -> torch.Tensor:
    """A weight map, float32 [T, H, W] or [H, W].

    Raises:
        DreamkitError: not a tensor file, or a tensor of another shape, or not finite.
    """
    try:
        weight = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here
        raise DreamkitError(
            f"The weight map {path} cannot be read: {first_line(error)}.",
            "Save one tensor with torch.save.",
        ) from error
    if not isinstance(weight, torch.Tensor) or weight.ndim not in (2, 3) or not weight.numel():
        found = f"a tensor of shape {list(weight.shape)}" if isinstance(weight, torch.Tensor) else type(weight).__name__
        raise DreamkitError(f"The weight map {path} is {found}.", "Save one tensor of shape [T, H, W] or [H, W].")
    weight = weight.float()
    if not torch.isfinite(weight).all():
        raise DreamkitError(f"The weight map {path} holds values that are not finite.", "Use numbers of at least 0.")
    return weight
