"""Small videos of results for a page, and a contact sheet and an animation of every clip for slides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dreamkit.errors import DreamkitError
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures.frames import read_small
from dreamkit.review.stills import middle_frame
from dreamkit.review.widgets.previews import contact_sheet
from dreamkit.workspace.files import replacing
from dreamkit.workspace.video import encode_video

FRONT_WIDTH, VIEW_WIDTH = 480, 240  # pixels of a view of a small video
CRF = 31  # of a small video: some 200 kB for 121 frames
TILE = 288  # pixels of a result on a sheet or in an animation
MOMENTS = (0.0, 0.33, 0.67, 1.0)  # of a front video on a sheet
GRID_MOMENTS = (0.0, 1.0)  # of several views on a sheet, where each moment takes two places
GIF_RATE = 8  # frames a second
GIF_FRAMES = 40
GIF_RESULTS = 8  # of a clip in its animation


def _kept(cache: Path, video: ReviewVideo, what: str) -> Path:
    stats = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in video.views.items()]
    return cache / f"{hashlib.sha256(f'{video.key} {stats} {what}'.encode()).hexdigest()[:24]}.mp4"


def _joined(video: ReviewVideo, width: int) -> tuple[np.ndarray, float]:
    """All views of a result in the rig's grid, uint8 [T, H, W, 3], and the frame rate; a missing view is grey.

    Raises:
        DreamkitError: not one view can be decoded.
    """
    read = {}
    for name, path in video.views.items():
        try:
            read[name] = read_small(path, width)
        except DreamkitError:
            continue
    if not read:
        raise DreamkitError(f"{video.key!r} has no video to show.", "Generate or copy it again.")
    first = next(iter(read.values()))
    if video.stage == "single_view":
        return first.frames_thwc, first.fps
    height, width = first.frames_thwc.shape[1:3]
    joined = np.full((max(len(one.frames_thwc) for one in read.values()), 2 * height, 3 * width, 3), 96, np.uint8)
    for camera in video.rig.cameras:
        if camera.name in read:
            (row, column), frames = video.rig.place(camera), read[camera.name].frames_thwc
            high, wide = min(height, frames.shape[1]), min(width, frames.shape[2])
            place = joined[: len(frames), row * height :, column * width :]
            place[:, :high, :wide] = frames[:, :high, :wide]
    return joined, first.fps


def small_video(video: ReviewVideo, cache: Path) -> Path:
    """A result as a small mp4 file in the cache, several views in one picture; made where it is not there yet.

    Raises:
        DreamkitError: not one view can be decoded, or the cache cannot be written.
    """
    kept = _kept(cache, video, f"small {FRONT_WIDTH} {VIEW_WIDTH} {CRF}")
    if not kept.is_file():
        frames, fps = _joined(video, FRONT_WIDTH if video.stage == "single_view" else VIEW_WIDTH)
        with replacing(kept) as partial:
            encode_video(partial, frames, fps, CRF)
    return kept


def _labelled(picture: np.ndarray, text: str, width: int = TILE) -> np.ndarray:
    """The picture made `width` wide, with a line of text, if any, in its upper left corner."""
    height = max(2, round(picture.shape[0] * width / picture.shape[1]))
    shown = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    if not text:
        return np.asarray(shown)
    draw = ImageDraw.Draw(shown)
    font = ImageFont.load_default(13)
    _, _, right, bottom = draw.textbbox((7, 5), text, font=font)
    draw.rectangle((3, 3, right + 4, bottom + 3), fill=(0, 0, 0))
    draw.text((7, 5), text, fill=(255, 255, 255), font=font)
    return np.asarray(shown)


def _front_frames(video: ReviewVideo) -> np.ndarray:
    """The frames of a result's first view, TILE wide, uint8 [T, h, w, 3]; none where it cannot be decoded."""
    for path in video.views.values():
        try:
            return read_small(path, TILE).frames_thwc
        except DreamkitError:
            break
    return np.empty((0, 2, 2, 3), np.uint8)


def clip_sheet(videos: Sequence[ReviewVideo], cache: Path) -> np.ndarray | None:
    """Results of one clip, one row each: the condition, and all views at MOMENTS or GRID_MOMENTS; uint8 [H, W, 3].

    Args:
        videos: the results.
        cache: folder of the small videos, see `small_video`.

    Returns:
        None where no frame of any can be decoded.
    """
    rows = []
    for video in videos:
        several = video.stage == "multi_view"
        moments, width = (GRID_MOMENTS, 2 * TILE) if several else (MOMENTS, TILE)
        try:
            frames = read_small(small_video(video, cache), width).frames_thwc
        except DreamkitError:
            continue
        path = next(iter(next(iter(video.conditions.values()), {}).values()), None)
        condition = middle_frame(path, TILE, len(frames) // 2) if path else None
        if condition is None:
            condition = np.full((2, TILE, 3), 96, np.uint8)
        labels = [f"{video.style}, {video.stage_label}", *[""] * (len(moments) - 1)]
        shown = [frames[round(at * (len(frames) - 1))] for at in moments]
        tiles = [_labelled(frame, text, width) for frame, text in zip(shown, labels, strict=True)]
        rows.append(_beside([_labelled(condition, ""), *tiles]))
    return np.concatenate(rows) if rows else None


def _beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures uint8 [h, w, 3] in one row as high as the highest; the others stand in its middle, on black."""
    height = max(len(picture) for picture in pictures)
    row = np.zeros((height, sum(picture.shape[1] for picture in pictures), 3), np.uint8)
    left = 0
    for picture in pictures:
        top, right = (height - len(picture)) // 2, left + picture.shape[1]
        row[top : top + len(picture), left:right] = picture
        left = right
    return row


def clip_animation(videos: Sequence[ReviewVideo], frames: Sequence[np.ndarray], fps: float = 24.0) -> list[np.ndarray]:
    """Frames of an animation of one clip: the front view in its styles, in sync, with their names; uint8 [H, W, 3].

    Six views follow the front video of their style, so that of a style with both the front video alone is shown.
    """
    styles: dict[str, tuple[ReviewVideo, np.ndarray]] = {}
    for video, one in sorted(zip(videos, frames, strict=True), key=lambda pair: pair[0].stage == "single_view"):
        if len(one):
            styles[video.style] = (video, one)
    there = list(styles.values())[:GIF_RESULTS]
    if not there:
        return []
    columns = min(len(there), 2 if len(there) <= 4 else 4)
    step = max(1, round(fps / GIF_RATE), -(-max(len(one) for _, one in there) // GIF_FRAMES))
    return [
        contact_sheet(
            [_labelled(one[min(at, len(one) - 1)], f"{video.style}, {video.stage_label}") for video, one in there],
            columns,
            TILE,
        )
        for at in range(0, max(len(one) for _, one in there), step)
    ]


def clip_slides(videos: Iterable[ReviewVideo], folder: Path, cache: Path) -> list[Path]:
    """Write `<clip>.png`, a contact sheet, and `<clip>.gif`, an animation; files newer than their videos stay.

    Raises:
        DreamkitError: a file cannot be written.
    """
    clips: dict[str, list[ReviewVideo]] = {}
    for video in videos:
        if video.views:
            clips.setdefault(video.chunk.name, []).append(video)
    written = []
    for name, results in clips.items():
        sheet, animation = folder / f"{name}.png", folder / f"{name}.gif"
        written += [sheet, animation]
        newest = max(path.stat().st_mtime for video in results for path in video.views.values())
        if all(path.is_file() and path.stat().st_mtime > newest for path in (sheet, animation)):
            continue
        frames = [_front_frames(video) for video in results]
        picture = clip_sheet(results, cache)
        if picture is None:
            continue
        with replacing(sheet) as partial:
            Image.fromarray(picture).save(partial, format="PNG", optimize=True)
        moving = [Image.fromarray(one) for one in clip_animation(results, frames)]
        if not moving:  # of several views only the first cannot be decoded
            continue
        with replacing(animation) as partial:
            moving[0].save(partial, "GIF", save_all=True, append_images=moving[1:], duration=1000 // GIF_RATE, loop=0)
    return written
