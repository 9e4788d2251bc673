"""A contact sheet of videos that a network in training generates for held-out scenes."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import torch

from dreamkit.tinyworld.train.objective import Batch, Objective
from dreamkit.transfer.sampling import sample
from dreamkit.transfer.tokenizer import Tokenizer

log = logging.getLogger("dreamkit")

_STEPS = 12


@torch.no_grad()
def write_preview(path: Path, objective: Objective, batch: Batch, tokenizer: Tokenizer, shown: int = 6) -> None:
    """Sample the batch's first examples, write them as one PNG, and log their PSNR.

    One example takes three rows: true frames, generated frames, and the condition. Six views show the middle frame of
    each view, one view shows three frames.

    Args:
        path: of the PNG file.
        objective: the networks.
        batch: of held-out scenes, with condition latents.
        tokenizer: decodes latents.
        shown: number of examples.
    """
    views, data, hint = objective.config.views, objective.config.sigma_data, batch.hint
    assert hint is not None
    generator = torch.Generator(batch.latent.device).manual_seed(0)
    noise = torch.randn(batch.latent.shape, generator=generator, device=batch.latent.device)
    made = sample(lambda x, sigma: objective.x0(x, sigma, batch), noise, _STEPS)
    rows, errors = [], []
    for index in range(min(shown, len(made))):
        true, out = (_decoded(tokenizer, z[index : index + 1], views, data) for z in (batch.latent, made))
        first = 1 if views > 1 else 0  # of six views, the front one is given
        errors.append(((true[first:].astype(np.float32) - out[first:]) ** 2).mean())
        strips = [true, out, _decoded(tokenizer, hint[index : index + 1].float(), views, data)]
        frames = true.shape[1]
        picks = [frames // 2] if views > 1 else [8, frames // 2, frames - 1]
        rows += [np.concatenate([v[t] for t in picks for v in video], 1) for video in strips]
    psnr = 10 * np.log10(255**2 / np.mean(errors))
    log.info("%s: %.1f dB over all pixels of held-out scenes, %d sampling steps", path.stem, psnr, _STEPS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.concatenate(rows)[..., ::-1])[1].tobytes())


def _decoded(tokenizer: Tokenizer, latent: torch.Tensor, views: int, data: float) -> np.ndarray:
    """Latent [1, C, V x T, H, W] to uint8 [V, T, H, W, 3]."""
    return np.stack([tokenizer.decode(part / data) for part in latent.float().chunk(views, dim=2)])
