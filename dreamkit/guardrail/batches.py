"""Frames through a model in batches: smaller ones where the GPU has too little memory, and the GPU freed at the end."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

log = logging.getLogger(__name__)
Result = TypeVar("Result")


def device_of(asked: str | None) -> torch.device:
    """The device to check on: the one asked for, else the first GPU, else the CPU."""
    return torch.device(asked or ("cuda" if torch.cuda.is_available() else "cpu"))


@contextlib.contextmanager
def moved_to(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Context in which a module is on `device`; afterwards it is in CPU memory, and the GPU's cache is emptied."""
    try:
        module.to(device)
        yield
    finally:
        module.to("cpu")
        free_gpu(device)


def free_gpu(device: torch.device) -> None:
    """Return the memory of objects that are no longer referenced to the GPU."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def batched(run: Callable[[int, int], Sequence[Result]], total: int, size: int) -> list[Result]:
    """The results of `run(start, stop)` for all of 0..total, in order.

    After an out-of-memory error of the GPU the batch is halved and tried again, down to one.

    Args:
        run: computes the results from `start` to before `stop`.
        total: number of items.
        size: items in a batch at first.

    Raises:
        torch.OutOfMemoryError: one item does not fit.
    """
    found: list[Result] = []
    while len(found) < total:
        stop = min(total, len(found) + size)
        try:
            found += run(len(found), stop)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size = max(1, size // 2)
            torch.cuda.empty_cache()
            log.info("too little GPU memory for the checks; the batch is %d now", size)
    return found
