"""Sizes of the models that the recipe trains: about two million weights a denoiser, 2.5 million the tokenizer."""

from __future__ import annotations

from dataclasses import replace

from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE

_GROWN = {
    "width": 144,
    "heads": 4,
    "blocks": 6,
    "control_blocks": 3,
    "lora": 16,
    "table_w": 48,
    "hint_widths": (144, 144),
}
RECIPE_SINGLE = replace(TINY_SINGLE, denoiser=replace(TINY_SINGLE.denoiser, **_GROWN), height=192, width=336)
RECIPE_MULTI = replace(TINY_MULTI, denoiser=replace(TINY_MULTI.denoiser, **_GROWN), height=128, width=224)
RECIPE_CODEC = (64, 192)  # channels of the tokenizer, on the fine grid and on the latent's
