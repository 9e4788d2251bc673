"""A bundle smaller than tiny, for tests that run pipelines: 17 frames of 32x48, six views of the same size."""

from __future__ import annotations

from dataclasses import replace

from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE, ModelConfig

_SMALL = {"width": 48, "heads": 2, "blocks": 2, "control_blocks": 1, "lora": 8, "text_width": 32, "text_tokens": 32}

SINGLE: ModelConfig = replace(
    TINY_SINGLE, denoiser=replace(TINY_SINGLE.denoiser, **_SMALL), height=32, width=48, window_frames=17
)
MULTI: ModelConfig = replace(
    TINY_MULTI, denoiser=replace(TINY_MULTI.denoiser, **_SMALL), height=32, width=48, window_frames=17
)
