"""Input videos of a run: properties and checksum, read once per file, and decoded frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamkit.workspace import video
from dreamkit.workspace.files import sha256
from dreamkit.workspace.sizes import GIB
from dreamkit.workspace.video import VideoInfo

FRAME_BUDGET = 4 * GIB
"""Most bytes of host memory for frames that are kept from the check before the model loads until they are encoded."""


@dataclass(frozen=True)
class InputVideo:
    """A condition video or front video, as found when the run was planned.

    Attributes:
        path: the file.
        info: its frames, frame rate and size.
        checksum: SHA-256 of the file.
    """

    path: Path
    info: VideoInfo
    checksum: str


def inspect_video(path: Path, fps: float = 0) -> InputVideo:
    """Probe a video file, to be read at `fps` (0: every stored frame once), and compute its checksum.

    Raises:
        DreamkitError: missing, unreadable, or cut off.
    """
    return InputVideo(path, video.probe(path, fps), sha256(path))


class DecodedVideos:
    """Frames of input videos at the model's size, each decoded once while they fit into a budget.

    Args:
        size: (height, width) that every frame is resized to.
        budget: most bytes of frames to keep.
    """

    def __init__(self, size: tuple[int, int], budget: int = FRAME_BUDGET) -> None:
        self.size = size
        self.budget = budget
        self._kept: dict[Path, np.ndarray] = {}
        self._checked: dict[Path, int] = {}

    def check(self, source: InputVideo, frames: int) -> None:
        """Decode the first `frames` frames, and keep them where the budget has room.

        Raises:
            DreamkitError: they cannot be decoded.
        """
        if self._checked.get(source.path, 0) >= frames:
            return
        self._kept.pop(source.path, None)
        kept = sum(frames_thwc.nbytes for frames_thwc in self._kept.values())
        if kept + frames * self.size[0] * self.size[1] * 3 <= self.budget:
            self._kept[source.path] = video.read_frames(source.path, source.info, frames, self.size)
        else:
            video.check_decodes(source.path, source.info, frames)
        self._checked[source.path] = frames

    def frames(self, source: InputVideo, frames: int) -> np.ndarray:
        """The first `frames` frames, uint8 [T, H, W, 3]: those that were kept, or decoded now.

        Raises:
            DreamkitError: they cannot be decoded.
        """
        kept = self._kept.get(source.path)
        if kept is not None and len(kept) >= frames:
            return kept[:frames]
        return video.read_frames(source.path, source.info, frames, self.size)

    def release(self, sources: Iterable[InputVideo]) -> None:
        """Free the frames of videos that no later job needs."""
        for source in sources:
            self._kept.pop(source.path, None)
