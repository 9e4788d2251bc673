"""`dreamkit bench forward`: time, memory and profile of the world model's forward pass, and the error of a block.

Weights are random. `python -m dreamkit.bench.forward` runs with the world model's dependencies alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from dreamkit.bench.measure import (
    Row,
    first_device,
    free_unused,
    memory_cap,
    native_dtype,
    peak_gib,
    print_machine,
    print_results,
    reset_peak,
    timed,
)
from dreamkit.bench.profile import profile_rows
from dreamkit.bench.random_weights import MODELS, random_network
from dreamkit.transfer.attention import BACKENDS, Attention, choose_attention
from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.dit import Block, Prepared, Trunk
from dreamkit.transfer.engine import Networks, choose_compute, choose_kernels
from dreamkit.transfer.fused_ops import FusedOps, Tokens, choose_fused_ops
from dreamkit.transfer.positions import rope_table
from dreamkit.transfer.views import VIEW_IDS, condition_mask

EVALUATIONS = 36  # of a video of 35 steps


def random_networks(model: str, preset: str, attention: str, pointwise: str, device: torch.device) -> Networks:
    """Base and HDMap branch of a model of MODELS with random weights.

    Args:
        model: key of MODELS.
        preset: name of the preset.
        attention: backend, see `choose_attention`.
        pointwise: `auto`, or `eager` for the operations between products in plain PyTorch.
        device: device of the networks.
    """
    config = MODELS[model]
    compute = choose_compute(device, preset, attention, config)
    base = random_network(Denoiser, config.denoiser, device, compute.dtype)
    branch = random_network(ControlBranch, config.denoiser, device, compute.dtype, seed=1)
    networks = Networks(base, {"hdmap": branch}, [])
    choose_kernels(networks, config.denoiser, compute)  # and float8, where the preset has it
    if pointwise == "eager":
        for trunk in networks.trunks:
            trunk.ops = FusedOps()
    return networks


@torch.inference_mode()
def measure_forward(
    model: str,
    preset: str,
    attention: str,
    pointwise: str,
    repeats: int,
    device: torch.device,
    cap: float | None = None,
    profiled: bool = False,
) -> tuple[list[Row], list[Row]]:
    """Seconds and peak memory of one forward pass of the base with the HDMap branch, and of an evaluation.

    An evaluation is both passes of guidance at one noise level, as in every step of a video; six views have no text in
    the second pass. Evaluations that a preset extrapolates count as no time in `36_evaluations`; the first and the last
    one of a preset with float8, which run in bfloat16, count as float8.

    Args:
        model: key of MODELS.
        preset: name of the preset.
        attention: backend, see `choose_attention`.
        pointwise: `auto`, or `eager` for the operations between products in plain PyTorch.
        repeats: number of measurements after the first.
        device: device to run on.
        cap: limit of GPU memory in GiB, or None.
        profiled: whether to profile a forward pass too.

    Returns:
        rows of times, rows of the profile.
    """
    rows: list[Row] = []
    profile: list[Row] = []
    with memory_cap(device, cap):
        networks = random_networks(model, preset, attention, pointwise, device)
        base, branch = networks.base, networks.branches["hdmap"]
        of_36 = networks.preset.computed
        computed = EVALUATIONS if of_36 is None else len(of_36)
        for what, make in (("forward", one_forward), ("evaluation", one_evaluation)):
            run = make(MODELS[model], base, branch, device, native_dtype(device))
            first = timed(run, 1, device)[0]
            reset_peak(device)
            times = sorted(timed(run, repeats, device))
            rows.append(
                {
                    "model": model,
                    "what": what,
                    "preset": preset,
                    **networks.chosen(),
                    "seconds": round(times[len(times) // 2], 3),
                    "fastest": round(times[0], 3),
                    "slowest": round(times[-1], 3),
                    "first": round(first, 2),
                    "36_evaluations": round(computed * times[len(times) // 2], 1) if what == "evaluation" else None,
                    **peak_gib(device),
                    "cap_gib": cap,
                }
            )
            print(f"{model} {what}: {rows[-1]['seconds']} s", flush=True)
            if profiled and what == "forward":
                profile = [{"model": model, "preset": preset, **row} for row in profile_rows(run, device)]
            del run  # its inputs are not to count in the next one's peak
    return rows, profile


def _inputs(
    config: ModelConfig, base: Denoiser, branch: ControlBranch, device: torch.device, dtype: torch.dtype, passes: int
) -> tuple[torch.Tensor, torch.Tensor, list[tuple]]:
    """Random latent and noise level, and (prepared, controls) of the conditional pass and of the second one, if any."""
    shape = (1, *config.latent_shape)
    mask = condition_mask(config.views, config.latent_frames, 0, device) if config.views > 1 else None
    generator = torch.Generator(device).manual_seed(2)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, device=device, generator=generator)

    text, negative = (
        normal(config.views, config.denoiser.text_tokens, config.denoiser.text_width).to(dtype) for _ in range(2)
    )
    options = {"fps": 24, "view_ids": VIEW_IDS.get(config.views, (0,)), "condition_mask": mask}
    prepared = base.trunk.prepare(text, shape, **options)
    control = branch.prepare(branch.trunk.prepare(text, shape, **options), normal(*shape), 1.0)

    def second(trunk: Trunk, inputs: Prepared) -> Prepared:
        return replace(inputs, text=None if config.views > 1 else trunk.text_kv(negative))

    made: list[tuple] = [(prepared, [(branch, control)])]
    if passes > 1:
        further = replace(control, trunk=second(branch.trunk, control.trunk))
        made.append((second(base.trunk, prepared), [(branch, further)]))
    return normal(*shape).to(dtype), torch.tensor([0.3], device=device, dtype=dtype), made


def one_forward(
    config: ModelConfig, base: Denoiser, branch: ControlBranch, device: torch.device, dtype: torch.dtype
) -> Callable[[], torch.Tensor]:
    """A function that runs one forward pass on random inputs."""
    x, c_noise, passes = _inputs(config, base, branch, device, dtype, 1)
    return lambda: base(x, c_noise, *passes[0])


def one_evaluation(
    config: ModelConfig, base: Denoiser, branch: ControlBranch, device: torch.device, dtype: torch.dtype
) -> Callable[[], list[torch.Tensor]]:
    """A function that runs both passes of guidance on random inputs."""
    x, c_noise, passes = _inputs(config, base, branch, device, dtype, 2)

    def run() -> list[torch.Tensor]:
        begun = base.begin(x, c_noise, *passes[0])
        return [base(x, c_noise, *inputs, begun) for inputs in passes]

    return run


@torch.inference_mode()
def measure_block(model: str, attention: str, device: torch.device) -> Row:
    """The relative error of one block in bf16 against float32, of its output minus its input.

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
        out = block(Tokens(x.to(dtype, copy=True)), emb.to(dtype), shared.to(dtype), kv, prepared, chosen, ops)
        return ops.settle(out).float() - x.float()

    half = choose_attention(shape.heads, shape.head_dim, device, torch.bfloat16, attention, tokens)
    ops = choose_fused_ops(device)
    out = run(torch.bfloat16, half, ops)
    eager = run(torch.bfloat16, half, FusedOps())
    exact = run(torch.float32, Attention("sdpa"), FusedOps())
    error, eager_error = (float((o - exact).norm() / exact.norm()) for o in (out, eager))
    return {
        "model": model,
        "what": "block",
        "attention": half.name,
        "pointwise": ops.name,
        "error": float(f"{error:.2e}"),
        "error_of_eager": float(f"{eager_error:.2e}"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements that the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dreamkit bench forward", description=__doc__)
    parser.add_argument("--models", default="single,multi", help=f"comma-separated, out of {', '.join(MODELS)}")
    parser.add_argument("--presets", default="exact", help="comma-separated names of presets")
    parser.add_argument("--attention", default="auto", help=f"comma-separated, out of {', '.join(BACKENDS)}")
    parser.add_argument(
        "--pointwise", default="auto", help="operations between products; comma-separated, out of auto, eager"
    )
    parser.add_argument("--repeats", type=int, default=3, help="measurements after the first")
    parser.add_argument("--cap", type=float, default=None, help="limit of GPU memory, in GiB")
    parser.add_argument("--profile", action="store_true", help="show which kernels a forward pass spends its time in")
    parser.add_argument("--block", action="store_true", help="measure the error of one block instead")
    parser.add_argument("--json", type=Path, default=None, help="file to write the rows to")
    options = parser.parse_args(arguments)
    device = first_device()
    print_machine(device)
    rows: list[Row] = []
    profile: list[Row] = []
    for model in options.models.split(","):
        for attention in options.attention.split(","):
            if options.block:
                rows.append(measure_block(model, attention, device))
                continue
            for preset in options.presets.split(","):
                for pointwise in options.pointwise.split(","):
                    settings = (model, preset, attention, pointwise, options.repeats, device, options.cap)
                    times, kernels = measure_forward(*settings, profiled=options.profile)
                    rows += times
                    profile += kernels
                    free_unused(device)
    print_results("forward", rows, device, options.json, profile=profile)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
