"""Random models of any size without files: networks, the inputs of a window, and a whole pipeline."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from dreamkit.bench.measure import native_dtype
from dreamkit.bench.random_weights import random_network
from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.denoising import Window
from dreamkit.transfer.engine import ComputeSettings, Networks, choose_kernels
from dreamkit.transfer.model_files import FIRST_WINDOW, ModelFiles
from dreamkit.transfer.network_store import NetworkStore
from dreamkit.transfer.parallel import Ranks
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.transfer.views import VIEW_IDS, condition_mask

GUIDANCE = 3.0


def random_networks(config: ModelConfig, device: torch.device, ranks: Ranks | None) -> Networks:
    """Base and HDMap branch with random weights, the same on every rank, with the kernels of `load_networks`."""
    compute = compute_settings(config, device, ranks)
    base = random_network(Denoiser, config.denoiser, device, compute.dtype)
    branch = random_network(ControlBranch, config.denoiser, device, compute.dtype, seed=1)
    networks = Networks(base, {"hdmap": branch}, [], ranks=ranks)
    for trunk in networks.trunks:
        trunk.keep_text = device.type != "cuda"  # as `load_networks`
    choose_kernels(networks, config.denoiser, compute)
    return networks


def compute_settings(config: ModelConfig, device: torch.device, ranks: Ranks | None) -> ComputeSettings:
    """Preset exact on a device, also on a CPU with a model of the released size."""
    tokens = config.views * math.prod(config.token_grid)
    return ComputeSettings(device, native_dtype(device), tokens=tokens, ranks=ranks)


def random_window(config: ModelConfig, steps: int) -> Window:
    """A window of random inputs on the CPU, always the same ones; six views have a given front view."""
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    shape, views, sizes = (1, *config.latent_shape), config.views, config.denoiser
    text, negative = (normal(views, sizes.text_tokens, sizes.text_width) for _ in range(2))
    given = None
    if views > 1:
        negative = torch.zeros_like(text)
        given = condition_mask(views, config.latent_frames, 0, torch.device("cpu")), 0.5 * normal(*shape)
    hints, ids = {"hdmap": 0.5 * normal(*shape)}, VIEW_IDS.get(views, (0,))
    frames = config.window_frames
    return Window(text, negative, hints, {"hdmap": 1.0}, normal(*shape), steps, GUIDANCE, 24, frames, given, ids)


def on_device(window: Window, device: torch.device) -> Window:
    """The window with its latents on the device."""
    given = window.given and (window.given[0].to(device), window.given[1].to(device))
    hints = {name: hint.to(device) for name, hint in window.hints.items()}
    return Window(**{**vars(window), "hints": hints, "given": given})


class RandomText:
    """Random embeddings in place of a text encoder's; its methods are those of TextEncoder that a pipeline calls."""

    def __init__(self, config: ModelConfig) -> None:
        self.shape = (config.denoiser.text_tokens, config.denoiser.text_width)

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Embeddings, float32 [N, tokens, C], the same ones for any prompts."""
        return torch.randn(len(prompts), *self.shape, generator=torch.Generator().manual_seed(6))

    def embeddings(self, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Nothing that another encoder needs."""
        return dict.fromkeys(prompts, torch.zeros(0))

    def take(self, embeddings: dict[str, torch.Tensor]) -> None:
        """Take nothing."""


def random_files(config: ModelConfig) -> ModelFiles:
    """The sizes of a model that has no files."""
    return ModelFiles(Path("random"), config, {FIRST_WINDOW: {"base": Path("base"), "hdmap": Path("hdmap")}})


class RandomStore(NetworkStore):
    """Networks with random weights instead of those of a model's files, the same for all windows."""

    def _load(self, kind: str) -> Networks:
        networks = random_networks(self.model.config, self.compute.device, self.compute.ranks)
        self._loaded[kind] = networks
        return networks


def random_pipeline(
    config: ModelConfig,
    tokenizer: Callable[[ModelConfig, torch.device, torch.dtype], Tokenizer],
    ranks: Ranks,
    device: torch.device,
) -> Any:
    """A pipeline with random weights; `ranks` of size 1 are one GPU by itself.

    Args:
        config: its sizes.
        tokenizer: makes its tokenizer.
        ranks: this worker among the others.
        device: its device.
    """
    kind = MultiViewPipeline if config.views > 1 else SingleViewPipeline
    files, compute = random_files(config), compute_settings(config, device, ranks if ranks.size > 1 else None)
    text: Any = RandomText(config)
    store = RandomStore(files, compute, offload=False)
    return kind(files, compute, tokenizer(config, device, compute.dtype), text, offload=False, store=store)
