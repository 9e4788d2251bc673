"""What both pipelines stand on: a loaded denoiser with its branches, and one window denoised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.attention import choose_attention
from dreamkit.transfer.config import DenoiserConfig, ModelConfig
from dreamkit.transfer.control import ControlBranch, normalize_weights
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.dit import Prepared, Trunk
from dreamkit.transfer.fused_ops import choose_fused_ops
from dreamkit.transfer.load import LoadReport, load_network
from dreamkit.transfer.sampling import denoise, guide, sample

log = logging.getLogger("dreamkit")

PRESETS = ("exact",)
"""exact: bf16 on a GPU as upstream, float32 on a CPU."""


@dataclass(frozen=True)
class Setup:
    """Where and how networks run."""

    device: torch.device
    dtype: torch.dtype
    preset: str = "exact"
    attention: str = "auto"


def choose_setup(device: str | torch.device | None, preset: str, attention: str, config: ModelConfig) -> Setup:
    """Resolve device, dtype and preset.

    Raises:
        DreamkitError: unknown preset; no GPU for a model of the released size; a device that is not there.
    """
    if preset not in PRESETS:
        raise DreamkitError(f"preset is {preset!r}; known: {', '.join(PRESETS)}", "Use exact.")
    cuda = torch.cuda.is_available()
    chosen = torch.device(device or ("cuda" if cuda else "cpu"))
    if chosen.type == "cuda" and not cuda:
        raise DreamkitError("device is cuda, but PyTorch sees no GPU here", "Check the driver with nvidia-smi.")
    if chosen.type == "cpu" and config.denoiser.width >= 2048:
        raise DreamkitError(
            "the 7B models need a GPU, and PyTorch sees none here",
            "Run on a machine with a GPU, or rehearse with the tiny bundle (checkpoints: tiny).",
        )
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", torch.cuda.current_device())
    return Setup(chosen, torch.bfloat16 if chosen.type == "cuda" else torch.float32, preset, attention)


@dataclass
class Networks:
    """A base denoiser and its control branches, on one device."""

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
        """Names of the attention backend and of the pointwise kernels."""
        return {"attention": self.base.trunk.attention.name, "pointwise": self.base.trunk.ops.name}


def load_networks(config: DenoiserConfig, files: Mapping[str, Path], setup: Setup) -> Networks:
    """Read `files` (`base`, and controls by name) and choose kernels."""
    base_file = files["base"]
    base, report = load_network(Denoiser, config, base_file, setup.device, setup.dtype)
    branches, reports = {}, [report]
    for name, path in files.items():
        if name == "base":
            continue
        branches[name], report = load_network(ControlBranch, config, path, setup.device, setup.dtype, base_file)
        reports.append(report)
        if report.from_base:
            log.info(
                "%s: %d tensors absent, the base's stand in: %s",
                path,
                len(report.from_base),
                ", ".join(report.from_base),
            )
    networks = Networks(base, branches, reports)
    attention = choose_attention(config.heads, config.head_dim, setup.device, setup.dtype, setup.attention)
    ops = choose_fused_ops(setup.device)
    for trunk in networks.trunks:
        trunk.attention, trunk.ops = attention, ops
    return networks


@dataclass(frozen=True)
class Window:
    """Everything that decides one window's latent, except the networks."""

    text_VMC: torch.Tensor
    negative_VMC: torch.Tensor  # zeros for no negative prompt
    hints: dict[str, torch.Tensor]  # per control, [1, C, V x T, H, W], times sigma_data
    weights: dict[str, float | torch.Tensor | None]
    noise: torch.Tensor  # unit normal, [1, C, V x T, H, W]
    steps: int
    guidance: float
    fps: float
    frames: int  # pixel frames
    given: tuple[torch.Tensor, torch.Tensor] | None = None  # (mask, clean latent)
    view_ids: Sequence[int] = (0,)


@torch.inference_mode()
def denoise_window(
    networks: Networks, config: ModelConfig, window: Window, on_step: Callable[[int, torch.Tensor], None] | None = None
) -> torch.Tensor:
    """Sample one window's clean latent, float32 [1, C, V x T, H, W] (times sigma_data)."""
    base = networks.base
    like = base.trunk.patch.weight
    shape = tuple(window.noise.shape)
    patch = config.denoiser.patch
    grid = (shape[2], shape[3] // patch, shape[4] // patch)
    names = list(window.hints)
    # A control of weight 0 adds exactly nothing, so its branch need not run.
    wanted = [n for n in names if isinstance(window.weights.get(n), torch.Tensor) or window.weights.get(n) != 0]
    weights = dict(
        zip(wanted, normalize_weights([window.weights.get(n) for n in wanted], window.frames, grid), strict=True)
    )
    options = {
        "fps": window.fps,
        "view_ids": window.view_ids,
        "condition_mask": None if window.given is None else window.given[0],
    }
    text, negative = (t.to(like.device, like.dtype) for t in (window.text_VMC, window.negative_VMC))
    # cond + 0 (cond - uncond): without guidance the second half of the work would count for nothing.
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
        return estimates[0] if len(estimates) == 1 else guide(*estimates, window.guidance)

    return sample(x0_of, window.noise.to(like.device), window.steps, on_step=on_step)
