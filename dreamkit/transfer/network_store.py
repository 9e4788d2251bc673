"""A model's networks, loaded on first use: where their weights are, and the smaller preset when memory runs out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import torch

from dreamkit.errors import first_line
from dreamkit.transfer.engine import ComputeSettings, Networks, load_networks
from dreamkit.transfer.host_memory import available_host_memory
from dreamkit.transfer.memory import explain_out_of_memory, free_memory, usable_memory
from dreamkit.transfer.memory_needs import CARD_TOLERANCE, CONTEXT_BYTES, activation_bytes, resident_blocks
from dreamkit.transfer.model_files import ModelFiles
from dreamkit.transfer.presets import PRESETS, Preset
from dreamkit.workspace.sizes import GIB

log = logging.getLogger("dreamkit")

LOAD_HINT = "Free the GPU of other work, or use a larger one."
# Free GPU memory that further networks need, in multiples of their files: 1 for the weights, about 2/3 for a forward.
FREE_FOR_WEIGHTS = 2

Result = TypeVar("Result")


class NetworkStore:
    """The networks of a model on one device.

    Attributes:
        model: its sizes and checkpoint files.
        compute: device, dtype and preset; the preset changes once when memory runs out.
        offload: keep all weights in host memory except during `on_device`; presets that bound memory do so anyway.
        fell_back_from: name of the preset that ran out of memory; "" for none.
        resident: blocks that stayed on the GPU when blocks were last streamed.
    """

    def __init__(self, model: ModelFiles, compute: ComputeSettings, offload: bool) -> None:
        self.model, self.compute, self.offload = model, compute, offload
        self.fell_back_from = ""
        self.resident = 0
        self._loaded: dict[str, Networks] = {}

    @property
    def budget(self) -> float | None:
        """Bytes of GPU memory that tensors may take with a preset that bounds it, else None."""
        gib = self.compute.preset.memory_gib
        return None if gib is None else gib * GIB - CONTEXT_BYTES

    def get(self, kind: str) -> Networks:
        """The networks of `kind`, loaded on first use; those of the other kind are dropped where both do not fit.

        Args:
            kind: FIRST_WINDOW or LATER_WINDOWS.

        Raises:
            DreamkitError: a file that cannot be used; out of GPU memory, also with the next smaller preset.
        """
        if kind in self._loaded:
            return self._loaded[kind]
        with explain_out_of_memory(self.compute.device, LOAD_HINT):
            try:
                return self._load(kind)
            except torch.cuda.OutOfMemoryError as error:
                smaller = self._smaller(error)
            self._fall_back(smaller)
            return self._load(kind)

    def run(self, kind: str, work: Callable[[Networks], Result]) -> Result:
        """`work` with the networks of `kind` on the device; once more with the next smaller preset if memory runs out.

        Raises:
            torch.cuda.OutOfMemoryError: there is no smaller preset, or it ran out of memory too.
        """
        try:
            with self.on_device(self.get(kind)) as networks:
                return work(networks)
        except torch.cuda.OutOfMemoryError as error:
            smaller = self._smaller(error)
        # Outside the except block: the error's traceback holds the tensors of the forward.
        self._fall_back(smaller)
        with self.on_device(self.get(kind)) as networks:
            return work(networks)

    @contextlib.contextmanager
    def on_device(self, networks: Networks) -> Iterator[Networks]:
        """Hold the weights on the device, or stream their blocks there; afterwards, also after an error, free it."""
        stream = networks.stream
        if stream is not None:
            stream.acquire(self._resident_blocks(networks))
            self.resident = stream.resident
            try:
                yield networks
            finally:
                stream.release()
        elif self.offload:
            try:
                networks.to(self.compute.device)
                yield networks
            finally:
                networks.to(torch.device("cpu"))
        else:
            yield networks

    def info(self) -> dict[str, Any]:
        """Preset and kernels that run, and where the blocks' weights are, for the sidecar."""
        networks = next(iter(self._loaded.values()))
        known: dict[str, Any] = {
            "preset": self.compute.preset.name,
            **networks.chosen(),
            "tensors_from_base": sum(len(report.from_base) for report in networks.reports),
        }
        if networks.stream is not None:
            known["blocks_on_gpu"] = f"{self.resident} of {len(networks.stream)}"
        if self.fell_back_from:
            known["out_of_memory_with"] = self.fell_back_from
        return known

    def _load(self, kind: str) -> Networks:
        files, device = self.model.denoisers[kind], self.compute.device
        size = sum(path.stat().st_size for path in files.values() if path.is_file())
        if self._loaded and not self._room_for(size):
            self._loaded.clear()
            if device.type == "cuda":
                torch.cuda.empty_cache()
        networks = load_networks(self.model.config.denoiser, files, self.compute)
        if self.offload and networks.stream is None:
            networks.to(torch.device("cpu"))
        self._loaded[kind] = networks
        return networks

    def _room_for(self, size: int) -> bool:
        """Whether further networks of `size` bytes fit beside those that are loaded."""
        if self.compute.preset.memory_gib is not None:
            return available_host_memory() > FREE_FOR_WEIGHTS * size
        device = self.compute.device
        return device.type != "cuda" or free_memory(device) >= FREE_FOR_WEIGHTS * size

    def _resident_blocks(self, networks: Networks) -> int:
        """Number of blocks that can stay on the device beside what a forward takes."""
        device, stream, gib = self.compute.device, networks.stream, self.compute.preset.memory_gib
        assert stream is not None and gib is not None
        held, budget = 0, gib * GIB
        if device.type == "cuda":
            held = torch.cuda.memory_allocated(device)
            budget = min(budget, CONTEXT_BYTES + held + free_memory(device))
        needed = activation_bytes(self.model.config, len(networks.branches), self.compute.dtype.itemsize)
        return resident_blocks(budget, held, needed, stream.block_bytes, stream.buffers)

    def _smaller(self, error: BaseException) -> Preset:
        """The preset to fall back to; raises `error` where there is none, or the run fell back already.

        With several GPUs there is none: the others would wait for the part of the one that starts again.
        """
        smaller = None
        if not self.fell_back_from and self.compute.ranks is None:
            smaller = smaller_preset(self.compute.preset, usable_memory(self.compute.device))
        if smaller is None:
            raise error
        log.warning(
            "Out of GPU memory with preset %s (%s); going on with preset %s, whose results are equal to rounding.",
            self.compute.preset.name,
            first_line(error),
            smaller.name,
        )
        return smaller

    def _fall_back(self, smaller: Preset) -> None:
        """Go on with a smaller preset; weights that are on the GPU are dropped, to be loaded again."""
        self.fell_back_from = self.compute.preset.name
        if self.compute.preset.memory_gib is None:
            self._loaded.clear()
        self.compute = replace(self.compute, preset=smaller)
        for networks in self._loaded.values():
            networks.preset = smaller
        torch.cuda.empty_cache()


def smaller_preset(preset: Preset, card_bytes: float) -> Preset | None:
    """The largest preset of the same arithmetic that takes less memory than `preset` and fits a card of that size."""
    most = card_bytes / GIB / (1 - CARD_TOLERANCE)
    if preset.memory_gib is not None:
        most = min(most, preset.memory_gib - 1)
    fitting = [
        other
        for other in PRESETS.values()
        if other.memory_gib is not None
        and other.memory_gib <= most
        and (other.fp8, other.computed) == (preset.fp8, preset.computed)
    ]
    return max(fitting, key=lambda other: other.memory_gib or 0, default=None)
