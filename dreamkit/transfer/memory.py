"""How much of the GPU is free, and what to say when it is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dreamkit.errors import DreamkitError


def free_memory(device: torch.device) -> float:
    """Bytes this process may still take on a CUDA device, under its own cap if one is set."""
    free, total = torch.cuda.mem_get_info(device)
    reserved, allocated = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
    fraction = getattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 1.0)(device)
    return min(free + reserved - allocated, fraction * total - allocated)


@contextmanager
def explain_out_of_memory(device: torch.device, lower: str) -> Iterator[None]:
    """Turn CUDA's out-of-memory into what was needed and what to lower."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        peak = torch.cuda.max_memory_allocated(device) / 2**30
        total = torch.cuda.get_device_properties(device).total_memory / 2**30
        detail = str(error).splitlines()[0]
        torch.cuda.empty_cache()
        raise DreamkitError(
            f"out of GPU memory: {peak:.1f} of {total:.1f} GiB were in use, and more was needed ({detail})",
            lower,
        ) from error
