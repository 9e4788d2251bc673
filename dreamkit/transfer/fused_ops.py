"""The memory-bound operations between matrix products, as functions that `torch.compile` fuses to one kernel each.

Uncompiled they are slower, because every intermediate is written to memory and read again. Compiled, they also round
once instead of after every operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


def add_position_modulate(
    x_BLD: torch.Tensor, position_LD: torch.Tensor, scale_B1D: torch.Tensor, shift_B1D: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add the absolute positions to x; return the sum and its modulated norm, both [B, L, D].

    `position_LD` has the tokens of one view and is added to each view.
    """
    x_BLD = (x_BLD.unflatten(1, (-1, position_LD.shape[0])) + position_LD).flatten(1, 2)
    return x_BLD, modulate(x_BLD, scale_B1D, shift_B1D)


def modulate(x_BLD: torch.Tensor, scale_B1D: torch.Tensor, shift_B1D: torch.Tensor) -> torch.Tensor:
    """LayerNorm without affine weights (eps 1e-6), times 1 + scale, plus shift; [B, L, D]."""
    return F.layer_norm(x_BLD, x_BLD.shape[-1:], eps=1e-6) * (1 + scale_B1D) + shift_B1D


def gated_add(x_BLD: torch.Tensor, gate_B1D: torch.Tensor, y_BLD: torch.Tensor) -> torch.Tensor:
    """x + gate * y, [B, L, D]."""
    return torch.addcmul(x_BLD, gate_B1D, y_BLD)


def gated_add_modulate(
    x_BLD: torch.Tensor,
    gate_B1D: torch.Tensor,
    y_BLD: torch.Tensor,
    scale_B1D: torch.Tensor,
    shift_B1D: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """x + gate * y, and its modulated norm: the end of one residual step and the start of the next."""
    x_BLD = gated_add(x_BLD, gate_B1D, y_BLD)
    return x_BLD, modulate(x_BLD, scale_B1D, shift_B1D)


def head_norm(q_BLHD: torch.Tensor, weight_D: torch.Tensor) -> torch.Tensor:
    """RMSNorm of each head (eps 1e-6), [B, L, H, D]."""
    return F.rms_norm(q_BLHD, q_BLHD.shape[-1:], weight_D, eps=1e-6)


def head_norm_rope(
    q_BLHD: torch.Tensor, weight_D: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor
) -> torch.Tensor:
    """RMSNorm of each head, then rotary embedding in rotate-half form, computed in float32; dtype and shape of q."""
    q = head_norm(q_BLHD, weight_D).float()
    first, second = q.chunk(2, dim=-1)
    rotated = torch.cat([-second, first], dim=-1)
    return (q * cos_LD[:, None] + rotated * sin_LD[:, None]).to(q_BLHD.dtype)


@dataclass(frozen=True)
class FusedOps:
    """The functions above, uncompiled or compiled.

    Attributes:
        name: "eager" or "compiled", for the sidecar; the other attributes are the functions.
    """

    add_position_modulate: Callable[..., tuple[torch.Tensor, torch.Tensor]] = add_position_modulate
    gated_add_modulate: Callable[..., tuple[torch.Tensor, torch.Tensor]] = gated_add_modulate
    gated_add: Callable[..., torch.Tensor] = gated_add
    modulate: Callable[..., torch.Tensor] = modulate
    head_norm: Callable[..., torch.Tensor] = head_norm
    head_norm_rope: Callable[..., torch.Tensor] = head_norm_rope
    name: str = "eager"


def compiled_ops() -> FusedOps:
    """Each function compiled by itself, at the first call of a shape. Needs a working Triton."""
    return FusedOps(
        torch.compile(add_position_modulate, dynamic=False),
        torch.compile(gated_add_modulate, dynamic=False),
        torch.compile(gated_add, dynamic=False),
        torch.compile(modulate, dynamic=False),
        torch.compile(head_norm, dynamic=False),
        torch.compile(head_norm_rope, dynamic=False),
        "compiled",
    )


def choose_fused_ops(device: torch.device) -> FusedOps:
    """Compiled on CUDA if a small input can be compiled and run, else uncompiled."""
    if device.type != "cuda":
        return FusedOps()
    compiled = compiled_ops()
    try:
        compiled.gated_add(*(torch.ones(1, 8, 8, device=device) for _ in range(3)))
    except Exception:  # no Triton or no C compiler: uncompiled gives the same result, slower; the sidecar names it
        return FusedOps()
    return compiled
