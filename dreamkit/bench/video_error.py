"""How far a video is from another of the same size: PSNR and SSIM."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

SAME = 100.0
"""PSNR in dB that is reported for equal videos, whose value is infinite."""


def video_psnr(video_THWC: np.ndarray, reference_THWC: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of uint8 videos, from the squared error over all frames; at most SAME."""
    total = 0.0
    for frame, other in zip(video_THWC, reference_THWC, strict=True):
        total += float(np.square(frame.astype(np.int32) - other).sum())
    error = total / video_THWC.size
    return min(SAME, 10 * math.log10(255**2 / error)) if error else SAME


def video_ssim(video_THWC: np.ndarray, reference_THWC: np.ndarray) -> float:
    """Mean structural similarity of the luminance of uint8 videos, 1 for equal ones.

    Wang et al. 2004, eq. 13: Gaussian window of 11 pixels and standard deviation 1.5, K1 0.01, K2 0.03.
    """
    offset = torch.arange(11, dtype=torch.float32) - 5
    line = torch.exp(-(offset**2) / (2 * 1.5**2))
    line /= line.sum()

    def blur(x_N1HW: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.conv2d(x_N1HW, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))

    weights = np.array([0.299, 0.587, 0.114], np.float32)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for frame, other in zip(video_THWC, reference_THWC, strict=True):
        x, y = (torch.from_numpy(f.astype(np.float32) @ weights)[None, None] for f in (frame, other))
        mean_x, mean_y = blur(x), blur(y)
        var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
        both = blur(x * y) - mean_x * mean_y
        similar = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
        values.append(float(similar.mean()))
    return float(np.mean(values))
