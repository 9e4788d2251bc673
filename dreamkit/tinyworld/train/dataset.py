"""Training videos: made-up scenes rendered in colour and as condition videos, kept as plain arrays in a folder.

Each scene is rendered by one process of a pool; on a GPU the processes share it. Training scenes have seeds from
FIRST_SEED on; evaluation must use others.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.rds import lidar
from dreamkit.rds.drawing import draw_pool, spare_cores
from dreamkit.rds.lidar_labels import Lidar
from dreamkit.rds.objects import every_frame, hold_static
from dreamkit.rds.resize import resizer
from dreamkit.tinyworld.render.colour import DRAWN, VIDEO, condition_pictures, render_scene
from dreamkit.tinyworld.render.lidar_sim import simulate_sweeps
from dreamkit.tinyworld.render.scene_tensors import SceneTensors, build_scene_tensors
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.world.scene import MadeUpScene, make_scene
from dreamkit.tinyworld.world.scene_captions import style_captions
from dreamkit.transfer.config import ModelConfig
from dreamkit.workspace.cameras import SIX_VIEWS

log = logging.getLogger("dreamkit")

FIRST_SEED = 1_000_000
_RAYS_PER_PROCESS = 5_000_000  # traced at a time by each process that shares a GPU
_MEMORY_PER_PROCESS = 6e9  # bytes of GPU memory, CUDA context included
_SHORT_FRAMES = 17  # three latent frames
_FIRST_SHORT_SCENE = 50_000
_ARRAYS = ("colour", "hdmap", "kinds")


@dataclass(frozen=True)
class DatasetSpec:
    """Cameras, picture size and length of a dataset.

    Attributes:
        name: of the dataset's files.
        cameras: names without `camera_`.
        size: (height, width), multiples of 16.
        frames: number of frames at 30 Hz.
        first: number of the first scene.
    """

    name: str
    cameras: tuple[str, ...]
    size: tuple[int, int]
    frames: int
    first: int = 0


def dataset_spec(config: ModelConfig) -> DatasetSpec:
    """The dataset that a model is trained on: `front` for a single-view model, `six` for a six-view one."""
    name, size = "front" if config.views == 1 else "six", (config.height, config.width)
    return DatasetSpec(name, SIX_VIEWS.names[: config.views], size, config.window_frames)


def short_spec(spec: DatasetSpec) -> DatasetSpec:
    """The dataset of short clips of other scenes: many short scenes train a network better than a few long ones."""
    frames = min(spec.frames, _SHORT_FRAMES)
    return replace(spec, name=f"{spec.name}_short", frames=frames, first=_FIRST_SHORT_SCENE)


@dataclass(frozen=True)
class VideoDataset:
    """Arrays on disk, N scenes in S styles each.

    Attributes:
        colour: uint8 [N, S, V, T, H, W, 3].
        hdmap: uint8 [N, V, T, H, W, 3], HDMap condition videos.
        kinds: uint8 [N, V, T, H, W], of each pixel: 2 for a road user, 1 for paint, kerbs and other mapped objects,
            0 for anything else.
        styles: N lists of S style names.
        captions: N lists of S captions.
    """

    colour: np.ndarray
    hdmap: np.ndarray
    kinds: np.ndarray
    styles: list[list[str]]
    captions: list[list[str]]


def draw_dataset(
    folder: Path,
    spec: DatasetSpec,
    scenes: int,
    styles: int,
    seed: int,
    devices: Sequence[torch.device],
    samples: int = 2,
    until: float = math.inf,
) -> VideoDataset:
    """Render `scenes` scenes in `styles` styles each; a dataset of the same options on disk is read instead.

    Args:
        folder: folder of `<name>_colour.npy`, `<name>_hdmap.npy`, `<name>_kinds.npy` and `<name>.json`.
        spec: cameras, size and length.
        scenes: number of scenes; scene i has the seed FIRST_SEED + 100000 * seed + spec.first + i.
        styles: styles of each scene, taken in rotation, so that all are equally frequent.
        seed: of the recipe.
        devices: where colours are rendered, by as many processes on each.
        samples: rays along each side of a pixel.
        until: `time.perf_counter` value after which drawing ends; the dataset then has the scenes drawn so far.
    """
    facts = folder / f"{spec.name}.json"
    asked = [scenes, styles, seed, samples]
    if not (is_drawn(folder, spec) and json.loads(facts.read_text())["asked"] == asked):
        folder.mkdir(parents=True, exist_ok=True)
        _draw(_DrawOptions(folder, spec, styles, seed, tuple(devices), samples), scenes, asked, until)
    return read_dataset(folder, spec)


def is_drawn(folder: Path, spec: DatasetSpec) -> bool:
    """Whether the folder holds this dataset, completely drawn."""
    # Folders of earlier versions have no kinds of pixels.
    return all((folder / name).is_file() for name in (f"{spec.name}.json", f"{spec.name}_kinds.npy"))


def read_dataset(folder: Path, spec: DatasetSpec) -> VideoDataset:
    """The dataset drawn into the folder before, as memory-mapped arrays.

    Raises:
        DreamkitError: the dataset is missing or was not completely drawn.
    """
    if not is_drawn(folder, spec):
        raise DreamkitError(f"There is no footage {spec.name} in {folder}.", f"Run the stage draw-{spec.name} first.")
    colour, hdmap, kinds = (np.load(folder / f"{spec.name}_{what}.npy", mmap_mode="r") for what in _ARRAYS)
    facts = json.loads((folder / f"{spec.name}.json").read_text())
    drawn = len(facts["captions"])  # less than the arrays' length when drawing ended at the time limit
    return VideoDataset(colour[:drawn], hdmap[:drawn], kinds[:drawn], facts["styles"], facts["captions"])


def scene_seed(seed: int, index: int) -> int:
    """The seed of a recipe's training scene."""
    return FIRST_SEED + 100_000 * seed + index


@dataclass(frozen=True)
class _DrawOptions:
    """The options that every process of the pool draws with."""

    folder: Path
    spec: DatasetSpec
    styles: int
    seed: int
    devices: tuple[torch.device, ...]
    samples: int

    def styles_of(self, index: int) -> list[str]:
        """The styles of a scene, in rotation."""
        return [STYLES[(index * self.styles + style) % len(STYLES)] for style in range(self.styles)]

    def file(self, what: str) -> Path:
        """The file of an array of _ARRAYS."""
        return self.folder / f"{self.spec.name}_{what}.npy"


def _draw(options: _DrawOptions, scenes: int, asked: list[int], until: float) -> None:
    begun, spec = time.perf_counter(), options.spec
    facts = options.folder / f"{spec.name}.json"
    facts.unlink(missing_ok=True)  # it belongs to the dataset that is overwritten now
    video = (len(spec.cameras), spec.frames, *spec.size)
    shapes = ((scenes, options.styles, *video, 3), (scenes, *video, 3), (scenes, *video))
    for what, shape in zip(_ARRAYS, shapes, strict=True):
        np.lib.format.open_memmap(options.file(what), "w+", np.uint8, shape).flush()
    captions: list[list[str]] = []
    with draw_pool(_processes(options.devices), [__name__]) as pool:
        for of_scene in pool.map(partial(_draw_scene, options), range(scenes)):
            captions.append(of_scene)
            if len(captions) % 50 == 0:
                seconds = time.perf_counter() - begun
                log.info("%s: drew %d of %d scenes, %.0f s", spec.name, len(captions), scenes, seconds)
            if time.perf_counter() > until:
                log.info("%s: time limit reached after %d scenes", spec.name, len(captions))
                break
    styles = [options.styles_of(index) for index in range(len(captions))]
    facts.write_text(json.dumps({"asked": asked, "styles": styles, "captions": captions}))


def _draw_scene(options: _DrawOptions, index: int) -> list[str]:
    """Render one scene into the arrays; returns its captions."""
    cv2.setNumThreads(1)
    spec, seed = options.spec, scene_seed(options.seed, options.spec.first + index)
    scene = make_scene(seed, spec.frames)
    colour, hdmap, kinds = (np.load(options.file(what), mmap_mode="r+") for what in _ARRAYS)
    hdmap[index] = condition_pictures(scene, spec.cameras, spec.size)
    device = options.devices[os.getpid() % len(options.devices)]  # a process keeps to one of the GPUs
    tensors = build_scene_tensors(scene, device)
    rays = _RAYS_PER_PROCESS if device.type == "cuda" else None
    for row, style in enumerate(options.styles_of(index)):
        drawn = render_scene(
            scene, style, spec.cameras, spec.size, samples=options.samples, tensors=tensors, rays_at_once=rays
        )
        colour[index, row] = drawn.colour.cpu().numpy()
        if row == 0:
            kinds[index] = torch.where(drawn.track >= 0, 2, drawn.marks.to(torch.uint8)).cpu().numpy()
    texts = style_captions(scene, seed)
    return [texts[name] for name in options.styles_of(index)]


def _processes(devices: tuple[torch.device, ...]) -> int:
    """Number of drawing processes; several share a GPU, because one leaves it partly idle."""
    if devices[0].type != "cuda":
        return spare_cores()
    memory = sum(torch.cuda.get_device_properties(device).total_memory for device in devices)
    return max(1, min(spare_cores(), int(memory / _MEMORY_PER_PROCESS)))


def draw_lidar(folder: Path, spec: DatasetSpec, scenes: int, seed: int) -> np.ndarray:
    """LiDAR condition videos of a dataset's first `scenes` scenes, drawn, or read if already on disk.

    Args:
        folder: folder of `<name>_lidar.npy` and `<name>_lidar.json`.
        spec: of a front camera's dataset.
        scenes: number of scenes, at most that of the dataset.
        seed: of the recipe.

    Returns:
        uint8 [N, 1, T, H, W, 3].
    """
    path, facts = folder / f"{spec.name}_lidar.npy", folder / f"{spec.name}_lidar.json"
    asked = {"asked": [scenes, seed, spec.frames, *spec.size]}
    if facts.is_file() and json.loads(facts.read_text()) == asked:
        return np.load(path, mmap_mode="r")
    begun = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    facts.unlink(missing_ok=True)
    pictures = np.empty((scenes, 1, spec.frames, *spec.size, 3), np.uint8)
    # Many small operations: a pool of CPU processes is faster here than a GPU.
    with draw_pool(None, [__name__]) as pool:
        seeds = [scene_seed(seed, spec.first + index) for index in range(scenes)]
        for index, video in enumerate(pool.map(partial(_lidar_video, spec), seeds)):
            pictures[index, 0] = video
            if index % 10 == 9:
                log.info("lidar: drew %d of %d scenes, %.0f s", index + 1, scenes, time.perf_counter() - begun)
    np.save(path, pictures)
    facts.write_text(json.dumps(asked))
    return pictures


def _lidar_video(spec: DatasetSpec, seed: int) -> np.ndarray:
    cv2.setNumThreads(1)
    scene = make_scene(seed, spec.frames)
    return lidar_pictures(scene, build_scene_tensors(scene), spec.size)


def lidar_pictures(scene: MadeUpScene, tensors: SceneTensors, size: tuple[int, int]) -> np.ndarray:
    """LiDAR condition pictures of the front camera, uint8 [T, H, W, 3], drawn and resized as `dreamkit render` does."""
    camera = SIX_VIEWS.names[0]
    boxes = every_frame(hold_static(scene.objects), scene.frames)
    # Simulated sweeps have the attributes of a clip's `Lidar` that `Sweeps` reads.
    simulated = cast(Lidar, simulate_sweeps(scene, tensors))
    sweeps = lidar.Sweeps(simulated, boxes, scene.frames, tensors.device)
    lens, resize = scene.lenses[camera].scaled_to(*DRAWN), resizer(DRAWN, VIDEO)
    out = np.empty((scene.frames, *size, 3), np.uint8)
    poses = {camera: scene.camera_poses(camera)}
    for index, drawn in enumerate(lidar.draw_lidar_frames(sweeps, {camera: lens}, poses, range(scene.frames))):
        out[index] = cv2.resize(resize(drawn[camera]), size[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    return out
