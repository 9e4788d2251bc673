"""The numbers that make a model: the released 7B pair, and the tiny twins that run on a laptop."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from dreamkit.errors import DreamkitError

CONFIG_FILE = "dreamkit.json"
"""Beside the checkpoint files of a bundle whose numbers are not the released ones."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of one denoiser and of the control branches that fit it.

    Lengths of position tables are in tokens (latent pixels / patch for h and w, latent frames for t).
    Values of the 7B models: cosmos-transfer1 config/base/net.py, config/inference/cosmos-1-diffusion-control2world.py.
    """

    width: int = 4096
    heads: int = 32
    blocks: int = 28
    control_blocks: int = 3
    mlp_ratio: int = 4
    lora: int = 256  # rank of AdaLN-LoRA
    text_width: int = 1024
    text_tokens: int = 512
    latent_channels: int = 16
    patch: int = 2  # spatial only; one latent frame is one token in time
    position: Literal["learned", "sincos"] = "learned"
    table_h: int = 120
    table_w: int = 120
    table_t: int = 128
    rope_t_extrapolation: float = 2.0
    base_fps: float = 24.0
    condition_mask: bool = False  # an input channel that marks given latents
    view_table: int = 0  # rows of the view embedding; 0 for a single-view model
    view_width: int = 0
    hint_widths: tuple[int, ...] = (16, 16, 32, 32, 96, 96, 256)  # of the linears that read a control's picture

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    @property
    def in_channels(self) -> int:
        """Channels entering the patch embedding: latent, condition mask, padding mask, view."""
        return self.latent_channels + int(self.condition_mask) + 1 + self.view_width


@dataclass(frozen=True)
class ModelConfig:
    """A denoiser together with the pixels and frames it was trained for."""

    denoiser: DenoiserConfig
    height: int  # pixels
    width: int  # pixels
    window_frames: int  # pixel frames of one denoising window and of one tokenizer chunk
    views: int = 1
    sigma_data: float = 0.5

    @property
    def latent_frames(self) -> int:
        """Latent frames of one window of one view."""
        return 1 + (self.window_frames - 1) // 8

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """(C, V x T, H, W) of one window's latent."""
        return (
            self.denoiser.latent_channels,
            self.views * self.latent_frames,
            self.height // 8,
            self.width // 8,
        )


_MULTI = DenoiserConfig(position="sincos", condition_mask=True, view_table=7, view_width=6)

COSMOS_7B_SINGLE = ModelConfig(DenoiserConfig(), height=704, width=1280, window_frames=121)
COSMOS_7B_MULTI = ModelConfig(_MULTI, height=576, width=1024, window_frames=57, views=6)

_TINY = {
    "width": 128,
    "heads": 4,
    "blocks": 4,
    "control_blocks": 3,
    "lora": 8,
    "text_width": 64,
    "text_tokens": 512,
    "table_h": 24,
    "table_w": 40,
    "table_t": 32,
    "hint_widths": (128, 128),
}
TINY_SINGLE = ModelConfig(DenoiserConfig(**_TINY), height=160, width=288, window_frames=121)
TINY_MULTI = ModelConfig(replace(_MULTI, **_TINY), height=96, width=160, window_frames=57, views=6)


def save_config(config: ModelConfig, folder: Path) -> None:
    """Write `dreamkit.json` beside a bundle's checkpoint files."""
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config), indent=2) + "\n")


def read_config(folder: Path, default: ModelConfig) -> ModelConfig:
    """The model's numbers: `dreamkit.json` in the checkpoint folder, or `default` where there is none.

    NVIDIA's folders have no such file, so they are read as the 7B models.

    Raises:
        DreamkitError: the file is not valid JSON, or names a number that this version does not know.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return default
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        known = {f.name for f in fields(DenoiserConfig)}
        unknown = sorted(set(data["denoiser"]) - known)
        if unknown:
            raise DreamkitError(
                f"{path} names unknown numbers: {', '.join(unknown)}",
                "The bundle was written by another version of dreamkit; update dreamkit or fetch the bundle again.",
            )
        numbers = dict(data["denoiser"])
        if "hint_widths" in numbers:
            numbers["hint_widths"] = tuple(numbers["hint_widths"])  # JSON has no tuples
        return ModelConfig(**{**data, "denoiser": DenoiserConfig(**numbers)})
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DreamkitError(
            f"{path} cannot be read as a model's numbers: {error}",
            "Fetch the bundle again, or delete the file if the folder holds NVIDIA's 7B checkpoints.",
        ) from error
