"""Training the tiny bundle's video tokenizer on colour and condition videos, and writing its three files."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.train.codec import CHANNELS, Decoder, Encoder, to_signal
from dreamkit.tinyworld.train.dataset import DatasetSpec, VideoDataset, is_drawn, read_dataset, short_spec
from dreamkit.tinyworld.train.options import StageOptions
from dreamkit.tinyworld.train.sizes import RECIPE_CODEC
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.transfer import folders

log = logging.getLogger("dreamkit")

_STEPS = 3000
_FRAMES = 25  # of an example at most: four latent frames, so that layers learn to use earlier frames
_EXAMPLES = {"front": 8, "front_short": 12, "six": 18, "six_short": 28}
_KEPT = 30_000  # frames of each kind of video and style, kept on the device
_MARKS = 2.0  # weight of the loss at pixels of paint and signs; other pixels have 1
_STATISTICS = 64  # number of videos that mean_std.pt is measured on


@dataclass(frozen=True)
class TokenizerStage:
    """How the tokenizer is trained in one stage.

    Attributes:
        noise: standard deviation of noise on latents.
        road_users: weight of the loss at road users' pixels: small vehicles are few of all pixels.
        goes_on: whether the stage begins with the tokenizer in the bundle instead of random weights.
    """

    noise: float
    road_users: float
    goes_on: bool = False


# Less noise keeps more detail, but random weights learn better with more.
TOKENIZERS = {"tokenizer": TokenizerStage(0.35, 5.0), "tokenizer-fine": TokenizerStage(0.15, 10.0, goes_on=True)}


class Codec(nn.Module):
    """Encoder and decoder together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(*RECIPE_CODEC), Decoder(*RECIPE_CODEC)


def train_tokenizer(options: StageOptions, specs: tuple[DatasetSpec, DatasetSpec]) -> bool:
    """Train on colour, HDMap and LiDAR videos; write encoder.jit, decoder.jit and mean_std.pt into the bundle.

    Args:
        options: of the stage; LiDAR videos are used if they are drawn.
        specs: datasets of one view and of six views; mean_std.pt is measured on the first.

    Returns:
        Whether the schedule was finished; the files are written only then.

    Raises:
        DreamkitError: a dataset is missing, or the tokenizer that the stage begins with.
    """
    device, folder = options.device, options.out / folders.TOKENIZER
    stage = TOKENIZERS[options.stage]
    latent_noise = stage.noise if options.noise is None else options.noise
    road_users = stage.road_users if options.road_users is None else options.road_users
    videos = _videos(options.data, specs, device)
    turns = [name for name in videos for _ in range(2 if name.endswith("colour") else 1)]
    torch.manual_seed(options.seed)
    codec = Codec()
    if stage.goes_on or options.goes_on:
        _copy_weights(folder, codec)
    codec.to(device)
    codec.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in torch's stubs
    schedule = Schedule(options.steps or _STEPS, adamw_lr=2e-3, warmup=100, weight_decay=0.0)
    trainer = Trainer(codec, schedule, options.state, options.seed)
    half = device.type == "cuda"
    weights = torch.tensor((1.0, _MARKS, road_users), device=device)

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        kind = turns[trainer.step % len(turns)]
        pixels, kinds = _examples(videos[kind], _EXAMPLES[kind.rsplit("_", 1)[0]], generator)
        count, frames, height, width, _ = pixels.shape
        latent = (count, CHANNELS, 1 + (frames - 1) // 8, height // 8, width // 8)
        return pixels, kinds, torch.randn(latent, generator=generator, device=device)

    def loss_of(examples: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
        pixels, kinds, noise = examples
        x = to_signal(pixels)
        # The noise makes the decoder robust to a denoiser's errors, at the price of detail.
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            z = codec.encoder(x)
            y = codec.decoder(z + latent_noise * noise)
        return _reconstruction_loss(y.float(), x, weights[kinds.int()][:, None]) + 0.02 * _normality_loss(z.float())

    finished = trainer.run(draw, loss_of, options.minutes, options.seconds)
    if finished:
        trainer.use_average()
        codec.to("cpu")
        codec.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]  # not in torch's stubs
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in (("encoder", codec.encoder), ("decoder", codec.decoder)):
            torch.jit.script(part.half()).save(str(folder / f"{name}.jit"))
        encoder = codec.encoder.float().to(device)
        torch.save(_statistics(encoder, read_dataset(options.data, specs[0]), device), folder / "mean_std.pt")
        _log_quality(encoder, codec.decoder.float().to(device), options.data, specs, device)
    return finished


def _copy_weights(folder: Path, codec: Codec) -> None:
    """Copy the weights of the bundle's tokenizer, which an earlier stage has written, into the codec."""
    for name, part in (("encoder", codec.encoder), ("decoder", codec.decoder)):
        path = folder / f"{name}.jit"
        if not path.is_file():
            raise DreamkitError(f"There is no tokenizer in {folder}.", "Run the stage tokenizer first.")
        part.load_state_dict(torch.jit.load(path, map_location="cpu").float().state_dict())


def _reconstruction_loss(y: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Squared and absolute error of pixels, and of their differences in time and space, which keeps edges sharp.

    Args:
        y: reconstruction [B, 3, T, H, W].
        x: original.
        weight: of each pixel, [B, 1, T, H, W]; means are weighted with it.
    """
    error = y - x
    share = weight / weight.mean()
    steps = [(error.diff(dim=dim).abs() * share.narrow(dim, 1, x.shape[dim] - 1)).mean() for dim in (2, 3, 4)]
    return 4 * (error.square() * share).mean() + 0.5 * (error.abs() * share).mean() + 0.25 * sum(steps)


def _normality_loss(z: torch.Tensor) -> torch.Tensor:
    """Squared deviation of latents from mean 0 and standard deviation 1, per channel."""
    by_channel = z.transpose(0, 1).flatten(1)
    return by_channel.mean(1).square().mean() + (by_channel.std(1) - 1).square().mean()


@dataclass(frozen=True)
class _Videos:
    """Videos uint8 [N, T, H, W, 3] and, of colour videos, kinds of pixels uint8 [N / styles, T, H, W] on a device."""

    pixels: torch.Tensor
    kinds: torch.Tensor | None
    views: int
    styles: int


def _videos(data: Path, specs: tuple[DatasetSpec, DatasetSpec], device: torch.device) -> dict[str, _Videos]:
    """Videos on the device, by `<dataset>_colour` and `<dataset>_hdmap`."""

    def flat(array: np.ndarray, last: int = 4) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array).reshape(-1, *array.shape[-last:])).to(device)

    found = {}
    # Short clips show more scenes, long ones more latent frames.
    for spec in (*specs, *(short for short in map(short_spec, specs) if is_drawn(data, short))):
        drawn = read_dataset(data, spec)
        scenes = max(1, _KEPT // (len(spec.cameras) * spec.frames))
        styles, views = drawn.colour.shape[1:3]
        found[f"{spec.name}_colour"] = _Videos(
            flat(drawn.colour[:scenes]), flat(drawn.kinds[:scenes], 3), views, styles
        )
        conditions = flat(drawn.hdmap[: scenes // 2])
        lidar = data / f"{spec.name}_lidar.npy"
        if lidar.is_file():
            # HDMap and LiDAR videos are drawn from one list, HDMap twice as often.
            conditions = torch.cat([conditions, flat(np.load(lidar, mmap_mode="r")[: scenes // 4])])
        found[f"{spec.name}_hdmap"] = _Videos(conditions, None, views, 1)
    return found


def _examples(videos: _Videos, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random windows of random videos: uint8 [count, _FRAMES, H, W, 3], and kinds of pixels [count, _FRAMES, H, W]."""
    device = videos.pixels.device
    number, frames = videos.pixels.shape[:2]
    video = torch.randint(number, (count, 1), generator=generator, device=device)
    start = torch.randint(max(1, frames - _FRAMES + 1), (count, 1), generator=generator, device=device)
    frame = start + torch.arange(min(_FRAMES, frames), device=device)
    pixels = videos.pixels[video, frame]
    if videos.kinds is None:
        return pixels, torch.zeros(pixels.shape[:-1], dtype=torch.uint8, device=device)
    # Videos are in the order scene, style, view; the kinds of a scene's pixels are those of all its styles.
    scene, view = video // (videos.styles * videos.views), video % videos.views
    return pixels, videos.kinds[scene * videos.views + view, frame]


@torch.inference_mode()
def _statistics(encoder: nn.Module, drawn: VideoDataset, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of latents, float32 [16, T] each: one for the first frame, one for all later ones."""
    latents = []
    for video in drawn.colour[: max(1, _STATISTICS // drawn.colour.shape[1])]:
        pixels = torch.from_numpy(np.ascontiguousarray(video[:, 0])).to(device)
        latents.append(encoder(to_signal(pixels)).transpose(0, 1).flatten(3))
    first, later = (torch.cat([z[:, :, part].flatten(1) for z in latents], 1) for part in (slice(0, 1), slice(1, None)))
    frames = latents[0].shape[2]
    mean, std = torch.empty(2, CHANNELS, frames)
    for values, part in ((first, slice(0, 1)), (later, slice(1, None))):
        mean[:, part] = values.mean(1, keepdim=True).cpu()
        std[:, part] = values.std(1, keepdim=True).cpu()
    return mean.contiguous(), std.contiguous()


@torch.inference_mode()
def _log_quality(
    encoder: nn.Module, decoder: nn.Module, data: Path, specs: tuple[DatasetSpec, DatasetSpec], device: torch.device
) -> None:
    """Log the reconstruction PSNR of each dataset's last scenes; with few scenes these were trained on."""
    for spec in specs:
        drawn = read_dataset(data, spec)
        for name, array in (("colour", drawn.colour[-4:, 0]), ("hdmap", drawn.hdmap[-4:])):
            errors = []
            for video in array.reshape(-1, *array.shape[-4:])[:8]:
                pixels = torch.from_numpy(np.ascontiguousarray(video)).to(device)
                x = to_signal(pixels[None])
                y = decoder(encoder(x)).clamp(-1, 1)
                errors.append(F.mse_loss(y, x) / 4)
            psnr = -10 * torch.stack(errors).mean().log10()
            log.info("tokenizer, %s %s of the last scenes: %.1f dB", spec.name, name, psnr.item())
