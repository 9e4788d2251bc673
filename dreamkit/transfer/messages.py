"""Any values between two processes over a pipe; large arrays go through memory that both map.

torch.multiprocessing and Python's shared memory use /dev/shm, which is often very small in containers.
"""

from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

# Bytes of arrays from which they go through shared memory instead of the pipe.
LARGE = 64 << 10


def send_to(connection: Connection, value: Any, process: int) -> None:
    """Send a value that can be pickled; numpy arrays in it are copied once.

    Args:
        connection: this end of the pipe.
        value: the value.
        process: id of the process at the other end.
    """
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [buffer.raw() for buffer in buffers]
    if not hasattr(os, "memfd_create") or sum(part.nbytes for part in parts) < LARGE:
        connection.send_bytes(pickle.dumps(([], pickle.dumps(value, protocol=5))))
        return
    file = os.memfd_create("dreamkit")
    try:
        os.ftruncate(file, sum(part.nbytes for part in parts))
        with mmap.mmap(file, 0) as shared:
            for part in parts:
                shared.write(part)
        connection.send_bytes(pickle.dumps(([part.nbytes for part in parts], pickled)))
        send_handle(connection, file, process)
    finally:
        os.close(file)


def receive_from(connection: Connection) -> Any:
    """The next value that `send_to` sent at the other end.

    Raises:
        EOFError, OSError: the other end is closed.
    """
    sizes, pickled = pickle.loads(connection.recv_bytes())
    if not sizes:
        return pickle.loads(pickled)
    file = recv_handle(connection)
    try:
        shared = mmap.mmap(file, 0)  # stays mapped as long as an array of the value needs it
    finally:
        os.close(file)
    return pickle.loads(pickled, buffers=_slices(memoryview(shared), sizes))


def _slices(whole: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    """Consecutive parts of a buffer."""
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [whole[end - size : end] for end, size in zip(ends, sizes, strict=True)]
