"""The causal 8x8x8 video tokenizer: frames to latents, latents to frames, in spatial tiles when memory is short.

Tiles overlap and are blended, so they differ slightly from the whole picture. A window is never split in time: encoder
and decoder attend to all earlier frames, and TorchScript files have no state that could be carried from part to part.

Source: cosmos-transfer1 diffusion/module/pretrained_vae.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dreamkit.errors import DreamkitError, first_line
from dreamkit.transfer import folders
from dreamkit.transfer.config import LATENT_CHANNELS, SPATIAL_COMPRESSION, latent_length, pixel_length
from dreamkit.transfer.memory import free_memory
from dreamkit.transfer.tensor_files import load_tensors
from dreamkit.transfer.torchscript import load_torchscript
from dreamkit.workspace.sizes import GIB

OVERLAP = 8  # latent pixels that neighbouring tiles share and blend over
MOST_SPLITS = 8  # tiles along each side at most
# Measured on an H200 with a tokenizer of the same design: 31 GiB for 121 frames of 704x1280 in bf16.
BYTES_PER_PIXEL = 31 * GIB / (121 * 704 * 1280)


@dataclass(frozen=True)
class Tokenizer:
    """Encoder and decoder with the statistics that normalise their latents.

    Attributes:
        encoder: frames [1, 3, T, H, W] in -1..1 to a latent [1, C, t, h, w], or to a tuple that starts with it.
        decoder: a latent [1, C, t, h, w] to frames [1, 3, T, H, W] in -1..1.
        mean: float32 [1, C, t, 1, 1]; latents are normalised per channel and latent frame.
        std: float32 of the same shape.
        dtype: dtype of the inputs of encoder and decoder.
    """

    encoder: Callable[[torch.Tensor], torch.Tensor | tuple[torch.Tensor, ...]]
    decoder: Callable[[torch.Tensor], torch.Tensor]
    mean: torch.Tensor
    std: torch.Tensor
    dtype: torch.dtype

    @property
    def device(self) -> torch.device:
        """Device of encoder and decoder."""
        return self.mean.device

    @torch.inference_mode()
    def encode(self, frames_THWC: np.ndarray, budget: float | None = None) -> torch.Tensor:
        """Normalised latent, float32 [1, C, t, h, w], of one window of frames, uint8 [T, H, W, 3].

        `budget` is the GPU memory that this process may take, in bytes; None for all that is free.
        """

        def encode(x_BCTHW: torch.Tensor) -> torch.Tensor:
            out = self.encoder(x_BCTHW.to(self.device, self.dtype))
            return (out if isinstance(out, torch.Tensor) else out[0]).float()

        pixels = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(3, 0, 1, 2)[None]
        latent = self._tiled(lambda part: encode(part.float() / 127.5 - 1.0), pixels, SPATIAL_COMPRESSION, 1, budget)
        return (latent - self.mean) / self.std

    @torch.inference_mode()
    def decode(self, latent_BCTHW: torch.Tensor, budget: float | None = None) -> np.ndarray:
        """Frames, uint8 [T, H, W, 3], of a normalised latent [1, C, t, h, w]; values are truncated to whole numbers.

        The latent is that of one window or of a window's first latent frames; `budget` as for `encode`.
        """
        frames = latent_BCTHW.shape[2]
        latent = latent_BCTHW * self.std[:, :, :frames] + self.mean[:, :, :frames]
        decoded = self._tiled(
            lambda part: self.decoder(part.to(self.dtype)).float(), latent, 1, SPATIAL_COMPRESSION, budget
        )
        # In place: a window of the 7B model has 1.3 GiB of float32 pixels.
        pixels = decoded.clamp_(-1, 1).add_(1).div_(2).mul_(255).to(torch.uint8)
        return pixels[0].permute(1, 2, 3, 0).cpu().numpy()

    def _tiled(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        x: torch.Tensor,
        in_unit: int,
        out_unit: int,
        budget: float | None,
    ) -> torch.Tensor:
        """Run `function` over the whole of `x` if memory allows, else over n x n tiles, n from 2 to MOST_SPLITS.

        Args:
            function: encoder or decoder.
            x: pixels or latents, [1, C, T, H, W].
            in_unit: pixels of the input per latent pixel along each side.
            out_unit: pixels of the output per latent pixel along each side.
            budget: as for `encode`.

        Raises:
            torch.cuda.OutOfMemoryError: the smallest tiles do not fit either.
        """
        height, width = x.shape[-2] // in_unit, x.shape[-1] // in_unit
        frames = x.shape[2] if in_unit > 1 else pixel_length(x.shape[2])
        splits = 1
        if self.device.type == "cuda":
            free = free_memory(self.device, budget)
            while splits < MOST_SPLITS and _need(frames, height, width, splits) > free:
                splits += 1
        while True:
            try:
                return _run_tiles(function, x, splits, (height, width), in_unit, out_unit)
            except torch.cuda.OutOfMemoryError:
                torch.cuda.empty_cache()
                if splits >= MOST_SPLITS:
                    raise
                splits += 1


def load_tokenizer(
    folder: Path, device: torch.device, dtype: torch.dtype, window_frames: int, trusted: Collection[Path] = ()
) -> Tokenizer:
    """Encoder, decoder and statistics from `encoder.jit`, `decoder.jit` and `mean_std.pt`.

    Raises:
        DreamkitError: a file is missing, unreadable or not trusted; or the statistics are too short for the window.
    """
    encoder, decoder = (
        load_torchscript(folder / name, device, trusted).to(dtype)
        for name in (folders.ENCODER_FILE, folders.DECODER_FILE)
    )
    path = folder / folders.STATISTICS_FILE
    if not path.is_file():
        raise DreamkitError(f"There is no tokenizer file at {path}.", f"Download {folders.TOKENIZER}.")
    frames = latent_length(window_frames)
    pair = load_tensors(path, f"{path} is not a pair (mean, std)", "Fetch the file again.")
    try:
        shape = (1, LATENT_CHANNELS, frames, 1, 1)
        mean, std = (t.reshape(LATENT_CHANNELS, -1)[:, :frames].float().reshape(shape) for t in pair)
        if not (torch.isfinite(mean).all() and torch.isfinite(std).all() and (std > 0).all()):
            raise ValueError("a value is not finite, or a standard deviation is not positive")
        mean, std = mean.to(device), std.to(device)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # of values of any type
        raise DreamkitError(
            f"{path} is not a pair (mean, std) for {frames} latent frames: {first_line(error)}.",
            "Fetch the file again.",
        ) from error
    return Tokenizer(encoder, decoder, mean, std, dtype)


def _need(frames: int, height: int, width: int, splits: int) -> float:
    """Bytes that one of `splits` x `splits` tiles takes, and the whole video in float32 beside tiles."""
    down, across = (next(end - start for start, end in _spans(side, splits)) for side in (height, width))
    tile = frames * down * across * SPATIAL_COMPRESSION**2 * BYTES_PER_PIXEL
    whole = frames * height * width * SPATIAL_COMPRESSION**2 * 3 * 4
    return tile if splits == 1 else tile + whole


def _spans(length: int, splits: int) -> Iterator[tuple[int, int]]:
    """Start and end of `splits` spans that cover `length` latent pixels and overlap by OVERLAP."""
    if splits == 1 or length <= 2 * OVERLAP:
        yield 0, length
        return
    size = min(length, -(-(length + (splits - 1) * OVERLAP) // splits))
    for index in range(splits):
        start = min(index * (size - OVERLAP), length - size)
        yield start, start + size


def _ramp(start: int, end: int, length: int, unit: int, device: torch.device) -> torch.Tensor:
    """Blending weights of a tile along one axis, float32 [pixels]: linear over an overlap, 1 elsewhere."""
    size, fade = (end - start) * unit, OVERLAP * unit
    position = torch.arange(size, device=device) + 0.5
    weight = torch.ones(size, device=device)
    if start > 0:
        weight = torch.minimum(weight, position / fade)
    if end < length:
        weight = torch.minimum(weight, (size - position) / fade)
    return weight


def _run_tiles(
    function: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    splits: int,
    size: tuple[int, int],
    in_unit: int,
    out_unit: int,
) -> torch.Tensor:
    """`function` over `splits` x `splits` overlapping tiles of `x`, blended; `size` is that of the latent."""
    if splits == 1:
        return function(x)
    total = weights = None
    for top, bottom in _spans(size[0], splits):
        for left, right in _spans(size[1], splits):
            part = x[..., top * in_unit : bottom * in_unit, left * in_unit : right * in_unit]
            out = function(part)
            if total is None or weights is None:
                shape = (*out.shape[:-2], size[0] * out_unit, size[1] * out_unit)
                total = torch.zeros(shape, device=out.device)
                weights = torch.zeros(shape[-2:], device=out.device)
            ramp = (
                _ramp(top, bottom, size[0], out_unit, out.device)[:, None]
                * _ramp(left, right, size[1], out_unit, out.device)[None]
            )
            window = (..., slice(top * out_unit, bottom * out_unit), slice(left * out_unit, right * out_unit))
            total[window] += out * ramp
            weights[window] += ramp
    assert total is not None and weights is not None  # there is at least one tile
    return total.div_(weights)
