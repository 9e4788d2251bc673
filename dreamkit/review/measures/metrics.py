"""The measures of a video: what each means, one row a video, kept in `review/metrics.parquet`.

A row is computed once and again only when the video's files or the measures themselves change. Nothing here downloads
weights. Values of a clip are the worst view's; `<measure>.<camera>` columns have each view's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dreamkit.errors import DreamkitError
from dreamkit.review.library import Video
from dreamkit.review.measures import adherence, epipolar, picture, view_lag
from dreamkit.review.measures.definitions import MEASURES
from dreamkit.review.measures.frames import read_small
from dreamkit.review.measures.matches import WIDTH, Features, features
from dreamkit.review.measures.rig import NOMINAL, PAIRS
from dreamkit.review.measures.style_agreement import agreement, light_of
from dreamkit.workspace.files import replacing

VERSION = 3  # raise it when a measure changes its meaning: kept rows are then computed anew
SAVE_SECONDS = 20.0
PARTS = ("picture", "map", "temporal", "cross")


def worst(values: Sequence[float], good: str) -> float:
    """The worst finite value; NaN when there is none."""
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return float("nan")
    return max(finite) if good == "low" else min(finite)


def measure_views(
    videos: Mapping[str, np.ndarray],
    conditions: Mapping[str, np.ndarray],
    style: str,
    parts: Sequence[str] = PARTS,
) -> tuple[dict[str, float], dict[str, list[float]], dict[str, float]]:
    """All measures of one result.

    Args:
        videos: camera name -> uint8 [T, h, w, 3]; the front camera first; one to six.
        conditions: camera name -> uint8 [T, h', w', 3] of one control; cameras may be missing.
        style: the style asked for.
        parts: which of PARTS to compute; measures of the others are NaN.

    Returns:
        `measure` and `measure.camera` -> value (NaN where it does not apply); trace name -> one value a frame;
        part -> seconds it took.
    """
    clock = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(part: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[part], clock = now - clock, now

    values: dict[str, float] = {}
    traces: dict[str, list[float]] = {}
    if "picture" in parts:
        pictures = {name: picture.measure(video) for name, video in videos.items()}
        for key in ("flicker", "wobble", "frozen", "black", "sharpness", "clipped"):
            values |= {f"{key}.{name}": getattr(measured, key) for name, measured in pictures.items()}
        for key in ("luminance", "change", "wobble"):
            traces[key] = _mean_trace([getattr(measured, f"{key}_trace") for measured in pictures.values()])
        light = light_of(next(iter(videos.values())))
        values["style_agreement"] = agreement(light, style)
        values |= {f"light_{name}": value for name, value in asdict(light).items()}
        lap("picture")
    timed_by = "map" if conditions else "cross"
    if timed_by in parts:
        values |= _out_of_step(videos)
    if "map" in parts:
        for name in videos.keys() & conditions.keys():
            values[f"adherence.{name}"] = adherence.adherence(videos[name], conditions[name])
            if f"view_lag.{name}" not in values:
                values[f"view_lag.{name}"] = abs(adherence.lag(videos[name], conditions[name]))
        lap("map")
    kept = _Kept(videos)
    if "temporal" in parts:
        values |= _temporal(kept, traces)
        lap("temporal")
    if "cross" in parts:
        untimed = {name for name in videos if timed_by == "cross" and f"view_lag.{name}" not in values}
        values |= _cross(kept, untimed)
        lap("cross")
    for measure in MEASURES:
        if measure.key not in values:
            views = [value for name, value in values.items() if name.startswith(f"{measure.key}.")]
            values[measure.key] = worst(views, measure.good)
    return values, traces, seconds


def _out_of_step(videos: Mapping[str, np.ndarray]) -> dict[str, float]:
    """View lags where the views have a common rhythm, which tells more surely than the map or the front view."""
    return {f"view_lag.{name}": abs(lag) for name, lag in view_lag.lags(videos).items() if np.isfinite(lag)}


def _mean_trace(traces: Sequence[np.ndarray]) -> list[float]:
    length = min(len(trace) for trace in traces)
    return [float(value) for value in np.mean([trace[:length] for trace in traces], axis=0)]


class _Kept:
    """Features of frames, found once however often they are asked for."""

    def __init__(self, videos: Mapping[str, np.ndarray]) -> None:
        self.videos = videos
        self.length = min(len(video) for video in videos.values())
        self.sampled = adherence.sample_frames(self.length - 1) if self.length > 1 else []
        self.found: dict[tuple[str, int], Features] = {}

    def at(self, name: str, frames: Iterable[int]) -> dict[int, Features]:
        for frame in frames:
            if (name, frame) not in self.found:
                self.found[name, frame] = features(self.videos[name][frame])
        return {frame: self.found[name, frame] for frame in frames}


def _temporal(kept: _Kept, traces: dict[str, list[float]]) -> dict[str, float]:
    errors = {}
    for name in kept.videos:
        now = list(kept.at(name, kept.sampled).values())
        following = list(kept.at(name, [frame + 1 for frame in kept.sampled]).values())
        errors[name] = epipolar.temporal(now, following, NOMINAL[name])
    trace = np.full(kept.length, np.nan)
    for index, frame in enumerate(kept.sampled):
        trace[frame] = _median(np.array([error[index] for error in errors.values()]))
    traces["temporal_sampson"] = trace.tolist()
    return {f"temporal_sampson.{name}": _median(error) for name, error in errors.items()}


def _cross(kept: _Kept, untimed: Collection[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    shares: dict[str, list[tuple[int, float]]] = {}
    first = next(iter(kept.videos))
    for a, b in PAIRS:
        if a not in kept.videos or b not in kept.videos or not kept.sampled:
            continue
        left, right = list(kept.at(a, kept.sampled).values()), list(kept.at(b, kept.sampled).values())
        matches, share = epipolar.order(left, right, NOMINAL[a], NOMINAL[b])
        values[f"view_order.{b}"] = share
        shares.setdefault(a, []).append((matches, share))
        if a != first:
            continue  # the telephoto pairs match too few points to fit a matrix to, or to time
        values[f"cross_view_sampson.{b}"] = _median(epipolar.cross_view(left, right, NOMINAL[a], NOMINAL[b]))
        if b in untimed:
            chosen = adherence.sample_frames(kept.length, 2, margin=max(epipolar.LAGS))
            others = sorted({at + lag for at in chosen for lag in epipolar.LAGS if 0 <= at + lag < kept.length})
            lag, _ = epipolar.lag(kept.at(a, chosen), kept.at(b, others), NOMINAL[a], NOMINAL[b])
            values[f"view_lag.{b}"] = abs(lag)
    # One pair of a poor picture has some thirty matches, whose share is mostly chance: neighbours of a camera together.
    together = []
    for found in shares.values():
        if total := sum(matches for matches, _ in found):
            together.append(sum(matches * share for matches, share in found if matches) / total)
    return values | {"view_order": worst(together, "high")}


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def measure_video(video: Video) -> dict[str, Any]:
    """One row of the table. A video that cannot be read gets a row that says so; this never raises for bad files."""
    start = time.perf_counter()
    problems = list(video.problems)
    row: dict[str, Any] = {
        "key": video.key,
        "stage": video.stage,
        "clip": video.chunk.clip,
        "chunk": video.chunk.index,
        "style": video.style,
        "fingerprint": video.fingerprint,
        "version": VERSION,
    }
    views, sizes, rates = {}, {}, {}
    for name, path in video.views.items():
        try:
            read = read_small(path, WIDTH)
        except DreamkitError as error:
            problems.append(error.message)
            continue
        views[name], sizes[name], rates[name] = read.frames_thwc, (read.width, read.height), read.fps
        if read.problem:
            problems.append(read.problem)
    problems += _odd_ones_out({name: len(frames) for name, frames in views.items()}, "frames")
    problems += _odd_ones_out({name: "x".join(map(str, size)) for name, size in sizes.items()}, "pixels")
    if views:
        control = next(iter(video.conditions), "")
        maps = {}
        for name, path in video.conditions.get(control, {}).items():
            if name in views:
                try:
                    maps[name] = read_small(path, adherence.WIDTH, len(views[name])).frames_thwc
                except DreamkitError as error:
                    problems.append(error.message)
        seconds = {"decode": time.perf_counter() - start}
        first = next(iter(views))
        values, traces, parts = measure_views(views, maps, video.style)
        row |= {"frames": len(views[first]), "fps": rates[first], "width": sizes[first][0], "height": sizes[first][1]}
        row |= {"control": control} | values
        row |= {f"trace_{name}": trace for name, trace in traces.items()}
        row |= {f"seconds_{name}": value for name, value in (seconds | parts).items()}
    row |= {"problems": "; ".join(problems), "seconds": time.perf_counter() - start}
    return row


def _odd_ones_out(values: Mapping[str, Any], what: str) -> list[str]:
    """Views whose value is not the commonest, in words."""
    if len(set(values.values())) < 2:
        return []
    common = max(set(values.values()), key=list(values.values()).count)
    return [f"{name} has {value} {what}, the others {common}" for name, value in values.items() if value != common]


def read_table(path: Path) -> pd.DataFrame:
    """The kept rows; an empty table when there is no file, or when it cannot be read (it is then made anew)."""
    if not path.is_file():
        return pd.DataFrame({"key": pd.Series(dtype=str)})
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError):  # pyarrow's ArrowInvalid is a ValueError
        return pd.DataFrame({"key": pd.Series(dtype=str)})
    return table if "key" in table else pd.DataFrame({"key": pd.Series(dtype=str)})


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write the table, whole or not at all."""
    with replacing(path) as partial:
        table.to_parquet(partial, index=False)


def measure_all(
    videos: Sequence[Video],
    path: Path,
    progress: Callable[..., Any] = tqdm,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> pd.DataFrame:
    """Measure what was not measured yet, keep it, and return the table of these videos, in their order.

    Interrupting keeps what was done so far (saved every SAVE_SECONDS and on the way out). `on_row` is given every new
    row as soon as it is there.
    """
    rows = {row["key"]: row for row in read_table(path).to_dict("records")}
    fresh = {
        video.key: row
        for video in videos
        if (row := rows.get(video.key)) and row["fingerprint"] == video.fingerprint and row["version"] == VERSION
    }
    due = [video for video in videos if video.key not in fresh]
    saved = time.monotonic()
    try:
        for video in progress(due, desc="Measuring", unit="video", disable=not due):
            rows[video.key] = fresh[video.key] = measure_video(video)
            if on_row:
                on_row(fresh[video.key])
            if time.monotonic() - saved > SAVE_SECONDS:
                write_table(path, pd.DataFrame(list(rows.values())))
                saved = time.monotonic()
    finally:
        if due:
            write_table(path, pd.DataFrame(list(rows.values())))
    return pd.DataFrame([fresh[video.key] for video in videos])
