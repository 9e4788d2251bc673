"""Pictures in memory that several processes share, and that is free again when they end, however they end.

On Linux it is an anonymous file (memfd), which has no name that could be left behind: workers open it as
`/proc/<process>/fd/<descriptor>`. Elsewhere it is named shared memory of the standard library, which a killed process
leaves to the resource tracker.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np


@contextlib.contextmanager
def shared_pictures(shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """The place of new shared memory, for `attached_pictures` elsewhere, and a uint8 array of `shape` in it."""
    size = int(np.prod(shape))
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        handle = os.memfd_create("dreamkit-pictures", os.MFD_CLOEXEC)
        try:
            os.ftruncate(handle, size)
            with _mapped(handle, size) as buffer:
                yield f"/proc/{os.getpid()}/fd/{handle}", np.ndarray(shape, np.uint8, buffer)
        finally:
            os.close(handle)
        return
    memory = SharedMemory(create=True, size=size)
    try:
        yield memory.name, np.ndarray(shape, np.uint8, memory.buf)
    finally:
        memory.unlink()
        with contextlib.suppress(BufferError):  # an exception's traceback can still refer to the array
            memory.close()


@contextlib.contextmanager
def attached_pictures(place: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The array of `shared_pictures` in another process."""
    if place.startswith("/proc/"):
        handle = os.open(place, os.O_RDWR)
        try:
            with _mapped(handle, int(np.prod(shape))) as buffer:
                yield np.ndarray(shape, np.uint8, buffer)
        finally:
            os.close(handle)
        return
    memory = SharedMemory(place)
    try:
        yield np.ndarray(shape, np.uint8, memory.buf)
    finally:
        with contextlib.suppress(BufferError):
            memory.close()


@contextlib.contextmanager
def _mapped(handle: int, size: int) -> Iterator[mmap.mmap]:
    buffer = mmap.mmap(handle, size)
    try:
        yield buffer
    finally:
        with contextlib.suppress(BufferError):  # an array still refers to it; it is unmapped with the array
            buffer.close()
