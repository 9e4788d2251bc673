"""Denoise one window: the passes of guidance through base and control branches, and the solver around them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.control import ControlBranch, PreparedControl
from dreamkit.transfer.dit import Prepared, Trunk
from dreamkit.transfer.engine import Networks
from dreamkit.transfer.fp8 import use_float8
from dreamkit.transfer.sampling import X0, denoise, guide, sample
from dreamkit.transfer.step_cache import StepCache, computed_evaluations
from dreamkit.transfer.weight_maps import Weight, token_weights

Estimates = list[torch.Tensor]
"""Estimates of the clean latent, one for each pass of guidance."""


@dataclass(frozen=True)
class Window:
    """Everything that determines one window's latent, except the networks.

    Attributes:
        text_VMC: prompt embeddings, one per view.
        negative_VMC: embeddings of the negative prompt; zeros for none.
        hints: control -> latent of its condition video, [1, C, V x T, H, W], times sigma_data.
        weights: control -> number, map [T, H, W] or [H, W], or None for the default.
        noise: unit normal, [1, C, V x T, H, W].
        steps: solver steps.
        guidance: g in cond + g (cond - uncond); 0 for no guidance.
        fps: frames a second of the result.
        frames: pixel frames of the window.
        given: (mask, clean latent times sigma_data) of latents that are not generated; None where all are.
        view_ids: rows of the view table, one per view.
    """

    text_VMC: torch.Tensor
    negative_VMC: torch.Tensor
    hints: Mapping[str, torch.Tensor]
    weights: Mapping[str, float | torch.Tensor | None]
    noise: torch.Tensor
    steps: int
    guidance: float
    fps: float
    frames: int
    given: tuple[torch.Tensor, torch.Tensor] | None = None
    view_ids: Sequence[int] = (0,)


@dataclass(frozen=True)
class GuidancePass:
    """Inputs of one pass of guidance (conditional or unconditional) that are the same at every step of a window.

    Attributes:
        prepared: inputs of the base.
        controls: the branches that run, with their inputs.
    """

    prepared: Prepared
    controls: tuple[tuple[ControlBranch, PreparedControl], ...]


def prepare_passes(networks: Networks, config: ModelConfig, window: Window) -> list[GuidancePass]:
    """The conditional pass, and behind it the unconditional one unless guidance is 0.

    Where several GPUs divide the window: this one's passes, with the inputs of its part.
    """
    base = networks.base
    like = base.trunk.patch.weight
    shape = tuple(window.noise.shape)
    weights = control_weights(config, window)
    options = {
        "fps": window.fps,
        "view_ids": window.view_ids,
        "condition_mask": None if window.given is None else window.given[0],
    }
    text, negative = (t.to(like.device, like.dtype) for t in (window.text_VMC, window.negative_VMC))
    # cond + 0 (cond - uncond) = cond: without guidance the second pass has no effect.
    negatives = [] if window.guidance == 0 else [negative]

    def with_negatives(trunk: Trunk, prepared: Prepared) -> list[Prepared]:
        return [prepared, *(replace(prepared, text=trunk.text_kv(other)) for other in negatives)]

    bases = with_negatives(base.trunk, base.trunk.prepare(text, shape, **options))
    controls: list[list[tuple[ControlBranch, PreparedControl]]] = [[] for _ in bases]
    for name, weight in weights.items():
        branch = networks.branches[name]
        weight = weight.to(like) if isinstance(weight, torch.Tensor) else weight
        control = branch.prepare(branch.trunk.prepare(text, shape, **options), window.hints[name], weight)
        for of_pass, trunk in zip(controls, with_negatives(branch.trunk, control.trunk), strict=True):
            of_pass.append((branch, replace(control, trunk=trunk)))
    passes = [GuidancePass(prepared, tuple(c)) for prepared, c in zip(bases, controls, strict=True)]
    division = networks.division(window.guidance, shape)
    return passes if division is None else division.local(passes)


def control_weights(config: ModelConfig, window: Window) -> dict[str, Weight]:
    """Control -> weight of its branch's tokens; without those of weight 0, which add exactly zero and are not run."""
    _, _, frames, height, width = window.noise.shape
    grid = (frames, height // config.denoiser.patch, width // config.denoiser.patch)
    asked = {name: window.weights.get(name) for name in window.hints}
    wanted = [name for name, weight in asked.items() if isinstance(weight, torch.Tensor) or weight != 0]
    return dict(zip(wanted, token_weights([asked[name] for name in wanted], window.frames, grid), strict=True))


def estimate_passes(
    networks: Networks,
    config: ModelConfig,
    window: Window,
    passes: Sequence[GuidancePass],
    x: torch.Tensor,
    sigma: float,
) -> list[torch.Tensor]:
    """Estimates of the clean latent at noise level `sigma`, one for each pass, float32 like x [1, C, V x T, H, W].

    Where several GPUs divide the window, `passes` are this one's, and the estimates are whole and of all passes.
    """
    base, given = networks.base, window.given
    dtype = base.trunk.patch.weight.dtype
    division = networks.division(window.guidance, tuple(x.shape))
    if division is not None:
        x = division.latent(x)
        given = given and (division.latent(given[0]), division.latent(given[1]))

    def network(scaled: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        first = passes[0]
        begun = base.begin(scaled, c_noise, first.prepared, first.controls) if len(passes) > 1 else None
        raw = [base(scaled, c_noise, p.prepared, p.controls, begun) for p in passes]
        return torch.cat(raw)  # along the batch, whose size is 1

    estimates = list(denoise(network, x, sigma, config.sigma_data, dtype, given).split(1))
    return estimates if division is None else division.join(estimates)


def guided(estimates: Sequence[torch.Tensor], guidance: float) -> torch.Tensor:
    """The guided estimate of the clean latent, from that of the conditional pass alone or of both passes."""
    return estimates[0] if len(estimates) == 1 else guide(estimates[0], estimates[1], guidance)


@torch.inference_mode()
def denoise_window(
    networks: Networks, config: ModelConfig, window: Window, on_step: Callable[[int, torch.Tensor], None] | None = None
) -> torch.Tensor:
    """Sample one window's clean latent, float32 [1, C, V x T, H, W], times sigma_data.

    A preset with float8 runs the first and the last computed evaluation in bfloat16: the first determines the layout
    of the scene, the last its finest details.

    `on_step` is called after each evaluation with its number, from 1, and the estimate of the clean latent.
    """
    passes = prepare_passes(networks, config, window)
    x0_of = guided_estimate(
        networks, config, window, lambda x, sigma: estimate_passes(networks, config, window, passes, x, sigma)
    )
    noise = window.noise.to(networks.base.trunk.patch.weight.device)
    return sample(x0_of, noise, window.steps, on_step=on_step)


def guided_estimate(
    networks: Networks, config: ModelConfig, window: Window, estimates_of: Callable[[torch.Tensor, float], Estimates]
) -> X0:
    """The guided estimate of the clean latent, as a function for `sample`, with what the preset skips or rounds.

    Args:
        networks: the networks and their preset.
        config: sizes of the model.
        window: its steps, guidance and given latents count.
        estimates_of: computes the estimates of all passes of guidance from x and sigma, see `estimate_passes`.
    """
    like, preset = networks.base.trunk.patch.weight, networks.preset
    every = tuple(range(window.steps + 1))
    computed = every if preset.computed is None else computed_evaluations(window.steps, preset.computed)
    cache = StepCache(computed, config.sigma_data, like.dtype, window.given)
    numbers = itertools.count()

    def x0_of(x: torch.Tensor, sigma: float) -> torch.Tensor:
        number = next(numbers)

        def compute() -> list[torch.Tensor]:
            if preset.fp8:
                use_float8(networks.trunks, number not in (computed[0], computed[-1]))
            return estimates_of(x, sigma)

        estimates = compute() if preset.computed is None else cache.estimates(number, x, sigma, compute)
        return guided(estimates, window.guidance)

    return x0_of
