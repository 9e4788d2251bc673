"""The operations between matrix products: uncompiled, or as kernels that go over memory once.

Uncompiled they are slower on a GPU, because every intermediate is written to memory and read again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

MLP_TOKENS = 32768  # tokens that go through an MLP at once: bounds the memory of its hidden layer, which is 4 D wide
EPS = 1e-6


@dataclass
class Tokens:
    """The tokens x + gate * y + added, a sum that the next operation computes together with its own.

    Attributes:
        x_BLD: the stream before the additions.
        gate_B1D: factor of y; None for no y.
        y_BLD: output of the last attention or MLP.
        added_BLD: output of control branches, or None.
        attended: whether the next block's self-attention is already in them.
        keep: whether x is needed again; else it and y may be overwritten.
    """

    x_BLD: torch.Tensor
    gate_B1D: torch.Tensor | None = None
    y_BLD: torch.Tensor | None = None
    added_BLD: torch.Tensor | None = None
    attended: bool = False
    keep: bool = False


def head_norm_rope(
    q_BLHD: torch.Tensor, weight_D: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor
) -> torch.Tensor:
    """RMSNorm of each head, then rotary embedding in rotate-half form, computed in float32; dtype and shape of q."""
    q = F.rms_norm(q_BLHD, q_BLHD.shape[-1:], weight_D, eps=EPS).float()
    (first, second), (sin_first, sin_second) = q.chunk(2, dim=-1), sin_LD[:, None].chunk(2, dim=-1)
    out = q * cos_LD[:, None]
    # Half by half: the rotated copy of q would take two more passes over memory.
    half = q.shape[-1] // 2
    # Slices, not chunks: autograd, which training needs, allows no change in place of one of several views.
    out[..., :half] -= second * sin_first
    out[..., half:] += first * sin_second
    return out.to(q_BLHD.dtype)


class FusedOps:
    """The operations in plain PyTorch. Shape letters: B batch, L tokens, D width or width of a head, H heads."""

    name = "eager"

    def settle(self, tokens: Tokens) -> torch.Tensor:
        """The sum of `tokens`, [B, L, D]."""
        x_BLD = tokens.x_BLD
        if tokens.gate_B1D is not None and tokens.y_BLD is not None:
            x_BLD = torch.addcmul(x_BLD, tokens.gate_B1D, tokens.y_BLD)
        return x_BLD if tokens.added_BLD is None else x_BLD + tokens.added_BLD

    def modulate(
        self,
        tokens: Tokens,
        scale_B1D: torch.Tensor,
        shift_B1D: torch.Tensor,
        position_LD: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of `tokens` and the positions, and its LayerNorm (no affine weights) times 1 + scale plus shift.

        `position_LD` has the tokens of one view and is added to each view.

        Returns:
            sum and modulated norm, both [B, L, D].
        """
        x_BLD = self.settle(tokens)
        if position_LD is not None:
            x_BLD = (x_BLD.unflatten(1, (-1, position_LD.shape[0])) + position_LD).flatten(1, 2)
        return x_BLD, F.layer_norm(x_BLD, x_BLD.shape[-1:], eps=EPS) * (1 + scale_B1D) + shift_B1D

    def head_norm(self, q_BLHD: torch.Tensor, weight_D: torch.Tensor) -> torch.Tensor:
        """RMSNorm of each head, [B, L, H, D]."""
        return F.rms_norm(q_BLHD, q_BLHD.shape[-1:], weight_D, eps=EPS)

    def head_norm_rope(
        self, q_BLHD: torch.Tensor, weight_D: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor
    ) -> torch.Tensor:
        """See the function `head_norm_rope`."""
        return head_norm_rope(q_BLHD, weight_D, cos_LD, sin_LD)

    def mlp(self, layer1: nn.Module, layer2: nn.Module, x_BLD: torch.Tensor) -> torch.Tensor:
        """layer2(GELU(layer1(x))), [B, L, D], over MLP_TOKENS tokens at a time."""
        parts = [layer2(F.gelu(layer1(part))) for part in x_BLD.split(MLP_TOKENS, dim=1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class KernelOps(FusedOps):
    """The operations as kernels for CUDA; they may overwrite their inputs, so they are not for training."""

    name = "triton"

    def settle(self, tokens: Tokens) -> torch.Tensor:
        """The sum of `tokens`, [B, L, D], written over x unless x is kept."""
        if tokens.y_BLD is None and tokens.added_BLD is None:
            return tokens.x_BLD
        return self._sum(tokens)[0]

    def modulate(
        self,
        tokens: Tokens,
        scale_B1D: torch.Tensor,
        shift_B1D: torch.Tensor,
        position_LD: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As in FusedOps; the sum is written over x unless x is kept, the norm over y."""
        x_BLD, normed = self._sum(tokens, position_LD, scale_B1D, shift_B1D)
        assert normed is not None
        return x_BLD, normed

    def _sum(self, tokens: Tokens, *modulation: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The sum of `tokens`, and its norm if `modulation` is given: positions or None, scale, shift."""
        from dreamkit.transfer import triton_ops

        sums = tokens.gate_B1D, tokens.y_BLD, tokens.added_BLD
        out = triton_ops.add_modulate(tokens.x_BLD, *sums, *(modulation or (None, None, None)), keep=tokens.keep)
        if not tokens.keep:
            tokens.added_BLD = None  # frees its memory although callers still hold `tokens`
        return out

    def head_norm(self, q_BLHD: torch.Tensor, weight_D: torch.Tensor) -> torch.Tensor:
        """RMSNorm of each head, written over q."""
        from dreamkit.transfer import triton_ops

        return triton_ops.heads(q_BLHD, weight_D)

    def head_norm_rope(
        self, q_BLHD: torch.Tensor, weight_D: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor
    ) -> torch.Tensor:
        """See the function `head_norm_rope`; written over q."""
        from dreamkit.transfer import triton_ops

        return triton_ops.heads(q_BLHD, weight_D, (cos_LD, sin_LD))

    def mlp(self, layer1: nn.Module, layer2: nn.Module, x_BLD: torch.Tensor) -> torch.Tensor:
        """As in FusedOps; the output is written over x, slice by slice."""
        count = -(-x_BLD.shape[1] // MLP_TOKENS)
        size = -(-x_BLD.shape[1] // count // 256) * 256  # whole tiles of the matrix products
        for part in x_BLD.split(size, dim=1):
            linear_into(layer2, linear_gelu(layer1, part), part)
        return x_BLD


def linear_gelu(layer: nn.Module, x_BLD: torch.Tensor) -> torch.Tensor:
    """GELU(layer(x)). For a plain linear in one product, with GELU's tanh form on the float32 sum.

    The tanh form differs from GELU by 2e-4 of the result (relative, for normal inputs), and rounding the result to
    bfloat16 by 1.7e-3. Rounding its input too, as two operations do, makes 2.6e-3: the one product is the closer one.
    """
    if type(layer) is not nn.Linear or layer.bias is not None or x_BLD.dtype == torch.float32:
        return F.gelu(layer(x_BLD))
    zeros = layer.weight.new_zeros(layer.out_features)
    flat = x_BLD.flatten(0, -2)
    out = torch._addmm_activation(zeros, flat, layer.weight.t(), use_gelu=True)  # pyright: ignore
    return out.view(*x_BLD.shape[:-1], -1)


def linear_into(layer: nn.Module, x_BLC: torch.Tensor, out_BLD: torch.Tensor) -> None:
    """Write layer(x) to `out_BLD`, for a plain linear without an intermediate copy."""
    if type(layer) is nn.Linear and layer.bias is None and out_BLD.is_contiguous():
        torch.mm(x_BLC.flatten(0, -2), layer.weight.t(), out=out_BLD.view(-1, out_BLD.shape[-1]))
    else:
        out_BLD.copy_(layer(x_BLC))


def choose_fused_ops(device: torch.device) -> FusedOps:
    """Kernels on CUDA if a small input can be compiled and run, else uncompiled operations."""
    if device.type != "cuda":
        return FusedOps()
    ops = KernelOps()
    try:
        one = torch.ones(1, 8, 8, device=device)
        ops.modulate(Tokens(one, one[:, :1], one.clone()), one[:, :1], one[:, :1])
    except Exception:  # no Triton or no C compiler: uncompiled gives the same result, slower; the sidecar names it
        return FusedOps()
    return ops
