"""Attention with several backends; which one runs is decided once, when a model is loaded."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from dreamkit.errors import DreamkitError, first_line
from dreamkit.transfer.attention_timing import remember_times, remembered_times, time_backends, timing_key
from dreamkit.transfer.torchscript import cache_folder

log = logging.getLogger("dreamkit")

BACKENDS: tuple[str, ...] = ("auto", "te", "cudnn", "flash4", "sdpa")
LIBRARIES = {"te": "transformer_engine", "flash4": "flash-attn-4"}
"""Backend -> distribution that it needs beside PyTorch."""


@dataclass(frozen=True)
class Attention:
    """Scaled dot-product attention without mask or dropout.

    Attributes:
        name: the backend: "te", "cudnn", "flash4" or "sdpa".
        op: Transformer Engine's module for "te", the function of FlashAttention-4 for "flash4", else None.
        version: of the library, where it is not PyTorch's own.
    """

    name: str
    op: Any = None
    version: str = ""

    def __call__(self, q_BLHD: torch.Tensor, k_BMHD: torch.Tensor, v_BMHD: torch.Tensor) -> torch.Tensor:
        """Attention of q [B, Lq, heads, D] over k and v [B, Lk, heads, D], all of one dtype; [B, Lq, heads, D]."""
        if self.name == "te":
            out_BLD = self.op(q_BLHD, k_BMHD, v_BMHD, core_attention_bias_type="no_bias")
            return out_BLD.view(q_BLHD.shape)
        if self.name == "flash4":
            out_BLHD, _ = self.op(q_BLHD, k_BMHD, v_BMHD)
            return out_BLHD
        q_BHLD, k_BHMD, v_BHMD = (t.transpose(1, 2) for t in (q_BLHD, k_BMHD, v_BMHD))
        if self.name == "cudnn":
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                out_BHLD = F.scaled_dot_product_attention(q_BHLD, k_BHMD, v_BHMD)
        else:
            out_BHLD = F.scaled_dot_product_attention(q_BHLD, k_BHMD, v_BHMD)
        return out_BHLD.transpose(1, 2)


def choose_attention(
    heads: int, head_dim: int, device: torch.device, dtype: torch.dtype, wanted: str = "auto", tokens: int = 0
) -> Attention:
    """A backend that runs here.

    `auto` takes the fastest of Transformer Engine, FlashAttention-4 and PyTorch's SDPA with the cuDNN kernel for
    `tokens`, timed at the first use of a shape and remembered for this GPU; where only one of them runs, that one;
    where none does, SDPA with PyTorch's own choice of kernel. That choice is the flash kernel, which takes 1.7 times
    as long on an H200 (145 ms against 83 ms with cuDNN at 32 heads x 128, 56,320 tokens, bf16), so on CUDA it comes
    last.

    Args:
        heads: number of heads.
        head_dim: channels of a head.
        device: device of the model.
        dtype: dtype of the model.
        wanted: one of BACKENDS.
        tokens: tokens of self-attention; 0 where they are not known, then nothing is timed.

    Raises:
        DreamkitError: an unknown name, or no wanted backend runs here; the message has the reasons.
    """
    if wanted not in BACKENDS:
        raise DreamkitError(f"There is no attention backend {wanted!r}.", f"Use one of {', '.join(BACKENDS)}.")
    half = dtype in (torch.bfloat16, torch.float16)
    names = ("cudnn", "te", "flash4", "sdpa") if device.type == "cuda" and half else ("sdpa",)
    shape = (tokens, heads, head_dim)
    fastest = _remembered_fastest(names, shape, device, dtype) if wanted == "auto" and tokens else None
    running, tried = _running((fastest,), heads, head_dim, device, dtype) if fastest else ([], [])
    if not running:
        names = names if wanted == "auto" else (wanted,)
        running, tried = _running(names, heads, head_dim, device, dtype)
    if not running:
        raise DreamkitError(
            f"No attention backend runs on {device} with {dtype} ({'; '.join(tried)}).",
            "Set attention to auto, or install what the message names.",
        )
    if running[0].name == "sdpa" and tried:
        log.warning("Attention runs with PyTorch's own choice of kernel, which is slower (%s).", "; ".join(tried))
    return _fastest(running, shape, device, dtype) if tokens and len(running) > 1 else running[0]


def library_version(name: str) -> str:
    """Backend and version of its library, such as `te 2.12.0`, without an import; empty where it is absent."""
    try:
        return f"{name} {metadata.version(LIBRARIES[name])}"
    except (KeyError, metadata.PackageNotFoundError):
        return ""


def _running(
    names: Sequence[str], heads: int, head_dim: int, device: torch.device, dtype: torch.dtype
) -> tuple[list[Attention], list[str]]:
    """The named backends that run here, `sdpa` only where no other does, and why the others do not."""
    running: list[Attention] = []
    tried: list[str] = []
    for name in names:
        if name == "sdpa" and running:
            break
        try:
            attention = _build(name, heads, head_dim, device)
            probe = torch.ones(1, 64, heads, head_dim, device=device, dtype=dtype)
            attention(probe, probe, probe)
            running.append(attention)
        except Exception as error:  # whatever fails at import or launch, the next backend may run
            tried.append(f"{name}: {first_line(error)}")
    return running, tried


def _key(shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> str:
    """What the times of a shape depend on, with the versions of the installed libraries."""
    return timing_key(shape, device, dtype, ", ".join(filter(None, map(library_version, LIBRARIES))))


def _remembered_fastest(
    names: Sequence[str], shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype
) -> str | None:
    """The fastest backend where the times of all installed ones are known: the others need no import then."""
    installed = [name for name in names if name == "cudnn" or library_version(name)]
    times = remembered_times(_key(shape, device, dtype), installed) if len(installed) > 1 else None
    return min(times, key=times.__getitem__) if times else None


def _fastest(
    backends: list[Attention], shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype
) -> Attention:
    """The fastest backend for self-attention of a shape; the first one where timing fails."""
    by_name = {attention.name: attention for attention in backends}
    key = _key(shape, device, dtype)
    times = remembered_times(key, list(by_name))
    if times is None:
        try:
            times = time_backends(backends, shape, device, dtype)
        except Exception as error:  # too little memory, or a kernel without this shape: choosing must not end a run
            log.info("Attention backends were not timed (%s); %s is used.", first_line(error), backends[0].name)
            return backends[0]
        remember_times(key, times)
        log.info("Attention, milliseconds for %d tokens: %s.", shape[0], dict(times))
    return by_name[min(by_name, key=times.__getitem__)]


def _build(name: str, heads: int, head_dim: int, device: torch.device) -> Attention:
    """The backend of this name; raises ImportError or RuntimeError where it cannot run."""
    if name == "sdpa":
        return Attention("sdpa")
    if device.type != "cuda":
        raise RuntimeError(f"{name} needs a CUDA device, this is {device.type}")
    if name == "cudnn":
        return Attention("cudnn")
    if name == "flash4":
        return _flash4(device)
    import transformer_engine.pytorch as te  # pyright: ignore[reportMissingImports]  # optional, absent on most machines

    op = te.DotProductAttention(heads, head_dim, attention_dropout=0.0, qkv_format="bshd", attn_mask_type="no_mask")
    return Attention("te", op, version=library_version(name))


def _flash4(device: torch.device) -> Attention:
    """FlashAttention-4 (`pip install "flash-attn-4[cu13]"`), whose kernels are compiled at their first use."""
    if torch.cuda.get_device_capability(device) < (9, 0):
        raise RuntimeError("flash4 needs a GPU of the Hopper generation or later")
    # Its package reads these at import: compiled kernels are kept on disk, in a folder of this user alone.
    os.environ.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED", "1")
    os.environ.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_DIR", str(cache_folder() / "flash4"))
    from flash_attn.cute import flash_attn_func  # pyright: ignore[reportMissingImports]  # optional

    return Attention("flash4", flash_attn_func, version=library_version("flash4"))
