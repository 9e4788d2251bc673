"""Compute all measures of one clip from its decoded frames, part by part.

Most measures have one value a view, `<key>.<camera>`, and the worst view's value is the clip's, `<key>`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from dreamkit.review.measures import adherence, epipolar, picture, view_lag
from dreamkit.review.measures.definitions import MEASURES
from dreamkit.review.measures.frames import LAGS, SAMPLES, sample_frames
from dreamkit.review.measures.matches import Features, find_features
from dreamkit.review.measures.rig import NOMINAL, PAIRS
from dreamkit.review.measures.style_agreement import agreement, light_of


@dataclass
class ClipFrames:
    """The frames of a clip that the measures are computed from, and the features found in them so far.

    Attributes:
        views: camera name -> uint8 [T, h, w, 3]; the front camera first; one to six.
        maps: camera name -> uint8 [T, h', w', 3] of one control; cameras may be missing.
        style: the style in the video's name.
        samples: how many frames are matched.
        features: (camera name, frame) -> SIFT features.
    """

    views: Mapping[str, np.ndarray]
    maps: Mapping[str, np.ndarray]
    style: str = "Original"
    samples: int = SAMPLES
    features: dict[tuple[str, int], Features] = field(default_factory=dict, init=False)

    @property
    def length(self) -> int:
        """Frames of the shortest view."""
        return min(map(len, self.views.values()))

    @property
    def sampled(self) -> list[int]:
        """Indices of the frames that are matched; each has a next frame."""
        return sample_frames(self.length - 1, self.samples) if self.length > 1 else []

    def features_at(self, name: str, frames: Iterable[int]) -> dict[int, Features]:
        """Frame index -> features of one view; each frame is searched once."""
        for frame in frames:
            if (name, frame) not in self.features:
                self.features[name, frame] = find_features(self.views[name][frame])
        return {frame: self.features[name, frame] for frame in frames}


@dataclass
class Measured:
    """The values and traces of one clip, and the computing times.

    Attributes:
        values: `<key>.<camera>` and `<key>` -> value; NaN where a measure does not apply.
        traces: trace name -> one value a frame; see `widgets.plots.TRACES`.
        seconds: part -> computing time in seconds.
    """

    values: dict[str, float] = field(default_factory=dict)
    traces: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def measure_views(clip: ClipFrames, parts: Sequence[str] = ()) -> Measured:
    """All measures of one clip.

    Args:
        clip: its frames.
        parts: keys of PARTS to compute, all when empty; measures of the others are NaN.
    """
    measured = Measured()
    for part, compute in PARTS.items():
        if not parts or part in parts:
            start = time.perf_counter()
            compute(clip, measured)
            measured.seconds[part] = time.perf_counter() - start
    for measure in MEASURES:
        if measure.key not in measured.values:
            views = [value for name, value in measured.values.items() if name.startswith(f"{measure.key}.")]
            measured.values[measure.key] = worst_value(views, measure.good)
    return measured


def worst_value(values: Sequence[float], good: str) -> float:
    """The worst finite value, given which end is good, `low` or `high`; NaN when none is finite."""
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return float("nan")
    return max(finite) if good == "low" else min(finite)


def _picture_part(clip: ClipFrames, measured: Measured) -> None:
    """Measures of each view on its own, and the light of the front view."""
    values, traces = measured.values, measured.traces
    pictures = {name: picture.measure_picture(video) for name, video in clip.views.items()}
    for key in ("flicker", "wobble", "frozen", "black", "sharpness", "clipped"):
        values |= {f"{key}.{name}": getattr(view, key) for name, view in pictures.items()}
    for key in ("luminance", "change", "wobble"):
        each = [getattr(view, f"{key}_trace")[: clip.length] for view in pictures.values()]
        traces[key] = [float(value) for value in np.mean(each, axis=0)]
    light = light_of(next(iter(clip.views.values())))
    values["style_agreement"] = agreement(light, clip.style)
    values |= {f"light_{name}": value for name, value in asdict(light).items()}


def _map_part(clip: ClipFrames, measured: Measured) -> None:
    """Comparison of each view with its condition video; also the view lags where there is one."""
    values = measured.values
    if clip.maps:
        values |= _common_lags(clip)
    for name in (name for name in clip.views if name in clip.maps):
        values[f"adherence.{name}"] = adherence.adherence(clip.views[name], clip.maps[name])
        if f"view_lag.{name}" not in values:
            values[f"view_lag.{name}"] = abs(adherence.map_lag(clip.views[name], clip.maps[name]))


def _temporal_part(clip: ClipFrames, measured: Measured) -> None:
    """Comparison of neighbouring frames of each view."""
    errors = {}
    for name in clip.views:
        now = list(clip.features_at(name, clip.sampled).values())
        following = list(clip.features_at(name, [frame + 1 for frame in clip.sampled]).values())
        errors[name] = epipolar.temporal_error(now, following, NOMINAL[name])
    trace = np.full(clip.length, np.nan)
    for index, frame in enumerate(clip.sampled):
        trace[frame] = _median(np.array([error[index] for error in errors.values()]))
    measured.traces["temporal_sampson"] = trace.tolist()
    measured.values |= {f"temporal_sampson.{name}": _median(error) for name, error in errors.items()}


def _cross_part(clip: ClipFrames, measured: Measured) -> None:
    """Comparison of neighbouring cameras; also the view lags of a clip without any condition video."""
    values = measured.values
    if not clip.maps:
        values |= _common_lags(clip)
    front = next(iter(clip.views))
    shares: dict[str, list[tuple[int, float]]] = {}
    for a, b in PAIRS:
        if a not in clip.views or b not in clip.views or not clip.sampled:
            continue
        left = list(clip.features_at(a, clip.sampled).values())
        right = list(clip.features_at(b, clip.sampled).values())
        matches, share = epipolar.view_order(left, right, NOMINAL[a], NOMINAL[b])
        values[f"view_order.{b}"] = share
        shares.setdefault(a, []).append((matches, share))
        if a != front:
            continue  # the pairs of the rear telephoto camera have too few matches for a matrix or a lag
        values[f"cross_view_matches.{b}"] = matches / len(clip.sampled)
        values[f"cross_view_sampson.{b}"] = _median(epipolar.cross_view_error(left, right, NOMINAL[a], NOMINAL[b]))
        if not clip.maps and f"view_lag.{b}" not in values:
            chosen = sample_frames(clip.length, 2, margin=max(LAGS))
            others = sorted({at + lag for at in chosen for lag in LAGS if 0 <= at + lag < clip.length})
            lag, _ = epipolar.parallax_lag(
                clip.features_at(a, chosen), clip.features_at(b, others), NOMINAL[a], NOMINAL[b]
            )
            values[f"view_lag.{b}"] = abs(lag)
    # A pair of poor pictures has some thirty matches, too few for a reliable share, so a camera's pairs are pooled.
    pooled = []
    for found in shares.values():
        if total := sum(matches for matches, _ in found):
            pooled.append(sum(matches * share for matches, share in found if matches) / total)
    values["view_order"] = worst_value(pooled, "high")


PARTS: dict[str, Callable[[ClipFrames, Measured], None]] = {
    "picture": _picture_part,
    "map": _map_part,
    "temporal": _temporal_part,
    "cross": _cross_part,
}
"""Part -> the function that adds the part's values and traces to those of a clip."""


def _common_lags(clip: ClipFrames) -> dict[str, float]:
    """View lags from frame differences, for the views where they are finite; preferred to lags from map or parallax."""
    lags = view_lag.view_lags(clip.views)
    return {f"view_lag.{name}": abs(lag) for name, lag in lags.items() if np.isfinite(lag)}


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
