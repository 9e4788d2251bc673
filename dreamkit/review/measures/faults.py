"""Planted faults: do the measures notice what they are meant to notice, and by how much?

    python -m dreamkit.review.measures.faults outputs

takes up to ten six-view videos of a workspace as unharmed, plants each fault in each of them, and prints by how many
standard deviations of the unharmed ones the measure meant for it moves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from dreamkit.errors import DreamkitError
from dreamkit.review.library import find_videos
from dreamkit.review.measures import adherence
from dreamkit.review.measures.frames import read_small
from dreamkit.review.measures.matches import WIDTH
from dreamkit.review.measures.metrics import measure_views
from dreamkit.workspace.workspace import Workspace

FRONT, LEFT, RIGHT = "front_wide_120fov", "cross_left_120fov", "cross_right_120fov"
DELAY = 5
CLIPS = 10


@dataclass(frozen=True)
class Clip:
    """Camera name -> uint8 [T, H, W, 3]: the views, and their maps."""

    views: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]


def frozen_stretch(clip: Clip, _: Clip) -> Clip:
    """The front view stands still for a quarter of its frames."""
    video = clip.views[FRONT].copy()
    start, length = len(video) // 3, len(video) // 4
    video[start : start + length + 1] = video[start]
    return replace(clip, views=clip.views | {FRONT: video})


def swapped_views(clip: Clip, _: Clip) -> Clip:
    """Cross left and cross right change places."""
    return replace(clip, views=clip.views | {LEFT: clip.views[RIGHT], RIGHT: clip.views[LEFT]})


def other_map(clip: Clip, other: Clip) -> Clip:
    """The video stays; the map is another clip's."""
    return replace(clip, maps=dict(other.maps))


def delayed_view(clip: Clip, _: Clip) -> Clip:
    """Cross left shows what the others showed DELAY frames ago; all views lose the first DELAY frames."""
    views = {name: video[DELAY:] for name, video in clip.views.items()} | {LEFT: clip.views[LEFT][:-DELAY]}
    return Clip(views, {name: video[DELAY:] for name, video in clip.maps.items()})


def brightness_flicker(clip: Clip, _: Clip) -> Clip:
    """Every second frame is 4 % brighter, the others 4 % darker."""
    views = {}
    for name, video in clip.views.items():
        gain = np.where(np.arange(len(video)) % 2, 1.04, 0.96)[:, None, None, None]
        views[name] = np.clip(video * gain, 0, 255).astype(np.uint8)
    return replace(clip, views=views)


def warped_object(clip: Clip, _: Clip) -> Clip:
    """A round patch of the front view, a quarter of its width, wobbles by up to 3 % of the width."""
    video = clip.views[FRONT]
    _, height, width, _ = video.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    radius = np.hypot(columns - 0.5 * width, rows - 0.6 * height) / (0.12 * width)
    size = 0.03 * width * np.clip(1 - radius, 0, 1)
    warped = np.empty_like(video)
    for frame, picture in enumerate(video):
        phase = 2 * np.pi * frame / 6
        x = (columns + size * np.sin(phase + 12 * rows / height)).astype(np.float32)
        y = (rows + size * np.cos(phase + 12 * columns / width)).astype(np.float32)
        warped[frame] = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return replace(clip, views=clip.views | {FRONT: warped})


@dataclass(frozen=True)
class Fault:
    """A fault, the column that must notice it, the part of the measures that computes it, and how to plant it."""

    name: str
    column: str
    part: str
    plant: Callable[[Clip, Clip], Clip]


FAULTS = (
    Fault("frozen stretch", "frozen", "picture", frozen_stretch),
    Fault("swapped views", "view_order", "cross", swapped_views),
    Fault("another clip's map", f"adherence.{FRONT}", "map", other_map),
    Fault("one view delayed by 5 frames", "view_lag", "map", delayed_view),
    Fault("brightness flicker", "flicker", "picture", brightness_flicker),
    Fault("warped object", f"wobble.{FRONT}", "picture", warped_object),
)


def margins(clips: Sequence[Clip], others: Sequence[Clip], style: str = "Original") -> pd.DataFrame:
    """One row a fault: mean and standard deviation over the unharmed clips, mean with the fault, and the margins.

    `margin` is the mean move over the standard deviation, `smallest` the least move of any one clip over it.

    Args:
        clips: the unharmed clips.
        others: for each clip the one whose map is taken for "another clip's map".
        style: the style of all of them.
    """
    parts = {fault.part for fault in FAULTS}
    unharmed = [measure_views(clip.views, clip.maps, style, tuple(parts))[0] for clip in clips]
    rows = []
    for fault in FAULTS:
        before = np.array([values.get(fault.column, np.nan) for values in unharmed])
        after = np.array(
            [
                measure_views(harmed.views, harmed.maps, style, (fault.part,))[0].get(fault.column, np.nan)
                for harmed in (fault.plant(clip, other) for clip, other in zip(clips, others, strict=True))
            ]
        )
        spread = float(np.nanstd(before, ddof=1))
        moves = np.abs(after - np.nanmean(before)) / spread if spread else np.full(len(after), np.inf)
        rows.append(
            {
                "fault": fault.name,
                "measure": fault.column,
                "unharmed": float(np.nanmean(before)),
                "std": spread,
                "with fault": float(np.nanmean(after)),
                "margin": float(np.nanmean(moves)),
                "smallest": float(np.nanmin(moves)),
                "without value": int(np.isnan(before).sum() + np.isnan(after).sum()),
            }
        )
    return pd.DataFrame(rows)


def clips_of(workspace: Workspace, style: str) -> list[Clip]:
    """Up to CLIPS six-view videos of a style, with their maps.

    Raises:
        DreamkitError: fewer than three such videos.
    """
    found = [video for video in find_videos(workspace) if len(video.views) == 6 and video.style == style]
    clips = []
    for video in found[:CLIPS]:
        maps = next(iter(video.conditions.values()), {})
        clips.append(
            Clip(
                {name: read_small(path, WIDTH).frames_thwc for name, path in video.views.items()},
                {name: read_small(path, adherence.WIDTH).frames_thwc for name, path in maps.items()},
            )
        )
    if len(clips) < 3:
        raise DreamkitError(
            f"{workspace.root} has {len(clips)} six-view videos of style {style}; at least 3 clips are needed.",
            f"Make more with notebook 05; {CLIPS} are best.",
        )
    return clips


def main() -> None:
    """Print the table of margins for a workspace."""
    parser = argparse.ArgumentParser(description="By how much planted faults move the measures meant for them.")
    parser.add_argument("workspace", help="folder with multi_view/ and hdmap/")
    parser.add_argument("--style", default="Original", help="style of the unharmed videos")
    given = parser.parse_args()
    try:
        clips = clips_of(Workspace(given.workspace), given.style)
    except DreamkitError as error:
        raise SystemExit(f"dreamkit: {error}") from None
    print(margins(clips, [*clips[1:], clips[0]]).to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    main()
