"""Triton kernels that write float8: one pass over memory each. Import needs Triton, which comes with PyTorch for CUDA.

They compute what the functions of the same purpose in `fp8` compute; those are the reference of the tests.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]  # absent where PyTorch is built for the CPU
import triton.language as tl  # pyright: ignore[reportMissingImports]

LARGEST = tl.constexpr(448.0)  # of float8 e4m3
FLOAT8 = torch.float8_e4m3fn


@triton.jit
def _rows(x, values, scales, row_length, gelu: tl.constexpr, block: tl.constexpr):  # noqa: ANN001, ANN202
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < row_length
    v = tl.load(x + row * row_length + column, mask=inside, other=0.0).to(tl.float32)
    if gelu:
        v = 0.5 * v * (1.0 + tl.erf(v * 0.7071067811865476))
    scale = tl.maximum(tl.max(tl.abs(v), axis=0), 1e-12) / LARGEST
    v = tl.minimum(tl.maximum(v / scale, -LARGEST), LARGEST)
    tl.store(values + row * row_length + column, v.to(tl.float8e4nv), mask=inside)
    tl.store(scales + row, scale)


@triton.jit
def _norm_rope(  # noqa: ANN202
    q,  # noqa: ANN001
    weight,  # noqa: ANN001
    cos,  # noqa: ANN001
    sin,  # noqa: ANN001
    scale,  # noqa: ANN001
    values,  # noqa: ANN001
    length,  # noqa: ANN001
    heads: tl.constexpr,
    heads_block: tl.constexpr,
    half: tl.constexpr,
    half_block: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    head, channel = tl.arange(0, heads_block), tl.arange(0, half_block)
    inside = (head < heads)[:, None] & (channel < half)[None]
    at = token * heads * 2 * half + head[:, None] * 2 * half + channel[None]
    a = tl.load(q + at, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(q + at + half, mask=inside, other=0.0).to(tl.float32)
    norm = tl.rsqrt((tl.sum(a * a, axis=1) + tl.sum(b * b, axis=1)) / (2 * half) + 1e-6)[:, None]
    of_channel = channel < half
    a = a * norm * tl.load(weight + channel, mask=of_channel, other=0.0).to(tl.float32)[None]
    b = b * norm * tl.load(weight + half + channel, mask=of_channel, other=0.0).to(tl.float32)[None]
    angle = (token % length) * 2 * half + channel
    cos_a = tl.load(cos + angle, mask=of_channel, other=0.0).to(tl.float32)[None]
    cos_b = tl.load(cos + angle + half, mask=of_channel, other=0.0).to(tl.float32)[None]
    sin_a = tl.load(sin + angle, mask=of_channel, other=0.0).to(tl.float32)[None]
    sin_b = tl.load(sin + angle + half, mask=of_channel, other=0.0).to(tl.float32)[None]
    over = 1.0 / tl.load(scale)
    first, second = (a * cos_a - b * sin_a) * over, (b * cos_b + a * sin_b) * over
    first = tl.minimum(tl.maximum(first, -LARGEST), LARGEST)
    second = tl.minimum(tl.maximum(second, -LARGEST), LARGEST)
    tl.store(values + at, first.to(tl.float8e4nv), mask=inside)
    tl.store(values + at + half, second.to(tl.float8e4nv), mask=inside)


def _quantise(x_MK: torch.Tensor, gelu: bool) -> tuple[torch.Tensor, torch.Tensor]:
    rows, length = x_MK.shape
    values = torch.empty(rows, length, dtype=FLOAT8, device=x_MK.device)
    scales = torch.empty(rows, 1, dtype=torch.float32, device=x_MK.device)
    block = triton.next_power_of_2(length)
    warps = min(16, max(1, block // 1024))
    _rows[(rows,)](x_MK.contiguous(), values, scales, length, gelu, block, num_warps=warps)  # pyright: ignore[reportIndexIssue]
    return values, scales


def quantise_rows_fast(x_MK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`fp8.quantise_rows`."""
    return _quantise(x_MK, False)


def quantise_gelu_fast(x_MK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`fp8.quantise_gelu`."""
    return _quantise(x_MK, True)


def quantise_norm_rope_fast(
    q_BLHD: torch.Tensor, weight_D: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """`fp8.quantise_norm_rope`."""
    batch, length, heads, channels = q_BLHD.shape
    q_BLHD, half = q_BLHD.contiguous(), channels // 2
    values = torch.empty(q_BLHD.shape, dtype=FLOAT8, device=q_BLHD.device)
    blocks = triton.next_power_of_2(heads), triton.next_power_of_2(half)
    _norm_rope[(batch * length,)](  # pyright: ignore[reportIndexIssue]
        q_BLHD, weight_D, cos_LD, sin_LD, scale, values, length, heads, blocks[0], half, blocks[1], num_warps=4
    )
    return values
