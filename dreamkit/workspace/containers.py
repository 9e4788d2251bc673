"""Open video files of unknown origin: the format is found by the first bytes, and every fault names the file.

FFmpeg chooses a format by the whole content, and some of its formats are texts that name other files (`ffconcat`, HLS
playlists). Only containers of video are opened here, and they read no other file.
"""

from __future__ import annotations

import contextlib
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dreamkit.errors import DreamkitError, first_line
from dreamkit.workspace.files import nearest_file_hint
from dreamkit.workspace.video_display import shown_stream

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

MP4_BOXES = frozenset(
    (
        b"ftyp",
        b"moov",
        b"mdat",
        b"free",
        b"skip",
        b"wide",
        b"uuid",
        b"meta",
        b"moof",
        b"mfra",
        b"sidx",
        b"styp",
        b"pnot",
    )
)
UNREADABLE_HINT = "Play it in a video player; if it stops there too, render or copy it again."
MOST_PIXELS = 8192 * 4352
"""Of a frame: the largest of H.264's levels."""

_OTHER_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextlib.contextmanager
def opened_video(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """The container and the video track that players show; whatever decoding raises inside the block names the file.

    Raises:
        DreamkitError: missing, empty, no video container, without a track that can be decoded, of too large frames, or
            damaged.
    """
    import av

    form = _container_format(path)
    options = {"protocol_whitelist": "file"}
    with decoding_video(path):
        container = av.open(str(path), format=form, options=options, metadata_errors="replace")
    with container:
        stream = shown_stream(container)
        if stream is None:
            raise DreamkitError(f"The file {path} has no video track.", "Give an mp4 video.")
        with decoding_video(path):
            if stream.codec_context is None:
                raise DreamkitError(
                    f"The video {path} is encoded in a way that this installation cannot decode.",
                    "Encode it again as H.264, for example with ffmpeg -c:v libx264.",
                )
            if stream.height * stream.width > MOST_PIXELS:
                raise DreamkitError(
                    f"The video {path} has frames of {stream.width}x{stream.height}, more than can be read.",
                    "Encode it again at the size of the model.",
                )
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            yield container, stream


@contextlib.contextmanager
def decoding_video(path: Path, problem: str = "cannot be read") -> Iterator[None]:
    """Turn whatever a decoder raises into a DreamkitError that names the video.

    FFmpeg raises many types; metadata, codecs and sizes raise others in PyAV. So every Exception is caught.
    """
    try:
        yield
    except DreamkitError:
        raise
    except Exception as error:
        detail = getattr(error, "strerror", None) or first_line(error)
        raise DreamkitError(f"The video {path} {problem}: {detail}.", UNREADABLE_HINT) from error


def _container_format(path: Path) -> str:
    """FFmpeg's name of a file's container, by its first bytes.

    Raises:
        DreamkitError: missing, empty, no plain file, or no video container.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = next((kind for is_kind, kind in _OTHER_KINDS if is_kind(found.st_mode)), "no plain file")
            raise DreamkitError(f"{path} is {kind}, not a video.", "Give the path of a video file.")
        with path.open("rb") as file:
            head = file.read(16)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise DreamkitError(f"There is no video at {path}.", nearest_file_hint(path)) from None
    except OSError as error:
        raise DreamkitError(f"The video {path} cannot be read: {error.strerror}.", UNREADABLE_HINT) from error
    if not head:
        raise DreamkitError(f"The video {path} is an empty file.", "Render or copy it again.")
    if head[4:8] in MP4_BOXES:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    raise DreamkitError(
        f"The video {path} cannot be read: it is no mp4 file (nor Matroska, WebM or AVI).",
        "Encode it as mp4, for example with ffmpeg -c:v libx264.",
    )


def is_cut_off(path: Path) -> bool:
    """Whether the end of an mp4 file is missing: a box reaches past the end of the file. False for other files.

    Each outermost box begins with its size, 32 bit big-endian, and its four-letter type; size 1 means that 64 bits
    follow, size 0 that the box reaches to the end (ISO/IEC 14496-12, section 4.2).
    """
    end, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            head = file.read(16)
            if head[4:8] not in MP4_BOXES:  # not an mp4, or something appended to a whole one
                return False
            size = struct.unpack(">I", head[:4])[0]
            if size == 0:
                return False
            if size == 1:
                if len(head) < 16:
                    return True
                size = struct.unpack(">Q", head[8:])[0]
            at += max(size, 8)
    return at > end
