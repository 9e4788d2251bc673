"""Clips to compare presets on: of a workspace, of a folder of arrays, or made-up scenes.

A folder of arrays needs neither a video library nor OpenCV: `clips.json` lists {"clip", "caption"}, or {"clip",
"captions"} with one for each view, and `<clip>.npz` has an array of frames for each control, and `front` for six views.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dreamkit.errors import DreamkitError

Frames = dict[str, np.ndarray]
LISTING = "clips.json"


@dataclass(frozen=True)
class QualityClip:
    """One clip.

    Attributes:
        name: its name.
        prompts: one, or for six views one per view, camera sentences included.
        read: returns its frames: control -> uint8 [T, H, W, 3], for six views [V, T, H, W, 3] and `front` [T, H, W, 3].
    """

    name: str
    prompts: tuple[str, ...]
    read: Callable[[], Frames]


def array_clips(folder: Path) -> list[QualityClip]:
    """The clips of a folder of arrays.

    Raises:
        DreamkitError: the list or a clip's arrays are missing.
    """
    listing = folder / LISTING
    if not listing.is_file():
        raise DreamkitError(
            f"{folder} has no {LISTING}.", "Write one with --write-arrays, on a machine with all packages."
        )
    clips = []
    for row in json.loads(listing.read_text(encoding="utf-8")):
        path = folder / f"{row['clip']}.npz"
        if not path.is_file():
            raise DreamkitError(f"{listing} names the clip {row['clip']}, but {path} is missing.", "Copy it too.")
        prompts = tuple(row.get("captions") or [row["caption"]])
        clips.append(QualityClip(row["clip"], prompts, lambda path=path: dict(np.load(path))))
    return clips


def write_arrays(folder: Path, clips: Sequence[QualityClip]) -> None:
    """Write clips as a folder of arrays, for a machine without a video library."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        np.savez_compressed(folder / f"{clip.name}.npz", **clip.read())  # pyright: ignore[reportArgumentType]
    rows = [{"clip": clip.name, "captions": list(clip.prompts)} for clip in clips]
    (folder / LISTING).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def workspace_clips(root: Path, controls: Sequence[str], views: int, frames: int) -> list[QualityClip]:
    """The first chunk of each clip of a workspace that has a caption and condition videos.

    Args:
        root: the workspace's folder.
        controls: names of the controls.
        views: 1, or 6; six views need the clip's front video in `single_view`.
        frames: frames to read.

    Raises:
        DreamkitError: no clip has all that is needed; a caption file is wrong.
    """
    from dreamkit.captions.files import read_captions
    from dreamkit.workspace.cameras import SIX_VIEWS, view_prompts
    from dreamkit.workspace.video import read_video
    from dreamkit.workspace.workspace import Workspace

    ws = Workspace(root)
    cameras = SIX_VIEWS.cameras if views > 1 else SIX_VIEWS.cameras[:1]
    clips = []
    for chunk in (chunks[0] for clip in ws.clips() if (chunks := ws.chunks(clip))):
        style, caption = next(iter(read_captions(ws.captions, chunk.clip).items()))
        paths = {name: [ws.condition(name, camera, chunk) for camera in cameras] for name in controls}
        front = ws.single_view(chunk, style)
        if not all(path.is_file() for of_control in paths.values() for path in of_control):
            continue
        if views > 1 and not front.is_file():
            continue

        def read(paths: dict[str, list[Path]] = paths, front: Path = front) -> Frames:
            read = {name: np.stack([read_video(p, frames) for p in of]) for name, of in paths.items()}
            return read | {"front": read_video(front, frames)} if views > 1 else {n: v[0] for n, v in read.items()}

        prompts = tuple(view_prompts(caption, SIX_VIEWS)) if views > 1 else (caption,)
        clips.append(QualityClip(chunk.name, prompts, read))
    if not clips:
        raise DreamkitError(
            f"{ws.root} has no clip with a caption and {' and '.join(controls)} videos"
            f"{', and a front video of its first style' if views > 1 else ''}.",
            "Name another workspace.",
        )
    return clips


def made_up_clips(count: int, size: tuple[int, int], frames: int) -> list[QualityClip]:
    """Held-out scenes of the made-up world, which the tiny bundle was not trained on, each in the next style."""
    from dreamkit.tinyworld.evaluate.held_out import HeldOutScene, VideoSizes, draw_conditions, scene_seed
    from dreamkit.tinyworld.render.style_presets import STYLES

    sizes = VideoSizes(size, frames, size, frames)
    clips = []
    for number in range(count):
        seed = scene_seed(0, number)
        caption = HeldOutScene(seed, sizes, 1, torch.device("cpu")).captions[STYLES[number % len(STYLES)]]
        read = lambda seed=seed: {"hdmap": draw_conditions(seed, sizes, six=False)[0]}  # noqa: E731
        clips.append(QualityClip(f"scene_{number:02d}", (caption,), read))
    return clips
