"""Held-out made-up scenes: their condition videos and captions, and the true pictures to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from dreamkit.styles.rules.rewriter import stable_seed
from dreamkit.tinyworld.evaluate.overlap import Pairs, shared_pixels
from dreamkit.tinyworld.render.colour import condition_pictures, render_scene
from dreamkit.tinyworld.render.scene_tensors import SceneTensors, build_scene_tensors
from dreamkit.tinyworld.world.scene import make_scene
from dreamkit.tinyworld.world.scene_captions import style_captions
from dreamkit.transfer.config import ModelConfig
from dreamkit.workspace.cameras import SIX_VIEWS

# Training scenes have seeds from 1,000,000 on (`dreamkit.tinyworld.train.dataset`), the sample clips below 1,000.
FIRST_SEED = 600_000
_SEEDS_A_RUN = 1_000
FRONT = SIX_VIEWS.names[:1]
CROSS = (1, 2)  # views that overlap with the front view


def scene_seed(seed: int, number: int) -> int:
    """Seed of a run's `number`-th held-out scene; 300 runs of 1,000 scenes have no scene in common."""
    return FIRST_SEED + _SEEDS_A_RUN * (seed % 300) + number % _SEEDS_A_RUN


def noise_seed(seed: int, scene: int | str, style: str) -> int:
    """Seed of a video's noise, by the run's seed, the scene's seed or the clip's name, and the style.

    It is below 2**31 - 2**16, so that the seed of a later window, which adds the window's number, is valid too.
    """
    return stable_seed(seed, scene, style) % (2**31 - 2**16)


@dataclass(frozen=True)
class VideoSizes:
    """Sizes of generated videos.

    Attributes:
        front: (height, width) of the front video.
        front_frames: its number of frames.
        six: (height, width) of each of the six views.
        six_frames: their number of frames.
    """

    front: tuple[int, int]
    front_frames: int
    six: tuple[int, int]
    six_frames: int


def config_sizes(configs: tuple[ModelConfig, ModelConfig]) -> VideoSizes:
    """Sizes of one window of each model, of the configs of a single-view and of a six-view model."""
    single, multi = configs
    front, six = ((config.height, config.width) for config in configs)
    return VideoSizes(front, single.window_frames, six, multi.window_frames)


@dataclass(frozen=True)
class GroundTruth:
    """True pictures and masks at the measured frames: the attributes of `RenderedViews` as NumPy arrays."""

    colour: np.ndarray
    determined: np.ndarray
    marks: np.ndarray
    distance: np.ndarray
    still: np.ndarray
    track: np.ndarray


def draw_conditions(seed: int, sizes: VideoSizes, six: bool, views: slice = slice(None)) -> np.ndarray:
    """Condition video of the front view, or with `six` of some of the six views, uint8 [V, T, H, W, 3]."""
    scene = make_scene(seed, sizes.front_frames)
    if six:
        return condition_pictures(scene, SIX_VIEWS.names[views], sizes.six, range(sizes.six_frames))
    return condition_pictures(scene, FRONT, sizes.front)


def _draw_in_process(seed: int, sizes: VideoSizes, six: bool, views: slice = slice(None)) -> np.ndarray:
    cv2.setNumThreads(1)
    return draw_conditions(seed, sizes, six, views)


class ConditionCache:
    """Condition videos by scene; the last six are kept.

    Args:
        sizes: of the videos.
        pool: processes that draw requested videos in the background; without one they are drawn at once.
    """

    def __init__(self, sizes: VideoSizes, pool: Executor | None = None) -> None:
        self.sizes, self.pool = sizes, pool
        self._requested: dict[tuple[int, bool], list[Future | np.ndarray]] = {}

    def request(self, seed: int, six: bool) -> None:
        """Start drawing a video, unless it was requested before."""
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
        for old in list(self._requested)[:-6]:  # two scenes, front and six views, and those drawn ahead
            del self._requested[old]

    def get(self, seed: int, six: bool) -> np.ndarray:
        """A condition video, uint8 [V, T, H, W, 3]; draws it or waits for it."""
        self.request(seed, six)
        parts = self._requested[seed, six]
        drawn = np.concatenate([part.result() if isinstance(part, Future) else part for part in parts])
        self._requested[seed, six] = [drawn]
        return drawn


class HeldOutScene:
    """One held-out scene with its captions; true pictures are rendered on demand.

    Args:
        seed: from `scene_seed`.
        sizes: of the bundle's videos.
        every: measure every Nth frame.
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
    def tensors(self) -> SceneTensors:
        """The scene on the device."""
        return build_scene_tensors(self.scene, self.device)

    def truth(self, style: str, six: bool, frames: Sequence[int] | None = None) -> GroundTruth:
        """True pictures of the front video or the six views in a style, at `frames` or the measured frames."""
        cameras, size, measured = (
            (SIX_VIEWS.names, self.sizes.six, self.six_frames) if six else (FRONT, self.sizes.front, self.front_frames)
        )
        frames = measured if frames is None else frames
        seen = render_scene(self.scene, style, cameras, size, frames, device=self.device, tensors=self.tensors)
        return GroundTruth(**{name: values.cpu().numpy() for name, values in vars(seen).items()})

    def pairs(self, truth: GroundTruth) -> list[list[Pairs]]:
        """For each cross camera and measured frame, pixels shared with the front view; equal in all styles."""
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
