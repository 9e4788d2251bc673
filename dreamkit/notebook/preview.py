"""Small copies of videos inside a notebook's page."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dreamkit.workspace.video import encode_video, probe, read_video

CRF = 31
MOST_FRAMES = 150
"""Frames of a small copy; condition videos of 121 frames took 30 to 50 kB at 480 pixels of width, and one second."""


def small_copy(path: Path, width: int = 480) -> bytes:
    """A small mp4 file of a video's first MOST_FRAMES frames, for a page; nothing is written beside the video.

    Args:
        path: the video.
        width: the copy's width in pixels at most.

    Raises:
        DreamkitError: the video is missing or unreadable.
    """
    info = probe(path)
    small_width = max(2, min(width, info.width) // 2 * 2)
    small_height = max(2, round(info.height * small_width / info.width / 2) * 2)
    frames_thwc = read_video(path, MOST_FRAMES, size=(small_height, small_width))
    with tempfile.TemporaryDirectory(prefix="dreamkit-") as folder:
        copy = Path(folder) / "small.mp4"
        encode_video(copy, frames_thwc, info.fps or 24, CRF)
        return copy.read_bytes()
