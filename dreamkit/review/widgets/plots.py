"""Plots of the measures: one panel a measure with the videos by name, and traces of chosen videos over time.

As SVG they take ink and background from the page around them, so that they fit a light and a dark one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dreamkit.review.measures.definitions import MEASURES, PUBLISHED_REAL, Measure
from dreamkit.workspace.images import data_url

COLUMNS = 4
INK = "#7f7f7e"  # readable on white and on black; in an SVG it becomes the page's own ink
GOOD, BAD, REAL = "#2e9e5b", "#d1453b", "#4c78a8"
# Trace name -> label of the axis. The traces are computed in `measures.metrics`.
TRACES = {
    "luminance": "luminance, grey levels",
    "change": "change a pixel, grey levels",
    "wobble": "wobble, share of motion",
    "temporal_sampson": "temporal Sampson, px",
}


def short_name(key: str, most: int = 34) -> str:
    """A video's key as a label: name, then `front` or `views`; the middle of a long name is left out.

    >>> short_name("multi_view/clip_Night")
    'clip_Night, views'
    """
    stage, _, name = key.partition("/")
    half = (most - 1) // 2
    shown = name if len(name) <= most else f"{name[:half]}…{name[-half:]}"
    return f"{shown}, {'front' if stage == 'single_view' else 'views'}"


def _bare(axis: Axes) -> None:
    axis.set_facecolor("none")
    axis.tick_params(labelsize=8, colors=INK)
    for name, spine in axis.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(INK)


def _goal(measure: Measure, limit: float | None) -> str:
    """What is good, in words: the limit where there is one, else the end of the range."""
    if limit is not None:
        return f"good: {'at most' if measure.good == 'low' else 'at least'} {limit:g}"
    return f"good: {measure.good}"


def distributions(table: pd.DataFrame, thresholds: Mapping[str, float], keys: Sequence[str] = ()) -> Figure:
    """One panel a measure, one dot a video: green within its limit, red past it, grey where there is no limit.

    The green line is the limit, the blue band the published means over real videos.

    Args:
        table: the measures.
        thresholds: measure -> limit.
        keys: the videos to show, from top to bottom; all when empty.
    """
    rows = table[table["key"].isin(list(keys))] if len(keys) else table
    rows = rows.set_index("key").loc[list(keys) or list(rows["key"])] if len(rows) else rows.set_index("key")
    shown = [
        measure for measure in MEASURES if measure.key in rows and bool(rows[measure.key].notna().to_numpy().any())
    ]
    lines = max(1, -(-len(shown) // COLUMNS))
    figure = Figure(figsize=(11, lines * (1.0 + 0.22 * max(2, len(rows)))), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots(lines, COLUMNS, squeeze=False, sharey=True).ravel()
    places = np.arange(len(rows))
    for axis, measure in zip(axes, shown, strict=False):
        _bare(axis)
        values, limit = rows[measure.key].astype(float).to_numpy(), thresholds.get(measure.key)
        colours = [INK if limit is None else BAD if _past(float(value), limit, measure) else GOOD for value in values]
        real = PUBLISHED_REAL.get(measure.key, {}).values()
        if real:
            axis.axvspan(min(real), max(real), color=REAL, alpha=0.35, linewidth=0)
        if limit is not None:
            axis.axvline(limit, color=GOOD, linewidth=1.2)
        axis.hlines(places, 0, np.nan_to_num(values), color=colours, linewidth=1, alpha=0.5)
        axis.scatter(values, places, c=colours, s=26, zorder=3, clip_on=False)
        axis.set_xlim(left=min(0.0, np.nanmin(values)), right=None if np.nanmax(values) > 0 or limit else 1.0)
        axis.set_title(f"{measure.label}\n{_goal(measure, limit)}", fontsize=9, color=INK, loc="left")
        axis.set_xlabel(measure.unit, fontsize=8, color=INK)
    for index, axis in enumerate(axes[: len(shown)]):
        axis.set_ylim(len(rows) - 0.5, -0.5)
        if index % COLUMNS == 0:
            axis.set_yticks(places, [short_name(str(key)) for key in rows.index], fontsize=8)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure


def _past(value: float, limit: float, measure: Measure) -> bool:
    return bool(value > limit if measure.good == "low" else value < limit)


def traces(table: pd.DataFrame, keys: Sequence[str]) -> Figure:
    """One panel a trace, one line a video; traces of sampled frames have a marker at each."""
    rows = table.set_index("key")
    shown = {name: label for name, label in TRACES.items() if f"trace_{name}" in rows}
    figure = Figure(figsize=(11, 2.0 * max(1, len(shown)) + 0.4), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots(max(1, len(shown)), 1, squeeze=False, sharex=True).ravel()
    for axis, (name, label) in zip(axes, shown.items(), strict=False):
        _bare(axis)
        for key in keys:
            trace = rows.at[key, f"trace_{name}"] if key in rows.index else None
            if not isinstance(trace, (list, np.ndarray)):
                continue
            values = np.asarray(trace, float)
            known = np.flatnonzero(np.isfinite(values))
            marker = "." if len(known) < len(values) - 2 else None
            axis.plot(known, values[known], marker=marker, linewidth=1.3, label=short_name(key))
        axis.set_ylabel(label, fontsize=8, color=INK)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=8, frameon=False, labelcolor=INK)
    axes[-1].set_xlabel("frame", fontsize=8, color=INK)
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file without background, 160 dots an inch, for pages that show no SVG."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=160, transparent=True)
    return data.getvalue()


def to_img(figure: Figure) -> str:
    """The figure as an `<img>` element, at half its pixels' size: sharp also on a screen of two pixels a point."""
    width = round(figure.get_figwidth() * 80)
    return f'<img src="{data_url(to_png(figure), "image/png")}" width="{width}" style="max-width:100%" alt="">'


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element for an HTML page: sharp at every size, its text and axes in the page's ink.

    Args:
        figure: the figure.
        name: unique in the page; the ids inside the element are made from it.
    """
    data = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    text = data.getvalue()
    element = text[text.index("<svg") :].replace(INK, "currentColor")
    return element.replace("<svg ", '<svg style="width:100%;max-width:1280px;height:auto;color:inherit" ', 1)
