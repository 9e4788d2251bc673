"""Training videos as latents on the training device, and random batches of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from dreamkit.captions.files import ORIGINAL
from dreamkit.errors import DreamkitError
from dreamkit.styles import load_styles, side_prompts
from dreamkit.tinyworld.train.codec import to_signal
from dreamkit.tinyworld.train.dataset import VideoDataset
from dreamkit.tinyworld.train.objective import Batch
from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.single_view import NEGATIVE_PROMPT
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.transfer.views import condition_mask

HELD_OUT = 8  # last scenes of a dataset, for previews; denoisers and control branches are not trained on them
# Shares of examples with zeroed text, and (one view) with the negative prompt: both train the unconditional output.
_NO_TEXT, _NEGATIVE = 0.1, 0.05
# Share of six-view examples in which the front view is not given but generated too, so that maps are followed for
# want of another source.
_NO_FRONT = 0.2
_FRAMES_TOGETHER = 400  # encoded at a time
# At inference, given latents come from generated videos; noise of up to this standard deviation prepares for that.
_GIVEN_NOISE = 0.12
_KIND_WEIGHTS = (1, 2, 4)  # weights in the loss of latent positions by `VideoDataset.kinds`


@dataclass(frozen=True)
class Latents:
    """N videos of K scenes for one model, on one device.

    Attributes:
        latent: bf16 [N, C, V x T, H, W], times sigma_data.
        hint: latents of the condition videos, bf16 [K, C, V x T, H, W], times sigma_data.
        loss_weight: of each latent position, uint8 [K, 1, V x T, H, W], from `latent_weights`.
        scene: int64 [N], row of `hint` and `loss_weight` for each video.
        text: embeddings of all prompts, bf16 [texts, M, C].
        prompt: int64 [N, P, V], rows of `text` for each video in P variants.
        nothing: row of `text` that is zero.
        negative: row of `text` with the negative prompt.
    """

    latent: torch.Tensor
    hint: torch.Tensor
    loss_weight: torch.Tensor
    scene: torch.Tensor
    text: torch.Tensor
    prompt: torch.Tensor
    nothing: int
    negative: int


@torch.no_grad()
def encode_videos(tokenizer: Tokenizer, videos_NVTHWC: np.ndarray, sigma_data: float) -> torch.Tensor:
    """Latents of uint8 videos: bf16 [N, C, V x T, H, W], times sigma_data."""
    views, frames = videos_NVTHWC.shape[1:3]
    together = max(1, _FRAMES_TOGETHER // (views * frames))
    found = []
    for first in range(0, len(videos_NVTHWC), together):
        part_NVTHWC = np.ascontiguousarray(videos_NVTHWC[first : first + together])
        pixels = torch.from_numpy(part_NVTHWC).flatten(0, 1).to(tokenizer.device)
        encoded = tokenizer.encoder(to_signal(pixels, tokenizer.dtype))
        assert isinstance(encoded, torch.Tensor)
        latent = (encoded.float() - tokenizer.mean) / tokenizer.std * sigma_data
        found.append(latent.unflatten(0, (-1, views)).transpose(1, 2).flatten(2, 3).bfloat16())
    return torch.cat(found)


@torch.no_grad()
def latent_weights(kinds_NVTHW: np.ndarray, device: torch.device) -> torch.Tensor:
    """Weights of latent positions in the loss: uint8 [N, 1, V x T, H / 8, W / 8].

    A position has the weight of the highest kind of `VideoDataset.kinds` among its 8 frames of 8 x 8 pixels (the first
    latent frame holds one frame): small vehicles and marks are few of all positions.
    """
    found = []
    for kinds_VTHW in kinds_NVTHW:
        kinds = torch.from_numpy(np.ascontiguousarray(kinds_VTHW)).to(device)
        kinds = F.max_pool2d(kinds.half() if device.type == "cuda" else kinds.float(), 8)
        first, later = kinds[:, :1], kinds[:, 1:]
        kinds = torch.cat([first, later.unflatten(1, (-1, 8)).amax(2)], 1)
        found.append(torch.tensor(_KIND_WEIGHTS, dtype=torch.uint8, device=device)[kinds.int()].flatten(0, 1))
    return torch.stack(found)[:, None]


def encode_dataset(
    dataset: VideoDataset,
    config: ModelConfig,
    tokenizer: Tokenizer,
    encoder: TextEncoder,
    cache: Path,
    hint: np.ndarray | None = None,
) -> Latents:
    """Encode videos and captions of a dataset.

    Args:
        dataset: the training videos.
        config: of the model.
        tokenizer: video tokenizer.
        encoder: text encoder.
        cache: beginning of the paths of files that keep the results for later stages.
        hint: condition videos uint8 [K, V, T, H, W, 3] of the first K scenes, instead of the HDMap videos.

    Raises:
        DreamkitError: there are too few scenes to hold some out, or more condition videos than scenes.
    """
    pictures = dataset.hdmap if hint is None else hint
    if not HELD_OUT < len(pictures) <= len(dataset.colour):
        raise DreamkitError(
            f"There are conditions of {len(pictures)} scenes, and footage of {len(dataset.colour)}; {HELD_OUT} scenes "
            "are held out and never trained on.",
            f"Draw more than {HELD_OUT} scenes, and LiDAR videos of at most as many scenes.",
        )
    scenes, styles = len(pictures), dataset.colour.shape[1]
    device = tokenizer.device
    prompts = [
        _prompts(dataset.captions[index][style], dataset.styles[index][style], config.views)
        for index in range(scenes)
        for style in range(styles)
    ]
    texts = list(dict.fromkeys([NEGATIVE_PROMPT, *(text for ways in prompts for way in ways for text in way)]))
    row_of = {text: row for row, text in enumerate(texts)}
    colour = dataset.colour.reshape(-1, *dataset.colour.shape[2:])
    embedded = _cached(cache.with_name(f"{cache.name}_text_{len(texts)}.pt"), device, lambda: _embedded(encoder, texts))
    rows = [[[row_of[text] for text in way] for way in ways] for ways in prompts]

    def encoded(what: str, videos: np.ndarray) -> torch.Tensor:
        path = cache.with_name(f"{cache.name}_{what}.pt")
        return _cached(path, device, lambda: encode_videos(tokenizer, videos, config.sigma_data))

    return Latents(
        latent=encoded("colour", colour)[: len(prompts)],
        hint=encoded("hdmap", pictures) if hint is None else encode_videos(tokenizer, hint, config.sigma_data),
        loss_weight=_cached(
            cache.with_name(f"{cache.name}_weight.pt"), device, lambda: latent_weights(dataset.kinds, device)
        ),
        scene=torch.arange(scenes, device=device).repeat_interleave(styles),
        text=embedded,
        prompt=torch.tensor(rows, device=device),
        nothing=len(texts),
        negative=0,
    )


def _cached(path: Path, device: torch.device, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    if path.is_file():
        return torch.load(path, map_location=device, weights_only=True)
    made = make()
    torch.save(made, path)
    return made


def _embedded(encoder: TextEncoder, texts: list[str]) -> torch.Tensor:
    """Text embeddings bf16 [texts + 1, M, C] on the encoder's device; the last row is zero."""
    found = encoder.encode(texts).to(encoder.device, torch.bfloat16)
    return torch.cat([found, torch.zeros_like(found[:1])])


def _prompts(caption: str, style: str, views: int) -> list[Sequence[str]]:
    """Variants of a video's prompts: the caption for one view; for six, side views without and with weather."""
    if views == 1:
        return [[caption]]
    table = load_styles()
    chosen = None if style == ORIGINAL else table.choose([style])[0]
    return [side_prompts(caption, chosen, table, weather=weather) for weather in (False, True)]


def given_masks(config: ModelConfig, given: Sequence[int], device: torch.device) -> torch.Tensor | None:
    """Masks [len(given), 1, V x T, 1, 1] of given latents for six views; None for one view.

    Args:
        config: of the model.
        given: for each mask, the number of latent frames given of every view, beside the whole front view.
        device: of the masks.
    """
    if config.views == 1:
        return None
    return torch.cat([condition_mask(config.views, config.latent_frames, count, device) for count in given])


def draw_batch(
    data: Latents,
    config: ModelConfig,
    count: int,
    generator: torch.Generator,
    masks: torch.Tensor | None = None,
) -> Batch:
    """A random batch, without the held-out scenes.

    Args:
        data: latents to draw from.
        config: of the model.
        count: number of examples.
        generator: on the data's device.
        masks: for six views, from `given_masks`; each example takes one of them at random.
    """
    device = data.latent.device
    usable = len(data.scene) // len(data.hint) * (len(data.hint) - HELD_OUT)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    video = (uniform(count) * usable).long()
    way = (uniform(count) * data.prompt.shape[1]).long()
    rows_BV = data.prompt[video, way]
    chance = uniform(count)[:, None]
    if config.views == 1:
        rows_BV = torch.where(chance < _NO_TEXT + _NEGATIVE, data.negative, rows_BV)
    rows_BV = torch.where(chance < _NO_TEXT, data.nothing, rows_BV)
    latent = data.latent[video].float()
    hint = data.hint[data.scene[video]]
    loss_weight = data.loss_weight[data.scene[video]].float()
    if masks is None:
        return Batch(latent, data.text[rows_BV.flatten()], hint, loss_weight=loss_weight)
    choice = (uniform(count) * len(masks)).long()
    noise = torch.randn(latent.shape, generator=generator, device=device)
    dirty = latent + noise * (_GIVEN_NOISE * uniform(count).view(-1, 1, 1, 1, 1))
    mask = masks[choice]
    without = (uniform(count) < _NO_FRONT).view(-1, 1, 1, 1, 1)
    front = torch.arange(mask.shape[2], device=device).view(1, 1, -1, 1, 1) < config.latent_frames
    given = (mask.masked_fill(without & front, 0), dirty)
    return Batch(latent, data.text[rows_BV.flatten()], hint, given, loss_weight)


def held_out_batch(data: Latents, config: ModelConfig, given: int = 0) -> Batch:
    """One video of every held-out scene, in different styles; `given` latent frames of every view for six views."""
    scenes = len(data.hint)
    styles = len(data.scene) // scenes
    video = torch.tensor([s * styles + s % styles for s in range(scenes - HELD_OUT, scenes)], device=data.latent.device)
    latent = data.latent[video].float()
    hint = data.hint[data.scene[video]]
    text = data.text[data.prompt[video, 0].flatten()]
    mask = given_masks(config, (given,), latent.device)
    if mask is None:
        return Batch(latent, text, hint)
    return Batch(latent, text, hint, (mask.expand(len(video), -1, -1, -1, -1), latent))
