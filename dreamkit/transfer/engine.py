"""Load a denoiser with its control branches, and denoise one window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.attention import choose_attention
from dreamkit.transfer.config import DenoiserConfig, ModelConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.dit import Prepared, Trunk
from dreamkit.transfer.fused_ops import choose_fused_ops
from dreamkit.transfer.load import LoadReport, load_network
from dreamkit.transfer.sampling import denoise, guide, sample
from dreamkit.transfer.weight_maps import token_weights

log = logging.getLogger("dreamkit")

PRESETS = ("exact",)
"""exact: bfloat16 on a GPU as upstream, float32 on a CPU."""
_SMALLEST_GPU_WIDTH = 2048
"""A denoiser this wide is too slow on a CPU; the 7B models have 4096, the tiny bundle 128."""


@dataclass(frozen=True)
class ComputeSettings:
    """Where and how the networks compute.

    Attributes:
        device: one GPU, or the CPU.
        dtype: of weights and activations: bfloat16 on a GPU, float32 on a CPU.
        preset: one of PRESETS.
        attention: wanted attention backend, or `auto`.
    """

    device: torch.device
    dtype: torch.dtype
    preset: str = "exact"
    attention: str = "auto"


def choose_compute(
    device: str | torch.device | None, preset: str, attention: str, config: ModelConfig
) -> ComputeSettings:
    """Choose device and dtype; without a device the first GPU, or the CPU where there is none.

    Raises:
        DreamkitError: an unknown preset; no GPU for a model of the released size; a device that is not there.
    """
    if preset not in PRESETS:
        raise DreamkitError(f"There is no preset {preset!r}, only {', '.join(PRESETS)}.", "Use exact.")
    cuda = torch.cuda.is_available()
    chosen = torch.device(device or ("cuda" if cuda else "cpu"))
    if chosen.type == "cuda" and not cuda:
        raise DreamkitError("The device is cuda, but PyTorch sees no GPU here.", "Check the driver with nvidia-smi.")
    if chosen.type == "cpu" and config.denoiser.width >= _SMALLEST_GPU_WIDTH:
        raise DreamkitError(
            "The 7B models need a GPU, and PyTorch sees none here.",
            "Run on a machine with a GPU, or rehearse with the tiny bundle (checkpoints: tiny).",
        )
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", torch.cuda.current_device())
    return ComputeSettings(chosen, torch.bfloat16 if chosen.type == "cuda" else torch.float32, preset, attention)


@dataclass
class Networks:
    """A base denoiser and its control branches, on one device.

    Attributes:
        base: the denoiser.
        branches: control -> its branch.
        reports: where the tensors of each file came from.
    """

    base: Denoiser
    branches: dict[str, ControlBranch]
    reports: list[LoadReport]

    def to(self, device: torch.device) -> None:
        """Move all weights."""
        for network in (self.base, *self.branches.values()):
            network.to(device)

    @property
    def trunks(self) -> list[Trunk]:
        """The base's trunk, then the branches'."""
        return [self.base.trunk, *(branch.trunk for branch in self.branches.values())]

    def chosen(self) -> dict[str, str]:
        """Names of the attention backend and of the pointwise kernels that were chosen."""
        return {"attention": self.base.trunk.attention.name, "pointwise": self.base.trunk.ops.name}


def load_networks(config: DenoiserConfig, files: Mapping[str, Path], compute: ComputeSettings) -> Networks:
    """Load `files` (`base`, and each control's name) onto the device and choose kernels.

    Raises:
        DreamkitError: a file is missing, broken, or of another model; an attention backend that cannot run here.
    """
    base_file = files["base"]
    base, report = load_network(Denoiser, config, base_file, compute.device, compute.dtype)
    branches, reports = {}, [report]
    for name, path in files.items():
        if name == "base":
            continue
        branches[name], report = load_network(ControlBranch, config, path, compute.device, compute.dtype, base_file)
        reports.append(report)
        if report.from_base:
            log.info(
                "%s: %d tensors are absent; the base model's are used for them: %s",
                path,
                len(report.from_base),
                ", ".join(report.from_base),
            )
    networks = Networks(base, branches, reports)
    attention = choose_attention(config.heads, config.head_dim, compute.device, compute.dtype, compute.attention)
    ops = choose_fused_ops(compute.device)
    for trunk in networks.trunks:
        trunk.attention, trunk.ops = attention, ops
    return networks


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


@torch.inference_mode()
def denoise_window(
    networks: Networks, config: ModelConfig, window: Window, on_step: Callable[[int, torch.Tensor], None] | None = None
) -> torch.Tensor:
    """Sample one window's clean latent, float32 [1, C, V x T, H, W], times sigma_data.

    `on_step` is called after each evaluation with its number, from 1, and the estimate of the clean latent.
    """
    base = networks.base
    like = base.trunk.patch.weight
    shape = tuple(window.noise.shape)
    patch = config.denoiser.patch
    grid = (shape[2], shape[3] // patch, shape[4] // patch)
    names = list(window.hints)
    # A control of weight 0 adds exactly zero, so its branch is not run.
    wanted = [n for n in names if isinstance(window.weights.get(n), torch.Tensor) or window.weights.get(n) != 0]
    weights = dict(
        zip(wanted, token_weights([window.weights.get(n) for n in wanted], window.frames, grid), strict=True)
    )
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

    passes = [(prepared, []) for prepared in with_negatives(base.trunk, base.trunk.prepare(text, shape, **options))]
    for name in wanted:
        branch, weight = networks.branches[name], weights[name]
        weight = weight.to(like) if isinstance(weight, torch.Tensor) else weight
        control = branch.prepare(branch.trunk.prepare(text, shape, **options), window.hints[name], weight)
        for (_, controls), trunk in zip(passes, with_negatives(branch.trunk, control.trunk), strict=True):
            controls.append((branch, replace(control, trunk=trunk)))

    def x0_of(x: torch.Tensor, sigma: float) -> torch.Tensor:
        estimates = [
            denoise(
                lambda scaled, c_noise, p=prepared, c=controls: base(scaled, c_noise, p, c),
                x,
                sigma,
                config.sigma_data,
                like.dtype,
                window.given,
            )
            for prepared, controls in passes
        ]
        if len(estimates) == 1:
            return estimates[0]
        conditional, unconditional = estimates
        return guide(conditional, unconditional, window.guidance)

    return sample(x0_of, window.noise.to(like.device), window.steps, on_step=on_step)
