"""Blocks whose weights stay in host memory: each is copied to one of a few GPU buffers while others compute."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dreamkit.transfer.host_memory import flat

BUFFERS = 2
"""GPU buffers of one block each: one block computes while the next is copied."""

Key = tuple[int, int]
"""Number of a trunk and of its block."""


class BlockStream:
    """The blocks of several trunks, some of them always on the device, the others copied there for each use.

    Between `acquire` and `release` the device holds buffers and resident blocks; outside it holds no weight of a block.
    """

    def __init__(self, trunks: Sequence[nn.Module], device: torch.device, buffers: int = BUFFERS) -> None:
        """Take over the blocks of `trunks`, whose weights `host_memory.pack_blocks` placed; `trunk.blocks` is replaced.

        Args:
            trunks: the base's, then the branches', which run block by block beside it.
            device: where the blocks compute.
            buffers: number of blocks that the device holds at once beside the resident ones, at least 1.
        """
        self.device = device
        self.buffers = buffers
        lists: list[Any] = [trunk.blocks for trunk in trunks]
        self._host: dict[Key, nn.Module] = {
            (number, index): block for number, blocks in enumerate(lists) for index, block in enumerate(blocks)
        }
        order = sorted(self._host, key=lambda key: (key[1], key[0]))
        # Which block follows which; corrected when another order is seen.
        self._next = dict(zip(order, [*order[1:], order[0]], strict=True))
        self._order = order
        self._resident: dict[Key, nn.Module] = {}
        self._buffers: list[_Buffer] = []
        self._current: Key | None = None
        self._turn = 0
        self._copying = torch.cuda.Stream(device) if device.type == "cuda" else None
        for number, trunk in enumerate(trunks):
            trunk.blocks = StreamedBlocks(self, number, len(lists[number]))

    def __len__(self) -> int:
        return len(self._host)

    @property
    def resident(self) -> int:
        """Number of blocks that stay on the device until `release`."""
        return len(self._resident)

    @property
    def block_bytes(self) -> int:
        """Size of the largest block."""
        return max(_bytes(block).numel() for block in self._host.values())

    @torch.inference_mode(False)
    def acquire(self, resident: int) -> None:
        """Reserve the buffers and copy `resident` blocks to the device, evenly spread over the order of use.

        Raises:
            torch.cuda.OutOfMemoryError: they do not fit; nothing is held then.
        """
        count = min(max(0, resident), len(self))
        spread = [
            key
            for index, key in enumerate(self._order)
            if (index + 1) * count // len(self) > index * count // len(self)
        ]
        try:
            for key in spread:
                weights = _bytes(self._host[key]).to(self.device, copy=True)
                self._resident[key] = _with_weights(self._host[key], weights)
            size = self.block_bytes
            for _ in range(min(self.buffers, len(self) - count)):
                self._buffers.append(_Buffer(torch.empty(size, dtype=torch.uint8, device=self.device)))
        except torch.cuda.OutOfMemoryError:
            self.release()
            raise

    def release(self) -> None:
        """Free the device's memory; waits for the work that uses it."""
        if self._copying is not None:
            torch.cuda.synchronize(self.device)
        self._buffers, self._resident, self._current = [], {}, None
        if self._copying is not None:
            torch.cuda.empty_cache()

    def block(self, key: Key) -> nn.Module:
        """The block with its weights on the device; to be used before the next call, which may overwrite them."""
        before, self._current = self._current, key
        if before is not None and before != key:
            self._next[before] = key
            if buffer := self._holding(before):
                buffer.used = self._event()  # its last kernels are queued by now
        if key in self._resident:
            block = self._resident[key]
        else:
            buffer = self._holding(key) or self._fill(key, set())
            if buffer.ready is not None:
                torch.cuda.current_stream(self.device).wait_event(buffer.ready)
            assert buffer.block is not None  # `_fill` sets it
            block = buffer.block
        self._prefetch(key)
        return block

    def _prefetch(self, key: Key) -> None:
        """Start to copy the blocks that follow, as far as there are buffers for them."""
        coming: list[Key] = []
        following = self._next[key]
        for _ in range(len(self)):  # the order is a circle; each block at most once
            if len(coming) >= len(self._buffers) - 1 or following == key:
                break
            if following not in self._resident and following not in coming:
                coming.append(following)
            following = self._next[following]
        kept = {key, *coming}
        for one in coming:
            if self._holding(one) is None:
                self._fill(one, kept)

    def _fill(self, key: Key, kept: set[Key]) -> _Buffer:
        """Start to copy a block into the buffer that was filled longest ago and holds none of `kept`."""
        free = [buffer for buffer in self._buffers if buffer.key not in kept]
        buffer = min(free, key=lambda buffer: buffer.turn)
        self._turn += 1
        buffer.turn, buffer.key = self._turn, key
        host = self._host[key]
        source = _bytes(host)
        target = buffer.bytes[: source.numel()]
        if self._copying is None:
            target.copy_(source)
        else:
            # A buffer that no block has used yet may be memory that earlier work still reads.
            free_from = buffer.used or self._event()
            assert free_from is not None  # there is a stream
            with torch.cuda.stream(self._copying):
                self._copying.wait_event(free_from)
                target.copy_(source, non_blocking=True)
                buffer.ready = self._event(self._copying)
        if buffer.block is None or not _same_shapes(buffer.block, host):
            buffer.block = _with_weights(host, target)
        return buffer

    def _holding(self, key: Key) -> _Buffer | None:
        return next((buffer for buffer in self._buffers if buffer.key == key), None)

    def _event(self, stream: torch.cuda.Stream | None = None) -> torch.cuda.Event | None:
        """An event after the work that is queued on a stream, by default the current one; None on a CPU."""
        if self._copying is None:
            return None
        event = torch.cuda.Event()
        event.record(stream or torch.cuda.current_stream(self.device))
        return event


@dataclass(eq=False)
class _Buffer:
    """Device memory of one block, and the block that it holds.

    Attributes:
        bytes: uint8 [size].
        key: the block's key; None before the first one.
        block: a module whose parameters are views of `bytes`.
        ready: event after the copy.
        used: event after the last use; None before the first.
        turn: number of the copy.
    """

    bytes: torch.Tensor
    key: Key | None = None
    block: nn.Module | None = None
    ready: torch.cuda.Event | None = None
    used: torch.cuda.Event | None = None
    turn: int = 0


class StreamedBlocks(nn.ModuleList):
    """The blocks of one trunk; each is on the device from when it is indexed until the next is."""

    def __init__(self, stream: BlockStream, trunk: int, length: int) -> None:
        super().__init__()
        self.stream, self.trunk, self.length = stream, trunk, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.stream.block((self.trunk, range(self.length)[index]))

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self.length))


def _bytes(block: nn.Module) -> torch.Tensor:
    """The buffer of a block's weights, uint8 [bytes]."""
    return flat(next(block.parameters()))


def _same_shapes(one: nn.Module, other: nn.Module) -> bool:
    return [p.shape for p in one.parameters()] == [p.shape for p in other.parameters()]


@torch.inference_mode(False)
def _with_weights(block: nn.Module, weights: torch.Tensor) -> nn.Module:
    """A copy of a block whose parameters are views of `weights`, at the places they have in the block's own buffer."""
    views: dict[int, nn.Parameter] = {}
    for parameter in block.parameters():
        size = parameter.element_size()
        start = parameter.storage_offset() * size
        part = weights[start : start + parameter.numel() * size].view(parameter.dtype).view(parameter.shape)
        views[id(parameter)] = nn.Parameter(part, requires_grad=False)
    return copy.deepcopy(block, views)  # pyright: ignore[reportArgumentType]  # a memo: the views stand for their copies
