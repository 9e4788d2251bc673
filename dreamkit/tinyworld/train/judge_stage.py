"""Training the vehicle judge on true drawings of scenes that neither the bundle nor its evaluation uses."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from dreamkit.rds.drawing import draw_pool
from dreamkit.tinyworld.render.colour import render_scene
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.options import StageOptions
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.tinyworld.train.vehicle_judge import JUDGED, VehicleJudge, judged_classes, to_input
from dreamkit.tinyworld.world.scene import make_scene
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import replacing

log = logging.getLogger("dreamkit")

JUDGE_SEED = 400_000  # of the first scene; held-out scenes are from 600,000 on, training scenes from 1,000,000 on
_FRAMES = 121
_FRONT, _SIDE = (192, 336), (128, 224)
_FRONT_FRAMES, _SIDE_FRAMES = 3, 1  # of each scene
_STEPS, _EXAMPLES, _CROP = 6000, 32, (96, 160)
_SCALES = (0.65, 1.1)  # the judge reads videos of several sizes
_OTHER_WEIGHT = 0.5  # of the loss of pixels without a road user, which are most
_ON_ROAD_USER = 0.75  # share of crops around a road user


@dataclass(frozen=True)
class JudgePictures:
    """True drawings of one size and their classes.

    Attributes:
        colour: uint8 [N, H, W, 3].
        classes: index in JUDGED of each pixel, uint8 [N, H, W].
    """

    colour: np.ndarray
    classes: np.ndarray


def draw_judge_pictures(seed: int, index: int) -> tuple[JudgePictures, JudgePictures]:
    """Pictures of one scene in one style: of the front camera at some frames, and of the five others at one.

    Args:
        seed: of the first scene.
        index: of the scene; also selects style and frames.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    scene = make_scene(seed + index, _FRAMES)
    frames = np.random.default_rng(seed + index).permutation(_FRAMES)
    classes = judged_classes(scene)
    found = []
    for cameras, size, count in (
        (SIX_VIEWS.names[:1], _FRONT, _FRONT_FRAMES),
        (SIX_VIEWS.names[1:], _SIDE, _SIDE_FRAMES),
    ):
        seen = render_scene(scene, STYLES[index % len(STYLES)], cameras, size, sorted(frames[:count].tolist()))
        labels = classes[seen.track.flatten(0, 1).numpy()].astype(np.uint8)
        found.append(JudgePictures(seen.colour.flatten(0, 1).numpy(), labels))
    return found[0], found[1]


def read_judge_pictures(path: Path, seed: int, scenes: int) -> tuple[JudgePictures, JudgePictures]:
    """Pictures of `scenes` scenes, front and side; read from `path` if they were drawn before."""
    asked = np.array([seed, scenes])
    if path.is_file():
        with np.load(path) as kept:
            if np.array_equal(kept["asked"], asked):
                front, side = (JudgePictures(kept[f"{name}_colour"], kept[f"{name}_classes"]) for name in _NAMES)
                return front, side
    begun, drawn = time.perf_counter(), []
    with draw_pool(None, [__name__]) as pool:
        for of_scene in pool.map(partial(draw_judge_pictures, seed), range(scenes)):
            drawn.append(of_scene)
            if len(drawn) % 50 == 0:
                log.info("judge: drew %d of %d scenes, %.0f s", len(drawn), scenes, time.perf_counter() - begun)
    front, side = (
        JudgePictures(np.concatenate([p.colour for p in parts]), np.concatenate([p.classes for p in parts]))
        for parts in zip(*drawn, strict=True)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{n}_{what}": getattr(p, what) for n, p in zip(_NAMES, (front, side), strict=True) for what in _ARRAYS}
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, asked=asked, **arrays)
    return front, side


_NAMES, _ARRAYS = ("front", "side"), ("colour", "classes")


def train_judge(options: StageOptions) -> bool:
    """Train the judge and write `vehicle_judge.safetensors`, float16, into the output folder.

    Args:
        options: of the stage; `scenes` scenes are drawn, `batch` crops make a step.

    Returns:
        Whether the schedule was finished; the file is written only then.
    """
    from safetensors.torch import save_file

    device = options.device
    pictures = read_judge_pictures(options.data / "judge.npz", JUDGE_SEED + 1000 * options.seed, options.scenes)
    boxes = [np.argwhere(part.classes[:, ::8, ::8] > 0) for part in pictures]
    torch.manual_seed(options.seed)
    judge = VehicleJudge().to(device)
    schedule = Schedule(options.steps or _STEPS, adamw_lr=3e-3, warmup=50, ema_decay=0.995)
    trainer = Trainer(judge, schedule, options.state, options.seed)
    weight = torch.tensor([_OTHER_WEIGHT, *[1.0] * (len(JUDGED) - 1)], device=device)

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([options.seed, trainer.step])
        crops = [_crop(pictures[kind], boxes[kind], rng) for kind in np.arange(options.batch or _EXAMPLES) % 2]
        colour, classes = (torch.from_numpy(np.stack(values)).to(device) for values in zip(*crops, strict=True))
        return to_input(colour), classes.long()

    def loss_of(examples: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(judge(examples[0]), examples[1], weight)

    finished = trainer.run(draw, loss_of, options.minutes, options.seconds)
    if finished:
        trainer.use_average()
        options.out.mkdir(parents=True, exist_ok=True)
        halves = {name: value.half().cpu().contiguous() for name, value in judge.state_dict().items()}
        with replacing(options.out / "vehicle_judge.safetensors") as part:
            save_file(halves, part)
    return finished


def _crop(pictures: JudgePictures, on_road_user: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random crop, scaled and mirrored at random: uint8 [h, w, 3] and its classes uint8 [h, w]."""
    count, height, width, _ = pictures.colour.shape
    down, across = _CROP
    scale = rng.uniform(max(_SCALES[0], down / height, across / width), _SCALES[1])
    h, w = min(height, round(down / scale)), min(width, round(across / scale))
    if len(on_road_user) and rng.random() < _ON_ROAD_USER:
        number, *cell = on_road_user[rng.integers(len(on_road_user))]
        top, left = (8 * at - rng.integers(side) for at, side in zip(cell, (h, w), strict=True))
    else:
        number, top, left = rng.integers(count), rng.integers(height), rng.integers(width)
    top, left = int(np.clip(top, 0, height - h)), int(np.clip(left, 0, width - w))
    area = (slice(top, top + h), slice(left, left + w))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    colour = cv2.resize(pictures.colour[number][area], (across, down), interpolation=shrink)
    classes = cv2.resize(pictures.classes[number][area], (across, down), interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        colour, classes = colour[:, ::-1], classes[:, ::-1]
    return np.ascontiguousarray(colour), np.ascontiguousarray(classes)
