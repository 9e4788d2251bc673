"""Float8 arithmetic of preset fp8: MLP, values and output projections, and self-attention where cuDNN has it.

Products have one scale for each row of the activations (a token) and one for each row of the weight (an output
channel). Queries and keys are projected in bfloat16, because errors there move whole rows of attention. The first and
the last evaluation of a video run in bfloat16 (`use_float8`). Shape letters as in `dit`; M rows, K inputs, N outputs.

Values are quantised without their mean over the tokens, which is added behind the attention. Hopper adds float8
products with about 14 bits: over 56,320 tokens a sum that grows steadily loses a third of itself. With the mean left
in, random weights and an H100, attention's output was off by 0.43 (relative error) for a single view and by 0.71 for
six; without it by 0.005 to 0.010 in both (H200). Sources: DeepSeek-V3 (arXiv 2412.19437, section 3.3.2);
SageAttention2 (arXiv 2411.10958, section 3.3).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.errors import first_line
from dreamkit.transfer.attention import Attention
from dreamkit.transfer.dit import Block, Mlp, SelfAttention, Trunk
from dreamkit.transfer.fp8_attention import FLOAT8, FLOAT8_MAX, CudnnFp8Attention
from dreamkit.transfer.fused_ops import FusedOps, head_norm_rope

log = logging.getLogger("dreamkit")

# Tokens that go through a float8 MLP at once: half of `fused_ops.MLP_TOKENS`, because the hidden layer, which is 4 D
# wide, is in memory in bfloat16 and in float8.
MLP_TOKENS = 16384

Quantised = tuple[torch.Tensor, torch.Tensor]  # float8 values and their scale, float32: value times scale


def to_float8(x: torch.Tensor) -> torch.Tensor:
    """float32 values as float8 (e4m3), those beyond its range at its ends."""
    return x.clamp(-FLOAT8_MAX, FLOAT8_MAX).to(FLOAT8)


def quantise_rows(x_MK: torch.Tensor) -> Quantised:
    """Rows of a matrix in float8, each scaled so that its largest value is float8's largest: [M, K] and [M, 1]."""
    x = x_MK.float()
    scale_M1 = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / FLOAT8_MAX
    return to_float8(x / scale_M1), scale_M1


def quantise_gelu(x_MK: torch.Tensor) -> Quantised:
    """`quantise_rows` of GELU of a matrix."""
    return quantise_rows(F.gelu(x_MK.float()))


def quantise_centred(v_BLHD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values without their mean over the tokens in float8 with one scale [1], that scale, and the mean [B, 1, H, D].

    Attention's weights sum to 1, so attention over values is attention over values less any vector, plus that vector.
    """
    mean_B1HD = v_BLHD.mean(1, keepdim=True, dtype=torch.float32)
    centred_BLHD = v_BLHD.float() - mean_B1HD
    scale = centred_BLHD.abs().amax().clamp(min=1e-12).reshape(1) / FLOAT8_MAX
    return to_float8(centred_BLHD / scale), scale, mean_B1HD


def quantise_norm_rope(
    q_BLHD: torch.Tensor, weight_D: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Queries or keys after norm and rotary embedding, divided by `scale` [1], float8 [B, L, H, D]."""
    return to_float8(head_norm_rope(q_BLHD, weight_D, cos_LD, sin_LD).float() / scale)


def head_bound(weight_D: torch.Tensor) -> torch.Tensor:
    """The scale of normed heads in float8, by which their values are multiplied, float32 [1].

    RMSNorm makes a head's length sqrt(D) at most, times the largest weight; a rotation does not change the length.
    """
    return (weight_D.abs().amax().float() * math.sqrt(weight_D.shape[0]) / FLOAT8_MAX).reshape(1)


@dataclass(frozen=True)
class Float8Ops:
    """The functions above, or kernels that compute the same."""

    rows: Callable[..., Quantised] = quantise_rows
    gelu: Callable[..., Quantised] = quantise_gelu
    centred: Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = quantise_centred
    norm_rope: Callable[..., torch.Tensor] = quantise_norm_rope


def fast_float8_ops() -> Float8Ops:
    """The functions above as kernels. Raises ImportError without Triton."""
    from dreamkit.transfer import fp8_kernels as kernels

    centred = torch.compile(quantise_centred, dynamic=False)
    return Float8Ops(kernels.quantise_rows_fast, kernels.quantise_gelu_fast, centred, kernels.quantise_norm_rope_fast)


class Float8Linear(nn.Module):
    """A linear without bias, in float8 while `on`, else as it was."""

    weight_NK: torch.Tensor
    scale_1N: torch.Tensor

    def __init__(self, linear: nn.Module, ops: Float8Ops, keep: bool) -> None:
        """With `keep` the given weight stays beside the float8 one; without it, it is computed back from that."""
        super().__init__()
        assert isinstance(linear, nn.Linear)
        weight_NK, scale_N1 = ops.rows(linear.weight.detach())
        self.register_buffer("weight_NK", weight_NK)
        self.register_buffer("scale_1N", scale_N1.T.contiguous())
        self.plain = linear if keep else None
        self.dtype = linear.weight.dtype
        self.ops = ops
        self.on = True

    def product(
        self, x: Quantised, out_MN: torch.Tensor | None = None, bias_N: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Product with rows from `quantise_rows`, plus `bias_N` if there is one, [M, N], in the linear's dtype."""
        scales = x[1], self.scale_1N
        return torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage] - it has no public name
            x[0], self.weight_NK.T, *scales, bias_N, out_dtype=self.dtype, use_fast_accum=True, out=out_MN
        )

    def bfloat16_product(self, x: torch.Tensor) -> torch.Tensor:
        """[..., K] to [..., N], without float8 in the activations."""
        if self.plain is not None:
            return self.plain(x)
        return F.linear(x, (self.weight_NK.float() * self.scale_1N.T).to(self.dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., K] to [..., N]."""
        if self.on:
            return self.product(self.ops.rows(x.flatten(0, -2))).unflatten(0, x.shape[:-1])
        return self.bfloat16_product(x)


class Float8Mlp(nn.Module):
    """An MLP whose two products run in float8 while `on`; GELU and the scaling between them are one kernel."""

    def __init__(self, mlp: Mlp, ops: Float8Ops, keep: bool) -> None:
        super().__init__()
        self.plain = mlp if keep else None
        self.layer1, self.layer2 = (Float8Linear(layer, ops, keep) for layer in (mlp.layer1, mlp.layer2))
        self.ops = ops
        self.on = True

    def forward(self, x_BLD: torch.Tensor, ops: FusedOps) -> torch.Tensor:
        """Tokens [B, L, D] to [B, L, D], while `on` written over `x_BLD`; `ops` serves while off."""
        if not self.on:
            return ops.mlp(self.layer1, self.layer2, x_BLD) if self.plain is None else self.plain(x_BLD, ops)
        x_MD = x_BLD.flatten(0, 1)
        for part in x_MD.split(MLP_TOKENS):
            self.layer2.product(self.ops.gelu(self.layer1.product(self.ops.rows(part))), part)
        return x_MD.view(x_BLD.shape)


class Float8SelfAttention(SelfAttention):
    """Self-attention over float8 queries, keys and values while `on`, else as it was."""

    scale_q: torch.Tensor
    scale_k: torch.Tensor

    def __init__(self, plain: SelfAttention, ops: Float8Ops, attention: CudnnFp8Attention) -> None:
        """Takes over the modules of `plain`, of which those for the values and the output are Float8Linear."""
        nn.Module.__init__(self)
        self.heads = plain.heads
        self.to_q, self.to_k, self.to_v, self.to_out = plain.to_q, plain.to_k, plain.to_v, plain.to_out
        self.q_norm, self.k_norm = plain.q_norm, plain.k_norm
        self.float8_ops = ops
        self.attention = attention
        self.on = True
        self.register_buffer("scale_q", head_bound(plain.q_norm))
        self.register_buffer("scale_k", head_bound(plain.k_norm))

    def forward(
        self, x_BLD: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor], attention: Attention, ops: FusedOps
    ) -> torch.Tensor:
        """Attention of the tokens [B, L, D] over each other, [B, L, D]; `attention` and `ops` serve while off."""
        if not self.on:
            return super().forward(x_BLD, rope, attention, ops)
        heads, own = (self.heads, -1), self.float8_ops
        q_BLHD = own.norm_rope(self.to_q(x_BLD).unflatten(-1, heads), self.q_norm, *rope, self.scale_q)
        k_BLHD = own.norm_rope(self.to_k(x_BLD).unflatten(-1, heads), self.k_norm, *rope, self.scale_k)
        v_BLHD, scale_v, mean_B1HD = own.centred(self.to_v(x_BLD).unflatten(-1, heads))
        out_BLHD = self.attention(q_BLHD, k_BLHD, v_BLHD, self.scale_q, self.scale_k, scale_v)
        scales_L1 = scale_v.expand(out_BLHD.shape[1], 1).contiguous()
        assert isinstance(self.to_out, Float8Linear)
        of_mean_BD = self.to_out.bfloat16_product(mean_B1HD.flatten(1).to(x_BLD.dtype))
        parts = [
            self.to_out.product((rows_LHD.flatten(1), scales_L1), bias_N=of_mean_D)
            for rows_LHD, of_mean_D in zip(out_BLHD, of_mean_BD, strict=True)
        ]
        return parts[0][None] if len(parts) == 1 else torch.stack(parts)


def choose_float8(head_dim: int, device: torch.device) -> tuple[Float8Ops, CudnnFp8Attention | None]:
    """Kernels if they can be compiled and run on a small input, else the plain functions; float8 attention, or None."""
    ops = Float8Ops()
    try:
        fast, small = fast_float8_ops(), torch.ones(16, 64, device=device, dtype=torch.bfloat16)
        fast.centred(fast.rows(small)[1].view(1, -1, 1, 1))
        ops = fast
    except Exception as error:  # no Triton or no C compiler: the same numbers, slower
        log.warning("Float8 values are computed by uncompiled operations, which are slower (%s).", first_line(error))
    try:
        attention = CudnnFp8Attention(device)
        q, one = torch.ones(1, 128, 2, head_dim, device=device).to(FLOAT8), torch.ones(1, device=device)
        attention(q, q, q, one, one, one)
    except Exception as error:  # whatever fails at import, build or launch, attention runs in bfloat16
        log.warning(
            "Attention runs in bfloat16 instead of float8, which is slower; float8 needs nvidia-cudnn-frontend (%s).",
            first_line(error),
        )
        return ops, None
    return ops, attention


def convert_to_float8(trunks: Sequence[Trunk], ops: Float8Ops, attention: CudnnFp8Attention | None, keep: bool) -> None:
    """Replace the modules of trunks that run in float8.

    Args:
        trunks: of the base and its branches.
        ops: see `choose_float8`.
        attention: attention over float8, or None to leave attention as it is.
        keep: keep the weights of before too, for the evaluations in bfloat16.
    """
    for trunk in trunks:
        for block in trunk.blocks:
            assert isinstance(block, Block)
            own, cross = block.self_attention, block.cross_attention
            for module, name in ((own, "to_v"), (own, "to_out"), (cross, "to_out")):
                module.register_module(name, Float8Linear(module.get_submodule(name), ops, keep))
            block.register_module("mlp", Float8Mlp(block.mlp, ops, keep))
            if attention is not None:
                block.register_module("self_attention", Float8SelfAttention(own, ops, attention))


def use_float8(trunks: Sequence[Trunk], on: bool) -> None:
    """Switch converted trunks to float8, or back to bfloat16; does nothing to others."""
    for trunk in trunks:
        for module in trunk.modules():
            if isinstance(module, Float8Linear | Float8Mlp | Float8SelfAttention):
                module.on = on
