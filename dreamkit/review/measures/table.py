"""The table of measures: one row a video, kept in `review/metrics.parquet`.

A row is computed once, and again only when the video's files or the measures change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from dreamkit.errors import DreamkitError
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures import adherence
from dreamkit.review.measures.frames import read_small
from dreamkit.review.measures.matches import WIDTH
from dreamkit.review.measures.metrics import ClipFrames, measure_views
from dreamkit.workspace.files import replacing

VERSION = 6  # raise it when a measure or the columns change: rows of other versions are computed again
SAVE_SECONDS = 20.0
MOST_ROWS = 200_000  # of a kept table; a larger one was not written here


def measure_video(video: ReviewVideo) -> dict[str, Any]:
    """Decode and measure one video; returns its row. Unreadable files are listed in the row, never raised.

    `faults` has what is wrong with the files, one phrase each; `problems` has the same and the notes in one text.
    """
    start = time.perf_counter()
    faults = list(video.problems)
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
            faults.append(error.message)
            continue
        views[name], sizes[name], rates[name] = read.frames_thwc, (read.width, read.height), read.fps
        if read.problem:
            faults.append(read.problem)
    faults += _outliers({name: len(frames) for name, frames in views.items()}, "frames")
    faults += _outliers({name: "x".join(map(str, size)) for name, size in sizes.items()}, "pixels")
    if views:
        control = next(iter(video.conditions), "")
        maps = {}
        for name, path in video.conditions.get(control, {}).items():
            if name in views:
                try:
                    maps[name] = read_small(path, adherence.WIDTH, len(views[name])).frames_thwc
                except DreamkitError as error:
                    faults.append(error.message)
        seconds = {"decode": time.perf_counter() - start}
        first = next(iter(views))
        measured = measure_views(ClipFrames(views, maps, video.style))
        row |= {"frames": len(views[first]), "fps": rates[first], "width": sizes[first][0], "height": sizes[first][1]}
        row |= {"control": control} | measured.values
        row |= {f"trace_{name}": trace for name, trace in measured.traces.items()}
        row |= {f"seconds_{name}": value for name, value in (seconds | measured.seconds).items()}
    problems = "; ".join([*video.notes, *faults])
    return row | {"problems": problems, "faults": faults, "seconds": time.perf_counter() - start}


def row_faults(row: Mapping[str, Any]) -> list[str] | None:
    """The `faults` of a row; None for a row that has none, such as an empty one or one of an older version."""
    faults = row.get("faults")
    return [str(text) for text in faults] if isinstance(faults, (list, np.ndarray)) else None


def _outliers(values: Mapping[str, Any], what: str) -> list[str]:
    """A phrase for each view whose value is not the most common one."""
    if len(set(values.values())) < 2:
        return []
    common = max(set(values.values()), key=list(values.values()).count)
    return [f"{name} has {value} {what}, the others {common}" for name, value in values.items() if value != common]


def read_table(path: Path) -> pd.DataFrame:
    """The kept rows; an empty table when the file is missing or unreadable, so that all rows are computed again."""
    empty = pd.DataFrame({"key": pd.Series(dtype=str)})
    if not path.is_file():
        return empty
    try:
        if pq.read_metadata(path).num_rows > MOST_ROWS:
            return empty
        table = pd.read_parquet(path)
        good = {"key", "fingerprint", "version"} <= set(table) and all(isinstance(key, str) for key in table["key"])
    except Exception:  # pyarrow raises many types on damaged files
        return empty
    return table if good else empty


def is_current(row: Mapping[str, Any], video: ReviewVideo) -> bool:
    """Whether a row is of the video's present files, and of the present measures."""
    return row["fingerprint"] == video.fingerprint and row["version"] == VERSION


def has_labels(row: Mapping[str, Any]) -> bool:
    """Whether a row has the columns that need labels; a table has NaN there for other rows."""
    return row.get("labelled") in (True,)  # also numpy's True, as it comes from a file


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write the table, whole or not at all."""
    with replacing(path) as partial:
        table.to_parquet(partial, index=False)


def measure_all(
    videos: Sequence[ReviewVideo],
    path: Path,
    progress: Callable[..., Any] = tqdm,
    on_row: Callable[[dict[str, Any]], None] | None = None,
    with_labels: Callable[[ReviewVideo], dict[str, Any]] | None = None,
) -> pd.DataFrame:
    """Measure the videos that have no valid row, save the rows, and return the table of these videos in their order.

    Args:
        videos: the videos.
        path: the table's file; saved every SAVE_SECONDS and at the end, also after an interrupt.
        progress: wraps the videos for a progress bar, as tqdm does; videos that it does not yield are not measured.
        on_row: called with every new row.
        with_labels: the columns of a video that need its labels, with `labelled` among them; added to the rows that
            have none yet. Left out where there are no labels.
    """
    rows = {row["key"]: row for row in read_table(path).to_dict("records")}
    valid = {video.key: row for video in videos if (row := rows.get(video.key)) and is_current(row, video)}
    due = [video for video in videos if video.key not in valid or (with_labels and not has_labels(valid[video.key]))]
    saved = time.monotonic()
    try:
        for video in progress(due, desc="Measuring", unit="video", disable=not due):
            row = valid.get(video.key) or measure_video(video)
            rows[video.key] = valid[video.key] = row | (with_labels(video) if with_labels else {})
            if on_row:
                on_row(valid[video.key])
            if time.monotonic() - saved > SAVE_SECONDS:
                write_table(path, pd.DataFrame(list(rows.values())))
                saved = time.monotonic()
    finally:
        if due:
            write_table(path, pd.DataFrame(list(rows.values())))
    return pd.DataFrame([valid[video.key] for video in videos if video.key in valid])
