"""Pictures for the browser: small JPEG frames of a video, thumbnails, contact sheets, and the URL of the full file.

Every frame is a JPEG of its own, so that the player can show frame n of all views at the same time in any browser,
without a codec or seeking. Frames and thumbnails are cached in the workspace until the video changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.review.measures.frames import read_small, read_still
from dreamkit.workspace.files import replacing
from dreamkit.workspace.images import QUALITY, jpeg

THUMBNAIL_WIDTH = 192


@dataclass(frozen=True)
class JpegStream:
    """The JPEG frames of one view.

    Attributes:
        sizes: bytes of each JPEG.
        data: all JPEGs, one after the other.
        fps: frames a second.
        problem: what is wrong with the video, empty if nothing is.
    """

    sizes: tuple[int, ...]
    data: bytes
    fps: float
    problem: str = ""


def _cached(cache: Path, path: Path, what: str) -> Path:
    stat = path.stat()
    name = hashlib.sha256(f"{path} {stat.st_size} {stat.st_mtime_ns} {what} {QUALITY}".encode()).hexdigest()[:24]
    return cache / f"{name}.jpegs"


def jpeg_stream(path: Path, width: int, cache: Path) -> JpegStream:
    """The frames of a video at most `width` wide, from the cache if it has them.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    kept = _cached(cache, path, f"stream {width}")
    if found := kept_stream(kept):
        return found
    read = read_small(path, width)
    pictures = [jpeg(picture) for picture in read.frames_thwc]
    made = JpegStream(tuple(map(len, pictures)), b"".join(pictures), read.fps, read.problem)
    keep_stream(kept, made)
    return made


def kept_stream(path: Path) -> JpegStream | None:
    """A stream from the cache; None where it is missing or damaged."""
    try:
        head, _, data = path.read_bytes().partition(b"\n")
        facts = json.loads(head)
        found = JpegStream(tuple(facts["sizes"]), data, facts["fps"], facts["problem"])
        return found if sum(found.sizes) == len(data) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_stream(path: Path, stream: JpegStream) -> None:
    """Write a stream into the cache; without a writable cache it is made again next time."""
    facts = {"sizes": stream.sizes, "fps": stream.fps, "problem": stream.problem}
    with contextlib.suppress(DreamkitError), replacing(path) as partial:
        partial.write_bytes(json.dumps(facts).encode() + b"\n" + stream.data)


def video_thumbnail(path: Path, cache: Path) -> bytes:
    """A small JPEG from the middle of a video, from the cache if it has it.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    kept = _cached(cache, path, f"thumbnail {THUMBNAIL_WIDTH}")
    if kept.is_file() and (data := kept.read_bytes()):
        return data
    data = jpeg(read_still(path, THUMBNAIL_WIDTH))
    try:
        with replacing(kept) as partial:
            partial.write_bytes(data)
    except DreamkitError:
        pass
    return data


def contact_sheet(pictures: Sequence[np.ndarray | None], columns: int, width: int) -> np.ndarray:
    """Pictures uint8 [h, w, 3] in rows of `columns`, each resized to `width`; None leaves a grey place."""
    known = [picture for picture in pictures if picture is not None]
    height = round(width * (known[0].shape[0] / known[0].shape[1] if known else 9 / 16))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height, columns * width, 3), 96, np.uint8)
    for index, picture in enumerate(pictures):
        if picture is not None:
            top, left = index // columns * height, index % columns * width
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            sheet[top : top + height, left : left + width] = small
    return sheet


def server_url(path: Path) -> str:
    """URL path of a file on the Jupyter server of this kernel; empty without a server or outside its folder."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        facts = json.loads((Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json").read_text())
        inside = path.resolve().relative_to(Path(facts["root_dir"]).resolve())
    except (ImportError, OSError, ValueError, KeyError):
        return ""
    return f"{facts.get('base_url', '/')}files/{quote(inside.as_posix())}"
