"""One result to make, and the inputs that the styles of a chunk share."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch

from dreamkit.generate.input_videos import InputVideo
from dreamkit.transfer.windows import WindowPlan
from dreamkit.workspace.workspace import Chunk


@dataclass(frozen=True)
class WeightMap:
    """A control weight map: its file, the file's checksum, and its tensor, float32 [T, H, W] or [H, W]."""

    path: Path
    checksum: str
    map_THW: torch.Tensor


@dataclass(frozen=True)
class ChunkInputs:
    """The condition videos of a chunk, which its styles share.

    Attributes:
        chunk: the chunk.
        videos: control -> condition videos in the rig's order.
        checksums: `<control>/<camera>` -> checksum.
    """

    chunk: Chunk
    videos: dict[str, list[InputVideo]]
    checksums: dict[str, str]

    @property
    def lengths(self) -> dict[str, int]:
        """Control -> frames of its condition videos."""
        return {name: views[0].info.frames for name, views in self.videos.items()}


@dataclass(frozen=True)
class Job:
    """One video, or one set of views, to make.

    Attributes:
        name: name of the result, unique in a run.
        inputs: condition videos of its chunk.
        style: style of the caption.
        prompts: one, or one per view.
        front: the front video that the other views follow; None for single view.
        windows: number of frames of the result, and the windows that they are generated in.
        weights: control -> number or weight map.
        seed: seed of the first window.
        cut: frames of the result where the parameter `frames` shortens it, else 0.
    """

    name: str
    inputs: ChunkInputs
    style: str
    prompts: tuple[str, ...]
    front: InputVideo | None
    windows: WindowPlan
    weights: dict[str, float | WeightMap]
    seed: int
    cut: int = 0

    @property
    def chunk(self) -> Chunk:
        """The chunk of its condition videos."""
        return self.inputs.chunk

    @property
    def sources(self) -> list[InputVideo]:
        """Every input video."""
        return [*itertools.chain(*self.inputs.videos.values()), *([self.front] if self.front else [])]

    @property
    def checksums(self) -> dict[str, str]:
        """Name -> checksum of every input video."""
        return {**self.inputs.checksums, **({"front": self.front.checksum} if self.front else {})}


@dataclass(frozen=True)
class BlockedFront:
    """A set of views that is not made, because the guardrail blocked its front video; `reason` is a sentence."""

    name: str
    chunk: Chunk
    style: str
    reason: str
