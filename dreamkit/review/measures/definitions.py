"""The table of measures: what each one means, its unit and range, which end is good, and published values.

To add a measure:

1. Add a `Measure` to MEASURES below. The board, the player, the report, the thresholds and the export read this table.
2. Compute it in `metrics.py`, in the function of the part it belongs to (see `metrics.PARTS`). Set
   `values["<key>.<camera>"]` for each view, and the worst view's value becomes `<key>`; or set `values["<key>"]` once.
   A measure of a view's pictures alone is a field of `picture.PictureMeasures`; add its key in `metrics._picture_part`.
3. Raise `table.VERSION`, so that the rows of earlier runs are computed again.
4. If the measure should detect a fault that can be made artificially, add the fault to `faults.FAULTS`; its test then
   covers the measure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dreamkit.workspace.files import nearest


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        key: name in thresholds and column in the tables.
        label: name on the page.
        unit: unit of the value.
        low: the least possible value.
        high: the greatest possible value.
        good: which end of the range is good, `low` or `high`.
        meaning: one phrase that explains it on the page.
        needs_labels: whether it is computed from the labels, see `geometry.edge_row`, and not in `metrics.py`.
    """

    key: str
    label: str
    unit: str
    low: float
    high: float
    good: Literal["low", "high"]
    meaning: str
    needs_labels: bool = False


MEASURES = (
    Measure(
        key="temporal_sampson",
        label="Temporal Sampson",
        unit="px of a 1024-wide view",
        low=0,
        high=math.inf,
        good="low",
        meaning="how far matches between neighbouring frames are from one camera motion",
    ),
    Measure(
        key="cross_view_sampson",
        label="Cross-view Sampson",
        unit="px of a 1024-wide view",
        low=0,
        high=math.inf,
        good="low",
        meaning="how far matches between front and cross cameras are from one rigid rig; uncertain by tens of pixels "
        "where they are few (cross-view matches below 6) and half of them wrong (view order below 0.7)",
    ),
    Measure(
        key="cross_view_matches",
        label="Cross-view matches",
        unit="a frame",
        low=0,
        high=math.inf,
        good="high",
        meaning="features of the front view that are found in a cross view; few in soft or disagreeing views",
    ),
    Measure(
        key="view_order",
        label="View order",
        unit="share of matches",
        low=0,
        high=1,
        good="high",
        meaning="matches between a camera and its neighbours that lie where the rig's cameras point; low for swapped "
        "views",
    ),
    Measure(
        key="view_lag",
        label="View lag",
        unit="frames",
        low=0,
        high=8,
        good="low",
        meaning="by how many frames a view is behind the other views, by frame differences; where these do not "
        "correlate, behind its map or, without a map, behind the front view",
    ),
    Measure(
        key="adherence",
        label="Map adherence",
        unit="ROC area over a wrong map's",
        low=-1,
        high=1,
        good="high",
        meaning="how much better the picture's edges fit the map's lines and boxes than a displaced or mirrored map's",
    ),
    Measure(
        key="edge_agreement",
        label="Edge agreement",
        unit="edge strength over displaced labels'",
        low=-4,
        high=4,
        good="high",
        meaning="how much better the picture's edges fit the labels' projected boxes and lines than the same ones "
        "displaced by up to 8 % of the picture; needs the labels",
        needs_labels=True,
    ),
    Measure(
        key="edge_offset",
        label="Edge offset",
        unit="% of the width",
        low=0,
        high=12,
        good="low",
        meaning="how far the picture's edges clearly lie beside the labels' boxes and lines; 0 where no other place "
        "fits clearly better, no value where the picture has too few edges to tell. The export in nuScenes' form "
        "leaves a view out over 2.5",
        needs_labels=True,
    ),
    Measure(
        key="flicker",
        label="Flicker",
        unit="grey levels",
        low=0,
        high=255,
        good="low",
        meaning="brightness that jumps up and down from frame to frame",
    ),
    Measure(
        key="wobble",
        label="Wobble",
        unit="share of motion",
        low=0,
        high=math.inf,
        good="low",
        meaning="a place whose motion changes in every frame, as in a melting shape",
    ),
    Measure(
        key="frozen",
        label="Frozen",
        unit="% of frames",
        low=0,
        high=100,
        good="low",
        meaning="longest stretch in which nothing changes",
    ),
    Measure(
        key="black",
        label="Black",
        unit="% of frames",
        low=0,
        high=100,
        good="low",
        meaning="frames without light",
    ),
    Measure(
        key="sharpness",
        label="Sharpness",
        unit="Laplacian over contrast",
        low=0,
        high=math.inf,
        good="high",
        meaning="fine detail at 256 pixels' width, independent of contrast",
    ),
    Measure(
        key="clipped",
        label="Clipped",
        unit="% of pixels",
        low=0,
        high=100,
        good="low",
        meaning="pixels that are fully black or white",
    ),
    Measure(
        key="style_agreement",
        label="Style agreement",
        unit="fit",
        low=0,
        high=1,
        good="high",
        meaning="whether the light fits the style: Night dark, Foggy low in contrast; no value for Original",
    ),
)
BY_KEY = {measure.key: measure for measure in MEASURES}

# Means over real multi-camera driving videos, as a reference for the scale and not a limit: other clips and lenses, and
# LightGlue or SIFT with unstated settings. Taken from public notes on the papers, not checked against the PDFs.
PUBLISHED_REAL = {
    "temporal_sampson": {
        "Cosmos WFM platform (arXiv 2501.03575), table 24": 0.69,
        "Cosmos-Predict2.5 (World Simulation with Video Foundation Models), table 14": 1.193,
    },
    "cross_view_sampson": {
        "Cosmos WFM platform (arXiv 2501.03575), table 24": 1.71,
        "Cosmos-Predict2.5 (World Simulation with Video Foundation Models), table 14": 1.832,
    },
}


def failed_measures(row: Mapping[str, Any], thresholds: Mapping[str, float]) -> dict[str, str]:
    """The measures of a row that are past their threshold, key -> a phrase with the value and the limit.

    A measure without a finite value is not past it.
    """
    failed = {}
    for key, limit in thresholds.items():
        measure, value = BY_KEY[key], row.get(key)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            continue
        if value > limit if measure.good == "low" else value < limit:
            bound = "at most" if measure.good == "low" else "at least"
            real = PUBLISHED_REAL.get(key, {}).values()
            beside = f"; real videos have {min(real):.2g} to {max(real):.2g}" if real else ""
            failed[key] = f"{measure.label} {value:.3g} ({bound} {limit:g}{beside})"
    return failed


def check_thresholds(thresholds: Mapping[str, float]) -> None:
    """Check a `measure: limit` table.

    Raises:
        ValueError: there is no such measure (names the nearest), or a limit is not finite.
    """
    for key, limit in thresholds.items():
        if key not in BY_KEY:
            close = nearest(key, BY_KEY)
            hint = f"did you mean {close!r}?" if close else f"known are {', '.join(BY_KEY)}"
            raise ValueError(f"there is no measure {key!r}; {hint}")
        if not math.isfinite(limit):
            raise ValueError(f"the limit of {key} must be a finite number")
