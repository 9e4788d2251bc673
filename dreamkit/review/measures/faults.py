"""Check the measures with planted faults, such as two swapped views.

    python -m dreamkit.review.measures.faults outputs

takes up to ten six-view videos of a workspace, plants each fault in each of them, and prints by how many standard
deviations of the unchanged videos the measure for that fault moves.
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
from dreamkit.review.measures.metrics import ClipFrames, measure_views
from dreamkit.workspace.workspace import Workspace

FRONT, LEFT, RIGHT = "front_wide_120fov", "cross_left_120fov", "cross_right_120fov"
DELAY = 5
CLIPS = 10
FEWEST_CLIPS = 3


def frozen_stretch(clip: ClipFrames, _: ClipFrames) -> ClipFrames:
    """The front view is frozen for a quarter of its frames."""
    video = clip.views[FRONT].copy()
    start, length = len(video) // 3, len(video) // 4
    video[start : start + length + 1] = video[start]
    return replace(clip, views={**clip.views, FRONT: video})


def swapped_views(clip: ClipFrames, _: ClipFrames) -> ClipFrames:
    """Cross left and cross right are swapped."""
    return replace(clip, views={**clip.views, LEFT: clip.views[RIGHT], RIGHT: clip.views[LEFT]})


def other_map(clip: ClipFrames, other: ClipFrames) -> ClipFrames:
    """The same video with another clip's map of the front view."""
    return replace(clip, maps={FRONT: other.maps[FRONT]})


def delayed_view(clip: ClipFrames, _: ClipFrames) -> ClipFrames:
    """Cross left is DELAY frames behind the others; all views are DELAY frames shorter."""
    views = {name: video[DELAY:] for name, video in clip.views.items()} | {LEFT: clip.views[LEFT][:-DELAY]}
    return replace(clip, views=views, maps={name: video[DELAY:] for name, video in clip.maps.items()})


def brightness_flicker(clip: ClipFrames, _: ClipFrames) -> ClipFrames:
    """Every second frame is 4 % brighter, the others 4 % darker."""
    views = {}
    for name, video in clip.views.items():
        gain = np.where(np.arange(len(video)) % 2, 1.04, 0.96)[:, None, None, None]
        views[name] = np.clip(video * gain, 0, 255).astype(np.uint8)
    return replace(clip, views=views)


def warped_object(clip: ClipFrames, _: ClipFrames) -> ClipFrames:
    """A round patch of the front view, a quarter as wide as the view, wobbles by up to 3 % of the view's width."""
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
    return replace(clip, views={**clip.views, FRONT: warped})


@dataclass(frozen=True)
class Fault:
    """A planted fault and the measure that must show it.

    Attributes:
        name: what is wrong, in words.
        column: name of the value that must move.
        part: the part of the measures that computes it, a key of `metrics.PARTS`.
        plant: makes the faulty clip from a clip and another one.
    """

    name: str
    column: str
    part: str
    plant: Callable[[ClipFrames, ClipFrames], ClipFrames]


FAULTS = (
    Fault("frozen stretch", "frozen", "picture", frozen_stretch),
    Fault("swapped views", "view_order", "cross", swapped_views),
    Fault("another clip's map", f"adherence.{FRONT}", "map", other_map),
    Fault("one view delayed by 5 frames", "view_lag", "map", delayed_view),
    Fault("brightness flicker", "flicker", "picture", brightness_flicker),
    Fault("warped object", f"wobble.{FRONT}", "picture", warped_object),
)


def fault_margins(clips: Sequence[ClipFrames], others: Sequence[ClipFrames]) -> pd.DataFrame:
    """One row a fault: mean and standard deviation over the unchanged clips, mean with the fault, and the margins.

    `margin` is the mean move of the value over the standard deviation, `smallest` the least move of one clip over it.

    Args:
        clips: the unchanged clips.
        others: for each clip the one whose map is used for "another clip's map".
    """
    parts = sorted({fault.part for fault in FAULTS})
    unchanged = [measure_views(clip, parts).values for clip in clips]
    rows = []
    for fault in FAULTS:
        before = np.array([values.get(fault.column, np.nan) for values in unchanged])
        planted = [fault.plant(clip, other) for clip, other in zip(clips, others, strict=True)]
        after = np.array([measure_views(clip, [fault.part]).values.get(fault.column, np.nan) for clip in planted])
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


def read_clip_frames(workspace: Workspace, style: str) -> list[ClipFrames]:
    """Up to CLIPS six-view videos of a style, with their maps.

    Raises:
        DreamkitError: fewer than FEWEST_CLIPS such videos.
    """
    found = [video for video in find_videos(workspace) if len(video.views) == 6 and video.style == style]
    clips = []
    for video in found[:CLIPS]:
        maps = next(iter(video.conditions.values()), {})
        clips.append(
            ClipFrames(
                {name: read_small(path, WIDTH).frames_thwc for name, path in video.views.items()},
                {name: read_small(path, adherence.WIDTH).frames_thwc for name, path in maps.items()},
                style,
            )
        )
    if len(clips) < FEWEST_CLIPS:
        raise DreamkitError(
            f"{workspace.root} has {len(clips)} six-view videos of style {style}; at least {FEWEST_CLIPS} are needed.",
            f"Make more with notebook 05, best {CLIPS}.",
        )
    return clips


def print_margins() -> None:
    """Print the table of margins of a workspace."""
    parser = argparse.ArgumentParser(description="By how much planted faults move the measures for them.")
    parser.add_argument("workspace", help="folder with multi_view/ and hdmap/")
    parser.add_argument("--style", default="Original", help="style of the videos")
    given = parser.parse_args()
    try:
        clips = read_clip_frames(Workspace(given.workspace), given.style)
    except DreamkitError as error:
        raise SystemExit(f"dreamkit: {error}") from None
    print(fault_margins(clips, [*clips[1:], clips[0]]).to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    print_margins()
