"""Copy memory-mapped tensors to the GPU: threads read the file into pinned buffers, the GPU copies from those."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch

BUFFER_BYTES = 32 << 20
MOST_WORKERS = 8


def copy_to_device(
    tensors: Mapping[str, torch.Tensor], device: torch.device, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Copies of the tensors on `device` as `dtype`; memory-mapped ones are read once, in the file's order."""
    if device.type != "cuda":
        return {name: tensor.to(device=device, dtype=dtype, copy=True) for name, tensor in tensors.items()}
    targets = {n: torch.empty(t.shape, dtype=t.dtype, device=device) for n, t in tensors.items()}
    # The allocator may have given memory that earlier work on the current stream still uses.
    torch.cuda.current_stream(device).synchronize()
    # Copied as bytes, because a checkpoint may mix dtypes; converted on the GPU afterwards.
    pieces = []
    for name in sorted(tensors, key=lambda n: tensors[n].data_ptr()):
        source, target = _bytes(tensors[name]), _bytes(targets[name])
        pieces += list(zip(source.split(BUFFER_BYTES), target.split(BUFFER_BYTES), strict=True))
    counter = count()  # next() is atomic in CPython: each piece goes to one worker, in the file's order

    def worker() -> None:
        stream = torch.cuda.Stream(device)
        buffers = [torch.empty(BUFFER_BYTES, dtype=torch.uint8, pin_memory=True) for _ in range(2)]
        events = [torch.cuda.Event() for _ in buffers]
        with torch.cuda.stream(stream):
            turn = 0
            while (index := next(counter)) < len(pieces):
                source, target = pieces[index]
                events[turn].synchronize()  # until the copy from this buffer is done
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
    """The tensor's memory, uint8 [bytes]."""
    return tensor.contiguous().view(-1).view(torch.uint8)
