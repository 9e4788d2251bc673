"""Boxes and lines of the labels as pictures with a clear ground, which the player lays over the frames of a result."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from dreamkit.rds.camera_models import stretched_camera
from dreamkit.review.label_source import LabelSource
from dreamkit.review.library import ReviewVideo
from dreamkit.review.overlay import project_lines
from dreamkit.review.widgets.previews import JpegStream, keep_stream, kept_stream
from dreamkit.workspace.files import fingerprint

_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


def line_stream(source: LabelSource, video: ReviewVideo, camera: str, width: int, cache: Path) -> JpegStream:
    """The labels' lines of one view as PNG pictures with a clear ground, from the cache if it has them.

    Args:
        source: the labels.
        video: the result.
        camera: the view.
        width: of the pictures in pixels, whatever the size of the video is.
        cache: folder of previews.

    Raises:
        DreamkitError: see `labelled.read_labelled`.
    """
    condition = next(iter(video.conditions.values()))[camera]
    drawn = [path for path in (condition.with_suffix(".json"), condition) if path.is_file()]
    facts = (
        f"{source.root} {video.key} {camera} {width} {[fingerprint(path) for path in (drawn[0], video.views[camera])]}"
    )
    kept = cache / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.pngs"
    if found := kept_stream(kept):
        return found
    labelled = source.labelled(video)
    view = labelled.views[camera]
    height = max(2, round(width * view.info.height / view.info.width))
    model = stretched_camera(view.model, width, height)
    pictures = [clear_png(lines) for lines in project_lines(labelled, camera, range(labelled.frames), model)]
    made = JpegStream(tuple(map(len, pictures)), b"".join(pictures), view.info.fps)
    keep_stream(kept, made)
    return made


def clear_png(lines: np.ndarray) -> bytes:
    """Lines on black, uint8 [H, W, 3], as a PNG whose black is clear."""
    shown = lines.any(-1).astype(np.uint8) * 255
    return cv2.imencode(".png", np.dstack([lines[..., ::-1], shown]), _PNG)[1].tobytes()
