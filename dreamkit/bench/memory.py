"""`dreamkit bench memory`: peak GPU memory and seconds of a forward for each preset, under a cap of GPU memory.

Weights are random and made block by block, so that it runs on small GPUs. `python -m dreamkit.bench.memory` runs with
torch, numpy, safetensors and transformers alone.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dreamkit.bench.forward import one_forward
from dreamkit.bench.measure import (
    first_device,
    free_unused,
    machine,
    memory_cap,
    native_dtype,
    print_machine,
    reset_peak,
    synchronize,
    timed,
)
from dreamkit.bench.random_weights import MODELS
from dreamkit.errors import first_line
from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.engine import Networks, choose_compute, choose_kernels
from dreamkit.transfer.host_memory import pack
from dreamkit.transfer.load import set_parameter
from dreamkit.transfer.memory_needs import activation_bytes, resident_blocks
from dreamkit.transfer.offload import BlockStream
from dreamkit.transfer.presets import PRESETS
from dreamkit.workspace.files import write_json
from dreamkit.workspace.sizes import GIB

EXACT = "exact"


@dataclass(frozen=True)
class MemoryRow:
    """One preset and model, measured.

    Attributes:
        model: key of MODELS.
        preset: the preset.
        cap_gib: limit of GPU memory that held; None for none.
        seconds: of each forward after the first.
        allocated_gib: peak of allocated GPU memory.
        reserved_gib: peak of the memory that PyTorch took from the GPU, unused pieces included.
        resident: blocks that stayed on the GPU; None where all weights do.
        blocks: all blocks, the branch's included.
        failed: why it did not run; "" where it did.
    """

    model: str
    preset: str
    cap_gib: float | None
    seconds: tuple[float, ...] = ()
    allocated_gib: float = 0.0
    reserved_gib: float = 0.0
    resident: int | None = None
    blocks: int = 0
    failed: str = ""

    def __str__(self) -> str:
        cap = f"{self.cap_gib:g}" if self.cap_gib else "-"
        head = f"{self.model:12s} {self.preset:6s} {cap:>5s}"
        if self.failed:
            return f"{head}  {self.failed}"
        where = f"{self.blocks if self.resident is None else self.resident}/{self.blocks}"
        return (
            f"{head} {statistics.median(self.seconds):9.3f} {min(self.seconds):7.3f}..{max(self.seconds):<7.3f}"
            f" {self.allocated_gib:9.2f} {self.reserved_gib:9.2f} {where:>9s}"
        )


HEADING = (
    f"{'model':12s} {'preset':6s} {'cap':>5s} {'seconds':>9s} {'range':>16s} {'allocated':>9s} {'reserved':>9s}"
    f" {'resident':>9s}"
)


@torch.inference_mode(False)
def offloadable_networks(config: ModelConfig, device: torch.device, dtype: torch.dtype, offload: bool) -> Networks:
    """A denoiser with the HDMap branch and random weights, its blocks in host memory with `offload`."""
    from dreamkit.tinyworld.train.bundle import fill_random

    def fill(module: nn.Module, generator: torch.Generator) -> None:
        for name, parameter in list(module.named_parameters()):
            set_parameter(module, name, torch.empty(parameter.shape, dtype=dtype, device=device))
        fill_random(module, generator)

    made: list[Any] = []
    for kind, seed in ((Denoiser, 0), (ControlBranch, 1)):
        generator = torch.Generator(device).manual_seed(seed)
        with torch.device("meta"):
            network = kind(config.denoiser)
        blocks, network.trunk.blocks = network.trunk.blocks, nn.ModuleList()
        fill(network, generator)
        for block in blocks:
            fill(block, generator)
            if offload:
                for name, tensor in pack(dict(block.named_parameters()), dtype, device.type == "cuda").items():
                    set_parameter(block, name, tensor)
        network.trunk.blocks = blocks
        made.append(network.requires_grad_(False).eval())
    networks = Networks(made[0], {"hdmap": made[1]}, [])
    if offload:
        networks.stream = BlockStream(networks.trunks, device)
    choose_kernels(networks, config.denoiser, choose_compute(device, "exact", "auto", config))
    return networks


@torch.inference_mode()
def measure_preset(
    model: str, preset: str, networks: Networks, device: torch.device, cap_gib: float | None, repeats: int
) -> MemoryRow:
    """Seconds and peak memory of a forward of the base with the HDMap branch.

    Args:
        model: key of MODELS.
        preset: `exact`, or one that bounds GPU memory.
        networks: result of `offloadable_networks`, offloaded for all presets but `exact`.
        device: device to run on.
        cap_gib: GPU memory that this process may take, in GiB; None for all.
        repeats: number of forwards to time.
    """
    config, row = MODELS[model], MemoryRow(model, preset, cap_gib)
    dtype = networks.base.trunk.patch.weight.dtype
    cuda = device.type == "cuda"
    budget = PRESETS[preset].memory_gib
    try:
        with memory_cap(device, cap_gib):
            if networks.stream is not None and budget is not None:
                held = torch.cuda.memory_allocated(device) if cuda else 0
                need = activation_bytes(config, 1, dtype.itemsize)
                stream = networks.stream
                stream.acquire(resident_blocks(budget * GIB, held, need, stream.block_bytes, stream.buffers))
                row = replace(row, resident=stream.resident)
            run = one_forward(config, networks.base, networks.branches["hdmap"], device, dtype)
            run()
            synchronize(device)
            reset_peak(device)
            seconds = tuple(round(taken, 4) for taken in timed(run, repeats, device))
            peaks = (torch.cuda.max_memory_allocated, torch.cuda.max_memory_reserved) if cuda else ()
            allocated, reserved = [round(peak(device) / GIB, 3) for peak in peaks] or (0.0, 0.0)
            row = replace(row, seconds=seconds, allocated_gib=allocated, reserved_gib=reserved)
    except torch.cuda.OutOfMemoryError as error:
        row = replace(row, failed=f"out of memory: {first_line(error)[:120]}")
    finally:
        if networks.stream is not None:
            networks.stream.release()
        free_unused(device)
    return replace(row, blocks=config.denoiser.blocks + config.denoiser.control_blocks)


def bench_memory(
    models: Sequence[str], presets: Sequence[str], device: torch.device, capped: bool, repeats: int
) -> list[MemoryRow]:
    """Measure and print each model with each preset; `capped` limits GPU memory to what the preset is named for."""
    dtype, rows = native_dtype(device), []
    print(HEADING, flush=True)
    for model in models:
        for offload in (False, True):
            chosen = [name for name in presets if (PRESETS[name].memory_gib is not None) == offload]
            if not chosen:
                continue
            try:
                networks = offloadable_networks(MODELS[model], device, dtype, offload)
            except torch.cuda.OutOfMemoryError:
                networks = None
            for preset in chosen:
                cap = PRESETS[preset].memory_gib if capped else None
                row = MemoryRow(model, preset, cap, failed="the weights do not fit")
                if networks is not None:
                    row = measure_preset(model, preset, networks, device, cap, repeats)
                rows.append(row)
                print(row, flush=True)
            del networks
            free_unused(device)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements that the arguments name; returns the exit code."""
    bounded = [name for name, preset in PRESETS.items() if preset.memory_gib is not None]
    parser = argparse.ArgumentParser(prog="dreamkit bench memory", description=__doc__)
    parser.add_argument("--models", default="single,multi", help=f"comma-separated, out of {', '.join(MODELS)}")
    parser.add_argument("--presets", default=",".join([EXACT, *bounded]), help="comma-separated")
    parser.add_argument("--repeats", type=int, default=3, help="forwards to time")
    parser.add_argument("--no-cap", action="store_true", help="do not limit GPU memory to the preset's")
    parser.add_argument("--json", type=Path, default=None, help="file to write the rows to")
    options = parser.parse_args(arguments)
    for name in options.presets.split(","):
        if name not in (EXACT, *bounded):
            parser.error(f"--presets takes {', '.join([EXACT, *bounded])}; bench forward measures {name}")
    device = first_device()
    print_machine(device)
    rows = bench_memory(
        options.models.split(","), options.presets.split(","), device, not options.no_cap, options.repeats
    )
    if options.json is not None:
        write_json(options.json, {"machine": machine(device), "rows": [asdict(row) for row in rows]})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
