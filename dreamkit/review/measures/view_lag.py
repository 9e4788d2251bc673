"""Do the views change in step? Generated frames do not change evenly, and all views of one video in the same rhythm.

The car's jolts are seen by every camera, and a tokenizer that keeps eight frames in one latent frame leaves its beat in
every view. A view that shows another moment is out of step, however little its pictures show of the map.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamkit.review.measures.matches import grey

LAGS = tuple(range(-8, 9))
CLEAR = 0.75  # the correlation with the other views that the best lag must have, or there is no common rhythm
_SURE = 0.03  # another lag must correlate better than none by so much
_WIDTH = 64  # that pictures are compared at
_SMOOTH = 9  # frames over which the slow course of change is averaged and taken away
_QUIET = 0.05  # grey levels a frame, added so that a standing picture has a logarithm
_FEWEST_VIEWS, _FEWEST_FRAMES = 3, 3 * max(LAGS)


def rhythm(video_thwc: np.ndarray) -> np.ndarray:
    """How much each frame differs from the one before, as a logarithm less its slow course, float64 [T - 1]."""
    small = np.stack([grey(picture, _WIDTH) for picture in video_thwc]).astype(np.float64)
    change = np.log(np.abs(np.diff(small, axis=0)).mean((1, 2)) + _QUIET)
    padded = np.pad(change, _SMOOTH // 2, mode="edge")
    return change - np.convolve(padded, np.full(_SMOOTH, 1 / _SMOOTH), "valid")


def lags(videos: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Frames by which each view trails the others, -8..8; NaN where the views have no common rhythm.

    Args:
        videos: camera name -> uint8 [T, h, w, 3]; of fewer than three views, or of short ones, nothing is known.
    """
    length = min(map(len, videos.values()))
    if len(videos) < _FEWEST_VIEWS or length <= _FEWEST_FRAMES:
        return dict.fromkeys(videos, float("nan"))
    traces = {name: rhythm(video[:length]) for name, video in videos.items()}
    traces = {name: trace / max(float(trace.std()), 1e-9) for name, trace in traces.items()}
    return {
        name: _lag(trace, np.median([other for of, other in traces.items() if of != name], axis=0))
        for name, trace in traces.items()
    }


def _lag(trace: np.ndarray, others: np.ndarray) -> float:
    length = len(trace)
    agreement = np.zeros(len(LAGS))
    for index, lag in enumerate(LAGS):
        mine, theirs = trace[max(0, lag) : length + min(0, lag)], others[max(0, -lag) : length - max(0, lag)]
        if mine.std() > 0 and theirs.std() > 0:
            agreement[index] = np.corrcoef(mine, theirs)[0, 1]
    best = int(agreement.argmax())
    if agreement[best] < CLEAR:
        return float("nan")
    # A rhythm that repeats every eight frames fits as well eight frames later.
    in_step = agreement[LAGS.index(0)] >= agreement[best] - _SURE
    return 0.0 if in_step else float(LAGS[best])
