"""Contact sheets of the bundle's videos: front videos by style and time, and six views below their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dreamkit.captions import files as captions
from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.evaluate.held_out import ConditionCache, HeldOutScene, noise_seed, scene_seed
from dreamkit.tinyworld.evaluate.models import TinyModels
from dreamkit.tinyworld.render.contact_sheet import VIEWS_AROUND
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import replacing

if TYPE_CHECKING:
    from PIL import Image

MAP = "map"
_GAP, _TITLE, _LEFT = 4, 34, 110  # pixels between pictures, above them, and left of them for labels
_HEAD = 20
_INK, _PAPER = (25, 25, 28), (250, 250, 248)
_TIMES, _SIX_TIMES = 6, 3
_SIX_STYLES = ("Sunny", "Night", "Snowy")


@dataclass(frozen=True)
class SheetClip:
    """A clip to make sheets of.

    Attributes:
        name: of the clip.
        captions: by style.
        front: condition video of the front camera, uint8 [T, H, W, 3], at the front video's size.
        six: condition videos of all cameras, uint8 [6, T, H, W, 3].
        scene: the held-out scene of a made-up clip, else None.
    """

    name: str
    captions: Mapping[str, str]
    front: np.ndarray
    six: np.ndarray
    scene: HeldOutScene | None = None


def held_out_clip(models: TinyModels, seed: int = 0, number: int = 0) -> SheetClip:
    """The clip of a held-out made-up scene."""
    sizes = models.sizes()
    scene, drawn = HeldOutScene(scene_seed(seed, number), sizes, 5, models.device), ConditionCache(sizes)
    name = f"made_up_{scene.seed:06d}"
    return SheetClip(name, scene.captions, drawn.get(scene.seed, False)[0], drawn.get(scene.seed, True), scene)


def workspace_clip(models: TinyModels, root: Path, clip: str = "") -> SheetClip:
    """A clip of a workspace with HDMap videos of six cameras and captions, as `dreamkit run` reads them.

    Args:
        models: the bundle, for its sizes.
        root: the workspace folder.
        clip: name of the clip; the first one with captions when empty.

    Raises:
        DreamkitError: captions or videos are missing.
    """
    from dreamkit.workspace.video import read_video
    from dreamkit.workspace.workspace import Chunk, Workspace

    ws, sizes = Workspace(root), models.sizes()
    names = sorted(
        {path.stem for path in ws.captions.glob("*.txt")} | {path.stem for path in ws.captions.glob("*.json")}
    )
    if not names:
        raise DreamkitError(f"There are no captions in {ws.captions}.", "Name a workspace that has captions.")
    chunk = Chunk(clip or names[0])
    paths = [ws.condition("hdmap", camera, chunk) for camera in SIX_VIEWS.cameras]
    six = np.stack([read_video(path, sizes.six_frames, sizes.six) for path in paths])
    front = read_video(paths[0], sizes.front_frames, sizes.front)
    return SheetClip(chunk.name, captions.read_captions(ws.captions, chunk.clip), front, six)


def write_sheets(
    folder: Path,
    models: TinyModels,
    clip: SheetClip,
    styles: Sequence[str] = STYLES,
    six_styles: Sequence[str] = _SIX_STYLES,
    seed: int = 0,
) -> list[Path]:
    """Write `<clip>_front.png` with a row per style, and `<clip>_<style>_six.png` for the six-view styles.

    A made-up scene also has `<clip>_front_true.png`, and true pictures below the generated ones of six views.

    Returns:
        The paths written.
    """
    styles = [style for style in styles if style in clip.captions]
    noise = {style: noise_seed(seed, clip.name, style) for style in styles}
    made = {style: models.front(clip.captions[style], clip.front, noise[style])[0] for style in styles}
    times = np.linspace(0, len(clip.front) - 1, _TIMES).round().astype(int)
    rows = {MAP: clip.front[times], **{style: made[style][times] for style in styles}}
    title = f"{clip.name}: the front video, {len(clip.front)} frames"
    heads = [f"{time / models.settings.fps:.1f} s" for time in times]
    written = [_save(folder / f"{clip.name}_front.png", title, heads, rows)]
    if clip.scene:
        true = {f"{style}, true": clip.scene.truth(style, False, times.tolist()).colour[0] for style in styles}
        title = f"{clip.name}: true pictures of the made-up world"
        written.append(_save(folder / f"{clip.name}_front_true.png", title, heads, {MAP: clip.front[times], **true}))
    for style in [style for style in six_styles if style in made]:
        written.append(_six_sheet(folder, models, clip, style, made[style], noise[style]))
    return written


def _six_sheet(folder: Path, models: TinyModels, clip: SheetClip, style: str, front: np.ndarray, seed: int) -> Path:
    views, _ = models.six(clip.captions[style], style, front, clip.six, seed)
    times = np.linspace(0, views.shape[1] - 1, _SIX_TIMES).round().astype(int)
    true = clip.scene.truth(style, True, times.tolist()).colour if clip.scene else None
    order = [SIX_VIEWS.names.index(name) for name in VIEWS_AROUND]
    rows: dict[str, np.ndarray] = {}
    for index, time in enumerate(times):
        when = f"{time / models.settings.fps:.1f} s"
        rows[f"{MAP}, {when}"] = clip.six[order, time]
        rows[f"made, {when}"] = views[order, time]
        if true is not None:
            rows[f"true, {when}"] = true[order, index]
    title = f"{clip.name}, {style}: six views, {views.shape[1]} frames"
    heads = [name.rsplit("_", 1)[0].replace("_", " ") for name in VIEWS_AROUND]
    return _save(folder / f"{clip.name}_{style.replace(' ', '_')}_six.png", title, heads, rows, scale=2)


def _save(path: Path, title: str, heads: Sequence[str], rows: Mapping[str, np.ndarray], scale: int = 1) -> Path:
    with replacing(path) as partial:
        sheet(title, heads, rows, scale).save(partial)
    return path


def sheet(title: str, heads: Sequence[str], rows: Mapping[str, np.ndarray], scale: int = 1) -> Image.Image:
    """A page with a title, a heading over each column, and labelled rows of pictures.

    Args:
        title: of the page.
        heads: heading of each column.
        rows: label -> uint8 [columns, H, W, 3]; all of one size.
        scale: integer factor of enlargement.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = (scale * side for side in next(iter(rows.values())).shape[1:3])
    across, down = _LEFT + len(heads) * (width + _GAP) + _GAP, _TITLE + _HEAD + len(rows) * (height + _GAP) + _GAP
    page = Image.new("RGB", (across, down), _PAPER)
    pen, small, large = ImageDraw.Draw(page), ImageFont.load_default(13), ImageFont.load_default(18)
    pen.text((_GAP * 2, 8), title, _INK, large)
    for column, head in enumerate(heads):
        pen.text((_LEFT + column * (width + _GAP), _TITLE), head, _INK, small)
    for row, (label, pictures) in enumerate(rows.items()):
        top = _TITLE + _HEAD + row * (height + _GAP)
        pen.text((_GAP * 2, top + height / 2), label, _INK, small, anchor="lm")
        for column, picture in enumerate(pictures):
            tile = Image.fromarray(picture)
            tile = tile.resize((width, height), Image.Resampling.NEAREST) if scale > 1 else tile
            page.paste(tile, (_LEFT + column * (width + _GAP), top))
    return page
