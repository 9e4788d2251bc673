"""The windows that cover a video: a model makes one window of fixed length at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamkit.transfer.config import TEMPORAL_COMPRESSION, latent_length

OVERLAP_LATENTS = 3
"""Latent frames that neighbouring joined windows share at least."""

VIEWS_OVERLAP_LATENTS = 1
"""The same of six views, whose windows are shorter and follow one front video."""

MOST_BY_EXTENSION = 121
"""Frames of the longest six views that `auto` makes by extension: as many as NVIDIA's front video has."""


@dataclass(frozen=True)
class WindowPlan:
    """The windows of one video.

    Attributes:
        frames: frames of the video that is made.
        starts: first frame of each window.
        overlap: frames at the start of every later window that the window before has made already; those are kept.
        joined: whether the windows overlap further and are denoised together, see `joined`.
    """

    frames: int
    starts: tuple[int, ...]
    overlap: int
    joined: bool = False


def single_view_windows(frames: int, window: int, every: bool) -> WindowPlan:
    """The windows of a front video.

    Args:
        frames: frames of the condition videos.
        window: frames of one window.
        every: True for the whole length, False for the first window alone.
    """
    frames = frames if every else min(frames, window)
    return WindowPlan(frames, tuple(single_view_starts(frames, window)), 1)


def front_windows(frames: int, window: int, mode: str) -> WindowPlan:
    """The windows of a front video by the parameter `windows`: `first`, `all` or `joined`."""
    return joined_windows(frames, window) if mode == "joined" else single_view_windows(frames, window, mode == "all")


def joined_windows(frames: int, window: int, overlap: int = OVERLAP_LATENTS) -> WindowPlan:
    """The windows of a video that are denoised together; a video of one window has that window alone.

    Args:
        frames: frames of the condition videos.
        window: frames of one window.
        overlap: as for `joined_starts`.
    """
    if frames <= window:
        return single_view_windows(frames, window, every=True)
    starts = joined_starts(latent_length(frames + TEMPORAL_COMPRESSION - 1), latent_length(window), overlap)
    return WindowPlan(frames, tuple(start * TEMPORAL_COMPRESSION for start in starts), 1, joined=True)


def views_mode(frames: int, mode: str) -> str:
    """`extension` or `joined` for views of that many frames, by the parameter `windows`, which may be `auto`."""
    if mode != "auto":
        return mode
    return "joined" if frames > MOST_BY_EXTENSION else "extension"


def accepted_views_modes(frames: int, mode: str) -> tuple[str, ...]:
    """The modes of results that count as made by the parameter `windows`: that of `views_mode`, with `auto` also
    `extension`, by which earlier versions made long views by default.
    """
    own = views_mode(frames, mode)
    return (own, "extension") if mode == "auto" and own != "extension" else (own,)


def multi_view_windows(frames: int, window: int, given: int, extension: bool, mode: str = "extension") -> WindowPlan:
    """The windows of a set of views by the parameter `windows`, `auto`, `extension` or `joined`.

    Args:
        frames: frames of the front video and the condition videos.
        window: frames of one window.
        given: frames that a later window takes over from the one before it.
        extension: whether there are networks for later windows; without them `extension` makes one window.
        mode: `extension` for one window after another, `joined` for all together, by the first window's networks;
            `auto` for the one or the other by the number of frames, see `views_mode`.
    """
    if views_mode(frames, mode) == "joined":
        return joined_windows(frames, window, VIEWS_OVERLAP_LATENTS)
    frames = frames if extension else min(frames, window)
    return WindowPlan(frames, tuple(multi_view_starts(frames, window, given)), given)


def single_view_starts(frames: int, window: int) -> list[int]:
    """Starts every `window - 1` frames: the model takes no previous frames, and later windows drop their first one."""
    return list(range(0, max(1, frames - 1), window - 1))


def joined_starts(latents: int, window: int, overlap: int = OVERLAP_LATENTS) -> list[int]:
    """First latent frames of windows of `window` latent frames that cover `latents` ones, spread evenly.

    They begin at most `window - 1 - overlap` latent frames apart, so that neighbours share `overlap` or more beside the
    later one's own first latent, see `joined`; of short windows at least half is new.
    """
    if latents <= window:
        return [0]
    last = latents - window
    steps = -(-last // max(window // 2, window - 1 - overlap))
    return [round(step * last / steps) for step in range(steps + 1)]


def multi_view_starts(frames: int, window: int, given: int) -> list[int]:
    """Starts every `window - given` frames, the last moved back to end with the video (121 frames: 0, 48, 64)."""
    if frames <= window:
        return [0]
    last = frames - window
    return [*range(0, last, window - given), last]


def cut_window(frames_THWC: np.ndarray, start: int, window: int) -> np.ndarray:
    """Frames start .. start + window; past the end of the video its last frame repeats."""
    part = frames_THWC[start : start + window]
    missing = window - len(part)
    return part if missing == 0 else np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
