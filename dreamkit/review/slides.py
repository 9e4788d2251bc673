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
MOMENTS = (0.0, 0.33, 0.67, 1.0)  # of a result on a sheet
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


def small_video(video: ReviewVideo, cache: Path) -> bytes:
    """A result as a small mp4 file, several views in one picture; from the cache if it has it.

    Raises:
        DreamkitError: not one view can be decoded, or the cache cannot be written.
    """
    kept = _kept(cache, video, f"small {FRONT_WIDTH} {VIEW_WIDTH} {CRF}")
    if not kept.is_file():
        frames, fps = _joined(video, FRONT_WIDTH if video.stage == "single_view" else VIEW_WIDTH)
        with replacing(kept) as partial:
            encode_video(partial, frames, fps, CRF)
    return kept.read_bytes()


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    """The picture made TILE wide, with a line of text in its upper left corner."""
    height = max(2, round(picture.shape[0] * TILE / picture.shape[1]))
    shown = Image.fromarray(picture).resize((TILE, height), Image.Resampling.LANCZOS)
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


def clip_sheet(videos: Sequence[ReviewVideo], frames: Sequence[np.ndarray]) -> np.ndarray | None:
    """Results of one clip, one row each: the condition, and the front view at MOMENTS; uint8 [H, W, 3].

    Args:
        videos: the results.
        frames: the front view's frames of each, see `clip_slides`.

    Returns:
        None where no frame is there.
    """
    pictures: list[np.ndarray | None] = []
    for video, one in zip(videos, frames, strict=True):
        control = next(iter(video.conditions.values()), {})
        path = next(iter(control.values()), None)
        pictures.append(middle_frame(path, TILE, len(one) // 2) if path else None)
        label = f"{video.style}, {video.stage_label}"
        row: list[np.ndarray | None] = [one[round(at * (len(one) - 1))] if len(one) else None for at in MOMENTS]
        if row[0] is not None:
            row[0] = _labelled(row[0], label)
        pictures += row
    return contact_sheet(pictures, 1 + len(MOMENTS), TILE) if any(len(one) for one in frames) else None


def clip_animation(videos: Sequence[ReviewVideo], frames: Sequence[np.ndarray], fps: float = 24.0) -> list[np.ndarray]:
    """Frames of an animation of one clip: the front views of its results in sync, with their names; uint8 [H, W, 3]."""
    there = [(video, one) for video, one in zip(videos, frames, strict=True) if len(one)][:GIF_RESULTS]
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


def clip_slides(videos: Iterable[ReviewVideo], folder: Path) -> list[Path]:
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
        picture = clip_sheet(results, frames)
        if picture is None:
            continue
        with replacing(sheet) as partial:
            Image.fromarray(picture).save(partial, format="PNG", optimize=True)
        moving = [Image.fromarray(one) for one in clip_animation(results, frames)]
        with replacing(animation) as partial:
            moving[0].save(partial, "GIF", save_all=True, append_images=moving[1:], duration=1000 // GIF_RATE, loop=0)
    return written
