"""Measures of one view: flicker, frozen and black frames, sharpness, exposure, and wobbling shapes.

All use the luminance, 0..255, of frames resized to WIDTH, so that they are quick and comparable between sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dreamkit.review.measures.matches import to_luminance

WIDTH = 256
FROZEN_GREY = 0.4  # mean change of a pixel below which two frames count as the same
BLACK_GREY = 6.0  # mean luminance below which a frame is black
DARKEST, BRIGHTEST = 4, 251  # pixels at or beyond these are clipped; not 0 and 255, because of video compression
TILES = (9, 16)
TEXTURE_GREY = 4.0  # standard deviation of a tile below which its optical flow is unreliable


@dataclass(frozen=True)
class PictureMeasures:
    """The picture measures of one view; `definitions.MEASURES` has units and meanings. Traces are float [T]."""

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


def small_luminance(video_thwc: np.ndarray) -> np.ndarray:
    """Luminance uint8 [T, h, WIDTH]."""
    return np.stack([to_luminance(picture, WIDTH) for picture in video_thwc])


def flicker_of(luminance_t: np.ndarray) -> float:
    """Root mean square of the second difference of mean luminance, halved: grey levels a frame.

    A steady drift, as when driving into a shadow, gives a value near 0; alternating brightness gives its amplitude.
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
    """Change of the local motion from frame to frame, relative to the motion, [T, 9, 16]; 0 at both ends.

    Dense optical flow (DIS) between neighbouring frames is averaged over 16x9 tiles. Its change in time, less the
    median change of all tiles (a jolt of the camera), is divided by 1 + the larger of the two flows, in pixels of a
    WIDTH-wide view. Rigid objects move smoothly, melting ones do not. Tiles without texture have value 0.
    """
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    wobble = np.zeros((len(grey_thw), *TILES), np.float32)
    before = None
    for index in range(len(grey_thw) - 1):
        now, following = grey_thw[index], grey_thw[index + 1]
        flow = engine.calc(now, following, None)  # pyright: ignore  OpenCV's stubs want an array
        tiles = np.stack([tile_means(flow[..., axis]) for axis in (0, 1)], axis=-1)
        if before is not None:
            wide = now.astype(np.float32)
            spread = np.sqrt(np.maximum(tile_means(wide * wide) - tile_means(wide) ** 2, 0))
            change = tiles - before
            change -= np.median(change.reshape(-1, 2), axis=0)
            speed = np.maximum(np.linalg.norm(tiles, axis=-1), np.linalg.norm(before, axis=-1))
            local = np.where(spread > TEXTURE_GREY, np.linalg.norm(change, axis=-1) / (1 + speed), 0.0)
            wobble[index] = cv2.blur(local, (2, 2))  # a single high tile is mostly a passing edge
        before = tiles
    return wobble


def measure_picture(video_thwc: np.ndarray) -> PictureMeasures:
    """All picture measures of one view, uint8 [T, H, W, 3]."""
    small = small_luminance(video_thwc)
    values = small.astype(np.float32)
    luminance = values.mean((1, 2))
    change = np.abs(np.diff(values, axis=0)).mean((1, 2)) if len(values) > 1 else np.zeros(0, np.float32)
    # Divided by the contrast, so that a dark or foggy picture does not count as blurred.
    laplacian = np.array([cv2.Laplacian(picture, cv2.CV_32F).std() for picture in values])
    wobble = wobble_of(small)
    return PictureMeasures(
        flicker=flicker_of(luminance),
        frozen=100.0 * longest_run(change < FROZEN_GREY) / max(1, len(change)),
        black=100.0 * float((luminance < BLACK_GREY).mean()),
        sharpness=float(np.median(laplacian / np.maximum(values.std((1, 2)), 1.0))),
        clipped=100.0 * float(((small <= DARKEST) | (small >= BRIGHTEST)).mean()),
        luminance=float(luminance.mean()),
        # The median over time: a passing edge raises a tile once, a melting shape all the time.
        wobble=float(np.median(wobble, axis=0).max()),
        luminance_trace=luminance,
        change_trace=np.concatenate([[np.nan], change]),
        wobble_trace=wobble.max((1, 2)),
    )
