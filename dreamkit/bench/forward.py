"""`dreamkit bench transfer`: time and memory of the world model's forward pass, error of a block, time of loading.

Weights are random. `python -m dreamkit.bench.forward` runs with the world model's dependencies alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from dreamkit.transfer import folders
from dreamkit.transfer.attention import BACKENDS, Attention, choose_attention
from dreamkit.transfer.config import (
    COSMOS_7B_MULTI,
    COSMOS_7B_SINGLE,
    TINY_MULTI,
    TINY_SINGLE,
    ModelConfig,
    save_config,
)
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.dit import Block, Prepared
from dreamkit.transfer.fused_ops import FusedOps, choose_fused_ops
from dreamkit.transfer.load import load_network
from dreamkit.transfer.positions import rope_table
from dreamkit.transfer.views import VIEW_IDS, condition_mask
from dreamkit.workspace.sizes import GIB

Module = TypeVar("Module", bound=nn.Module)
MODELS = {
    "single": COSMOS_7B_SINGLE,
    "multi": COSMOS_7B_MULTI,
    "tiny_single": TINY_SINGLE,
    "tiny_multi": TINY_MULTI,
}


def random_network(
    kind: type[Module], config: object, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> Module:
    """A network with random weights, none of them zero; `kind` is Denoiser, ControlBranch or Block."""
    from dreamkit.tinyworld.train.bundle import fill_random

    with torch.device("meta"):
        network = kind(config)
    network = (
        network.to_empty(device=device).to(dtype)
        if dtype == torch.float32
        else network.to(dtype).to_empty(device=device)
    )
    fill_random(network, torch.Generator(device).manual_seed(seed))
    return network.requires_grad_(False).eval()


def synchronize(device: torch.device) -> None:
    """Wait until the GPU has finished; does nothing for a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> str:
    """Peak GPU memory since the last reset, as text; on a CPU the peak host memory of the process."""
    if device.type != "cuda":
        return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB host"
    allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    return f"{allocated / GIB:.1f} GiB allocated, {reserved / GIB:.1f} GiB reserved"


@contextlib.contextmanager
def memory_cap(device: torch.device, gib: float | None) -> Iterator[None]:
    """Limit this process to `gib` of GPU memory during the block, as on a smaller GPU; None sets no limit."""
    if gib is None or device.type != "cuda":
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@torch.inference_mode()
def bench_forward(
    model: str, attention: str, pointwise: str, repeats: int, device: torch.device, cap: float | None
) -> None:
    """Print seconds and peak memory of one forward pass of the base with the HDMap branch.

    Args:
        model: key of MODELS.
        attention: backend, see `choose_attention`.
        pointwise: `auto`, or `eager` for uncompiled operations.
        repeats: number of measurements after the first.
        device: device to run on.
        cap: limit of GPU memory in GiB, or None.
    """
    config = MODELS[model]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with memory_cap(device, cap):
        base = random_network(Denoiser, config.denoiser, device, dtype)
        branch = random_network(ControlBranch, config.denoiser, device, dtype, seed=1)
        chosen = choose_attention(config.denoiser.heads, config.denoiser.head_dim, device, dtype, attention)
        ops = choose_fused_ops(device) if pointwise == "auto" else FusedOps()
        for trunk in (base.trunk, branch.trunk):
            trunk.attention, trunk.ops = chosen, ops
        run = one_forward(config, base, branch, device, dtype)
        began = time.perf_counter()
        run()
        synchronize(device)
        first = time.perf_counter() - began
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            run()
            synchronize(device)
            times.append(time.perf_counter() - began)
    median = sorted(times)[len(times) // 2]
    print(
        f"forward {model:11s} attention {chosen.name:6s} pointwise {ops.name:8s} "
        f"{median:7.3f} s (first {first:.2f} s, {repeats} runs {min(times):.3f}..{max(times):.3f}), "
        f"{peak_memory(device)}" + (f", cap {cap} GiB" if cap else ""),
        flush=True,
    )


def one_forward(
    config: ModelConfig, base: Denoiser, branch: ControlBranch, device: torch.device, dtype: torch.dtype
) -> Callable[[], torch.Tensor]:
    """A function that runs one forward pass on random inputs."""
    shape = (1, *config.latent_shape)
    ids = VIEW_IDS.get(config.views, (0,))
    mask = condition_mask(config.views, config.latent_frames, 0, device) if config.views > 1 else None
    generator = torch.Generator(device).manual_seed(2)
    text = torch.randn(
        config.views, config.denoiser.text_tokens, config.denoiser.text_width, device=device, generator=generator
    ).to(dtype)
    options = {"fps": 24, "view_ids": ids, "condition_mask": mask}
    prepared = base.trunk.prepare(text, shape, **options)
    hint = torch.randn(shape, device=device, generator=generator)
    control = branch.prepare(branch.trunk.prepare(text, shape, **options), hint, 1.0)
    x = torch.randn(shape, device=device, generator=generator).to(dtype)
    c_noise = torch.tensor([0.3], device=device, dtype=dtype)
    return lambda: base(x, c_noise, prepared, [(branch, control)])


@torch.inference_mode()
def bench_block(model: str, attention: str, device: torch.device) -> None:
    """Print the relative error of one block in bf16 against float32, of its output minus its input.

    Args:
        model: key of MODELS.
        attention: backend of the bf16 runs, see `choose_attention`.
        device: device to run on.
    """
    config = MODELS[model]
    shape = config.denoiser
    frames, height, width = config.token_grid
    tokens = config.views * frames * height * width
    generator = torch.Generator(device).manual_seed(3)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, device=device, generator=generator).bfloat16()

    block = random_network(Block, shape, device, torch.bfloat16)
    x, emb, shared = normal(1, tokens, shape.width), normal(1, shape.width), normal(1, 3 * shape.width)
    position, text = (
        normal(tokens // config.views, shape.width),
        normal(config.views, shape.text_tokens, shape.text_width),
    )
    rope = rope_table(shape, frames, height, width, views=config.views, fps=24, device=device, dtype=torch.bfloat16)

    def run(dtype: torch.dtype, chosen: Attention, ops: FusedOps) -> torch.Tensor:
        block.to(dtype)
        kv = block.cross_attention.text_kv(text.to(dtype), ops)
        prepared = Prepared(torch.empty(0), position.to(dtype), rope, (kv,))
        inputs = (t.to(dtype) for t in (x, emb, shared))
        return block(*inputs, kv, prepared, chosen, ops).float() - x.float()

    half = choose_attention(shape.heads, shape.head_dim, device, torch.bfloat16, attention)
    ops = choose_fused_ops(device)
    out = run(torch.bfloat16, half, ops)
    eager = run(torch.bfloat16, half, FusedOps())
    exact = run(torch.float32, Attention("sdpa"), FusedOps())
    error, eager_error = (float((o - exact).norm() / exact.norm()) for o in (out, eager))
    print(
        f"block   {model:11s} attention {half.name:6s} {tokens} tokens: bf16 against float32, relative error "
        f"{error:.2e} ({ops.name} pointwise), {eager_error:.2e} (eager)",
        flush=True,
    )


def released_files(root: Path, model: str, kind: str = "t2w") -> dict[str, Path]:
    """Files of a model of MODELS by role, `base` and `hdmap`; `kind` is `t2w` or `v2w` (six views only)."""
    if MODELS[model].views > 1:
        return folders.multi_view_files(root, kind, ("hdmap",))
    return folders.single_view_files(root, ("hdmap",))


def write_checkpoints(root: Path, models: list[str], device: torch.device) -> None:
    """Write checkpoints with random weights in the released form; `v2w` files are links to the `t2w` files."""
    from dreamkit.tinyworld.train.bundle import released_tensors

    for model in models:
        config, files = MODELS[model], released_files(root, model)
        later = released_files(root, model, "v2w")
        files["base"].parent.mkdir(parents=True, exist_ok=True)
        save_config(config, files["base"].parent)
        for role, path in files.items():
            kind = Denoiser if role == "base" else ControlBranch
            began = time.perf_counter()
            torch.save(released_tensors(random_network(kind, config.denoiser, device, torch.bfloat16)), path)
            if later[role] != path:
                later[role].symlink_to(path.name)
            print(
                f"wrote   {path.name:22s} {path.stat().st_size / GIB:.2f} GiB in {time.perf_counter() - began:.1f} s",
                flush=True,
            )
    if device.type == "cuda":
        torch.cuda.empty_cache()


def bench_load(root: Path, model: str, device: torch.device) -> None:
    """Print seconds and GB/s of loading a model's base: once cold (file not in the page cache), twice warm."""
    config = MODELS[model]
    path = released_files(root, model)["base"]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    os.sync()
    for state in ("cold", "warm", "warm"):
        if state == "cold":
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        read_before = _proc_number("/proc/self/io", "read_bytes")
        began = time.perf_counter()
        network, _ = load_network(Denoiser, config.denoiser, path, device, dtype)
        synchronize(device)
        seconds = time.perf_counter() - began
        size = path.stat().st_size
        read = _proc_number("/proc/self/io", "read_bytes") - read_before
        anonymous = _proc_number("/proc/self/status", "RssAnon") * 1024
        print(
            f"load    {path.name} {state}: {size / GIB:.2f} GiB in {seconds:.2f} s, {size / seconds / 1e9:.2f} GB/s, "
            f"read from disk {read / GIB:.2f} GiB, host memory of its own {anonymous / GIB:.2f} GiB",
            flush=True,
        )
        del network


def _proc_number(path: str, key: str) -> int:
    """The number after `key:` in a file of /proc; 0 where there is none."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements named in the arguments; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dreamkit bench transfer", description=__doc__)
    parser.add_argument("what", nargs="+", choices=("forward", "block", "write", "load"), help="what to measure or do")
    parser.add_argument("--models", default="single,multi", help=f"comma-separated, out of {', '.join(MODELS)}")
    parser.add_argument("--attention", default="auto", help=f"comma-separated, out of {', '.join(BACKENDS)}")
    parser.add_argument("--pointwise", default="auto", help="fused operations; comma-separated, out of auto, eager")
    parser.add_argument("--repeats", type=int, default=3, help="forward passes to time")
    parser.add_argument("--cap", type=float, default=None, help="limit of GPU memory, in GiB")
    parser.add_argument(
        "--checkpoints", type=Path, default=Path("bench_checkpoints"), help="folder of the random checkpoints"
    )
    options = parser.parse_args(arguments)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"device  {name}, torch {torch.__version__}, random weights", flush=True)
    models = options.models.split(",")
    for what in options.what:
        if what == "write":
            write_checkpoints(options.checkpoints, models, device)
        for model in models if what != "write" else ():
            if what == "load":
                bench_load(options.checkpoints, model, device)
            for attention in options.attention.split(",") if what != "load" else ():
                if what == "block":
                    bench_block(model, attention, device)
                for pointwise in options.pointwise.split(",") if what == "forward" else ():
                    bench_forward(model, attention, pointwise, options.repeats, device, options.cap)
            if device.type == "cuda":
                torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
