"""Control weights that vary over the picture and the frames: read from a file, cut to the frames that are made."""

from __future__ import annotations

from pathlib import Path

import torch

from dreamkit.errors import DreamkitError


def read_weight_map(path: Path) -> torch.Tensor:
    """A weight map, float32 [T, H, W] or [H, W].

    Raises:
        DreamkitError: not a tensor file, or a tensor of another shape, or not finite.
    """
    try:
        weight = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here
        raise DreamkitError(
            f"The weight map {path} cannot be read: {str(error).splitlines()[0]}", "Save one tensor with torch.save."
        ) from error
    if not isinstance(weight, torch.Tensor) or weight.ndim not in (2, 3) or not weight.numel():
        found = f"a tensor of shape {list(weight.shape)}" if isinstance(weight, torch.Tensor) else type(weight).__name__
        raise DreamkitError(f"The weight map {path} is {found}.", "It must be one tensor, [T, H, W] or [H, W].")
    weight = weight.float()
    if not torch.isfinite(weight).all():
        raise DreamkitError(f"The weight map {path} holds values that are not finite.", "Use numbers from 0.")
    return weight


def weights_of_frames(weight: torch.Tensor, length: int, frames: int) -> torch.Tensor:
    """The part of a map [T, H, W] that belongs to the first `frames` of a condition video of `length` frames.

    The map's T stands for the whole condition video; where it is another number, the map is interpolated linearly
    between the centres of its steps (as torch's `interpolate` does without `align_corners`). A map [H, W] stays.
    """
    steps = weight.shape[0]
    if weight.ndim != 3 or frames == length:
        return weight
    if steps == length:
        return weight[:frames]
    at = ((torch.arange(frames) + 0.5) * steps / length - 0.5).clamp(0, steps - 1)
    below = at.floor().long()
    part = (at - below)[:, None, None]
    return torch.lerp(weight[below], weight[(below + 1).clamp(max=steps - 1)], part)
