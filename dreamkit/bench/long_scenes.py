"""Made-up scenes of several windows as arrays: condition videos, true pictures, and pixels that two cameras share.

They are drawn on a machine with OpenCV and read with NumPy alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dreamkit.errors import DreamkitError

LISTING = "scenes.json"


@dataclass(frozen=True)
class LongScene:
    """One scene.

    Attributes:
        name: its name.
        style: its style.
        caption: the front view's caption in that style.
        path: the file of its arrays.
    """

    name: str
    style: str
    caption: str
    path: Path

    @property
    def noise_seed(self) -> int:
        """A number to add to the seed of the noise, 100 apart for neighbouring scenes."""
        return 100 * int(self.name.rpartition("_")[2])

    def read(self) -> dict[str, np.ndarray]:
        """Its arrays.

        `hdmap` uint8 [T, H, W, 3]; at the frames `measured` int64 [n] the true pictures, `colour` uint8 [n, H, W, 3],
        and `determined` bool [n, H, W], the pixels that the map determines. With six views also `six_hdmap` uint8
        [6, T, h, w, 3], and for the frames `six_measured` int64 [m] and the cross views 1 and 2 `pairs` int32 [k, 6]:
        (index of the frame, view, row and column in the front view, row and column in that view).
        """
        with np.load(self.path) as arrays:
            return dict(arrays)


def long_scenes(folder: Path) -> list[LongScene]:
    """The scenes of a folder that `write_scenes` wrote.

    Raises:
        DreamkitError: the folder has none.
    """
    listing = folder / LISTING
    if not listing.is_file():
        raise DreamkitError(f"{folder} has no {LISTING}.", "Write scenes with --write, on a machine with all packages.")
    rows = json.loads(listing.read_text(encoding="utf-8"))
    return [LongScene(row["name"], row["style"], row["caption"], folder / f"{row['name']}.npz") for row in rows]


def write_scenes(
    folder: Path,
    seed: int,
    numbers: Sequence[int],
    frames: int,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    six: int,
) -> None:
    """Draw held-out scenes, each in the next style, and write them into a folder; scenes that are there are kept.

    Args:
        folder: for the arrays and their list.
        seed: of the run whose scenes they are, see `scene_seed`.
        numbers: numbers of the scenes.
        frames: length of each.
        sizes: (height, width) of the front video and of each of six views.
        six: number of scenes, from the first, that get six views too.
    """
    from dreamkit.tinyworld.evaluate.held_out import HeldOutScene, VideoSizes, scene_seed
    from dreamkit.tinyworld.render.colour import condition_pictures
    from dreamkit.tinyworld.render.style_presets import STYLES
    from dreamkit.workspace.cameras import SIX_VIEWS

    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / LISTING
    rows = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else []
    for index, number in enumerate(numbers):
        name, style = f"s{seed}_{number:02d}", STYLES[number % len(STYLES)]
        if any(row["name"] == name for row in rows):
            continue
        scene = HeldOutScene(
            scene_seed(seed, number), VideoSizes(sizes[0], frames, sizes[1], frames), 24, torch.device("cpu")
        )
        arrays = {"hdmap": condition_pictures(scene.scene, SIX_VIEWS.names[:1], sizes[0])[0]}
        truth = scene.truth(style, six=False)
        arrays |= {
            "measured": np.array(scene.front_frames),
            "colour": truth.colour[0],
            "determined": truth.determined[0],
        }
        if index < six:
            arrays["six_hdmap"] = condition_pictures(scene.scene, SIX_VIEWS.names, sizes[1])
            arrays |= _pairs(scene, style, frames)
        with (folder / f"{name}.npz").open("wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        rows.append({"name": name, "style": style, "caption": scene.captions[style]})
        listing.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(f"{name} {style}: {(folder / f'{name}.npz').stat().st_size / 1e6:.1f} MB", flush=True)


def _pairs(scene: object, style: str, frames: int) -> dict[str, np.ndarray]:
    """Shared pixels at every eighth frame of the first and the last 57 frames."""
    from dreamkit.tinyworld.evaluate.held_out import CROSS, HeldOutScene

    assert isinstance(scene, HeldOutScene)
    scene.six_frames = sorted({*range(0, min(57, frames), 8), *range(max(0, frames - 57), frames, 8)})
    pairs = scene.pairs(scene.truth(style, six=True))
    found = [
        np.column_stack([np.full(len(at.mine), index), np.full(len(at.mine), view), at.mine, at.theirs])
        for view, of_view in zip(CROSS, pairs, strict=True)
        for index, at in enumerate(of_view)
    ]
    return {"six_measured": np.array(scene.six_frames), "pairs": np.concatenate(found).astype(np.int32)}
