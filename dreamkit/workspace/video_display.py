"""How a player shows a video file: which track, which way up, and which frame at which time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

LARGEST_GAP = 1.5
"""Frame intervals, in multiples of the usual one, above which frames are missing."""
SMALLEST_STEP = 0.5
"""Frame intervals, in multiples of the usual one, below which a frame is shown too shortly."""


@dataclass(frozen=True)
class Orientation:
    """How a stored picture becomes the shown one: transposed first, then flipped.

    Attributes:
        transposed: rows become columns.
        flip_x: mirrored left to right, after transposing.
        flip_y: mirrored top to bottom, after transposing.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the shown picture."""
        return (width, height) if self.transposed else (height, width)

    def apply(self, picture_HWC: np.ndarray) -> np.ndarray:
        """The picture [H, W, 3] as it is shown."""
        if self.transposed:
            picture_HWC = picture_HWC.transpose(1, 0, 2)
        picture_HWC = picture_HWC[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(picture_HWC)


def orientation(frame: av.VideoFrame) -> Orientation:
    """The orientation in a frame's display matrix; without one, as stored. Angles count as the nearest quarter turn.

    The matrix has the rows (a b u), (c d v), (x y w) and is applied to row vectors (ISO/IEC 14496-12, section 6.2.2).
    """
    for data in cast("Iterable[Any]", frame.side_data):  # PyAV's stubs take it for a mapping from text
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = (int(n) for n in np.frombuffer(bytes(data), np.int32))
            if abs(b) > abs(a):
                return Orientation(True, c < 0, b < 0)
            return Orientation(False, a < 0, d < 0)
    return Orientation()


def shown_stream(container: InputContainer) -> av.VideoStream | None:
    """The video track that players show: not a cover picture, the default one before others; None without any."""
    from av.stream import Disposition

    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    by_default = [s for s in tracks if s.disposition & Disposition.default]
    return next(iter([*by_default, *tracks]), None)


def interval(times: Sequence[float]) -> float:
    """The usual time between two frames in seconds, the median; 0 for fewer than two frames."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def missing_frames(times: Sequence[float]) -> int:
    """Frames that are left out between the display times (seconds, ascending), at their usual interval."""
    step = interval(times)
    if step <= 0:
        return 0
    gaps = np.diff(times) / step
    return int(np.sum(np.round(gaps[gaps > LARGEST_GAP]) - 1))


def crowded_frames(times: Sequence[float]) -> int:
    """Frames that the next one follows in less than SMALLEST_STEP of the usual interval."""
    step = interval(times)
    return int(np.sum(np.diff(times) / step < SMALLEST_STEP)) if step > 0 else 0


def frames_at_rate(times: Sequence[float], fps: float) -> tuple[int, ...]:
    """Index of the frame that a player shows at each tick of a clock of `fps`, from the first display time on.

    Args:
        times: display times of the frames, in seconds, ascending.
        fps: ticks a second.
    """
    step = interval(times) or 1 / fps
    count = max(1, round((times[-1] - times[0] + step) * fps))
    ticks = times[0] + (np.arange(count) + 0.25) / fps  # a quarter interval late, so that rounding cannot miss a frame
    return tuple(int(n) for n in np.maximum(np.searchsorted(times, ticks, side="right") - 1, 0))
