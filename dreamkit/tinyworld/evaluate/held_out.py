"""Scenes that no training saw, with what the bundle is given of them and what it should make of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from dreamkit.tinyworld.evaluate.overlap import Pairs, shared_pixels
from dreamkit.tinyworld.render.colour import condition_pictures, render_scene
from dreamkit.tinyworld.render.scene_tensors import build_scene_tensors
from dreamkit.tinyworld.world.scene import make_scene
from dreamkit.tinyworld.world.scene_captions import style_captions
from dreamkit.workspace.cameras import SIX_VIEWS

# Training scenes have seeds from 1,000,000 on (`dreamkit.tinyworld.train.dataset`), the sample clips below 1,000.
FIRST_SEED = 600_000
_SEEDS_A_RUN = 1_000
FRONT = SIX_VIEWS.names[:1]
CROSS = (1, 2)  # the views that share surfaces with the front one


def scene_seed(seed: int, number: int) -> int:
    """The seed of a run's `number`-th held-out scene; 300 runs of 1,000 scenes share none."""
    return FIRST_SEED + _SEEDS_A_RUN * (seed % 300) + number % _SEEDS_A_RUN


@dataclass(frozen=True)
class VideoSizes:
    """What is made: (height, width) and frames of the front video, and of each of the six views."""

    front: tuple[int, int]
    front_frames: int
    six: tuple[int, int]
    six_frames: int


@dataclass(frozen=True)
class GroundTruth:
    """True pictures at the measured frames: uint8 [V, T, H, W, 3], and the masks and distances of `RenderedViews`."""

    colour: np.ndarray
    determined: np.ndarray
    marks: np.ndarray
    distance: np.ndarray
    still: np.ndarray


def draw_conditions(seed: int, sizes: VideoSizes, six: bool, views: slice = slice(None)) -> np.ndarray:
    """Condition pictures uint8 [V, T, H, W, 3] of a held-out scene, for the front video or of the six views."""
    scene = make_scene(seed, sizes.front_frames)
    if six:
        return condition_pictures(scene, SIX_VIEWS.names[views], sizes.six, range(sizes.six_frames))
    return condition_pictures(scene, FRONT, sizes.front)


def _draw_in_process(seed: int, sizes: VideoSizes, six: bool, views: slice = slice(None)) -> np.ndarray:
    cv2.setNumThreads(1)
    return draw_conditions(seed, sizes, six, views)


class ConditionCache:
    """Condition pictures by scene, drawn ahead by a pool of processes where there is one; the latest are kept."""

    def __init__(self, sizes: VideoSizes, pool: Executor | None = None) -> None:
        self.sizes, self.pool = sizes, pool
        self._requested: dict[tuple[int, bool], list[Future | np.ndarray]] = {}

    def request(self, seed: int, six: bool) -> None:
        """Have them drawn; returns at once where there is a pool."""
        key = (seed, six)
        if key in self._requested:
            return
        parts = [slice(view, view + 1) for view in range(len(SIX_VIEWS))] if six and self.pool else [slice(None)]
        self._requested[key] = [
            self.pool.submit(_draw_in_process, seed, self.sizes, six, part)
            if self.pool
            else draw_conditions(seed, self.sizes, six, part)
            for part in parts
        ]
        for old in list(self._requested)[:-6]:  # this scene's, the next one's and those ahead
            del self._requested[old]

    def get(self, seed: int, six: bool) -> np.ndarray:
        """uint8 [V, T, H, W, 3]."""
        self.request(seed, six)
        parts = self._requested[seed, six]
        drawn = np.concatenate([part.result() if isinstance(part, Future) else part for part in parts])
        self._requested[seed, six] = [drawn]
        return drawn


class HeldOutScene:
    """One held-out scene: its captions and its true pictures, made when asked for.

    Args:
        seed: from `scene_seed`.
        sizes: of the bundle's videos.
        every: every how many frames are measured.
        device: where pictures are rendered.
    """

    def __init__(self, seed: int, sizes: VideoSizes, every: int, device: torch.device) -> None:
        self.seed, self.sizes, self.device = seed, sizes, device
        self.scene = make_scene(seed, sizes.front_frames)
        self.captions = style_captions(self.scene, seed)
        self.front_frames = list(range(0, sizes.front_frames, every))
        self.six_frames = list(range(0, sizes.six_frames, every))
        self._pairs: list[list[Pairs]] | None = None

    @cached_property
    def tensors(self):  # noqa: ANN201
        """The scene on the device, shared by all styles."""
        return build_scene_tensors(self.scene, self.device)

    def truth(self, style: str, six: bool, frames: Sequence[int] | None = None) -> GroundTruth:
        """What the front video, or the six views, should show in a style; at the measured frames, or at those given."""
        cameras, size, measured = (
            (SIX_VIEWS.names, self.sizes.six, self.six_frames) if six else (FRONT, self.sizes.front, self.front_frames)
        )
        frames = measured if frames is None else frames
        seen = render_scene(self.scene, style, cameras, size, frames, device=self.device, tensors=self.tensors)
        return GroundTruth(
            *(values.cpu().numpy() for values in (seen.colour, seen.determined, seen.marks, seen.distance, seen.still))
        )

    def pairs(self, truth: GroundTruth) -> list[list[Pairs]]:
        """For each cross camera and measured frame, where it and the front camera see the same; alike in all styles."""
        if self._pairs is None:
            self._pairs = [
                [
                    shared_pixels(
                        self.scene,
                        (SIX_VIEWS.names[0], SIX_VIEWS.names[view]),
                        self.sizes.six,
                        frame,
                        truth.still[0, index],
                        (truth.distance[0, index], truth.distance[view, index]),
                    )
                    for index, frame in enumerate(self.six_frames)
                ]
                for view in CROSS
            ]
        return self._pairs
