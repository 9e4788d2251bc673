"""What the browser gets: JPEG frames small enough to go over the kernel, thumbnails, and a link to the full file.

Every frame is its own JPEG, so the player can show frame n of all views at once, exactly, in any browser, without a
codec or seeking. They are kept in the workspace's cache and made anew when the video changes.
"""

from __future__ import annotations

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
from dreamkit.review.measures.frames import read_small, still
from dreamkit.workspace.files import replacing
from dreamkit.workspace.images import QUALITY, jpeg

THUMBNAIL_WIDTH = 192


@dataclass(frozen=True)
class Stream:
    """JPEG frames of one view: their sizes in bytes, the frames one after the other, and frames a second."""

    sizes: tuple[int, ...]
    data: bytes
    fps: float
    problem: str = ""


def _cached(cache: Path, path: Path, what: str) -> Path:
    stat = path.stat()
    name = hashlib.sha256(f"{path} {stat.st_size} {stat.st_mtime_ns} {what} {QUALITY}".encode()).hexdigest()[:24]
    return cache / f"{name}.jpegs"


def stream(path: Path, width: int, cache: Path) -> Stream:
    """The frames of a video at most `width` wide; from the cache when they are there.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    kept = _cached(cache, path, f"stream {width}")
    try:
        head, _, data = kept.read_bytes().partition(b"\n")
        facts = json.loads(head)
        found = Stream(tuple(facts["sizes"]), data, facts["fps"], facts["problem"])
        if sum(found.sizes) == len(data):
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or damaged: made anew
    read = read_small(path, width)
    pictures = [jpeg(picture) for picture in read.frames_thwc]
    made = Stream(tuple(map(len, pictures)), b"".join(pictures), read.fps, read.problem)
    facts = {"sizes": made.sizes, "fps": made.fps, "problem": made.problem}
    try:
        with replacing(kept) as partial:
            partial.write_bytes(json.dumps(facts).encode() + b"\n" + made.data)
    except DreamkitError:
        pass  # a folder that cannot be written costs time, not the view
    return made


def thumbnail(path: Path, cache: Path) -> bytes:
    """One small JPEG from the middle of a video; from the cache when it is there.

    Raises:
        DreamkitError: not one frame can be decoded.
    """
    kept = _cached(cache, path, f"thumbnail {THUMBNAIL_WIDTH}")
    if kept.is_file() and (data := kept.read_bytes()):
        return data
    data = jpeg(still(path, THUMBNAIL_WIDTH))
    try:
        with replacing(kept) as partial:
            partial.write_bytes(data)
    except DreamkitError:
        pass
    return data


def contact_sheet(pictures: Sequence[np.ndarray | None], columns: int, width: int) -> np.ndarray:
    """Pictures uint8 [h, w, 3] in rows of `columns`, each fitted to `width`; None leaves a grey place."""
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
    """The URL path under which this kernel's Jupyter server serves a file; empty when it does not or there is none."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        facts = json.loads((Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json").read_text())
        inside = path.resolve().relative_to(Path(facts["root_dir"]).resolve())
    except (ImportError, OSError, ValueError, KeyError):
        return ""
    return f"{facts.get('base_url', '/')}files/{quote(inside.as_posix())}"
