"""Video files to arrays and back, resizing, and the grid of views.

PyAV does the work where it is importable. Without it OpenCV reads and imageio-ffmpeg writes; without that too, OpenCV
writes MPEG-4 part 2, which browsers do not play.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.workspace import mp4
from dreamkit.workspace.cameras import SIX_VIEWS, Rig
from dreamkit.workspace.files import nearest_file_hint, replacing

log = logging.getLogger(__name__)
SMPTE170M = 6  # AVCOL_SPC_SMPTE170M: matrix coefficients of BT.601 (ITU-T H.273, table 4)
X264_PARAMS = "cpu-independent=1"
"""x264 chooses its bits by the same arithmetic on every processor, with no loss of time that could be measured.

Without it x264 adds up on AVX-512 processors how much later blocks depend on earlier ones eight blocks at a time. Where
the width is no multiple of 128 pixels the last eight reach past the end of the frame's arrays, into memory that nobody
has filled: the same frames become other bytes in another process.
"""
ENCODER_THREADS = 4
"""x264's threads, each with a frame of its own. Left to themselves encoders take one for each core that they may use,
or cut every frame into as many slices, and then the bytes depend on the machine; slices cost size besides."""
UNREADABLE_HINT = "Play it in a video player; if it stops there too, render or copy it again."


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: number of frames, frames a second, height and width in pixels."""

    frames: int
    fps: float
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.frames} frames {self.width}x{self.height} at {self.fps:g} fps"


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module that was blocked on purpose
        return False


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise DreamkitError(f"There is no video at {path}.", nearest_file_hint(path))
    if path.stat().st_size == 0:
        raise DreamkitError(f"The video {path} is an empty file.", "Render or copy it again.")


def probe(path: Path) -> VideoInfo:
    """Count the frames that play, and measure; every packet is looked at, so that a missing end is noticed.

    A video trimmed without encoding it again still carries frames that its edit list hides; it is decoded to count.

    Raises:
        DreamkitError: missing, unreadable, without a picture track, or fewer frames than the file says it has.
    """
    _must_exist(path)
    return _probe_av(path) if _has("av") else _probe_opencv(path)


def check_decodes(path: Path, frames: int) -> None:
    """Decode the first so many frames and keep none; raises DreamkitError where `read_video` would."""
    pictures = _pictures_av(path) if _has("av") else _decode_opencv(path)
    count = sum(1 for _ in itertools.islice(pictures, frames))
    if count < frames:
        raise _damaged(path, count, frames)


def _damaged(path: Path, count: int, frames: int) -> DreamkitError:
    return DreamkitError(f"The video {path} is damaged: {count} of its {frames} frames could be read.", UNREADABLE_HINT)


def read_video(
    path: Path, max_frames: int | None = None, size: tuple[int, int] | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """Decode to uint8 [T, H, W, 3], RGB.

    Args:
        path: the file.
        max_frames: only the first so many.
        size: (height, width) to stretch every frame to while reading, as `resize` does.
        out: uint8 [max_frames, height, width, 3] to fill and return, of a video that has so many frames.

    Raises:
        DreamkitError: missing, unreadable, or fewer frames than the file says it has.
    """
    info = probe(path)
    wanted = info.frames if max_frames is None else min(info.frames, max_frames)
    height, width = size or (info.height, info.width)
    frames_thwc = np.empty((wanted, height, width, 3), np.uint8) if out is None else out
    if frames_thwc.shape != (wanted, height, width, 3):
        raise ValueError(f"{path} needs {[wanted, height, width, 3]}, out is {list(frames_thwc.shape)}")
    decode = _decode_av if _has("av") else _decode_opencv
    count = 0
    for picture in itertools.islice(decode(path), wanted):
        if picture.shape[:2] != (info.height, info.width):
            raise DreamkitError(f"The video {path} changes its size at frame {count}.", "Encode it again in one size.")
        frames_thwc[count] = resize(picture[None], height, width)[0]
        count += 1
    if count < wanted:
        raise _damaged(path, count, wanted)
    return frames_thwc


def _probe_av(path: Path) -> VideoInfo:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DreamkitError(f"The file {path} has no picture track.", "Give an mp4 video.")
            stream = container.streams.video[0]
            shown = broken = 0
            for packet in container.demux(stream):
                shown += bool(packet.size) and not packet.is_discard
                broken += packet.is_corrupt
            info = VideoInfo(shown, float(stream.average_rate or 0), stream.height, stream.width)
            declared = stream.frames
    except (av.FFmpegError, OSError) as error:
        raise DreamkitError(f"The video {path} cannot be read: {error.strerror or error}.", UNREADABLE_HINT) from error
    if broken or mp4.cut_off(path):
        raise _cut_off(path, declared, shown)
    if declared and shown != declared:
        info = replace(info, frames=sum(1 for _ in _pictures_av(path)))
    return _not_empty(path, info)


def _cut_off(path: Path, declared: int, found: int) -> DreamkitError:
    return DreamkitError(
        f"The video {path} is cut off: it says {declared} frames and holds about {found}.", UNREADABLE_HINT
    )


def _not_empty(path: Path, info: VideoInfo) -> VideoInfo:
    if not info.frames or not info.height or not info.width:
        raise DreamkitError(f"The video {path} holds no frames.", UNREADABLE_HINT)
    return info


def _pictures_av(path: Path) -> Iterator[Any]:
    """The frames as they play, not yet converted."""
    import av

    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            yield from container.decode(video=0)
    except av.FFmpegError as error:
        raise DreamkitError(f"The video {path} is damaged: {error.strerror or error}.", UNREADABLE_HINT) from error


def _decode_av(path: Path) -> Iterator[np.ndarray]:
    for frame in _pictures_av(path):
        yield frame.to_ndarray(format="rgb24")


def _probe_opencv(path: Path) -> VideoInfo:
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise DreamkitError(f"The video {path} cannot be read.", UNREADABLE_HINT)
        declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = capture.get(cv2.CAP_PROP_FPS)
        height, width = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        count = 0
        while capture.grab():
            count += 1
    finally:
        capture.release()
    if mp4.cut_off(path):
        raise _cut_off(path, declared, count)
    if count < declared:
        # Trimmed without encoding it again, or damaged: OpenCV does not say which.
        log.warning("%s holds %d frames, of which %d play", path, declared, count)
    return _not_empty(path, VideoInfo(count, fps, height, width))


def _decode_opencv(path: Path) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    try:
        while True:
            good, picture = capture.read()
            if not good:
                return
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def write_video(path: Path, frames_thwc: np.ndarray | Iterable[np.ndarray], fps: float, crf: int = 18) -> None:
    """Encode RGB frames as H.264, yuv420p, into an mp4 that appears whole or not at all.

    Args:
        path: the file to make; its folder is made too.
        frames_thwc: uint8 [T, H, W, 3], or its frames [H, W, 3] one after the other; at least one; height and width
            even, as yuv420p needs.
        fps: frames a second.
        crf: x264's constant quality, lower is better and larger.

    Raises:
        ValueError: another shape or type.
        DreamkitError: the file cannot be written.
    """
    pictures = iter(frames_thwc)
    first = next(pictures, np.empty(0))
    if first.dtype != np.uint8 or first.ndim != 3 or first.shape[-1] != 3:
        raise ValueError(f"a video is uint8 [T, H, W, 3]; a frame of this one is {first.dtype} {list(first.shape)}")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"height and width must be even for yuv420p, not {height}x{width}")
    pictures = itertools.chain([first], pictures)
    with replacing(path) as partial:
        if _has("av"):
            _write_av(partial, pictures, (height, width), fps, crf)
        elif _has("imageio_ffmpeg"):
            _write_imageio(partial, pictures, (height, width), fps, crf)
        else:
            _write_opencv(partial, pictures, (height, width), fps)


def _write_av(path: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], fps: float, crf: int) -> None:
    import av

    rate = Fraction(fps).limit_denominator(1001)
    # faststart: a browser can begin before it has the whole file.
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "x264-params": X264_PARAMS})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_type, stream.codec_context.thread_count = "FRAME", ENCODER_THREADS
        # The conversion from RGB below is BT.601's; say so, or players take BT.709 for large pictures.
        stream.codec_context.colorspace = SMPTE170M
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _write_imageio(path: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], fps: float, crf: int) -> None:
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(
        str(path),
        size[::-1],
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=1,
        output_params=[
            *("-crf", str(crf), "-x264-params", X264_PARAMS, "-pix_fmt", "yuv420p"),
            *("-movflags", "faststart", "-colorspace", "smpte170m", "-threads", str(ENCODER_THREADS)),
        ],
    )
    writer.send(None)
    try:
        for picture in pictures:
            writer.send(np.ascontiguousarray(picture))
    finally:
        writer.close()


def _write_opencv(path: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], fps: float) -> None:
    log.warning("neither PyAV nor imageio-ffmpeg is importable: %s becomes MPEG-4 part 2 instead of H.264", path.name)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size[::-1])
    if not writer.isOpened():
        raise OSError("OpenCV has no encoder for it; install PyAV (pip install av)")
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()


def resize(frames_thwc: np.ndarray, height: int, width: int) -> np.ndarray:
    """Stretch uint8 [T, h, w, 3] to [T, height, width, 3], bilinear on uint8, as the models' training did."""
    if frames_thwc.shape[1:3] == (height, width):
        return frames_thwc
    return np.stack([cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR) for picture in frames_thwc])


def grid(views_vthwc: np.ndarray, of: Rig = SIX_VIEWS) -> Iterator[np.ndarray]:
    """Join uint8 [V, T, H, W, 3] in the rig's grid, left of the car on the left, frame by frame.

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
