"""One attention function, several backends, chosen once and named in the sidecar."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from dreamkit.errors import DreamkitError

log = logging.getLogger("dreamkit")

BACKENDS: tuple[str, ...] = ("auto", "te", "cudnn", "sdpa")


@dataclass(frozen=True)
class Attention:
    """Scaled dot-product attention without mask or dropout.

    Calling it takes q [B, Lq, heads, D] and k, v [B, Lk, heads, D] of one dtype and returns [B, Lq, heads, D].
    """

    name: str
    op: Any = None  # Transformer Engine's module, when that is the backend

    def __call__(self, q_BLHD: torch.Tensor, k_BMHD: torch.Tensor, v_BMHD: torch.Tensor) -> torch.Tensor:
        """Attend from every query to every key."""
        if self.name == "te":
            out_BLD = self.op(q_BLHD, k_BMHD, v_BMHD, core_attention_bias_type="no_bias")
            return out_BLD.view(q_BLHD.shape)
        q_BHLD, k_BHMD, v_BHMD = (t.transpose(1, 2) for t in (q_BLHD, k_BMHD, v_BMHD))
        if self.name == "cudnn":
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                out_BHLD = F.scaled_dot_product_attention(q_BHLD, k_BHMD, v_BHMD)
        else:
            out_BHLD = F.scaled_dot_product_attention(q_BHLD, k_BHMD, v_BHMD)
        return out_BHLD.transpose(1, 2)


def choose_attention(
    heads: int, head_dim: int, device: torch.device, dtype: torch.dtype, wanted: str = "auto"
) -> Attention:
    """Pick the backend once, by trying it on a small input.

    `auto` prefers Transformer Engine, then SDPA with the cuDNN kernel asked for by name, then plain SDPA. Left to
    itself SDPA takes the flash kernel, which needs 1.7 times as long on an H200 (145 ms against cuDNN's 83 ms at
    32 heads x 128, 56,320 tokens, bf16), so on CUDA it is a last resort.

    Raises:
        DreamkitError: an unknown name, or a forced backend that does not run here (with the actual reason).
    """
    if wanted not in BACKENDS:
        raise DreamkitError(f"attention is {wanted!r}; known backends: {', '.join(BACKENDS)}", "Use auto.")
    half = dtype in (torch.bfloat16, torch.float16)
    order = ("te", "cudnn", "sdpa") if device.type == "cuda" and half else ("sdpa",)
    tried: list[str] = []
    for name in order if wanted == "auto" else (wanted,):
        try:
            attention = _build(name, heads, head_dim, device)
            probe = torch.ones(1, 64, heads, head_dim, device=device, dtype=dtype)
            attention(probe, probe, probe)
            if name == "sdpa" and tried:
                log.warning(
                    "attention falls back to PyTorch's own choice of kernel, which is slower (%s)", "; ".join(tried)
                )
            return attention
        except Exception as error:  # any import or launch failure only means: not this one
            reason = str(error).strip() or type(error).__name__
            tried.append(f"{name}: {reason.splitlines()[0]}")
    raise DreamkitError(
        f"no attention backend runs on {device} with {dtype} ({'; '.join(tried)})",
        "Set attention: auto, or install what the message names.",
    )


def _build(name: str, heads: int, head_dim: int, device: torch.device) -> Attention:
    if name == "sdpa":
        return Attention("sdpa")
    if device.type != "cuda":
        raise RuntimeError(f"{name} needs a CUDA device, this is {device.type}")
    if name == "cudnn":
        return Attention("cudnn")
    from transformer_engine.pytorch import DotProductAttention  # heavy, and absent on most machines

    op = DotProductAttention(heads, head_dim, attention_dropout=0.0, qkv_format="bshd", attn_mask_type="no_mask")
    return Attention("te", op)
