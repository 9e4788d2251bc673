"""VideoDataset to train on: made-up scenes drawn in colour and as conditions, kept in a folder of plain arrays.

Each scene is made whole by one of a pool of processes, which share the GPU where there is one. Training scenes have
seeds from FIRST_SEED on; whatever judges the bundle must use others.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.rds import lidar
from dreamkit.rds.drawing import draw_pool, spare_cores
from dreamkit.rds.objects import every_frame, rest
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
_PAINTER_RAYS = 5_000_000  # followed together on a GPU by each of the processes that share it
_PAINTER_MEMORY = 6e9  # bytes of the GPU for each of them, context included
_SHORT = 17  # frames of short clips: three latent frames
_SHORT_FIRST = 50_000


@dataclass(frozen=True)
class DatasetSpec:
    """What is drawn of every scene: by which cameras, of which size (height, width), how many frames at 30 Hz; `first`:
    the number of the first scene; `reduced`: conditions are drawn at that fraction of their size, see `conditions`."""

    name: str
    cameras: tuple[str, ...]
    size: tuple[int, int]
    frames: int
    first: int = 0
    reduced: int = 1


def dataset_spec(config: ModelConfig) -> DatasetSpec:
    """The footage that a model is trained on: `front` for one view, `six` for all."""
    name = "front" if config.views == 1 else "six"
    return DatasetSpec(name, SIX_VIEWS.names[: config.views], (config.height, config.width), config.window_frames)


def short_spec(kind: DatasetSpec) -> DatasetSpec:
    """The same in short clips of other scenes: what lies where is learnt from many places, not from long drives."""
    frames = min(kind.frames, _SHORT)
    # Six views' conditions at full size would take most of the time.
    reduced = 1 if len(kind.cameras) == 1 else 2
    return replace(kind, name=f"{kind.name}_short", frames=frames, first=_SHORT_FIRST, reduced=reduced)


@dataclass(frozen=True)
class VideoDataset:
    """Arrays on disk, N scenes in S styles each.

    colour: uint8 [N, S, V, T, H, W, 3]. hdmap: uint8 [N, V, T, H, W, 3]. styles: N lists of S style names. captions: N
    lists of S texts.
    """

    colour: np.ndarray
    hdmap: np.ndarray
    styles: list[list[str]]
    captions: list[list[str]]


def draw_dataset(
    folder: Path,
    kind: DatasetSpec,
    scenes: int,
    styles: int,
    seed: int,
    device: torch.device,
    samples: int = 2,
    until: float = math.inf,
) -> VideoDataset:
    """Draw `scenes` scenes in `styles` styles each, or read them where the folder has them already.

    Args:
        folder: where `<kind>_colour.npy`, `<kind>_hdmap.npy` and `<kind>.json` lie.
        kind: what is drawn of each; sides of pictures are multiples of 16.
        scenes: how many; scene i has the seed FIRST_SEED + 100000 * seed + kind.first + i.
        styles: styles of each scene; they go round, so that all come equally often.
        seed: of the recipe.
        device: where colours are drawn.
        samples: rays along each side of a pixel.
        until: time of `time.perf_counter` after which no scene is begun; those drawn by then are all there are.
    """
    facts = folder / f"{kind.name}.json"
    asked = [scenes, styles, seed, samples]
    if not (is_drawn(folder, kind) and json.loads(facts.read_text())["asked"] == asked):
        folder.mkdir(parents=True, exist_ok=True)
        _draw(_Order(folder, kind, styles, seed, device, samples), scenes, asked, until)
    return read_dataset(folder, kind)


def is_drawn(folder: Path, kind: DatasetSpec) -> bool:
    """Whether there is footage of this kind, all of it."""
    return (folder / f"{kind.name}.json").is_file()


def read_dataset(folder: Path, kind: DatasetSpec) -> VideoDataset:
    """VideoDataset drawn before.

    Raises:
        DreamkitError: there is none of this kind, or not all of it.
    """
    if not is_drawn(folder, kind):
        raise DreamkitError(f"There is no footage {kind.name} in {folder}.", f"Run the tensors draw-{kind.name} first.")
    colour, hdmap = (np.load(folder / f"{kind.name}_{what}.npy", mmap_mode="r") for what in ("colour", "hdmap"))
    facts = json.loads((folder / f"{kind.name}.json").read_text())
    drawn = len(facts["captions"])  # fewer than the arrays have room for when the time was over
    return VideoDataset(colour[:drawn], hdmap[:drawn], facts["styles"], facts["captions"])


def scene_seed(seed: int, index: int) -> int:
    """The seed of a recipe's training scene."""
    return FIRST_SEED + 100_000 * seed + index


@dataclass(frozen=True)
class _Order:
    """What every process of the pool must know to draw a scene."""

    folder: Path
    kind: DatasetSpec
    styles: int
    seed: int
    device: torch.device
    samples: int

    def chosen(self, index: int) -> list[str]:
        """The styles of a scene; they go round."""
        return [STYLES[(index * self.styles + style) % len(STYLES)] for style in range(self.styles)]

    def file(self, what: str) -> Path:
        """The array of colours or conditions."""
        return self.folder / f"{self.kind.name}_{what}.npy"


def _draw(order: _Order, scenes: int, asked: list[int], until: float) -> None:
    begun, kind = time.perf_counter(), order.kind
    facts = order.folder / f"{kind.name}.json"
    facts.unlink(missing_ok=True)  # of other footage, whose arrays are written over
    picture = (len(kind.cameras), kind.frames, *kind.size, 3)
    for what, shape in (("colour", (scenes, order.styles, *picture)), ("hdmap", (scenes, *picture))):
        np.lib.format.open_memmap(order.file(what), "w+", np.uint8, shape).flush()
    captions: list[list[str]] = []
    with draw_pool(_painters(order.device), [__name__]) as pool:
        for told in pool.map(partial(_draw_scene, order), range(scenes)):
            captions.append(told)
            if len(captions) % 50 == 0:
                log.info(
                    "%s: drew %d of %d scenes, %.0f s", kind.name, len(captions), scenes, time.perf_counter() - begun
                )
            if time.perf_counter() > until:
                log.info("%s: the time is over after %d scenes", kind.name, len(captions))
                break
    styles = [order.chosen(index) for index in range(len(captions))]
    facts.write_text(json.dumps({"asked": asked, "styles": styles, "captions": captions}))


def _draw_scene(order: _Order, index: int) -> list[str]:
    """Write one scene's pictures into the arrays; returns its captions."""
    cv2.setNumThreads(1)
    kind, seed = order.kind, scene_seed(order.seed, order.kind.first + index)
    scene = make_scene(seed, kind.frames)
    colour, hdmap = (np.load(order.file(what), mmap_mode="r+") for what in ("colour", "hdmap"))
    hdmap[index] = condition_pictures(scene, kind.cameras, kind.size, reduced=kind.reduced)
    tensors = build_scene_tensors(scene, order.device)
    at_once = _PAINTER_RAYS if order.device.type == "cuda" else None
    for row, style in enumerate(order.chosen(index)):
        drawn = render_scene(
            scene, style, kind.cameras, kind.size, None, order.samples, tensors=tensors, rays_at_once=at_once
        )
        colour[index, row] = drawn.colour.cpu().numpy()
    texts = style_captions(scene, seed)
    return [texts[name] for name in order.chosen(index)]


def _painters(device: torch.device) -> int:
    """Processes that draw at the same time; they share a GPU, which one of them could not keep busy."""
    if device.type != "cuda":
        return spare_cores()
    memory = torch.cuda.get_device_properties(device).total_memory
    return max(1, min(spare_cores(), int(memory / _PAINTER_MEMORY)))


def draw_lidar(folder: Path, kind: DatasetSpec, scenes: int, seed: int) -> np.ndarray:
    """LiDAR condition pictures of the first `scenes` scenes of a kind, uint8 [N, 1, T, H, W, 3], drawn or read.

    Args:
        folder: where `<kind>_lidar.npy` and `<kind>_lidar.json` lie.
        kind: of the front footage.
        scenes: how many, at most as many as the footage has.
        seed: of the recipe.
    """
    path, facts = folder / f"{kind.name}_lidar.npy", folder / f"{kind.name}_lidar.json"
    asked = {"asked": [scenes, seed, kind.frames, *kind.size]}
    if facts.is_file() and json.loads(facts.read_text()) == asked:
        return np.load(path, mmap_mode="r")
    begun = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    facts.unlink(missing_ok=True)
    pictures = np.empty((scenes, 1, kind.frames, *kind.size, 3), np.uint8)
    # Many small operations, which a pool of processes does sooner than a GPU.
    with draw_pool(None, [__name__]) as pool:
        seeds = [scene_seed(seed, kind.first + index) for index in range(scenes)]
        for index, video in enumerate(pool.map(partial(_lidar_video, kind), seeds)):
            pictures[index, 0] = video
            if index % 10 == 9:
                log.info("lidar: drew %d of %d scenes, %.0f s", index + 1, scenes, time.perf_counter() - begun)
    np.save(path, pictures)
    facts.write_text(json.dumps(asked))
    return pictures


def _lidar_video(kind: DatasetSpec, seed: int) -> np.ndarray:
    cv2.setNumThreads(1)
    scene = make_scene(seed, kind.frames)
    return lidar_pictures(scene, build_scene_tensors(scene), kind.size)


def lidar_pictures(scene: MadeUpScene, tensors: SceneTensors, size: tuple[int, int]) -> np.ndarray:
    """LiDAR condition pictures of the front camera, uint8 [T, H, W, 3], drawn and resized as `dreamkit render` does."""
    camera = SIX_VIEWS.names[0]
    boxes = every_frame(rest(scene.objects), scene.frames)
    sweeps = lidar.Sweeps(simulate_sweeps(scene, tensors), boxes, scene.frames, tensors.device)  # type: ignore[arg-type]
    lens, fit = scene.lenses[camera].scaled_to(*DRAWN), resizer(DRAWN, VIDEO)
    out = np.empty((scene.frames, *size, 3), np.uint8)
    poses = {camera: scene.camera_poses(camera)}
    for index, drawn in enumerate(lidar.draw_lidar_frames(sweeps, {camera: lens}, poses, range(scene.frames))):
        out[index] = cv2.resize(fit(drawn[camera]), size[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    return out
