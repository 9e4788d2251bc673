"""A chunk of a clip, as condition videos and results are named."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Chunk:
    """A part of a clip, for which one video is generated.

    Attributes:
        clip: name of the clip.
        index: number of the part, from 0.
    """

    clip: str
    index: int = 0

    @property
    def name(self) -> str:
        """`<clip>` for chunk 0, `<clip>_<n>` for chunk n: the beginning of the names of its results."""
        return self.clip if self.index == 0 else f"{self.clip}_{self.index}"
