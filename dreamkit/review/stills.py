"""Pictures that stay in a saved notebook, where no widget runs: stills of a board, frames of a run's results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import stretched_camera
from dreamkit.review.facts import generation_facts
from dreamkit.review.label_source import LabelSource
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures.frames import read_small
from dreamkit.review.overlay import project_lines
from dreamkit.review.pages import fill_template
from dreamkit.review.session import Review
from dreamkit.review.widgets.previews import THUMBNAIL_WIDTH, contact_sheet
from dreamkit.workspace.images import data_url, jpeg

MOMENTS = (0.0, 0.5, 1.0)  # of a front video, on its sheet
FRONT_WIDTH, VIEW_WIDTH = 256, 224  # pixels of one frame on a sheet
OVERLAY_WIDTH = 320  # pixels of one frame with the labels' lines, which are one pixel wide
SHEETS = 12  # results whose frames a saved notebook keeps


def board_stills(review: Review) -> list[dict[str, Any]]:
    """The items of the board, each with the `url` of its thumbnail as a data URL, or with an `error`."""
    stills = []
    for item in review.items():
        try:
            still = {"url": data_url(review.picture(item["key"])), "error": ""}
        except DreamkitError as error:
            still = {"url": "", "error": error.message}
        stills.append(item | still)
    return stills


def stills_html(review: Review) -> str:
    """A grid of the stills with state and flags, self-contained HTML, for a saved notebook."""
    return fill_template("stills.html", stills=board_stills(review), width=THUMBNAIL_WIDTH)


def frame_sheet(video: ReviewVideo, moments: Sequence[float] = MOMENTS) -> np.ndarray:
    """Frames of a result on one picture, uint8 [H, W, 3].

    Of a front video: its condition at the middle, then the result at the moments. Of several views: every condition at
    the middle in the rig's grid, and right of it every result.

    Args:
        video: the result.
        moments: from 0, the first frame, to 1, the last.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    control = next(iter(video.conditions.values()), {})
    if video.stage == "single_view":
        frames = read_small(next(iter(video.views.values())), FRONT_WIDTH).frames_thwc
        last = len(frames) - 1
        pictures: list[np.ndarray | None] = [frames[round(at * last)] for at in moments]
        for path in control.values():
            pictures.insert(0, middle_frame(path, FRONT_WIDTH, round(last / 2)))
        return contact_sheet(pictures, len(pictures), FRONT_WIDTH)
    at = middle_of(video)
    sides = []
    for paths in (control, video.views):
        places: list[np.ndarray | None] = [None] * 6
        for camera in video.rig.cameras:
            row, column = video.rig.place(camera)
            if path := paths.get(camera.name):
                places[3 * row + column] = middle_frame(path, VIEW_WIDTH, at)
        if any(place is not None for place in places):
            sides.append(contact_sheet(places, 3, VIEW_WIDTH))
    if not sides:
        raise DreamkitError(f"{video.key!r} has no video to show.", "Generate or copy it again.")
    height = min(len(side) for side in sides)
    return np.concatenate([side[:height] for side in sides], axis=1)


def middle_of(video: ReviewVideo) -> int:
    """Index of the frame in the middle, from the sidecar; 0 where it is not known."""
    frames = (video.sidecar or {}).get("frames")
    return frames // 2 if isinstance(frames, int) else 0


def middle_frame(path: Path, width: int, at: int) -> np.ndarray | None:
    """Frame `at` of a file at most `width` wide, or the last before it; None where none can be decoded."""
    try:
        return read_small(path, width, at + 1).frames_thwc[-1]
    except DreamkitError:
        return None


def overlay_sheet(video: ReviewVideo, source: LabelSource) -> np.ndarray:
    """The middle frame of every view with the labels' boxes and lines over it, uint8 [H, W, 3], in the rig's grid.

    Raises:
        DreamkitError: see `labelled.read_labelled`.
    """
    labelled = source.labelled(video)
    at = labelled.frames // 2
    pictures: list[np.ndarray | None] = [None] * (1 if video.stage == "single_view" else 6)
    for name, view in labelled.views.items():
        row, column = video.rig.place(video.rig.camera(name)) if len(pictures) > 1 else (0, 0)
        if (frame := middle_frame(view.video, OVERLAY_WIDTH, at)) is None:
            continue
        width, height = OVERLAY_WIDTH, round(OVERLAY_WIDTH * view.info.height / view.info.width)
        [lines] = project_lines(labelled, name, [at], stretched_camera(view.model, width, height))
        picture = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        pictures[3 * row + column] = np.where(lines.any(-1, keepdims=True), lines, picture)
    return contact_sheet(pictures, min(3, len(pictures)), OVERLAY_WIDTH)


def overlay_url(video: ReviewVideo, source: LabelSource | None) -> str:
    """The picture of `overlay_sheet` as a data URL; empty without labels that fit the video's conditions."""
    if source is None or not source.has(video):
        return ""
    try:
        return data_url(jpeg(overlay_sheet(video, source)))
    except DreamkitError:
        return ""


def sheets_html(videos: Sequence[ReviewVideo], source: LabelSource | None = None) -> str:
    """Frames, prompt and seed of the first SHEETS results as self-contained HTML, for a saved notebook.

    Args:
        videos: the results.
        source: their labels, whose boxes and lines are shown over the frames; None without.
    """
    sheets = []
    for video in videos[:SHEETS]:
        try:
            url, error = data_url(jpeg(frame_sheet(video))), ""
        except DreamkitError as fault:
            url, error = "", fault.message
        facts = " · ".join(f"{name} {value}" for name, value in generation_facts(video).items())
        title = f"{video.chunk.name} · {video.style} · {video.stage_label}"
        sheet = {"title": title, "url": url, "error": error, "prompt": video.prompt, "facts": facts}
        sheets.append({**sheet, "overlay": overlay_url(video, source)})
    return fill_template("sheets.html", sheets=sheets, more=max(0, len(videos) - SHEETS))
