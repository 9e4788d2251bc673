"""Pictures that stay in a saved notebook, where no widget runs: stills of a board, frames of a run's results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.review.facts import generation_facts
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures.frames import read_small
from dreamkit.review.pages import fill_template
from dreamkit.review.session import Review
from dreamkit.review.widgets.previews import THUMBNAIL_WIDTH, contact_sheet
from dreamkit.workspace.images import data_url, jpeg

MOMENTS = (0.0, 0.5, 1.0)  # of a front video, on its sheet
FRONT_WIDTH, VIEW_WIDTH = 256, 224  # pixels of one frame on a sheet
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


def sheets_html(videos: Sequence[ReviewVideo]) -> str:
    """Frames, prompt and seed of the first SHEETS results as self-contained HTML, for a saved notebook."""
    sheets = []
    for video in videos[:SHEETS]:
        try:
            url, error = data_url(jpeg(frame_sheet(video))), ""
        except DreamkitError as fault:
            url, error = "", fault.message
        facts = " · ".join(f"{name} {value}" for name, value in generation_facts(video).items())
        title = f"{video.chunk.name} · {video.style} · {video.stage_label}"
        sheets.append({"title": title, "url": url, "error": error, "prompt": video.prompt, "facts": facts})
    return fill_template("sheets.html", sheets=sheets, more=max(0, len(videos) - SHEETS))
