"""Style agreement: whether the light of the front view fits the style, such as Night dark and Foggy low in contrast.

Simple statistics of the picture, with ramps that were set by eye on driving pictures and not fitted to data: good for
sorting videos, not as evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Light:
    """Statistics of a video's light.

    Attributes:
        luminance: mean, 0..255.
        ground: mean luminance of the lowest third, 0..255.
        far_contrast: standard deviation over mean of the luminance in the band around the horizon.
        saturation: mean HSV saturation, 0..1.
        warmth: mean red less mean blue, -255..255.
    """

    luminance: float
    ground: float
    far_contrast: float
    saturation: float
    warmth: float


def light_of(video_thwc: np.ndarray) -> Light:
    """Statistics over eight frames of uint8 [T, H, W, 3] RGB."""
    chosen = video_thwc[np.linspace(0, len(video_thwc) - 1, min(8, len(video_thwc))).round().astype(int)]
    height = chosen.shape[1]
    luminance = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in chosen]).astype(np.float32)
    far = luminance[:, int(0.35 * height) : int(0.55 * height)]
    top, bottom = chosen.max(-1).astype(np.float32), chosen.min(-1).astype(np.float32)
    red, _, blue = chosen.reshape(-1, 3).mean(0)
    return Light(
        luminance=float(luminance.mean()),
        ground=float(luminance[:, 2 * height // 3 :].mean()),
        far_contrast=float(far.std() / max(far.mean(), 1.0)),
        saturation=float(((top - bottom) / np.maximum(top, 1)).mean()),
        warmth=float(red - blue),
    )


def ramp(value: float, nothing: float, full: float) -> float:
    """0 at `nothing`, 1 at `full`, linear between, clipped; `nothing` may be the larger one."""
    return float(np.clip((value - nothing) / (full - nothing), 0.0, 1.0))


SCORES: dict[str, Callable[[Light], float]] = {
    "Night": lambda light: ramp(light.luminance, 110, 65),
    "Foggy": lambda light: ramp(light.far_contrast, 0.35, 0.15),
    "Snowy": lambda light: min(ramp(light.ground, 90, 140), ramp(light.saturation, 0.45, 0.2)),
    "Rainy": lambda light: min(ramp(light.saturation, 0.5, 0.25), ramp(light.luminance, 150, 120)),
    "Sunny": lambda light: min(ramp(light.luminance, 70, 100), ramp(light.far_contrast, 0.1, 0.2)),
    "Golden hour": lambda light: ramp(light.warmth, 0, 20),
    "Morning": lambda light: ramp(light.luminance, 60, 90),
}


def agreement(light: Light, style: str) -> float:
    """How well the light fits the style, 0..1; NaN for Original and other styles without a rule in SCORES."""
    rule = SCORES.get(style)
    return rule(light) if rule else float("nan")
