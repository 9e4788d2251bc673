"""Control weights: from a user's numbers and maps to the factors of the control branches' outputs.

A weight is one number, or a map over frames and pixels. A map goes through three functions, in this order:

1. `weight_of_frames` cuts a map that covers a whole condition video to the frames that are made of it.
2. `weight_of_window` stretches the map to one value a frame and cuts out the frames of one window.
3. `token_weights` stretches it to 16 pixels a token, clamps it at 0, divides the controls' maps by max(1, their sum) at
   every pixel and frame, and shrinks each to one value a token.

Source of step 3: cosmos-transfer1 diffusion/inference/inference_utils.py (load_spatial_temporal_weights,
resize_control_weight_map). Of these steps, numbers take the division only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from dreamkit.errors import DreamkitError
from dreamkit.transfer.config import DEFAULT_WEIGHT, PATCH, SPATIAL_COMPRESSION

# Along height and width.
PIXELS_PER_TOKEN = SPATIAL_COMPRESSION * PATCH

Weight = float | torch.Tensor  # one number, or a map [L, 1] over the tokens


def weight_of_frames(map_THW: torch.Tensor, length: int, frames: int) -> torch.Tensor:
    """The part of a map [T, H, W] that belongs to the first `frames` of a condition video of `length` frames.

    The map's T steps cover the whole condition video. If T is not `length`, the map is interpolated linearly between
    the centres of its steps, as torch's `interpolate` does without `align_corners`. A map [H, W] is returned as it is.
    """
    steps = map_THW.shape[0]
    if map_THW.ndim != 3 or frames == length:
        return map_THW
    if steps == length:
        return map_THW[:frames]
    at = ((torch.arange(frames) + 0.5) * steps / length - 0.5).clamp(0, steps - 1)
    below = at.floor().long()
    part = (at - below)[:, None, None]
    return torch.lerp(map_THW[below], map_THW[(below + 1).clamp(max=steps - 1)], part)


def weight_of_window(
    weight: float | torch.Tensor | None, frames: int, start: int, window: int
) -> float | torch.Tensor | None:
    """The frames start .. start + window of a map [T, H, W], stretched first to the video's `frames`.

    Past the end of the video its last frame repeats, as in `windows.cut_window`. Numbers, None and maps [H, W] are
    returned unchanged.
    """
    if not isinstance(weight, torch.Tensor) or weight.ndim != 3:
        return weight
    size = (frames, *weight.shape[1:])
    map_THW = F.interpolate(weight.float()[None, None], size=size, mode="trilinear", align_corners=False)[0, 0]
    index = torch.arange(start, start + window).clamp(max=frames - 1)
    return map_THW[index]


def token_weights(
    weights: Sequence[float | torch.Tensor | None], frames: int, grid: tuple[int, int, int]
) -> list[Weight]:
    """The factors of the control branches in one window: the weights, divided by max(1, their sum).

    Args:
        weights: per control a number, a map float [T, H, W] or [H, W] of any size, or None (DEFAULT_WEIGHT).
        frames: pixel frames of the window, to which maps are stretched first.
        grid: (latent frames, tokens down, tokens across).

    Returns:
        A number for each control, or a map float32 [L, 1] for each when any weight is a map; maps are clamped at 0.

    Raises:
        DreamkitError: a number below 0 or not finite, or a map of another rank.
    """
    values = [DEFAULT_WEIGHT if weight is None else weight for weight in weights]
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.ndim not in (2, 3):
                raise DreamkitError(
                    f"A control weight map has shape {list(value.shape)}, not [T, H, W] or [H, W].",
                    "Save the map as a float tensor with one weight per pixel, or per frame and pixel.",
                )
        elif not 0 <= value < float("inf"):
            raise DreamkitError(f"The control weight is {value}, not 0 or more.", "Use 0.3 to 1 for most scenes.")
    numbers = [value for value in values if not isinstance(value, torch.Tensor)]
    if len(numbers) == len(values):
        total = max(1.0, float(sum(numbers)))
        return [float(value) / total for value in numbers]
    maps_NTHW = torch.stack([_stretch(value, frames, grid) for value in values]).clamp(min=0)
    maps_NTHW = maps_NTHW / maps_NTHW.sum(0, keepdim=True).clamp(min=1)
    return [_shrink_to_tokens(map_THW, grid).flatten()[:, None] for map_THW in maps_NTHW]


def _stretch(value: float | torch.Tensor, frames: int, grid: tuple[int, int, int]) -> torch.Tensor:
    """A weight as a map [frames, H, W] at 16 x 16 pixels a token, from which upstream resamples maps to tokens."""
    size = (frames, grid[1] * PIXELS_PER_TOKEN, grid[2] * PIXELS_PER_TOKEN)
    if not isinstance(value, torch.Tensor):
        return torch.full(size, float(value))
    map_THW = value.float() if value.ndim == 3 else value.float().expand(frames, *value.shape)
    return F.interpolate(map_THW[None, None], size=size, mode="trilinear", align_corners=False)[0, 0]


def _shrink_to_tokens(map_THW: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
    """A map [T, H, W] in pixels resampled to tokens, trilinearly; the first frame is a latent frame by itself."""
    frames, height, width = grid
    first = F.interpolate(map_THW[None, None, :1], size=(1, height, width), mode="trilinear", align_corners=False)
    if frames == 1:
        return first[0, 0]
    rest = F.interpolate(
        map_THW[None, None, 1:], size=(frames - 1, height, width), mode="trilinear", align_corners=False
    )
    return torch.cat([first, rest], dim=2)[0, 0]
