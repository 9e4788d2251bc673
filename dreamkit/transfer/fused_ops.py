"""The memory-bound steps between matrix products, as plain functions that `torch.compile` turns into one kernel each.

Uncompiled they are correct and slower: each intermediate makes a round trip through memory. Compiled, they also round
once instead of after every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


def add_position_modulate(
    x_BLD: torch.Tensor, position_LD: torch.Tensor, scale_B1D: torch.Tensor, shift_B1D: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add the absolute position to the stream; return the stream and its modulated norm.

    `position_LD` covers one view and repeats in each.
    """
    x_BLD = (x_BLD.unflatten(1, (-1, position_LD.shape[0])) + position_LD).flatten(1, 2)
    return x_BLD, modulate(x_BLD, scale_B1D, shift_B1D)


def modulate(x_BLD: torch.Tensor, scale_B1D: torch.Tensor, shift_B1D: torch.Tensor) -> torch.Tensor:
    """LayerNorm without affine (eps 1e-6), times 1 + scale, plus shift."""
    return F.layer_norm(x_BLD, x_BLD.shape[-1:], eps=1e-6) * (1 + scale_B1D) + shift_B1D


def gated_add(x_BLD: torch.Tensor, gate_B1D: torch.Tensor, y_BLD: torch.Tensor) -> torch.Tensor:
    """x + gate * y."""
    return torch.addcmul(x_BLD, gate_B1D, y_BLD)


def gated_add_modulate(
    x_BLD: torch.Tensor,
    gate_B1D: torch.Tensor,
    y_BLD: torch.Tensor,
    scale_B1D: torch.Tensor,
    shift_B1D: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Close one residual step and open the next: the stream and its modulated norm."""
    x_BLD = gated_add(x_BLD, gate_B1D, y_BLD)
    return x_BLD, modulate(x_BLD, scale_B1D, shift_B1D)


def head_norm(q_BLHD: torch.Tensor, weight_D: torch.Tensor) -> torch.Tensor:
    """RMSNorm of each head (eps 1e-6)."""
    return F.rms_norm(q_BLHD, q_BLHD.shape[-1:], weight_D, eps=1e-6)


def head_norm_rope(
    q_BLHD: torch.Tensor, weight_D: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor
) -> torch.Tensor:
    """RMSNorm of each head, then rotary embedding in rotate-half form, in float32."""
    q = head_norm(q_BLHD, weight_D).float()
    first, second = q.chunk(2, dim=-1)
    rotated = torch.cat([-second, first], dim=-1)
    return (q * cos_LD[:, None] + rotated * sin_LD[:, None]).to(q_BLHD.dtype)


@dataclass(frozen=True)
class Pointwise:
    """The functions above, as they are or compiled."""

    add_position_modulate: Callable[..., tuple[torch.Tensor, torch.Tensor]] = add_position_modulate
    gated_add_modulate: Callable[..., tuple[torch.Tensor, torch.Tensor]] = gated_add_modulate
    gated_add: Callable[..., torch.Tensor] = gated_add
    modulate: Callable[..., torch.Tensor] = modulate
    head_norm: Callable[..., torch.Tensor] = head_norm
    head_norm_rope: Callable[..., torch.Tensor] = head_norm_rope
    name: str = "eager"


def compiled_pointwise() -> Pointwise:
    """Each function compiled for itself. Needs a working Triton; compilation happens at the first call of a shape."""

    def build(function: Callable[..., object]) -> Callable[..., object]:
        return torch.compile(function, dynamic=False)

    return Pointwise(
        build(add_position_modulate),
        build(gated_add_modulate),
        build(gated_add),
        build(modulate),
        build(head_norm),
        build(head_norm_rope),
        "compiled",
    )


def choose_pointwise(device: torch.device) -> Pointwise:
    """Compiled on CUDA where the compiler works (tried on a small input), eager elsewhere."""
    if device.type != "cuda":
        return Pointwise()
    compiled = compiled_pointwise()
    try:
        compiled.gated_add(*(torch.ones(1, 8, 8, device=device) for _ in range(3)))
    except Exception:  # no Triton, no C compiler: slower, still right, and named in the sidecar
        return Pointwise()
    return compiled
