"""Decode frames of whole or damaged videos at a small size, for the measures and for the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.workspace.containers import UNREADABLE_HINT, decoding_video, opened_video
from dreamkit.workspace.video import decode_video
from dreamkit.workspace.video_display import orientation

DEFAULT_FPS = 24.0  # for a file that does not state its frame rate
SAMPLES = 8
LONG = 121  # frames; of longer videos as many more frames are matched as they are longer
LAGS = tuple(range(-8, 9))
"""Offsets in frames that are tried when a view's lag is estimated."""


@dataclass(frozen=True)
class SmallFrames:
    """The decoded frames of a video, made smaller.

    Attributes:
        frames_thwc: uint8 [T, h, w, 3], RGB.
        fps: frames a second.
        height: of the file's own frames.
        width: of the file's own frames.
        problem: what is wrong with the file, empty if nothing is; a damaged file gives the frames before the damage.
    """

    frames_thwc: np.ndarray
    fps: float
    height: int
    width: int
    problem: str = ""


def even_size(height: int, width: int, max_width: int) -> tuple[int, int]:
    """(height, width) of a frame made at most `max_width` wide in the same proportions, both even."""
    small = min(width, max_width)
    return max(2, round(height * small / width / 2) * 2), small // 2 * 2


def sample_frames(frames: int, samples: int = SAMPLES, margin: int = 0) -> list[int]:
    """Frame indices spread evenly, `margin` frames from both ends where the video is long enough."""
    margin = min(margin, max(0, (frames - 1) // 3))
    return sorted({int(at) for at in np.linspace(margin, frames - 1 - margin, min(samples, frames)).round()})


def _shrink(frame: av.VideoFrame, max_width: int) -> np.ndarray:
    """The frame as it is shown, at most `max_width` wide."""
    shown = orientation(frame)
    height, width = shown.size(*even_size(*shown.size(frame.height, frame.width), max_width))
    return shown.apply(frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA"))


def read_small(path: Path, width: int, max_frames: int | None = None) -> SmallFrames:
    """Decode a video to frames at most `width` wide; of a damaged one, the frames before the damage.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    frames: list[np.ndarray] = []
    height, full_width, problem = 0, 0, ""
    try:
        for frame in decode_video(path):
            height, full_width = orientation(frame).size(frame.height, frame.width)
            with decoding_video(path, f"is damaged at frame {len(frames)}"):
                frames.append(_shrink(frame, width))
            if max_frames is not None and len(frames) >= max_frames:
                break
    except DreamkitError as error:
        if not frames:
            raise
        problem = error.message
    if not frames:
        raise DreamkitError(f"The video {path} holds no frames.", UNREADABLE_HINT)
    with opened_video(path) as (_, stream):
        fps = float(stream.average_rate or DEFAULT_FPS)
        if not problem and max_frames is None and stream.frames > len(frames):
            problem = f"{path.name} is cut off: {len(frames)} of {stream.frames} frames"
    return SmallFrames(np.stack(frames), fps, height, full_width, problem)


def read_still(path: Path, width: int, at: float = 0.5) -> np.ndarray:
    """One frame at most `width` wide, uint8 [h, w, 3]: the key frame at or before the part `at` (0 to 1) of a video.

    Seeking to a key frame is quick in long files too.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    with opened_video(path) as (container, stream):
        if stream.duration and at > 0:
            container.seek(int((stream.start_time or 0) + at * stream.duration), stream=stream)
        stream.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(stream):
            return _shrink(frame, width)
    raise DreamkitError(f"The video {path} holds no frames.", UNREADABLE_HINT)
