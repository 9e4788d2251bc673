"""Small frames of videos, whole or damaged: what the measures look at and what the browser gets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from dreamkit.errors import DreamkitError
from dreamkit.workspace.video import decode_video


@dataclass(frozen=True)
class Frames:
    """Decoded small frames uint8 [T, h, w, 3], frames a second, the file's own size, and what went wrong."""

    frames_thwc: np.ndarray
    fps: float
    height: int
    width: int
    problem: str = ""


def even_size(height: int, width: int, at_most: int) -> tuple[int, int]:
    """(height, width) with the width at most `at_most`, the shape kept, both even."""
    small = min(width, at_most)
    return max(2, round(height * small / width / 2) * 2), small // 2 * 2


def _shrink(frame: av.VideoFrame, at_most: int) -> np.ndarray:
    height, width = even_size(frame.height, frame.width, at_most)
    return frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")


def read_small(path: Path, width: int, at_most: int | None = None) -> Frames:
    """Decode a video at a small size; what can be decoded of a damaged one, with the problem told.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    pictures: list[np.ndarray] = []
    fps, height, full_width, problem = 24.0, 0, 0, ""
    try:
        for frame in decode_video(path):
            height, full_width = frame.height, frame.width
            pictures.append(_shrink(frame, width))
            if at_most is not None and len(pictures) >= at_most:
                break
    except DreamkitError as error:
        if not pictures:
            raise
        problem = error.message
    if not pictures:
        raise DreamkitError(f"The video {path} holds no frames.", "Make it again.")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or 24)
        if not problem and at_most is None and stream.frames > len(pictures):
            problem = f"{path.name} is cut off: {len(pictures)} of {stream.frames} frames"
    return Frames(np.stack(pictures), fps, height, full_width, problem)


def still(path: Path, width: int, at: float = 0.5) -> np.ndarray:
    """One small picture from the part `at` (0..1) of a video, at the key frame before it: quick even in long files.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.duration and at > 0:
                container.seek(int((stream.start_time or 0) + at * stream.duration), stream=stream)
            stream.codec_context.skip_frame = "NONKEY"
            for frame in container.decode(stream):
                return _shrink(frame, width)
    except (FFmpegError, OSError, IndexError) as error:
        raise DreamkitError(f"The video {path} cannot be read: {error}.", "Make it again.") from error
    raise DreamkitError(f"The video {path} holds no frames.", "Make it again.")
