"""Contact sheets of styles and views of the made-up world, and its rendering speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from dreamkit.tinyworld.render.colour import condition_pictures, render_scene
from dreamkit.tinyworld.render.scene_tensors import build_scene_tensors
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.world.scene import MadeUpScene, make_scene
from dreamkit.transfer.config import bundle_configs
from dreamkit.transfer.folders import TINY_FOLDER
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import replacing

# Clockwise from the rear left camera, so that neighbours in a sheet overlap in the world.
VIEWS_AROUND = tuple(SIX_VIEWS.names[index] for index in (4, 1, 0, 2, 5, 3))


def timed_sizes() -> list[tuple[str, Sequence[str], tuple[int, int]]]:
    """(label, cameras, (height, width)) of what is timed: the front view and six views in the tiny bundle's sizes."""
    single, multi = bundle_configs(TINY_FOLDER)
    return [
        (f"{what} {config.height}x{config.width}", cameras, (config.height, config.width))
        for what, cameras, config in (("front", VIEWS_AROUND[2:3], single), ("six views", VIEWS_AROUND, multi))
    ]


def available_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def sheet(
    scene: MadeUpScene,
    frame: int = 20,
    size: tuple[int, int] = (96, 160),
    styles: Sequence[str] = STYLES,
    cameras: Sequence[str] = VIEWS_AROUND,
) -> np.ndarray:
    """A sheet of one frame: condition pictures in the first row, then a row per style; uint8 [rows H, V W, 3]."""
    device = available_device()
    tensors = build_scene_tensors(scene, device)
    rows = [condition_pictures(scene, cameras, size, [frame])[:, 0]]
    rows += [
        render_scene(scene, style, cameras, size, [frame], device=device, tensors=tensors).colour[:, 0].cpu().numpy()
        for style in styles
    ]
    return np.concatenate([np.concatenate(list(row), 1) for row in rows])


def write_sheet(path: Path, seed: int) -> Path:
    """Write the sheet of a seed's scene as PNG, enlarged twice."""
    picture = sheet(make_scene(seed, 57))
    picture = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    with replacing(path) as partial:
        partial.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    return path


def measure_speed(seeds: Sequence[int] = (0, 1, 2), say: Callable[[str], None] = print) -> dict[str, float]:
    """Measure scenes, condition pictures and colour frames per second at the bundle's sizes.

    On a CPU only a few frames are timed.

    Args:
        seeds: of the scenes.
        say: receives a line per measurement.

    Returns:
        Numbers per second by name.
    """
    device = available_device()
    quick = device.type == "cpu"
    frames = list(range(2)) if quick else None
    threads = torch.get_num_threads()
    say(f"Device: {torch.cuda.get_device_name() if not quick else f'CPU, {threads} threads'}")
    figures: dict[str, float] = {}

    def note(name: str, count: int, seconds: float) -> None:
        figures[name] = count / seconds
        say(f"{name}: {figures[name]:.1f} per second")

    begun = time.perf_counter()
    scenes = [make_scene(seed, 57) for seed in seeds]
    note("scenes of 57 frames", len(scenes), time.perf_counter() - begun)
    begun = time.perf_counter()
    prepared = [build_scene_tensors(scene, device) for scene in scenes]
    _finish(device)
    note("scene tensors", len(scenes), time.perf_counter() - begun)
    for label, cameras, size in timed_sizes():
        begun = time.perf_counter()
        drawn = sum(condition_pictures(scene, cameras, size, [0, 28, 56])[..., 0, 0, 0].size for scene in scenes)
        note(f"conditions, {label}, one core, frames", drawn, time.perf_counter() - begun)
        for samples in (1, 2):
            for style in ("Sunny", "Night", "Rainy"):
                render_scene(scenes[0], style, cameras, size, [0], samples, device, prepared[0])
                _finish(device)
                begun = time.perf_counter()
                count = 0
                for scene, tensors in zip(scenes, prepared, strict=True):
                    count += (
                        render_scene(scene, style, cameras, size, frames, samples, device, tensors)
                        .determined[..., 0, 0]
                        .numel()
                    )
                _finish(device)
                note(
                    f"{style}, {label}, {samples}x{samples} rays per pixel, frames", count, time.perf_counter() - begun
                )
    return figures


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
