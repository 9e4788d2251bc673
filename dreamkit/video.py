"""Video files to arrays and back, resizing, the grid of views, and small previews for notebooks.

PyAV does the work where it is importable. Without it OpenCV reads and imageio-ffmpeg writes; without that too, OpenCV
writes MPEG-4 part 2, which browsers do not play.
"""

from __future__ import annotations

import base64
import importlib.util
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dreamkit.cameras import SIX_VIEWS, Rig
from dreamkit.errors import DreamkitError
from dreamkit.files import nearest_file_hint, replacing

if TYPE_CHECKING:
    from IPython.display import HTML

log = logging.getLogger(__name__)
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
    """Count and measure without decoding: every packet is looked at, so that a file cut off half-way is noticed.

    Raises:
        DreamkitError: missing, unreadable, without a picture track, or fewer frames than the file says it has.
    """
    _must_exist(path)
    return _probe_av(path) if _has("av") else _probe_opencv(path)


def read_video(path: Path, max_frames: int | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode to uint8 [T, H, W, 3], RGB.

    Args:
        path: the file.
        max_frames: only the first so many.
        size: (height, width) to stretch every frame to while reading, as `resize` does.

    Raises:
        DreamkitError: missing, unreadable, or fewer frames than the file says it has.
    """
    info = probe(path)
    wanted = info.frames if max_frames is None else min(info.frames, max_frames)
    height, width = size or (info.height, info.width)
    frames_thwc = np.empty((wanted, height, width, 3), np.uint8)
    decode = _decode_av if _has("av") else _decode_opencv
    count = 0
    for picture in itertools.islice(decode(path), wanted):
        if picture.shape[:2] != (info.height, info.width):
            raise DreamkitError(f"The video {path} changes its size at frame {count}.", "Encode it again in one size.")
        frames_thwc[count] = resize(picture[None], height, width)[0]
        count += 1
    if count < wanted:
        raise DreamkitError(
            f"The video {path} is damaged: {count} of its {info.frames} frames could be read.", UNREADABLE_HINT
        )
    return frames_thwc


def _probe_av(path: Path) -> VideoInfo:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DreamkitError(f"The file {path} has no picture track.", "Give an mp4 video.")
            stream = container.streams.video[0]
            packets = sum(1 for packet in container.demux(stream) if packet.size)
            info = VideoInfo(packets, float(stream.average_rate or 0), stream.height, stream.width)
            declared = stream.frames
    except (av.FFmpegError, OSError) as error:
        raise DreamkitError(f"The video {path} cannot be read: {error.strerror or error}.", UNREADABLE_HINT) from error
    return _checked(path, info, declared)


def _checked(path: Path, info: VideoInfo, declared: int) -> VideoInfo:
    if info.frames < declared:
        raise DreamkitError(
            f"The video {path} is cut off: it says {declared} frames and holds {info.frames}.", UNREADABLE_HINT
        )
    if not info.frames or not info.height or not info.width:
        raise DreamkitError(f"The video {path} holds no frames.", UNREADABLE_HINT)
    return info


def _decode_av(path: Path) -> Iterator[np.ndarray]:
    import av

    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except av.FFmpegError as error:
        raise DreamkitError(f"The video {path} is damaged: {error.strerror or error}.", UNREADABLE_HINT) from error


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
    return _checked(path, VideoInfo(count, fps, height, width), declared)


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


def write_video(path: Path, frames_thwc: np.ndarray, fps: float, crf: int = 18) -> None:
    """Encode uint8 [T, H, W, 3] RGB as H.264, yuv420p, into an mp4 that appears whole or not at all.

    Args:
        path: the file to make; its folder is made too.
        frames_thwc: at least one frame; height and width even, as yuv420p needs.
        fps: frames a second.
        crf: x264's constant quality, lower is better and larger.

    Raises:
        ValueError: another shape or type.
        DreamkitError: the file cannot be written.
    """
    if frames_thwc.dtype != np.uint8 or frames_thwc.ndim != 4 or frames_thwc.shape[-1] != 3 or not len(frames_thwc):
        raise ValueError(f"a video is uint8 [T, H, W, 3], not {frames_thwc.dtype} {list(frames_thwc.shape)}")
    if frames_thwc.shape[1] % 2 or frames_thwc.shape[2] % 2:
        raise ValueError(
            f"height and width must be even for yuv420p, not {frames_thwc.shape[1]}x{frames_thwc.shape[2]}"
        )
    with replacing(path) as partial:
        if _has("av"):
            _write_av(partial, frames_thwc, fps, crf)
        elif _has("imageio_ffmpeg"):
            _write_imageio(partial, frames_thwc, fps, crf)
        else:
            _write_opencv(partial, frames_thwc, fps)


def _write_av(path: Path, frames_thwc: np.ndarray, fps: float, crf: int) -> None:
    import av
    from av.video.reformatter import Colorspace

    rate = Fraction(fps).limit_denominator(1001)
    # faststart: a browser can begin before it has the whole file.
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        stream.height, stream.width = frames_thwc.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # The conversion from RGB below is BT.601's; say so, or players take BT.709 for large pictures.
        stream.codec_context.colorspace = int(Colorspace.SMPTE170M)
        for picture in frames_thwc:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _write_imageio(path: Path, frames_thwc: np.ndarray, fps: float, crf: int) -> None:
    import imageio_ffmpeg

    height, width = frames_thwc.shape[1:3]
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=1,
        output_params=["-crf", str(crf), "-pix_fmt", "yuv420p", "-movflags", "faststart", "-colorspace", "smpte170m"],
    )
    writer.send(None)
    try:
        for picture in frames_thwc:
            writer.send(np.ascontiguousarray(picture))
    finally:
        writer.close()


def _write_opencv(path: Path, frames_thwc: np.ndarray, fps: float) -> None:
    log.warning("neither PyAV nor imageio-ffmpeg is importable: %s becomes MPEG-4 part 2 instead of H.264", path.name)
    height, width = frames_thwc.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise OSError("OpenCV has no encoder for it; install PyAV (pip install av)")
    for picture in frames_thwc:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()


def resize(frames_thwc: np.ndarray, height: int, width: int) -> np.ndarray:
    """Stretch uint8 [T, h, w, 3] to [T, height, width, 3], bilinear on uint8, as the models' training did."""
    if frames_thwc.shape[1:3] == (height, width):
        return frames_thwc
    return np.stack([cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR) for picture in frames_thwc])


def grid(views_vthwc: np.ndarray, of: Rig = SIX_VIEWS) -> np.ndarray:
    """Join uint8 [V, T, H, W, 3] to [T, rows*H, columns*W, 3] in the rig's grid, left of the car on the left."""
    if len(views_vthwc) != len(of):
        raise ValueError(f"{len(views_vthwc)} views given, the rig has {len(of)}")
    return np.concatenate(
        [np.concatenate([views_vthwc[index] for index in row], axis=2) for row in of.grid],
        axis=1,
    )


def preview(path: Path, width: int = 640) -> HTML:
    """A small, silent copy of the video inside an HTML player for a notebook, with the file's facts under it."""
    from IPython.display import HTML

    info = probe(path)
    small_width = min(width, info.width) // 2 * 2
    small_height = max(2, round(info.height * small_width / info.width / 2) * 2)
    copy = path.with_name(f".preview-{path.name}")
    try:
        write_video(copy, resize(read_video(path), small_height, small_width), info.fps or 24, crf=28)
        data = base64.b64encode(copy.read_bytes()).decode()
    finally:
        copy.unlink(missing_ok=True)
    return HTML(_player(data, path, info, small_width))


def _player(data: str, path: Path, info: VideoInfo, width: int) -> str:
    attributes: dict[str, Any] = {"src": f"data:video/mp4;base64,{data}", "width": width}
    filled = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f"<figure><video controls loop muted {filled}></video><figcaption>{path}: {info}</figcaption></figure>"
