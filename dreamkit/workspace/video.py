"""Video files: probe, decode and encode them with PyAV; resize frames, and join views into one grid.

PyAV is imported on the first call only, because `transfer` uses `resize` on machines without PyAV.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.workspace.cameras import SIX_VIEWS, Rig
from dreamkit.workspace.containers import UNREADABLE_HINT, decoding_video, is_cut_off, opened_video
from dreamkit.workspace.files import replacing
from dreamkit.workspace.partials import final_name
from dreamkit.workspace.video_display import Orientation, crowded_frames, frames_at_rate, missing_frames, orientation

if TYPE_CHECKING:
    import av

SMPTE170M = 6  # AVCOL_SPC_SMPTE170M: matrix coefficients of BT.601 (ITU-T H.273, table 4)
X264_PARAMS = "cpu-independent=1"
"""Makes x264 write the same bytes on every processor, without a measurable loss of speed.

Without it, on processors with AVX-512, x264 reads uninitialised memory past the frame when the width is no multiple of
128 pixels, and the same frames give different bytes in another process.
"""
ENCODER_THREADS = 4
"""Frame threads of x264. Its default depends on the number of cores, and the bytes depend on it; slice threads would
also make the files larger."""
MOST_FRAME_BYTES = 16 * 2**30
"""Of the frames that one call decodes into memory; a clip of 10 minutes at 1280x704 has more."""
FIRST_PACKETS = 32  # that are decoded at most, to find the orientation of the first frame


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a video file.

    Attributes:
        frames: number of frames that play.
        fps: frames a second.
        height: in pixels, as shown.
        width: in pixels, as shown.
        missing: frames that are left out between the display times, at their usual interval.
        crowded: frames that the next one follows in less than half the usual interval.
        stored: for a video read at another rate, the index of the stored frame of each frame; else None.
    """

    frames: int
    fps: float
    height: int
    width: int
    missing: int = 0
    crowded: int = 0
    stored: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return f"{self.frames} frames {self.width}x{self.height} at {self.fps:g} fps"


def probe(path: Path, fps: float = 0) -> VideoInfo:
    """Count the frames that play and read the size, the frame rate and the display times.

    Every packet of the file is read, so that a missing end is found. A video that was trimmed without a new encoding
    has frames that its edit list hides; such a file is decoded to count the rest.

    Args:
        path: the file.
        fps: rate to read it at by its display times, repeating or leaving out frames; 0 for every stored frame once.

    Raises:
        DreamkitError: missing, empty, unreadable, without a video track, or with fewer frames than its header says.
    """
    times: list[float] = []
    shown_as: Orientation | None = None
    with opened_video(path) as (container, stream):
        played = corrupt = 0
        for packet in container.demux(stream):
            shown = bool(packet.size) and not packet.is_discard
            played += shown
            corrupt += packet.is_corrupt
            if shown and packet.pts is not None and packet.time_base is not None:
                times.append(float(packet.pts * packet.time_base))
            if shown_as is None and played <= FIRST_PACKETS:
                shown_as = _orientation_in(packet)
        size = (shown_as or Orientation()).size(stream.height, stream.width)
        info = VideoInfo(played, float(stream.average_rate or 0), *size)
        declared = stream.frames
    if corrupt or is_cut_off(path):
        raise DreamkitError(
            f"The video {path} is cut off: it says {declared} frames and holds about {played}.", UNREADABLE_HINT
        )
    if declared and played != declared:
        times = [frame.time or 0.0 for frame in decode_video(path)]
        info = replace(info, frames=len(times))
    if not info.frames or not info.height or not info.width:
        raise DreamkitError(f"The video {path} holds no frames.", UNREADABLE_HINT)
    if len(times) != info.frames:  # a format without display times
        return info
    times.sort()
    info = replace(info, missing=missing_frames(times), crowded=crowded_frames(times))
    if not fps:
        return info
    stored = frames_at_rate(times, fps)
    return replace(info, frames=len(stored), fps=float(fps), stored=stored, missing=0, crowded=0)


def _orientation_in(packet: av.Packet) -> Orientation | None:
    """The orientation of the first frame that a packet completes; None without any."""
    with contextlib.suppress(Exception):  # whatever a decoder raises; damage is reported when the frames are read
        for frame in packet.decode():
            return orientation(cast("av.VideoFrame", frame))
    return None


def to_picture(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame as it is shown, uint8 [H, W, 3], RGB."""
    return orientation(frame).apply(frame.to_ndarray(format="rgb24"))


def decode_video(path: Path) -> Iterator[av.VideoFrame]:
    """Decode the frames in the order they play; of a damaged file, those before the damage.

    Raises:
        DreamkitError: missing, empty, unreadable, without a video track, or damaged at some frame.
    """
    count = 0
    with opened_video(path) as (container, stream):
        stream.thread_type = "AUTO"
        frames = container.decode(stream)
        while True:
            with decoding_video(path, f"is damaged at frame {count}" if count else "cannot be read"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
            count += 1


def check_decodes(path: Path, info: VideoInfo, frames: int) -> None:
    """Decode the first `frames` frames and discard them; raises DreamkitError where `read_frames` would."""
    frames = frames if info.stored is None else info.stored[frames - 1] + 1
    count = sum(1 for _ in itertools.islice(decode_video(path), frames))
    if count < frames:
        raise _too_few_frames(path, count, frames)


def read_video(
    path: Path, max_frames: int | None = None, size: tuple[int, int] | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """Decode to uint8 [T, H, W, 3], RGB.

    Args:
        path: the file.
        max_frames: read at most this many frames from the start.
        size: (height, width) to resize every frame to while reading, as `resize` does.
        out: uint8 [T, height, width, 3] to fill and return; T is the number of frames that are read.

    Raises:
        DreamkitError: missing, unreadable, damaged, or with frames of more than one size.
        ValueError: `out` has another shape.
    """
    info = probe(path)
    wanted = info.frames if max_frames is None else min(info.frames, max_frames)
    return read_frames(path, info, wanted, size or (info.height, info.width), out)


def read_frames(
    path: Path, info: VideoInfo, frames: int, size: tuple[int, int], out: np.ndarray | None = None
) -> np.ndarray:
    """Decode the first `frames` frames of a video that `probe` described, and resize them; see `read_video`."""
    shape = (frames, *size, 3)
    if frames * size[0] * size[1] * 3 > MOST_FRAME_BYTES:
        raise DreamkitError(
            f"The video {path} has {info}; {frames} frames of {size[1]}x{size[0]} do not fit into memory.",
            "Cut it into shorter videos.",
        )
    frames_thwc = np.empty(shape, np.uint8) if out is None else out
    if frames_thwc.shape != shape:
        raise ValueError(f"{path} needs {list(shape)}, out is {list(frames_thwc.shape)}")
    wanted = range(frames) if info.stored is None else info.stored[:frames]
    last = wanted[-1] + 1 if frames else 0
    count = done = 0
    for frame in itertools.islice(decode_video(path), last):
        with decoding_video(path, f"is damaged at frame {count}"):
            picture = to_picture(frame) if done < frames and wanted[done] == count else None
        if picture is not None and picture.shape[:2] != (info.height, info.width):
            raise DreamkitError(f"The video {path} changes its size at frame {count}.", "Encode it again in one size.")
        while picture is not None and done < frames and wanted[done] == count:
            frames_thwc[done] = resize(picture[None], *size)[0]
            done += 1
        count += 1
    if count < last:
        raise _too_few_frames(path, count, last)
    return frames_thwc


def _too_few_frames(path: Path, count: int, frames: int) -> DreamkitError:
    return DreamkitError(f"The video {path} is damaged: {count} of its {frames} frames could be read.", UNREADABLE_HINT)


def write_video(path: Path, frames_thwc: np.ndarray | Iterable[np.ndarray], fps: float, crf: int = 18) -> None:
    """Encode frames as `encode_video` does, but atomically: write beside `path`, then rename.

    Raises:
        ValueError: another shape or type.
        DreamkitError: the file cannot be written.
    """
    frames, size = _check_frames(frames_thwc)
    with replacing(path) as partial:
        _encode(partial, frames, size, fps, crf)


def encode_video(path: Path, frames_thwc: np.ndarray | Iterable[np.ndarray], fps: float, crf: int = 18) -> None:
    """Encode RGB frames as H.264, yuv420p, straight into the mp4 file `path`.

    An interrupted call leaves half a file, and nothing is synced to disk: use it for files that the caller syncs and
    moves into place, and `write_video` otherwise.

    Args:
        path: the file to make; its folder is made too.
        frames_thwc: uint8 [T, H, W, 3], or an iterable of frames [H, W, 3]; at least one frame; height and width must
            be even, as yuv420p requires.
        fps: frames a second.
        crf: x264's constant rate factor; lower is better and larger.

    Raises:
        ValueError: another shape or type.
        DreamkitError: the file cannot be written.
    """
    frames, size = _check_frames(frames_thwc)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _encode(path, frames, size, fps, crf)
    except OSError as error:
        raise DreamkitError(
            f"Cannot write {path.with_name(final_name(path))}: {error.strerror or error}.",
            "Check that you may write there and that the disk has room.",
        ) from error


def _check_frames(frames_thwc: np.ndarray | Iterable[np.ndarray]) -> tuple[Iterator[np.ndarray], tuple[int, int]]:
    """The frames as an iterator, and the (height, width) of the first one."""
    frames = iter(frames_thwc)
    first: np.ndarray = next(frames, np.empty(0))
    if first.dtype != np.uint8 or first.ndim != 3 or first.shape[-1] != 3:
        raise ValueError(f"a video is uint8 [T, H, W, 3]; a frame of this one is {first.dtype} {list(first.shape)}")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"height and width must be even for yuv420p, not {height}x{width}")
    return itertools.chain([first], frames), (height, width)


def _encode(path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], fps: float, crf: int) -> None:
    import av

    rate = Fraction(fps).limit_denominator(1001)
    # faststart: a browser can begin before it has the whole file.
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "x264-params": X264_PARAMS})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_type, stream.codec_context.thread_count = "FRAME", ENCODER_THREADS
        # The conversion from RGB below uses BT.601; without this flag players assume BT.709 for large frames.
        stream.codec_context.colorspace = SMPTE170M
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def resize(frames_thwc: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 [T, h, w, 3] to [T, height, width, 3], bilinear on uint8, as in the models' training."""
    if frames_thwc.shape[1:3] == (height, width):
        return frames_thwc
    return np.stack([cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR) for picture in frames_thwc])


def grid(views_vthwc: np.ndarray, of: Rig = SIX_VIEWS) -> Iterator[np.ndarray]:
    """Join the views uint8 [V, T, H, W, 3] into the rig's grid, frame by frame; the car's left is on the left.

    Returns:
        T frames, uint8 [rows*H, columns*W, 3].

    Raises:
        ValueError: another number of views than the rig has.
    """
    if len(views_vthwc) != len(of):
        raise ValueError(f"{len(views_vthwc)} views given, the rig has {len(of)}")
    return (
        np.concatenate([np.concatenate([views_vthwc[index, t] for index in row], axis=1) for row in of.grid])
        for t in range(views_vthwc.shape[1])
    )
