"""Weights of blocks in page-locked host memory, from which a GPU copies while it computes."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from dreamkit.transfer.device_copy import MOST_WORKERS
from dreamkit.workspace.sizes import GIB

log = logging.getLogger("dreamkit")

# Bytes to whose multiples a parameter's place in its buffer is rounded: what the loads of GPU kernels are fastest with.
ALIGNMENT = 256
_BLOCK = re.compile(r"(trunk\.blocks\.\d+)\.(.+)")


class _HostMemory(mmap.mmap):
    """Anonymous memory of exactly the size asked for; if CUDA has page-locked it, it is unlocked before it is freed.

    PyTorch's own page-locked memory rounds up to powers of two and keeps what is freed.
    """

    locked = 0
    """Address that CUDA has page-locked, or 0."""

    def lock(self, address: int, size: int) -> None:
        """Page-lock the memory, so that the GPU copies from it without waiting; a warning where CUDA refuses."""
        if int(_cuda().cudaHostRegister(address, size, 0)) == 0:
            self.locked = address
        else:
            log.warning("%.1f GiB of host memory cannot be page-locked: copies to the GPU wait for it.", size / GIB)

    def __del__(self) -> None:
        if self.locked:
            with contextlib.suppress(Exception):  # at the end of the process CUDA may be shut down already
                _cuda().cudaHostUnregister(self.locked)


def _cuda() -> Any:
    """CUDA's runtime library."""
    return torch.cuda.cudart()


def pack(tensors: Mapping[str, torch.Tensor], dtype: torch.dtype, page_locked: bool) -> dict[str, torch.Tensor]:
    """Copies of the tensors as `dtype`, views of one buffer of host memory; `flat` returns that buffer."""
    size = torch.empty(0, dtype=dtype).element_size()
    places, end = {}, 0
    for name, tensor in tensors.items():
        places[name] = end
        end += -(-tensor.numel() * size // ALIGNMENT) * ALIGNMENT
    memory = _HostMemory(-1, end)
    with contextlib.suppress(AttributeError, OSError):  # fewer page faults; not every kernel has it
        memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = torch.frombuffer(memory, dtype=torch.uint8)
    packed = {}
    for name, tensor in tensors.items():
        part = buffer[places[name] : places[name] + tensor.numel() * size].view(dtype).view(tensor.shape)
        packed[name] = part.copy_(tensor)
    if page_locked:  # after the copy, whose threads bring the pages in side by side
        memory.lock(buffer.data_ptr(), end)
    return packed


def flat(packed: torch.Tensor) -> torch.Tensor:
    """The whole buffer of a tensor that `pack` made, uint8 [bytes]."""
    return torch.empty(0, dtype=torch.uint8).set_(packed.untyped_storage())  # pyright: ignore[reportArgumentType]


def pack_blocks(
    tensors: Mapping[str, torch.Tensor], dtype: torch.dtype, page_locked: bool
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Split a network's tensors, by parameter name: those of its blocks packed in host memory, and the others as given.

    Each block has a buffer of its own. Memory-mapped tensors are read once, several blocks at a time.
    """
    blocks: dict[str, dict[str, torch.Tensor]] = {}
    rest = {}
    for name, tensor in tensors.items():
        if found := _BLOCK.fullmatch(name):
            blocks.setdefault(found[1], {})[found[2]] = tensor
        else:
            rest[name] = tensor
    with ThreadPoolExecutor(min(MOST_WORKERS, os.cpu_count() or 1)) as pool:
        packed = pool.map(lambda block: pack(block, dtype, page_locked), blocks.values())
        names = {
            f"{block}.{name}": tensor
            for block, parts in zip(blocks, packed, strict=True)
            for name, tensor in parts.items()
        }
    return names, rest


def available_host_memory() -> int:
    """Bytes of host memory that can be had without swapping, within the container's limit; 0 where not known."""
    numbers = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        numbers.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        numbers.append(max(0, limit - used))
    return min(numbers, default=0)
