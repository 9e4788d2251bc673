"""Measures of one view on its own: flicker, frozen and black frames, sharpness, exposure, and shapes that wobble.

All work on luminance 0..255 of small frames (WIDTH wide), so that they cost little and mean the same at every size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dreamkit.review.measures.matches import grey

WIDTH = 256
FROZEN_GREY = 0.4  # mean change a pixel under which two frames are the same picture
BLACK_GREY = 6.0  # mean luminance under which a frame is black
TILES = (9, 16)
TEXTURE_GREY = 4.0  # standard deviation of a tile under which its flow is guesswork


@dataclass(frozen=True)
class PictureMeasures:
    """One view, one video; see `metrics.MEASURES` for units. Traces have one value a frame, [T]."""

    flicker: float
    frozen: float
    black: float
    sharpness: float
    clipped: float
    luminance: float
    wobble: float
    luminance_trace: np.ndarray
    change_trace: np.ndarray
    wobble_trace: np.ndarray


def small_grey(video_thwc: np.ndarray) -> np.ndarray:
    """Luminance uint8 [T, h, WIDTH]."""
    return np.stack([grey(picture, WIDTH) for picture in video_thwc])


def flicker_of(luminance_t: np.ndarray) -> float:
    """Root mean square of the second difference of mean luminance, halved: grey levels a frame.

    A steady drift (driving into a shadow) gives little; brightness that jumps up and down gives its amplitude.
    """
    if len(luminance_t) < 3:
        return 0.0
    return float(np.sqrt(np.mean((np.diff(luminance_t, 2) / 2) ** 2)))


def longest_run(flags_t: np.ndarray) -> int:
    """Length of the longest run of True."""
    best = run = 0
    for flag in flags_t:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


def tile_means(field_hw: np.ndarray) -> np.ndarray:
    """Mean over TILES tiles, float32 [9, 16]."""
    return cv2.resize(field_hw, TILES[::-1], interpolation=cv2.INTER_AREA)


def wobble_of(grey_thw: np.ndarray) -> np.ndarray:
    """Local change of motion from frame to frame over the motion itself, [T, 9, 16]; 0 at both ends.

    Dense flow (DIS) between neighbours, averaged over 16x9 tiles; its change in time, less the median change of all
    tiles (the camera's own jolt), over 1 + the larger of the two flows, in pixels of a WIDTH-wide view. Rigid things
    move smoothly; melting ones do not. Tiles without texture count 0.
    """
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    wobble = np.zeros((len(grey_thw), *TILES), np.float32)
    before = None
    for index in range(len(grey_thw) - 1):
        now, following = grey_thw[index], grey_thw[index + 1]
        flow = engine.calc(now, following, None)
        tiles = np.stack([tile_means(flow[..., axis]) for axis in (0, 1)], axis=-1)
        if before is not None:
            wide = now.astype(np.float32)
            spread = np.sqrt(np.maximum(tile_means(wide * wide) - tile_means(wide) ** 2, 0))
            change = tiles - before
            change -= np.median(change.reshape(-1, 2), axis=0)
            speed = np.maximum(np.linalg.norm(tiles, axis=-1), np.linalg.norm(before, axis=-1))
            local = np.where(spread > TEXTURE_GREY, np.linalg.norm(change, axis=-1) / (1 + speed), 0.0)
            wobble[index] = cv2.blur(local, (2, 2))  # one tile alone is mostly an edge that passes
        before = tiles
    return wobble


def measure(video_thwc: np.ndarray) -> PictureMeasures:
    """All picture measures of one view, uint8 [T, H, W, 3]."""
    small = small_grey(video_thwc)
    values = small.astype(np.float32)
    luminance = values.mean((1, 2))
    change = np.abs(np.diff(values, axis=0)).mean((1, 2)) if len(values) > 1 else np.zeros(0, np.float32)
    # Over the spread of luminance, so that a dark or foggy picture is not called blurred for its contrast.
    laplacian = np.array([cv2.Laplacian(picture, cv2.CV_32F).std() for picture in values])
    wobble = wobble_of(small)
    return PictureMeasures(
        flicker=flicker_of(luminance),
        frozen=100.0 * longest_run(change < FROZEN_GREY) / max(1, len(change)),
        black=100.0 * float((luminance < BLACK_GREY).mean()),
        sharpness=float(np.median(laplacian / np.maximum(values.std((1, 2)), 1.0))),
        clipped=100.0 * float(((small <= 4) | (small >= 251)).mean()),
        luminance=float(luminance.mean()),
        # The median over time: an edge that passes jolts a tile once, what melts does so again and again.
        wobble=float(np.median(wobble, axis=0).max()),
        luminance_trace=luminance,
        change_trace=np.concatenate([[np.nan], change]),
        wobble_trace=wobble.max((1, 2)),
    )
