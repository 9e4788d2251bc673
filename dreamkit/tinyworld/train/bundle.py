"""Checkpoint files in the released layout, and a complete bundle of them with random weights.

The random bundle has every file of the 7B models, at any size, for tests of loading and running; its videos are noise.
Tensor names, prefixes and unused extra entries are those of the released files.
"""

from __future__ import annotations

import io
import math
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.train.text_encoder import small_t5, write_vocabulary
from dreamkit.transfer import folders
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE, DenoiserConfig, ModelConfig, save_config
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.names import released_name
from dreamkit.transfer.torchscript import trust
from dreamkit.workspace.controls import CONTROLS

NOTICE = "This bundle has RANDOM weights: its videos are noise, whatever the caption and the map say."
MARKER = "RANDOM_TINY_BUNDLE.txt"
JIT_FILES = ("encoder.jit", "decoder.jit")
WORDS = (
    "the video shows captures a driving scene highway street road intersection urban suburban car cars truck trucks "
    "vehicle pedestrian cyclist ahead lane lanes left right forward parked moving stationary traffic light sign trees "
    "buildings barrier sky clear blue sun sunny golden hour morning night rainy rain wet snowy snow foggy fog "
    "headlights reflections shadows camera is mounted on facing front rear side backwards to and with of in at its"
)


def write_random_bundle(
    folder: Path, seed: int = 0, single: ModelConfig = TINY_SINGLE, multi: ModelConfig = TINY_MULTI
) -> Path:
    """Write the bundle to `folder` atomically, and record its TorchScript files as trusted.

    Raises:
        DreamkitError: the folder exists and is not a random bundle.
    """
    if folder.exists() and not (folder / MARKER).is_file():
        raise DreamkitError(
            f"{folder} exists and is not a random tiny bundle; nothing was changed.",
            "Name a folder that does not exist.",
        )
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    generator = torch.Generator().manual_seed(seed)
    for name, config in ((folders.SINGLE_VIEW, single), (folders.MULTI_VIEW, multi)):
        (part / name).mkdir(parents=True)
        save_config(config, part / name)
        for kind in ("",) if name == folders.SINGLE_VIEW else ("t2w_", "v2w_"):
            _save_network(Denoiser, config.denoiser, part / name / f"{kind}base_model.pt", generator)
            for control in CONTROLS:
                _save_network(ControlBranch, config.denoiser, part / name / f"{kind}{control}_control.pt", generator)
    save_text_encoder(part / folders.TEXT_ENCODER, single.denoiser.text_width, seed)
    _save_tokenizer(part / folders.TOKENIZER, single.latent_frames)
    (part / MARKER).write_text(NOTICE + "\n")
    for file in JIT_FILES:
        trust(part / folders.TOKENIZER / file)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return folder


def fill_random(network: nn.Module, generator: torch.Generator) -> None:
    """Fill a network with random weights that keep activations near unit size; no tensor stays zero."""
    for name, parameter in network.named_parameters():
        parameter.data.normal_(0.0, 0.1 if "norm" in name else 1 / math.sqrt(parameter.shape[-1]), generator=generator)
        if "norm" in name:
            parameter.data += 1.0


def released_tensors(network: nn.Module) -> dict[str, torch.Tensor | io.BytesIO]:
    """Weights in bf16 under the released names, with the unused extra entries of released files."""
    tensors: dict[str, torch.Tensor | io.BytesIO] = {
        "net." + released_name(name): parameter.data.bfloat16().cpu() for name, parameter in network.named_parameters()
    }
    tensors["net.pos_embedder.seq"] = torch.arange(128).float()
    tensors["net.blocks.block0.blocks.0.block.attn.attn_op._extra_state"] = io.BytesIO(b"")
    tensors["logvar.0.freqs"] = torch.ones(128)
    return tensors


def _save_network(kind: type[nn.Module], config: DenoiserConfig, path: Path, generator: torch.Generator) -> None:
    network = kind(config)
    fill_random(network, generator)
    torch.save(released_tensors(network), path)


def save_text_encoder(folder: Path, width: int, seed: int) -> None:
    """Write a random T5 of two layers, `width` channels, with a small byte-pair vocabulary of driving words."""
    words = write_vocabulary([f"{WORDS} {WORDS.title()}"] * 4, folder)
    torch.manual_seed(seed)
    small_t5(words, width).save_pretrained(folder)


class _Patches(nn.Module):
    """8x8x8 patches, causal in time: the first latent frame holds the first frame alone."""

    def __init__(self, basis: torch.Tensor) -> None:
        super().__init__()
        self.basis = nn.Buffer(basis)  # [16, 3 * 8 * 8 * 8], orthonormal rows


class _Encoder(_Patches):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, _, h, w = x.shape
        first = x[:, :, :1].expand(b, c, 7, h, w)
        x = torch.cat([first, x], dim=2)
        x = x.reshape(b, c, x.shape[2] // 8, 8, h // 8, 8, w // 8, 8).permute(0, 2, 4, 6, 1, 3, 5, 7)
        return (x.flatten(4) @ self.basis.to(x.dtype).t()).permute(0, 4, 1, 2, 3)


class _Decoder(_Patches):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        b, _, t, h, w = z.shape
        x = z.permute(0, 2, 3, 4, 1) @ self.basis.to(z.dtype)
        x = x.reshape(b, t, h, w, 3, 8, 8, 8).permute(0, 4, 1, 5, 2, 6, 3, 7)
        return x.reshape(b, 3, t * 8, h * 8, w * 8)[:, :, 7:]


def cosine_basis(channels: int = 16) -> torch.Tensor:
    """Low-frequency cosine patterns over a patch of [3, 8, 8, 8], float32 [channels, 1536], orthonormal rows."""
    grid = (np.arange(8) + 0.5) * np.pi / 8
    orders = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (0, 0, 2)]  # in t, y, x
    rows = []
    for t, y, x in orders:
        pattern = np.cos(t * grid)[:, None, None] * np.cos(y * grid)[:, None] * np.cos(x * grid)
        for colour in range(3):
            row = np.zeros((3, 8, 8, 8))
            row[colour] = pattern
            rows.append(row.ravel() / np.linalg.norm(row))
    return torch.from_numpy(np.stack(rows[:channels])).float()


def _save_tokenizer(folder: Path, frames: int) -> None:
    folder.mkdir(parents=True)
    basis = cosine_basis()
    torch.jit.script(_Encoder(basis)).save(str(folder / "encoder.jit"))
    torch.jit.script(_Decoder(basis)).save(str(folder / "decoder.jit"))
    std = torch.full((16, frames), 4.0)
    std[:3] = 14.0  # the patch means: 1536 / 3 pixels of about 0.6 each
    torch.save((torch.zeros(16, frames), std), folder / "mean_std.pt")
