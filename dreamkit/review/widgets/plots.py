"""Plots of the measures: their distribution over the videos, and traces of chosen videos over time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dreamkit.review.measures.definitions import MEASURES, PUBLISHED_REAL

COLUMNS = 4
# Trace name -> label of the axis. The traces are computed in `measures.metrics`.
TRACES = {
    "luminance": "luminance, grey levels",
    "change": "change a pixel, grey levels",
    "wobble": "wobble, share of motion",
    "temporal_sampson": "temporal Sampson, px",
}


def distributions(table: pd.DataFrame, thresholds: Mapping[str, float]) -> Figure:
    """A histogram of each measure; the threshold in red, published means over real videos in grey."""
    shown = [
        measure for measure in MEASURES if measure.key in table and bool(table[measure.key].notna().to_numpy().any())
    ]
    rows = max(1, -(-len(shown) // COLUMNS))
    figure = Figure(figsize=(3 * COLUMNS, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis, measure in zip(axes, shown, strict=False):
        values = table[measure.key].astype(float)
        axis.hist(values[np.isfinite(values)], bins=20, color="#4c78a8")
        for mean in PUBLISHED_REAL.get(measure.key, {}).values():
            axis.axvline(mean, color="#888", linestyle=":")
        if measure.key in thresholds:
            axis.axvline(thresholds[measure.key], color="#d1453b")
        axis.set_title(measure.label, fontsize=9)
        axis.set_xlabel(measure.unit, fontsize=7)
        axis.tick_params(labelsize=7)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure


def traces(table: pd.DataFrame, keys: Sequence[str]) -> Figure:
    """One panel a trace, one line a video; traces of sampled frames have a marker at each."""
    rows = table.set_index("key")
    shown = {name: label for name, label in TRACES.items() if f"trace_{name}" in rows}
    figure = Figure(figsize=(12, 2.2 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots(max(1, len(shown)), 1, squeeze=False).ravel()
    for axis, (name, label) in zip(axes, shown.items(), strict=False):
        for key in keys:
            trace = rows.at[key, f"trace_{name}"] if key in rows.index else None
            if not isinstance(trace, (list, np.ndarray)):
                continue
            values = np.asarray(trace, float)
            known = np.flatnonzero(np.isfinite(values))
            axis.plot(known, values[known], marker="." if len(known) < len(values) - 2 else None, label=key)
        axis.set_ylabel(label, fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=6, loc="upper right")
    axes[-1].set_xlabel("frame", fontsize=8)
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file, 80 dots an inch."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=80)
    return data.getvalue()
