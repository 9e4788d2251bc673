# ruff: noqa: ANN001, ANN202 - a kernel's arguments are pointers and numbers that Triton types by itself
"""The operations of `fused_ops` as Triton kernels: each reads its inputs once and writes its results once.

They compute in float32 and round once, where PyTorch's operations round after each. Results are written over inputs
where those are not needed any more, so that no further memory is allocated. `available` says whether they run here.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]  # comes with PyTorch for CUDA only
import triton.language as tl  # pyright: ignore[reportMissingImports]

EPS = 1e-6
TOKENS = 16  # of one head, per program of `_heads_kernel`


@triton.jit
def _add_modulate_kernel(
    x,
    y,
    gate,
    added,
    position,
    scale,
    shift,
    x_out,
    normed,
    width,
    tokens,
    view_tokens,
    gate_step,
    scale_step,
    eps,
    GATED: tl.constexpr,
    ADDED: tl.constexpr,
    POSITION: tl.constexpr,
    MODULATED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    batch = row // tokens
    at = tl.arange(0, BLOCK)
    inside = at < width
    here = row * width + at
    value = tl.load(x + here, inside, 0.0).to(tl.float32)
    if GATED:
        factor = tl.load(gate + batch * gate_step + at, inside, 0.0).to(tl.float32)
        value += factor * tl.load(y + here, inside, 0.0).to(tl.float32)
    if ADDED:
        value += tl.load(added + here, inside, 0.0).to(tl.float32)
    if POSITION:
        value += tl.load(position + (row % view_tokens) * width + at, inside, 0.0).to(tl.float32)
    rounded = value.to(x_out.dtype.element_ty)
    tl.store(x_out + here, rounded, inside)
    if MODULATED:
        value = rounded.to(tl.float32)
        mean = tl.sum(value, 0) / width
        centred = tl.where(inside, value - mean, 0.0)
        variance = tl.sum(centred * centred, 0) / width
        factor = 1.0 + tl.load(scale + batch * scale_step + at, inside, 0.0).to(tl.float32)
        offset = tl.load(shift + batch * scale_step + at, inside, 0.0).to(tl.float32)
        result = centred * (1.0 / tl.sqrt(variance + eps)) * factor + offset
        tl.store(normed + here, result.to(normed.dtype.element_ty), inside)


@triton.jit
def _heads_kernel(
    q,
    weight,
    cos,
    sin,
    tokens,
    heads,
    half,
    eps,
    ROPE: tl.constexpr,
    TOKENS: tl.constexpr,
    HALF: tl.constexpr,
):
    head = tl.program_id(0) % heads  # heads vary fastest, so that programs side by side share cosines and sines
    token = (tl.program_id(0) // heads) * TOKENS + tl.arange(0, TOKENS)
    batch = tl.program_id(1).to(tl.int64)
    at = tl.arange(0, HALF)
    inside = (token < tokens)[:, None] & (at < half)[None, :]
    here = q + (((batch * tokens + token) * heads + head) * 2 * half)[:, None] + at[None, :]
    first = tl.load(here, inside, 0.0).to(tl.float32)
    second = tl.load(here + half, inside, 0.0).to(tl.float32)
    square = tl.sum(first * first, 1) + tl.sum(second * second, 1)
    scale = (1.0 / tl.sqrt(square / (2 * half) + eps))[:, None]
    first = first * scale * tl.load(weight + at, at < half, 0.0).to(tl.float32)[None, :]
    second = second * scale * tl.load(weight + half + at, at < half, 0.0).to(tl.float32)[None, :]
    if ROPE:
        angle = token.to(tl.int64)[:, None] * 2 * half + at[None, :]  # both halves of a row are the same
        c = tl.load(cos + angle, inside, 0.0)
        s = tl.load(sin + angle, inside, 0.0)
        first, second = first * c - second * s, second * c + first * s
    tl.store(here, first.to(q.dtype.element_ty), inside)
    tl.store(here + half, second.to(q.dtype.element_ty), inside)


def add_modulate(
    x_BLD: torch.Tensor,
    gate_B1D: torch.Tensor | None,
    y_BLD: torch.Tensor | None,
    added_BLD: torch.Tensor | None,
    position_LD: torch.Tensor | None,
    scale_B1D: torch.Tensor | None,
    shift_B1D: torch.Tensor | None,
    keep: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """x + gate * y + added + position, and its modulated norm (None without `scale_B1D`), both [B, L, D].

    The sum is written over x unless `keep`, the norm over y if there is one. All inputs [B, L, D] are contiguous.
    """
    batch, tokens, width = x_BLD.shape
    x_out = torch.empty_like(x_BLD) if keep else x_BLD
    modulated = scale_B1D is not None
    normed = x_out if not modulated else torch.empty_like(x_BLD) if y_BLD is None else y_BLD
    for tensor in (x_BLD, y_BLD, added_BLD, position_LD):
        assert tensor is None or tensor.is_contiguous()
    grid = (batch * tokens,)
    _add_modulate_kernel[grid](  # pyright: ignore[reportIndexIssue]  # indexing a kernel sets its grid
        x_BLD,
        x_BLD if y_BLD is None else y_BLD,
        x_BLD if gate_B1D is None else gate_B1D,
        x_BLD if added_BLD is None else added_BLD,
        x_BLD if position_LD is None else position_LD,
        x_BLD if scale_B1D is None else scale_B1D,
        x_BLD if shift_B1D is None else shift_B1D,
        x_out,
        normed,
        width,
        tokens,
        1 if position_LD is None else position_LD.shape[0],
        0 if gate_B1D is None else gate_B1D.stride(0),
        0 if scale_B1D is None else scale_B1D.stride(0),
        EPS,
        GATED=gate_B1D is not None,
        ADDED=added_BLD is not None,
        POSITION=position_LD is not None,
        MODULATED=modulated,
        BLOCK=triton.next_power_of_2(width),
        num_warps=8 if width > 1024 else 4,
    )
    return x_out, normed if modulated else None


def heads(
    q_BLHD: torch.Tensor, weight_D: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor] | None = None
) -> torch.Tensor:
    """RMSNorm of each head, then rotation by `rope`'s cosines and sines [L, D]; written over q, [B, L, H, D]."""
    batch, tokens, count, dim = q_BLHD.shape
    assert q_BLHD.is_contiguous()
    cos, sin = rope or (q_BLHD, q_BLHD)
    half = dim // 2
    grid = (triton.cdiv(tokens, TOKENS) * count, batch)
    _heads_kernel[grid](  # pyright: ignore[reportIndexIssue]
        q_BLHD,
        weight_D,
        cos,
        sin,
        tokens,
        count,
        half,
        EPS,
        ROPE=rope is not None,
        TOKENS=TOKENS,
        HALF=triton.next_power_of_2(half),
        num_warps=4,
    )
    return q_BLHD
