"""Pictures of the README and the card: the first held-out scenes, each in the next style, none chosen by hand.

python -m dreamkit.tinyworld pictures [FOLDER] [--scenes N]
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.evaluate.held_out import HeldOutScene, draw_conditions, noise_seed, scene_seed
from dreamkit.tinyworld.evaluate.models import TinyModels, demo_settings
from dreamkit.tinyworld.evaluate.sheets import MAP, sheet
from dreamkit.tinyworld.render.contact_sheet import VIEWS_AROUND
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.transfer.folders import TINY_FOLDER
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import replacing

GIF_BYTES = 1_300_000
"""The largest animation that is written."""
_WIDTH = 1000  # pixels of a sheet
_GIF_FRAMES, _GIF_EVERY = 12, 4  # frames of each scene in the animation, and the step between them
_GIF_MS = 160
_GIF_WIDTHS = tuple(range(300, 131, -12))  # of a video in the animation; the first that fits is taken
_MOMENTS = (0.0, 0.5)  # of a video on the front sheet


@dataclass(frozen=True)
class SceneVideo:
    """The front video of one held-out scene.

    Attributes:
        scene: the held-out scene.
        condition: condition video of the front camera, uint8 [T, H, W, 3].
        style: of the caption.
        front: uint8 [T, H, W, 3].
        seed: of the noise.
    """

    scene: HeldOutScene
    condition: np.ndarray
    style: str
    front: np.ndarray
    seed: int


def scene_videos(models: TinyModels, scenes: int) -> list[SceneVideo]:
    """Front videos of the first `scenes` held-out scenes, each in the next of the eight styles."""
    found, sizes = [], models.sizes()
    for number in range(scenes):
        style = STYLES[number % len(STYLES)]
        scene = HeldOutScene(scene_seed(0, number), sizes, 1, models.device)
        condition = draw_conditions(scene.seed, sizes, False)[0]
        seed = noise_seed(0, scene.seed, style)
        front, seconds = models.front(scene.captions[style], condition, seed)
        print(f"scene {number}, {style}: {seconds:.0f} s", flush=True)
        found.append(SceneVideo(scene, condition, style, front, seed))
    return found


def front_sheet(videos: Sequence[SceneVideo]) -> Image.Image:
    """A row for each scene: map, generated and true picture at two moments."""
    heads, rows = [], {}
    for moment in _MOMENTS:
        heads += [f"{what}, {'beginning' if moment == 0 else 'middle'}" for what in (MAP, "made", "true")]
    for video in videos:
        times = [round(moment * (len(video.front) - 1)) for moment in _MOMENTS]
        true = video.scene.truth(video.style, False, times).colour[0]
        both = zip(video.condition[times], video.front[times], true, strict=True)
        rows[video.style] = np.stack([picture for three in both for picture in three])
    return sheet("The first held-out scenes, each in the next style", heads, rows)


def six_sheet(models: TinyModels, video: SceneVideo) -> Image.Image:
    """Six views of one scene at the beginning and the end of the window: map, generated and true pictures."""
    condition = draw_conditions(video.scene.seed, models.sizes(), True)
    views, seconds = models.six(video.scene.captions[video.style], video.style, video.front, condition, video.seed)
    print(f"six views, {video.style}: {seconds:.0f} s", flush=True)
    times = [0, views.shape[1] - 1]
    true = video.scene.truth(video.style, True, times).colour
    order, rows = [SIX_VIEWS.names.index(name) for name in VIEWS_AROUND], {}
    for index, time in enumerate(times):
        when = f"{time / models.settings.fps:.1f} s"
        rows[f"{MAP}, {when}"] = condition[order, time]
        rows[f"made, {when}"] = views[order, time]
        rows[f"true, {when}"] = true[order, index]
    heads = [name.rsplit("_", 1)[0].replace("_", " ") for name in VIEWS_AROUND]
    return sheet(f"The first held-out scene, {video.style}: six views", heads, rows)


def animation(videos: Sequence[SceneVideo], limit: int = GIF_BYTES) -> bytes:
    """A GIF of one scene after another, map beside video, in the largest width that is not over `limit` bytes.

    Raises:
        DreamkitError: no width fits.
    """
    for width in _GIF_WIDTHS:
        pages: list[Image.Image] = []
        for video in videos:
            for time in range(0, min(len(video.front), _GIF_FRAMES * _GIF_EVERY), _GIF_EVERY):
                both = Image.fromarray(np.concatenate([video.condition[time], video.front[time]], 1))
                height = round(both.height * 2 * width / both.width)
                pages.append(both.resize((2 * width, height), Image.Resampling.LANCZOS))
        palette = _shared_palette(pages)
        pages = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
        written = io.BytesIO()
        pages[0].save(
            written, "GIF", save_all=True, append_images=pages[1:], duration=_GIF_MS, loop=0, optimize=True, disposal=1
        )
        if written.tell() <= limit:
            return written.getvalue()
    raise DreamkitError(f"The animation is over {limit} bytes at every width.", "Give fewer --scenes.")


def _shared_palette(pages: Sequence[Image.Image]) -> Image.Image:
    """128 colours of some of the pages together, so that a still pixel stays the same from frame to frame."""
    some = [np.asarray(page) for page in pages[:: max(1, len(pages) // 16)]]
    return Image.fromarray(np.concatenate(some)).quantize(128)


def write_readme_pictures(folder: Path, models: TinyModels, scenes: int) -> list[Path]:
    """Write `front.jpg`, `six.jpg` and `front.gif` of the first `scenes` held-out scenes; returns their paths."""
    videos = scene_videos(models, scenes)
    moving = animation(videos)
    for name, page in (("front.jpg", front_sheet(videos)), ("six.jpg", six_sheet(models, videos[0]))):
        small = page.resize((_WIDTH, round(page.height * _WIDTH / page.width)), Image.Resampling.LANCZOS)
        with replacing(folder / name) as partial:
            small.save(partial, "JPEG", quality=85, optimize=True)
    with replacing(folder / "front.gif") as partial:
        partial.write_bytes(moving)
    return [folder / name for name in ("front.jpg", "six.jpg", "front.gif")]


def run_pictures(arguments: Sequence[str]) -> int:
    """Write the pictures from the command line; returns exit code 0.

    Raises:
        DreamkitError: --scenes is below 1, or the bundle does not load.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dreamkit.tinyworld pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, nargs="?", default=TINY_FOLDER, help="where to; the package's own pictures if left out")
    add("--checkpoints", type=Path, help="bundle folder; the bundle that ships with the kit if left out")
    add("--trust", action="store_true", help="run the folder's TorchScript files although their checksums are unknown")
    add("--scenes", type=int, default=len(STYLES), help="held-out scenes; eight show every style")
    add("--steps", type=int, help="sampling steps; the demo's if left out")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    asked = parser.parse_args(arguments)
    if asked.scenes < 1:
        raise DreamkitError(f"--scenes {asked.scenes} is out of range.", "Give 1 or more.")
    settings = demo_settings(steps=asked.steps, six_steps=asked.steps)
    for path in write_readme_pictures(
        asked.folder, TinyModels(asked.checkpoints, asked.device, settings, asked.trust), asked.scenes
    ):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0
