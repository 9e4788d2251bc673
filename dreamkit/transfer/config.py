"""Sizes of the models: the released 7B pair, a small pair, and those that a bundle's `dreamkit.json` has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from dreamkit.errors import DreamkitError, first_line
from dreamkit.transfer import folders
from dreamkit.workspace.files import read_json

# Of the tokenizer: the first pixel frame becomes one latent frame, every 8 further ones another; 8 x 8 pixels become
# one latent pixel.
TEMPORAL_COMPRESSION = 8
SPATIAL_COMPRESSION = 8
LATENT_CHANNELS = 16
# Latent pixels along each side of a token, in all models of the family; one latent frame is one token in time.
PATCH = 2
# Upstream's weight of a control for which none is given.
DEFAULT_WEIGHT = 0.5
# The sizes of a model that differ from the released ones, beside its checkpoint files.
CONFIG_FILE = "dreamkit.json"
MOST_SIZE = 2**16
"""Of every number in that file."""


def latent_length(frames: int) -> int:
    """Latent frames that encode `frames` pixel frames: one for the first, one for every 8 after it; 0 for 0."""
    return 0 if frames == 0 else 1 + (frames - 1) // TEMPORAL_COMPRESSION


def pixel_length(latent_frames: int) -> int:
    """Pixel frames to which `latent_frames` are decoded: one for the first, 8 for every other."""
    return 1 + TEMPORAL_COMPRESSION * (latent_frames - 1)


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of one denoiser and of the control branches that fit it; the defaults are the single-view 7B model's.

    Source of the values: cosmos-transfer1 config/base/net.py, config/inference/cosmos-1-diffusion-control2world.py.

    Attributes:
        width: channels of a token.
        heads: attention heads.
        blocks: blocks of the denoiser.
        control_blocks: blocks of a control branch.
        mlp_ratio: width of the MLP's hidden layer, in multiples of `width`.
        lora: rank of AdaLN-LoRA.
        text_width: channels of a text embedding.
        text_tokens: tokens of a prompt.
        latent_channels: channels of a latent.
        patch: latent pixels along each side of a token.
        position: kind of absolute positions: learned tables, or fixed sines and cosines.
        table_h: rows of the learned table for height, in tokens.
        table_w: rows of the learned table for width, in tokens.
        table_t: rows of the learned table for time, in latent frames.
        rope_t_extrapolation: factor on the rotary base of the time axis.
        base_fps: frame rate at which one latent frame is one rotary position.
        condition_mask: whether an input channel marks the given latents.
        view_table: rows of the view embedding; 0 for a single-view model.
        view_width: channels of the view embedding.
        hint_widths: widths of the linears that encode a condition video.
    """

    width: int = 4096
    heads: int = 32
    blocks: int = 28
    control_blocks: int = 3
    mlp_ratio: int = 4
    lora: int = 256
    text_width: int = 1024
    text_tokens: int = 512
    latent_channels: int = LATENT_CHANNELS
    patch: int = PATCH
    position: Literal["learned", "sincos"] = "learned"
    table_h: int = 120
    table_w: int = 120
    table_t: int = 128
    rope_t_extrapolation: float = 2.0
    base_fps: float = 24.0
    condition_mask: bool = False
    view_table: int = 0
    view_width: int = 0
    hint_widths: tuple[int, ...] = (16, 16, 32, 32, 96, 96, 256)

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    @property
    def in_channels(self) -> int:
        """Input channels of the patch embedding: latent, condition mask, padding mask, view embedding."""
        return self.latent_channels + int(self.condition_mask) + 1 + self.view_width


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model: its denoiser, and the video that it was trained for.

    Attributes:
        denoiser: sizes of the network.
        height: height of a video, in pixels.
        width: width of a video, in pixels.
        window_frames: pixel frames of one denoising window, which the tokenizer encodes at once.
        views: cameras of one video.
        sigma_data: standard deviation of the latents in training.
    """

    denoiser: DenoiserConfig
    height: int
    width: int
    window_frames: int
    views: int = 1
    sigma_data: float = 0.5

    @property
    def latent_frames(self) -> int:
        """Latent frames of one window of one view."""
        return latent_length(self.window_frames)

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """(C, V x T, H, W) of one window's latent."""
        return (
            self.denoiser.latent_channels,
            self.views * self.latent_frames,
            self.height // SPATIAL_COMPRESSION,
            self.width // SPATIAL_COMPRESSION,
        )

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """(latent frames, tokens down, tokens across) of one view's window."""
        _, _, height, width = self.latent_shape
        return self.latent_frames, height // self.denoiser.patch, width // self.denoiser.patch


def _multi_view(single: DenoiserConfig) -> DenoiserConfig:
    """Sizes of the multi-view denoiser that belongs to a single-view one."""
    return replace(single, position="sincos", condition_mask=True, view_table=7, view_width=6)


COSMOS_7B_SINGLE = ModelConfig(DenoiserConfig(), height=704, width=1280, window_frames=121)
COSMOS_7B_MULTI = ModelConfig(_multi_view(DenoiserConfig()), height=576, width=1024, window_frames=57, views=6)

_TINY = DenoiserConfig(
    width=128,
    heads=4,
    blocks=4,
    control_blocks=3,
    lora=8,
    text_width=64,
    text_tokens=512,
    table_h=24,
    table_w=40,
    table_t=32,
    hint_widths=(128, 128),
)
# A small pair for tests, benchmarks and random bundles; the sizes of the package's bundle stand in its `dreamkit.json`.
TINY_SINGLE = ModelConfig(_TINY, height=160, width=288, window_frames=121)
TINY_MULTI = ModelConfig(_multi_view(_TINY), height=96, width=160, window_frames=57, views=6)


SETTINGS = "settings"
SETTING_TYPES = {"num_steps": int, "guidance": float}


def config_values(config: ModelConfig) -> dict[str, Any]:
    """The sizes as JSON has them, of the denoiser only those that differ from the defaults.

    Part of a result's identity: a field that a later version adds, at its default, leaves it as it is.
    """
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    default = json.loads(json.dumps(asdict(DenoiserConfig())))
    return {**plain, "denoiser": {name: value for name, value in plain["denoiser"].items() if value != default[name]}}


def save_config(config: ModelConfig, folder: Path) -> None:
    """Write `dreamkit.json` beside a bundle's checkpoint files."""
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config), indent=2) + "\n")


def read_config(folder: Path, default: ModelConfig) -> ModelConfig:
    """The model's sizes: `dreamkit.json` in the checkpoint folder, or `default` where there is none.

    NVIDIA's folders have no such file, so `default` should be the released 7B model.

    Raises:
        DreamkitError: the file is not valid JSON, has a key that DenoiserConfig or ModelConfig lacks, or a value of
            another type or of an impossible size.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return default
    hint = "Fetch the bundle again, or delete the file if the folder contains NVIDIA's 7B checkpoints."
    try:
        data = read_json(path, "file")
    except DreamkitError as error:
        raise DreamkitError(f"{path} cannot be read as a model's sizes: {error.message}", hint) from error
    numbers = data.get("denoiser")
    data.pop(SETTINGS, None)
    if not isinstance(numbers, dict):
        raise DreamkitError(f"{path} cannot be read as a model's sizes: denoiser is no object.", hint)
    if unknown := sorted([*(set(data) - _names(ModelConfig)), *(set(numbers) - _names(DenoiserConfig))]):
        raise DreamkitError(
            f"{path} has unknown keys: {', '.join(unknown[:8])}.",
            "The bundle was written by another version of dreamkit: update dreamkit or fetch the bundle again.",
        )
    try:
        config = ModelConfig(**{**data, "denoiser": DenoiserConfig(**_checked(DenoiserConfig(), numbers))})
        _checked(default, {name: value for name, value in data.items() if name != "denoiser"})
        if config.denoiser.width % config.denoiser.heads:
            raise ValueError(f"width {config.denoiser.width} is no multiple of heads {config.denoiser.heads}")
    except (TypeError, ValueError) as error:
        raise DreamkitError(f"{path} cannot be read as a model's sizes: {first_line(error)}.", hint) from error
    return config


def bundle_configs(checkpoints: Path) -> tuple[ModelConfig, ModelConfig]:
    """The sizes of the single-view and of the six-view model under a checkpoint folder.

    Raises:
        DreamkitError: see `read_config`.
    """
    single = read_config(checkpoints / folders.SINGLE_VIEW, COSMOS_7B_SINGLE)
    return single, read_config(checkpoints / folders.MULTI_VIEW, COSMOS_7B_MULTI)


def read_settings(folder: Path) -> dict[str, float]:
    """The sampling settings that a bundle was made for: `num_steps` and `guidance`, as far as its `dreamkit.json` says.

    Raises:
        DreamkitError: the file is not valid JSON, or a setting is no number of at least 0.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return {}
    found = read_json(path, "file").get(SETTINGS, {})
    if isinstance(found, dict) and set(found) <= set(SETTING_TYPES):
        fits = [
            type(value) is int or (type(value) is float and SETTING_TYPES[n] is float) for n, value in found.items()
        ]
        if all(fits) and all(0 <= value <= MOST_SIZE for value in found.values()):
            return {name: SETTING_TYPES[name](value) for name, value in found.items()}
    raise DreamkitError(
        f"The settings in {path} must be numbers of at least 0: {', '.join(SETTING_TYPES)}.",
        "Correct them, or take settings out of the file.",
    )


def _names(kind: type[DenoiserConfig | ModelConfig]) -> set[str]:
    return {field.name for field in fields(kind)}


def _checked(like: DenoiserConfig | ModelConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each of the type that it has in `like` and of a possible size; lists become tuples.

    Raises:
        ValueError: one is not.
    """
    checked: dict[str, Any] = {}
    for name, value in values.items():
        known = getattr(like, name)
        parts = value if isinstance(known, tuple) and isinstance(value, list) else [value]
        kind = int if isinstance(known, tuple) else type(known)
        for part in parts:
            fits = type(part) is kind or (kind is float and type(part) is int)
            if not fits or (isinstance(part, int | float) and not 0 <= part <= MOST_SIZE) or len(parts) > 64:
                raise ValueError(f"{name} is {str(value)[:80]}; expected a {kind.__name__} of at most {MOST_SIZE}")
        if name == "position" and value not in ("learned", "sincos"):
            raise ValueError(f"position is {value[:80]!r}; expected learned or sincos")
        if kind is not bool and name not in ("view_table", "view_width") and 0 in parts:
            raise ValueError(f"{name} is 0")
        checked[name] = tuple(parts) if isinstance(known, tuple) else value
    return checked
