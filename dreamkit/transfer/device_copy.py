"""Tensors from a memory-mapped file to the GPU: worker threads fault the pages in through pinned buffers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch

BUFFER_BYTES = 32 << 20
MOST_WORKERS = 8


def move_tensors(
    tensors: Mapping[str, torch.Tensor], device: torch.device, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Copies of `tensors` on `device` as `dtype`; sources may be memory-mapped and are read once, in file order."""
    if device.type != "cuda":
        return {name: tensor.to(device=device, dtype=dtype, copy=True) for name, tensor in tensors.items()}
    targets = {n: torch.empty(t.shape, dtype=t.dtype, device=device) for n, t in tensors.items()}
    # The allocator may hand out memory that earlier work on the default stream still uses.
    torch.cuda.current_stream(device).synchronize()
    # Byte views: a checkpoint may mix dtypes, and the copy does not care.
    pieces = []
    for name in sorted(tensors, key=lambda n: tensors[n].data_ptr()):
        source, target = _bytes(tensors[name]), _bytes(targets[name])
        pieces += list(zip(source.split(BUFFER_BYTES), target.split(BUFFER_BYTES), strict=True))
    counter = count()  # next() on it is atomic: workers draw pieces in file order

    def worker() -> None:
        stream = torch.cuda.Stream(device)
        buffers = [torch.empty(BUFFER_BYTES, dtype=torch.uint8, pin_memory=True) for _ in range(2)]
        events = [torch.cuda.Event() for _ in buffers]
        with torch.cuda.stream(stream):
            turn = 0
            while (index := next(counter)) < len(pieces):
                source, target = pieces[index]
                events[turn].synchronize()  # this buffer's last copy has left it
                buffer = buffers[turn][: source.numel()]
                buffer.copy_(source)
                target.copy_(buffer, non_blocking=True)
                events[turn].record()
                turn = 1 - turn
        stream.synchronize()

    workers = min(MOST_WORKERS, os.cpu_count() or 1, max(1, len(pieces)))
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(worker) for _ in range(workers)]:
            future.result()
    return {name: target.to(dtype) for name, target in targets.items()}


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)
