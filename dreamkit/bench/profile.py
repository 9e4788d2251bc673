"""Where the time of a function goes, by class of kernel: attention, products, what stands between them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from dreamkit.bench.measure import Row, synchronize

CLASSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("attention", ("sdpa", "fmha", "flash", "fused_attn", "scaled_dot_product")),
    ("matrix products", ("nvjet", "gemm", "gemv", "cutlass", "xmma", "splitk", "aten::mm", "aten::addmm", "aten::bmm")),
    ("norm, rope, modulation", ("_add_modulate", "_heads_kernel", "layer_norm", "rms_norm", "addcmul")),
    ("GELU", ("gelu",)),
    ("float8 scaling", ("quantise", "float8", "_rows", "_norm_rope", "triton_")),
    ("copies", ("memcpy", "copy", "catarray", "aten::cat", "aten::clone")),
)
"""Class and parts of the lower-case names of its kernels (CUDA) or operators (CPU); the first that fits counts."""
OTHER = "other"


def kernel_class(name: str) -> str:
    """The class of a kernel or operator, by its name."""
    lower = name.lower()
    return next((kind for kind, parts in CLASSES if any(part in lower for part in parts)), OTHER)


def profile_rows(run: Callable[[], object], device: torch.device) -> list[Row]:
    """Milliseconds, share and calls of each class of kernel in one call of `run`, after a first call."""
    run()
    synchronize(device)
    cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU], acc_events=True) as recorded:
        run()
        synchronize(device)
    sums: dict[str, list[float]] = {}
    for event in recorded.key_averages():
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        if spent > 0:
            entry = sums.setdefault(kernel_class(event.key), [0.0, 0])
            entry[0] += spent / 1000
            entry[1] += event.count
    total = sum(spent for spent, _ in sums.values())
    return [
        {"kernels": kind, "ms": round(spent, 1), "share": round(spent / total, 4), "calls": int(count)}
        for kind, (spent, count) in sorted(sums.items(), key=lambda item: -item[1][0])
    ]
