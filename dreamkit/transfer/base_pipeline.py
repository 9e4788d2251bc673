"""What the two pipelines share: their parts, how they are loaded, how a call reports."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders
from dreamkit.transfer.config import ModelConfig, read_config
from dreamkit.transfer.engine import (
    Networks,
    Setup,
    choose_setup,
)
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import Tokenizer, load_tokenizer

log = logging.getLogger("dreamkit")

Weights = Mapping[str, "float | torch.Tensor | None"]

Still = Callable[[], "np.ndarray | None"]
"""Decodes one frame per view of what a step estimates, uint8 [V, H, W, 3]; None where memory is too short for it."""


@dataclass(frozen=True)
class Progress:
    """Where a call stands: the `step`-th of `steps` in one stage of one window."""

    stage: Literal["text", "encode", "denoise", "decode"]
    step: int
    steps: int
    window: int
    windows: int
    seconds: float  # since the call began
    still: Still | None = None  # after a step of denoising


Listener = Callable[[Progress], None]


class Pipeline:
    """What both pipelines share: the parts, and how stages report."""

    def __init__(
        self,
        config: ModelConfig,
        setup: Setup,
        tokenizer: Tokenizer,
        text: TextEncoder,
        offload: bool,
    ) -> None:
        self.config = config
        self.setup = setup
        self.tokenizer = tokenizer
        self.text = text
        self.offload = offload

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the videos it makes."""
        return self.config.height, self.config.width

    @property
    def window_frames(self) -> int:
        """Frames of one window."""
        return self.config.window_frames

    def encode_prompts(self, prompts: Sequence[str]) -> None:
        """Encode all prompts of a batch now, in one load of the text encoder."""
        self.text.encode(prompts)

    def parts_info(self, networks: Networks | None) -> dict[str, Any]:
        """Preset, device, kernels, and peak memory of the last call."""
        cuda = self.setup.device.type == "cuda"
        return {
            "preset": self.setup.preset,
            "device": torch.cuda.get_device_name(self.setup.device) if cuda else "cpu",
            "dtype": str(self.setup.dtype).removeprefix("torch."),
            **(networks.chosen() if networks else {}),
            "tensors_from_base": sum(len(r.from_base) for r in networks.reports) if networks else 0,
            "peak_gpu_bytes": torch.cuda.max_memory_allocated(self.setup.device) if cuda else 0,
        }

    def encode_frames(self, frames_THWC: np.ndarray) -> torch.Tensor:
        """One window of frames, uint8 [T, H, W, 3] of any size, to its latent times sigma_data, [1, C, t, h, w]."""
        if frames_THWC.shape[1:3] != self.size:
            from dreamkit.workspace.video import resize  # OpenCV, needed for inputs of another size only

            frames_THWC = resize(frames_THWC, *self.size)
        return self.tokenizer.encode(frames_THWC) * self.config.sigma_data

    def decode_latent(self, latent_BCTHW: torch.Tensor) -> np.ndarray:
        """The other way."""
        return self.tokenizer.decode(latent_BCTHW / self.config.sigma_data)

    def listen(
        self, report: Reporter, steps: int, given_latents: int = 0
    ) -> Callable[[int, torch.Tensor], None] | None:
        """What `denoise_window` is to call after each step; None where nobody listens."""
        if report.listener is None:
            return None

        def on_step(step: int, x0: torch.Tensor) -> None:
            if self.setup.device.type == "cuda":
                torch.cuda.synchronize(self.setup.device)  # else the step would be told before it is done
            report("denoise", step, steps + 1, functools.partial(self.still, x0, given_latents))

        return on_step

    @torch.inference_mode()
    def still(self, latent_BCTHW: torch.Tensor, given_latents: int = 0) -> np.ndarray | None:
        """One frame per view, uint8 [V, H, W, 3], decoded from a window's latent, [1, C, V x T, H, W] times sigma_data.

        It is the last frame of the first latent frame that was not given: only those up to it are decoded. With the
        released tokenizer's design that is a twentieth of the arithmetic of a single view's whole decoding, and about a
        tenth of six views'. None where the GPU's memory is too short even in tiles.
        """
        latents = 1 + given_latents
        parts = latent_BCTHW.chunk(self.config.views, dim=2)
        try:
            # TorchScript optimises itself for the shapes that it meets; looking must not change what is made.
            with torch.jit.optimized_execution(False):
                return np.stack([self.decode_latent(part[:, :, :latents])[-1] for part in parts])
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return None

    def check_controls(
        self,
        controls: Mapping[str, np.ndarray],
        weights: Weights | None,
        steps: int,
        loaded: Sequence[str],
        axes: str,
    ) -> None:
        """Refuse condition videos, weights and steps that the call cannot take; `axes` is `THWC` or `VTHWC`."""
        if steps < 1:
            raise DreamkitError(f"steps is {steps}; expected 1 or more", "Use 35, as the models' authors do.")
        if stray := sorted(set(weights or {}) - set(controls)):
            raise DreamkitError(
                f"weights for controls that are not given: {', '.join(stray)}", "Give their videos too."
            )
        unknown = sorted(set(controls) - set(loaded))
        if unknown or not controls:
            raise DreamkitError(
                f"controls given: {', '.join(sorted(controls)) or 'none'}; loaded: {', '.join(loaded)}",
                "Load the pipeline with the controls that the call gives.",
            )
        for name, video in controls.items():
            check_frames(f"control {name!r}", video, axes)
        if len({video.shape[axes.index("T")] for video in controls.values()}) > 1:
            lengths = {name: video.shape[axes.index("T")] for name, video in controls.items()}
            raise DreamkitError(f"controls differ in frames: {lengths}", "Cut them to the same length.")


def check_frames(what: str, video: np.ndarray, axes: str) -> None:
    """Refuse anything but uint8 frames of these axes, at least one of them."""
    if video.dtype != np.uint8 or video.ndim != len(axes) or video.shape[-1] != 3 or video.size == 0:
        raise DreamkitError(
            f"{what} is {video.dtype} {list(video.shape)}, expected uint8 [{', '.join(axes)}]",
            "Give uint8 RGB.",
        )


class Reporter:
    """Sends progress of one call to its listener."""

    def __init__(self, listener: Listener | None, windows: int) -> None:
        self.listener, self.windows, self.window, self.began = listener, windows, 0, time.perf_counter()

    def __call__(
        self,
        stage: Literal["text", "encode", "denoise", "decode"],
        step: int,
        steps: int,
        still: Still | None = None,
    ) -> None:
        """Report."""
        if self.listener is not None:
            seconds = time.perf_counter() - self.began
            self.listener(Progress(stage, step, steps, self.window, self.windows, seconds, still))


def reset_peak(device: torch.device) -> None:
    """Start counting peak GPU memory anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def build_parts(
    checkpoints: Path,
    model_folder: str,
    default: ModelConfig,
    preset: str,
    device: str | torch.device | None,
    attention: str,
    text_cache: Path | None,
    trust_jit: Sequence[Path],
    tokenizer: Tokenizer | None,
) -> tuple[ModelConfig, Setup, Tokenizer, TextEncoder]:
    """Config, setup, tokenizer and text encoder of a checkpoint folder."""
    if not checkpoints.is_dir():
        raise DreamkitError(
            f"checkpoint folder not found: {checkpoints}", "Set `checkpoints` to the folder, or to tiny."
        )
    config = read_config(checkpoints / model_folder, default)
    setup = choose_setup(device, preset, attention, config)
    tokenizer = tokenizer or load_tokenizer(
        checkpoints / folders.TOKENIZER, setup.device, setup.dtype, config.window_frames, trust_jit
    )
    text = TextEncoder(checkpoints / folders.TEXT_ENCODER, setup.device, config.denoiser.text_tokens, text_cache)
    return config, setup, tokenizer, text
