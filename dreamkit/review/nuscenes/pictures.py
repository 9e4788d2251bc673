"""The frames of a view as JPEG files: rectified to a pinhole camera where the video is of an f-theta camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dreamkit.rds.camera_models import CameraModel, inscribed_pinhole, rectification_map
from dreamkit.rds.pinhole import Pinhole
from dreamkit.workspace.images import jpeg
from dreamkit.workspace.video import decode_video

QUALITY = 95


@dataclass(frozen=True)
class Rectified:
    """A view as it is exported.

    Attributes:
        pinhole: the camera of the exported pictures.
        maps: columns and rows in the video's frames for `cv2.remap`; None where the video is of that camera already.
    """

    pinhole: Pinhole
    maps: tuple[np.ndarray, np.ndarray] | None


def rectified_view(model: CameraModel) -> Rectified:
    """The pinhole camera of a view, of the size of its video.

    A pinhole camera stays as it is. For an f-theta camera it is the widest one whose picture has no black border.
    """
    if isinstance(model, Pinhole):
        return Rectified(model, None)
    pinhole = inscribed_pinhole(model, model.width, model.height)
    return Rectified(pinhole, rectification_map(model, pinhole))


def write_frames(
    video: Path, frames: int, rectified: Rectified, paths: list[Path], originals: list[Path]
) -> Iterator[int]:
    """Write the frames of a video as JPEG files; yields each frame's number when it is written.

    Args:
        video: the view's video.
        frames: number of frames to write.
        rectified: the camera of the written pictures.
        paths: one file a frame.
        originals: one file a frame for the pictures as they are in the video; empty for none.
    """
    for number, frame in enumerate(decode_video(video)):
        if number >= frames:
            return
        picture = frame.to_ndarray(format="rgb24")
        if originals:
            _write(originals[number], picture)
        if rectified.maps:
            picture = cv2.remap(picture, *rectified.maps, cv2.INTER_LINEAR)
        _write(paths[number], picture)
        yield number


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(picture, QUALITY))
