"""Options of one stage of the recipe, as read from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class StageOptions:
    """Options of one stage.

    Attributes:
        stage: name of the stage, one of `recipe.STAGES`.
        data: folder of the training videos.
        out: folder of the bundle in NVIDIA's layout, and of `states/`.
        device: where to train.
        drawn_on: devices that render the training videos, several at once.
        scenes: number of scenes of full length, per dataset.
        short_scenes: number of scenes drawn as short clips, per dataset.
        styles: number of styles of each scene.
        lidar_scenes: number of scenes with LiDAR condition videos.
        steps: training steps; None for the stage's own number.
        seconds: train as many steps (or draw as many short scenes) as fit into this time; None for no limit.
        batch: examples per step; None for the network's own number.
        minutes: stop after this time and keep the state; None for no limit.
        seed: of scenes, weights and batches.
        compile: whether the transformer blocks are compiled on a GPU.
        goes_on: whether a network, or the tokenizer, begins with its own files in the bundle, to be trained further.
        fresh: whether a network that would begin with another stage's weights begins with random ones: then both stages
            can run at the same time.
        samples: rays along each side of a rendered pixel.
        noise: standard deviation of noise on latents while the tokenizer is trained; None for the stage's own.
        road_users: weight of road users' pixels in the tokenizer's loss; None for the stage's own.
    """

    stage: str
    data: Path
    out: Path
    device: torch.device
    drawn_on: tuple[torch.device, ...]
    scenes: int = 400
    short_scenes: int = 0
    styles: int = 2
    lidar_scenes: int = 80
    steps: int | None = None
    seconds: float | None = None
    batch: int | None = None
    minutes: float | None = None
    seed: int = 0
    compile: bool = True
    samples: int = 2
    noise: float | None = None
    road_users: float | None = None
    goes_on: bool = False
    fresh: bool = False

    @property
    def state(self) -> Path:
        """File of the stage's resumable training state."""
        return self.out / "states" / f"{self.stage}.pt"
