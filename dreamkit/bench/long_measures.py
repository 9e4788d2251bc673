"""Measures of long videos: changes at the borders of windows, drift, motion, sharpness, adherence to the map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

ENDS = 24
"""Frames at the beginning and at the end whose mean colours are compared."""
_NEAR = 4


def series(video_THWC: np.ndarray, device: torch.device = torch.device("cpu")) -> dict[str, np.ndarray]:
    """By frame: `change` to the next, mean absolute, [T - 1]; `colour` [T, 3]; `sharp`, mean horizontal step, [T]."""
    change, colour, sharp = [], [], []
    for start in range(0, len(video_THWC), 32):
        part = torch.from_numpy(video_THWC[start : start + 33]).to(device).float()
        change.append((part[1:] - part[:-1]).abs().mean((1, 2, 3)))
        part = part[:32]
        colour.append(part.mean((1, 2)))
        sharp.append((part[:, :, 1:] - part[:, :, :-1]).abs().mean((1, 2, 3)))
    found = {"change": change, "colour": colour, "sharp": sharp}
    return {name: torch.cat(parts).double().cpu().numpy() for name, parts in found.items()}


def seam(change: np.ndarray, borders: Sequence[int]) -> dict[str, Any]:
    """Changes at borders as multiples of the median change inside windows, beside the 95th percentile there.

    Every eighth frame begins a latent, which is a larger change in any video. Where windows overlap, all beginnings in
    the overlaps are borders, and `p95` is that of frames with fewer beginnings among them: lower than in a video
    without borders. So there are two fair comparisons: `latent`, the mean at the other beginnings, and
    `beginnings_ratio`.

    Args:
        change: to the next frame, [T - 1].
        borders: number of the frame before each border.

    Returns:
        Among others `border` and `latent`, means at borders and at other beginnings of latents; `p95` without the
        borders; `p95_all` of all changes; and `beginnings_ratio`, the mean of border over p95 if beginnings of latents
        picked at random were the borders, None where more borders than beginnings are given.
    """
    inside = np.delete(change, list(borders))
    median = float(np.median(inside))
    at = change[list(borders)] / median
    latent = [frame for frame in range(0, len(change), 8) if frame not in borders and frame > 0]
    p95 = float(np.percentile(inside, 95)) / median
    return {
        "borders": [round(float(value), 2) for value in at],
        "border": float(at.mean()),
        "border_most": float(at.max()),
        "p95": p95,
        "p95_all": float(np.percentile(change, 95)) / median,
        "beginnings_ratio": _ratio_of_random_borders(change, len(borders)),
        "above_p95": float((at > p95).mean()),
        "latent": float(change[latent].mean() / median),
        "latent_above_p95": float((change[latent] / median > p95).mean()),
        "most": float(change.max() / median),
        "median": median,
    }


def _ratio_of_random_borders(change: np.ndarray, count: int, draws: int = 200) -> float | None:
    """Mean over random sets of `count` beginnings of latents of their mean change over the other changes' p95."""
    beginnings, random = np.arange(8, len(change), 8), np.random.default_rng(0)
    if count > len(beginnings):
        return None
    ratios = []
    for _ in range(draws):
        picked = random.choice(beginnings, count, replace=False)
        ratios.append(change[picked].mean() / np.percentile(np.delete(change, picked), 95))
    return float(np.mean(ratios))


def pulse(values: np.ndarray, borders: Sequence[int]) -> dict[str, float]:
    """Steps of a series [T] at borders and elsewhere: means of four frames after against four before, absolute.

    Elsewhere is at the other beginnings of latents; `steps_p95` is the 95th percentile there.
    """

    def step(frame: int) -> float:
        before, after = values[max(0, frame - _NEAR + 1) : frame + 1], values[frame + 1 : frame + 1 + _NEAR]
        return float(abs(after.mean() - before.mean()))

    elsewhere = [step(frame) for frame in range(8, len(values) - 8, 8) if frame not in borders]
    at = [step(frame) for frame in borders]
    return {
        "steps": float(np.mean(elsewhere)),
        "steps_p95": float(np.percentile(elsewhere, 95)),
        "border": float(np.mean(at)),
        "border_most": float(np.max(at)),
    }


def drift(colour: np.ndarray, window: int) -> tuple[float, float]:
    """Difference of the mean colour between the first and last ENDS frames: of the whole, and of single windows' mean.

    Args:
        colour: mean colour of each frame, [T, 3].
        window: frames of a window; those of the second value begin every `window - 1` frames.
    """

    def between(part: np.ndarray) -> float:
        return float(np.abs(part[-ENDS:].mean(0) - part[:ENDS].mean(0)).mean())

    starts = range(0, len(colour) - window + 1, window - 1)
    return between(colour), float(np.mean([between(colour[start : start + window]) for start in starts]))


def adherence_psnr(
    video_THWC: np.ndarray, measured: np.ndarray, colour_THWC: np.ndarray, determined: np.ndarray
) -> float:
    """PSNR in dB against true pictures at the frames `measured`, over the pixels that the map determines."""
    error = video_THWC[measured][determined].astype(np.float32) - colour_THWC[determined].astype(np.float32)
    return 10 * math.log10(255**2 / float((error**2).mean()))


def measure_long(
    video_THWC: np.ndarray,
    borders: Sequence[int],
    window: int,
    arrays: dict[str, np.ndarray],
    device: torch.device = torch.device("cpu"),
) -> dict[str, Any]:
    """All measures of one front video; `arrays` are those of its scene, `device` is where they are computed."""
    of_frames = series(video_THWC, device)
    luminance = of_frames["colour"] @ np.array([0.2126, 0.7152, 0.0722])
    whole, single = drift(of_frames["colour"], window)
    # In every way without the frames at which a separate video jumps, and with all other beginnings of latents.
    moving = np.delete(of_frames["change"], range(window - 1, len(video_THWC) - 1, window - 1))
    true = arrays["colour"].reshape(len(arrays["colour"]), -1, 3).mean(1)
    return {
        "seam": seam(of_frames["change"], borders),
        "luminance": pulse(luminance, borders),
        "sharpness": pulse(of_frames["sharp"], borders),
        "drift": whole,
        "drift_window": single,
        "true_drift": float(np.abs(true[-2:].mean(0) - true[:2].mean(0)).mean()),
        "motion": float(moving.mean()),
        "motion_median": float(np.median(moving)),
        "sharp": float(of_frames["sharp"].mean()),
        "psnr": adherence_psnr(video_THWC, arrays["measured"], arrays["colour"], arrays["determined"]),
    }
