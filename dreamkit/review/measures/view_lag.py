"""Estimate each view's frame offset from frame differences.

The size of the change from frame to frame rises and falls alike in all views of a clip: the car's jolts move every
camera, and a tokenizer that codes eight frames as one latent frame leaves a period of eight frames in every view. So a
view's offset can be read from the correlation with the other views, even where a view shows little of the map.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamkit.review.measures.frames import LAGS
from dreamkit.review.measures.matches import to_luminance

MIN_CORRELATION = 0.75  # with the other views at the best lag; below it the lag is NaN
TIE = 0.03  # a lag is taken only if its correlation exceeds that of lag 0 by more than this
WIDTH = 64
SMOOTH_FRAMES = 9  # length of the moving average that is subtracted
NOISE_GREY = 0.05  # grey levels a frame, added before the logarithm so that it is finite for a still picture
FEWEST_VIEWS, FEWEST_FRAMES = 3, 3 * max(LAGS) + 1


def change_trace(video_thwc: np.ndarray) -> np.ndarray:
    """Logarithm of the mean change from frame to frame, less its moving average: float64 [T - 1]."""
    small = np.stack([to_luminance(picture, WIDTH) for picture in video_thwc]).astype(np.float64)
    change = np.log(np.abs(np.diff(small, axis=0)).mean((1, 2)) + NOISE_GREY)
    padded = np.pad(change, SMOOTH_FRAMES // 2, mode="edge")
    return change - np.convolve(padded, np.full(SMOOTH_FRAMES, 1 / SMOOTH_FRAMES), "valid")


def view_lags(videos: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Frames by which each view is behind the others, -8..8; NaN where it correlates too little with them.

    Args:
        videos: camera name -> uint8 [T, h, w, 3]; all NaN for fewer than three views or 25 frames.
    """
    length = min(map(len, videos.values()))
    if len(videos) < FEWEST_VIEWS or length < FEWEST_FRAMES:
        return dict.fromkeys(videos, float("nan"))
    traces = {name: change_trace(video[:length]) for name, video in videos.items()}
    traces = {name: trace / max(float(trace.std()), 1e-9) for name, trace in traces.items()}
    return {
        name: _best_lag(trace, np.median([other for of, other in traces.items() if of != name], axis=0))
        for name, trace in traces.items()
    }


def _best_lag(trace: np.ndarray, others: np.ndarray) -> float:
    length = len(trace)
    correlations = np.zeros(len(LAGS))
    for index, lag in enumerate(LAGS):
        ours, theirs = trace[max(0, lag) : length + min(0, lag)], others[max(0, -lag) : length - max(0, lag)]
        if ours.std() > 0 and theirs.std() > 0:
            correlations[index] = np.corrcoef(ours, theirs)[0, 1]
    best = int(correlations.argmax())
    if correlations[best] < MIN_CORRELATION:
        return float("nan")
    # A trace with a period of eight frames correlates as well at a lag of eight, so lag 0 is preferred in a tie.
    return 0.0 if correlations[LAGS.index(0)] >= correlations[best] - TIE else float(LAGS[best])
