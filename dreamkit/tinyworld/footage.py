"""Footage to train on: made-up scenes drawn in colour and as conditions, kept in a folder of plain arrays.

Scenes, conditions and captions are made by a pool of processes, colours on the GPU meanwhile. Training scenes have
seeds from FIRST_SEED on; whatever judges the bundle must use others.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from dreamkit.cameras import SIX_VIEWS
from dreamkit.errors import DreamkitError
from dreamkit.rds import lidar
from dreamkit.rds.drawing import draw_pool
from dreamkit.rds.objects import every_frame, rest
from dreamkit.rds.resize import resizer
from dreamkit.tinyworld.looks import STYLES
from dreamkit.tinyworld.render import DRAWN, VIDEO, conditions, render
from dreamkit.tinyworld.scene import Scene, make_scene
from dreamkit.tinyworld.stage import Stage, build_stage
from dreamkit.tinyworld.sweeps import cast_sweeps
from dreamkit.tinyworld.words import style_captions
from dreamkit.transfer.config import ModelConfig

log = logging.getLogger("dreamkit")

FIRST_SEED = 1_000_000
_AHEAD = 3  # scenes under way for each process of the pool
_SHORT = {"front": 25, "six": 17}  # frames of short clips: four and three latent frames
_SHORT_FIRST = 50_000


@dataclass(frozen=True)
class Kind:
    """What is drawn of every scene: by which cameras, of which size (height, width), how many frames at 30 Hz; `first`:
    the number of the first scene."""

    name: str
    cameras: tuple[str, ...]
    size: tuple[int, int]
    frames: int
    first: int = 0


def kind_of(config: ModelConfig) -> Kind:
    """The footage that a model is trained on: `front` for one view, `six` for all."""
    name = "front" if config.views == 1 else "six"
    return Kind(name, SIX_VIEWS.names[: config.views], (config.height, config.width), config.window_frames)


def short_of(kind: Kind) -> Kind:
    """The same in short clips of other scenes: what lies where is learnt from many places, not from long drives."""
    return replace(kind, name=f"{kind.name}_short", frames=min(kind.frames, _SHORT[kind.name]), first=_SHORT_FIRST)


@dataclass(frozen=True)
class Footage:
    """Arrays on disk, N scenes in S styles each.

    colour: uint8 [N, S, V, T, H, W, 3]. hdmap: uint8 [N, V, T, H, W, 3]. styles: N lists of S style names. captions: N
    lists of S texts.
    """

    colour: np.ndarray
    hdmap: np.ndarray
    styles: list[list[str]]
    captions: list[list[str]]


def draw_footage(
    folder: Path, kind: Kind, scenes: int, styles: int, seed: int, device: torch.device, samples: int = 2
) -> Footage:
    """Draw `scenes` scenes in `styles` styles each, or read them where the folder has them already.

    Args:
        folder: where `<kind>_colour.npy`, `<kind>_hdmap.npy` and `<kind>.json` lie.
        kind: what is drawn of each; sides of pictures are multiples of 16.
        scenes: how many; scene i has the seed FIRST_SEED + 100000 * seed + kind.first + i.
        styles: styles of each scene; they go round, so that all come equally often.
        seed: of the recipe.
        device: where colours are drawn.
        samples: rays along each side of a pixel.
    """
    facts = folder / f"{kind.name}.json"
    asked = [scenes, styles, seed, samples]
    if not (is_drawn(folder, kind) and json.loads(facts.read_text())["asked"] == asked):
        folder.mkdir(parents=True, exist_ok=True)
        _draw(folder, kind, scenes, styles, seed, device, samples, asked)
    return read_footage(folder, kind)


def is_drawn(folder: Path, kind: Kind) -> bool:
    """Whether there is footage of this kind, all of it."""
    return (folder / f"{kind.name}.json").is_file()


def read_footage(folder: Path, kind: Kind) -> Footage:
    """Footage drawn before.

    Raises:
        DreamkitError: there is none of this kind, or not all of it.
    """
    if not is_drawn(folder, kind):
        raise DreamkitError(f"There is no footage {kind.name} in {folder}.", f"Run the stage draw-{kind.name} first.")
    colour, hdmap = (np.load(folder / f"{kind.name}_{what}.npy", mmap_mode="r") for what in ("colour", "hdmap"))
    facts = json.loads((folder / f"{kind.name}.json").read_text())
    return Footage(colour, hdmap, facts["styles"], facts["captions"])


def scene_seed(seed: int, index: int) -> int:
    """The seed of a recipe's training scene."""
    return FIRST_SEED + 100_000 * seed + index


def _draw(
    folder: Path, kind: Kind, scenes: int, styles: int, seed: int, device: torch.device, samples: int, asked: list[int]
) -> None:
    begun = time.perf_counter()
    (folder / f"{kind.name}.json").unlink(missing_ok=True)  # of other footage, whose arrays are written over
    picture = (len(kind.cameras), kind.frames, *kind.size, 3)
    colour = np.lib.format.open_memmap(folder / f"{kind.name}_colour.npy", "w+", np.uint8, (scenes, styles, *picture))
    hdmap = np.lib.format.open_memmap(folder / f"{kind.name}_hdmap.npy", "w+", np.uint8, (scenes, *picture))
    chosen = [[STYLES[(index * styles + style) % len(STYLES)] for style in range(styles)] for index in range(scenes)]
    seeds = [scene_seed(seed, kind.first + index) for index in range(scenes)]
    captions: list[list[str]] = []
    for index, (scene, texts) in enumerate(_prepared(folder, kind, seeds)):
        stage = build_stage(scene, device)
        for style, name in enumerate(chosen[index]):
            rendered = render(scene, name, kind.cameras, kind.size, None, samples, device, stage)
            colour[index, style] = rendered.colour.cpu().numpy()
        captions.append([texts[name] for name in chosen[index]])
        if index % 10 == 9:
            log.info("%s: drew %d of %d scenes, %.0f s", kind.name, index + 1, scenes, time.perf_counter() - begun)
    del colour, hdmap
    facts = {"asked": asked, "styles": chosen, "captions": captions}
    (folder / f"{kind.name}.json").write_text(json.dumps(facts))


def _prepared(folder: Path, kind: Kind, seeds: list[int]) -> Iterator[tuple[Scene, dict[str, str]]]:
    """Scenes with their captions in order; their condition pictures are in the folder's array by then."""
    workers = _workers()
    with draw_pool(workers, [__name__]) as pool:
        ahead = _AHEAD * workers
        waiting = [pool.submit(_prepare, folder, kind, i, s) for i, s in enumerate(seeds[:ahead])]
        for index in range(len(seeds)):
            done = waiting[index].result()
            waiting[index] = None  # type: ignore[call-overload]
            if index + ahead < len(seeds):
                waiting.append(pool.submit(_prepare, folder, kind, index + ahead, seeds[index + ahead]))
            yield done


def _prepare(folder: Path, kind: Kind, index: int, seed: int) -> tuple[Scene, dict[str, str]]:
    cv2.setNumThreads(1)
    scene = make_scene(seed, kind.frames)
    hdmap = np.load(folder / f"{kind.name}_hdmap.npy", mmap_mode="r+")
    hdmap[index] = conditions(scene, kind.cameras, kind.size)
    return scene, style_captions(scene, seed)


def _workers() -> int:
    return max(1, (os.cpu_count() or 2) - 1)


def draw_lidar(folder: Path, kind: Kind, scenes: int, seed: int) -> np.ndarray:
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
    with draw_pool(_workers(), [__name__]) as pool:
        seeds = [scene_seed(seed, kind.first + index) for index in range(scenes)]
        for index, video in enumerate(pool.map(partial(_lidar_video, kind), seeds)):
            pictures[index, 0] = video
            if index % 10 == 9:
                log.info("lidar: drew %d of %d scenes, %.0f s", index + 1, scenes, time.perf_counter() - begun)
    np.save(path, pictures)
    facts.write_text(json.dumps(asked))
    return pictures


def _lidar_video(kind: Kind, seed: int) -> np.ndarray:
    cv2.setNumThreads(1)
    scene = make_scene(seed, kind.frames)
    return lidar_pictures(scene, build_stage(scene), kind.size)


def lidar_pictures(scene: Scene, stage: Stage, size: tuple[int, int]) -> np.ndarray:
    """LiDAR condition pictures of the front camera, uint8 [T, H, W, 3], drawn and resized as `dreamkit render` does."""
    camera = SIX_VIEWS.names[0]
    boxes = every_frame(rest(scene.objects), scene.frames)
    sweeps = lidar.Sweeps(cast_sweeps(scene, stage), boxes, scene.frames, stage.device)  # type: ignore[arg-type]
    lens, fit = scene.lenses[camera].scaled_to(*DRAWN), resizer(DRAWN, VIDEO)
    out = np.empty((scene.frames, *size, 3), np.uint8)
    poses = {camera: scene.camera_poses(camera)}
    for index, drawn in enumerate(lidar.draw(sweeps, {camera: lens}, poses, range(scene.frames))):
        out[index] = cv2.resize(fit(drawn[camera]), size[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    return out
