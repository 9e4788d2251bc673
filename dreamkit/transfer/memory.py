"""Free GPU memory, and CUDA's out-of-memory error as an OutOfGpuMemory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dreamkit.errors import OutOfGpuMemory, first_line
from dreamkit.workspace.sizes import GIB


def free_memory(device: torch.device, budget: float | None = None) -> float:
    """Bytes that this process can still allocate on a CUDA device, within its memory fraction and `budget`, if any."""
    free, _ = torch.cuda.mem_get_info(device)
    reserved, allocated = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
    most = usable_memory(device) if budget is None else min(budget, usable_memory(device))
    return min(free + reserved - allocated, most - allocated)


def usable_memory(device: torch.device) -> float:
    """Bytes of a CUDA device's memory, or this process's memory fraction of them if one is set."""
    fraction = getattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 1.0)(device)
    return fraction * torch.cuda.get_device_properties(device).total_memory


@contextmanager
def explain_out_of_memory(device: torch.device, hint: str) -> Iterator[None]:
    """Turn CUDA's out-of-memory error into OutOfGpuMemory with the peak memory; `hint` is a sentence."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        peak = torch.cuda.max_memory_allocated(device) / GIB
        total = torch.cuda.get_device_properties(device).total_memory / GIB
        detail = first_line(error)
        torch.cuda.empty_cache()
        raise OutOfGpuMemory(
            f"Out of GPU memory: {peak:.1f} of {total:.1f} GiB were in use, and more was needed ({detail}).",
            hint,
        ) from error
