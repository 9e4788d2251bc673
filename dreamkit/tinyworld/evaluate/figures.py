"""Figures of the tiny bundle with bounds: adherence to map and caption, view agreement, time and memory.

A row holds the measurements of one video as a dict, from `dreamkit.tinyworld.evaluate.run`; figures are computed over
all rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dreamkit.review.measures.style_agreement import light_of
from dreamkit.tinyworld.evaluate.held_out import CROSS, GroundTruth
from dreamkit.tinyworld.evaluate.overlap import Pairs, colour_difference
from dreamkit.tinyworld.evaluate.vehicles import NEAR, RANGES, share_found, summed
from dreamkit.tinyworld.render.style_presets import STYLES

Row = dict[str, Any]

FRONT_FRAMES, SIX_FRAMES = 121, 57
_CORES = 2
_MAX_PSNR = 99.0  # dB; the PSNR of equal pictures would be infinite


def psnr(made: np.ndarray, true: np.ndarray, mask: np.ndarray) -> float | None:
    """Peak signal-to-noise ratio in dB of uint8 [..., 3] over the pixels of `mask` bool [...]; None for no pixels.

    The mean squared error is over all these pixels and channels together.
    """
    if not mask.any():
        return None
    error = float(((made[mask].astype(np.float32) - true[mask].astype(np.float32)) ** 2).mean())
    return min(_MAX_PSNR, 10 * math.log10(255**2 / max(error, 1e-9)))


def follows(made: np.ndarray, truth: GroundTruth) -> Row:
    """PSNR of uint8 [V, T, H, W, 3] against the truth: over pixels that the condition determines, and over marks."""
    return {
        "psnr": psnr(made, truth.colour, truth.determined),
        "marks": psnr(made, truth.colour, truth.marks),
    }


def of_front(made: np.ndarray, truth: GroundTruth) -> Row:
    """Measurements of a front video at the measured frames, uint8 [T, H, W, 3]."""
    return {
        **follows(made[None], truth),
        "light": asdict(light_of(made)),
        "true_light": asdict(light_of(truth.colour[0])),
    }


def of_six(made: np.ndarray, truth: GroundTruth, pairs: Sequence[Sequence[Pairs]]) -> Row:
    """Measurements of six views at the measured frames, uint8 [6, T, H, W, 3]; the front view was given."""
    others = side_views(truth)
    return {
        **follows(made[1:], others),
        "views": [psnr(made[view], truth.colour[view], truth.determined[view]) for view in range(1, len(made))],
        "given": psnr(made[0], truth.colour[0], truth.determined[0]),
        "apart": views_apart(made, pairs),
        "true_apart": views_apart(truth.colour, pairs),
        "luminance": float(np.mean([light_of(view).luminance for view in made[1:]])),
        "true_luminance": float(np.mean([light_of(view).luminance for view in truth.colour[1:]])),
    }


def side_views(truth: GroundTruth) -> GroundTruth:
    """The truth of six views without the front one."""
    return GroundTruth(**{name: values[1:] for name, values in vars(truth).items()})


def views_apart(views: np.ndarray, pairs: Sequence[Sequence[Pairs]]) -> float | None:
    """Relative colour difference of the same surfaces in front and cross cameras; None if they share no pixels.

    Args:
        views: uint8 [V, T, H, W, 3].
        pairs: for each cross camera and frame, the pixels of shared surfaces.

    Returns:
        The mean over cameras and frames.
    """
    found = [
        colour_difference(views[0, index], views[view, index], at)
        for view, of_view in zip(CROSS, pairs, strict=True)
        for index, at in enumerate(of_view)
        if len(at.mine)
    ]
    return float(np.mean(found)) if found else None


@dataclass(frozen=True)
class Figure:
    """One figure of the bundle.

    Attributes:
        name: what is measured.
        unit: of the values.
        bound: minimum or maximum of `value`; None for no bound.
        at_least: True if the bound is a minimum, False if it is a maximum.
        value: mean over `count` videos or scenes; None if nothing was measured.
        worst: worst single value.
        count: number of values.
        true: the same figure for true pictures.
    """

    name: str
    unit: str
    bound: float | None
    at_least: bool
    value: float | None
    worst: float | None
    count: int
    true: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the value keeps its bound; None without a bound or a value."""
        if self.bound is None or self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def figures(rows: Iterable[Row]) -> list[Figure]:
    """All figures of some rows; those without measurements have no value."""
    by_kind: dict[str, dict[tuple[int, str], Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], {})[row["scene"], row["style"]] = row

    def of(kind: str, key: str) -> list[float]:
        return [row[key] for row in by_kind.get(kind, {}).values() if row.get(key) is not None]

    def drops(kind: str, base: str) -> list[float]:
        found = by_kind.get(base, {})
        return [
            found[key]["psnr"] - row["psnr"]
            for key, row in by_kind.get(kind, {}).items()
            if key in found and row["psnr"] is not None and found[key]["psnr"] is not None
        ]

    fronts, sixes = by_kind.get("front", {}), by_kind.get("six", {})
    result = [
        _figure("front video follows the map", "dB", 22, True, of("front", "psnr")),
        _figure("front video, marks and objects", "dB", 18, True, of("front", "marks")),
        _figure("five views follow the map", "dB", 20, True, of("six", "psnr")),
        _figure("five views, marks and objects", "dB", 17, True, of("six", "marks")),
        _figure("front: lost with another clip's map", "dB", 4, True, drops("swapped", "front")),
        _figure("front: lost with control weight 0", "dB", 3, True, drops("uncontrolled", "front")),
        _figure("five views: lost with another clip's map", "dB", 3, True, drops("six_swapped", "six")),
        _figure("five views: lost with control weight 0", "dB", 2, True, drops("six_uncontrolled", "six")),
    ]
    for name, style, key, bound, at_least in (
        ("luminance, Night / Sunny", "Night", "luminance", 0.5, False),
        ("ground brightness, Snowy / Sunny", "Snowy", "ground", 1.3, True),
        ("far contrast, Foggy / Sunny", "Foggy", "far_contrast", 0.5, False),
    ):
        made, true = (
            _ratios(fronts, style, lambda row, of=of, key=key: row[of][key]) for of in ("light", "true_light")
        )
        result.append(_figure(name, "", bound, at_least, made, true))
    made, true = (_ratios(sixes, "Night", lambda row, of=of: row[of]) for of in ("luminance", "true_luminance"))
    result.append(_figure("luminance of five views, Night / Sunny", "", None, False, made, true))
    result.append(_figure("two seeds differ", "of 255", 0.01, True, of("reseeded", "difference")))
    apart, truly = ([100 * value for value in of("six", key)] for key in ("apart", "true_apart"))
    result.append(_figure("front and cross views differ", "%", 8, False, apart, truly))
    for name, kind, bound in (("front", "front", 70), ("five views", "six", 60)):
        result.append(_share_found(f"{name}: mapped vehicles within 40 m found", bound, by_kind.get(kind, {}).values()))
    slow = {kind: [row for row in by_kind.get(kind, {}).values() if _timed(row)] for kind in ("front", "six")}
    result += [
        _figure("121 front frames, 2 CPU cores", "s", 45, False, [r["seconds"] for r in slow["front"]]),
        _figure("six views of 57 frames, 2 CPU cores", "s", 90, False, [r["seconds"] for r in slow["six"]]),
    ]
    peaks = [row["peak_gb"] for part in slow.values() for row in part]
    result.append(_figure("peak memory, 2 CPU cores", "GB", 6, False, [max(peaks)] if peaks else []))
    return result


def _figure(
    name: str, unit: str, bound: float | None, at_least: bool, values: Sequence[float], true: Sequence[float] = ()
) -> Figure:
    if not values:
        return Figure(name, unit, bound, at_least, None, None, 0)
    worst = min(values) if at_least else max(values)
    return Figure(
        name,
        unit,
        bound,
        at_least,
        float(np.mean(values)),
        float(worst),
        len(values),
        float(np.mean(true)) if len(true) else None,
    )


def _share_found(name: str, bound: float, rows: Iterable[Row]) -> Figure:
    """Per cent of the vehicles within 40 m that the judge finds, over all videos together."""
    measured = [row for row in rows if "vehicles" in row]
    made, true = (summed(row[key] for row in measured) for key in ("vehicles", "true_vehicles"))
    each = [found for row in measured if (found := share_found(row["vehicles"])) is not None]
    seen = sum(made[near][0] for near in NEAR)
    return Figure(name, "%", bound, True, share_found(made), min(each, default=None), seen, share_found(true))


def _ratios(rows: Mapping[tuple[int, str], Row], style: str, value: Callable[[Row], float]) -> list[float]:
    """Ratio of a style's value to that of Sunny, for every scene that has both."""
    return [
        value(row) / max(value(rows[scene, "Sunny"]), 1e-6)
        for (scene, of), row in rows.items()
        if of == style and (scene, "Sunny") in rows
    ]


def _timed(row: Row) -> bool:
    whole = {"front": FRONT_FRAMES, "six": SIX_FRAMES}
    return row["device"] == "cpu" and row["threads"] <= _CORES and row["frames"] == whole[row["kind"]]


def by_style(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """By style: the figures in dB, the view difference and the seed difference."""
    rows = list(rows)
    table: dict[str, dict[str, float]] = {}
    for style in STYLES:
        mine = figures(row for row in rows if row["style"] == style)
        values = {figure.name: figure.value for figure in mine if figure.unit in ("dB", "%", "of 255")}
        if found := {name: value for name, value in values.items() if value is not None}:
            table[style] = found
    return table


def by_distance(rows: Iterable[Row]) -> dict[str, dict[str, list[float | None]]]:
    """By `front` and `five views`, and range of distance in metres, of the mapped vehicles seen there.

    Each has five numbers: vehicles seen, per cent found and named in generated pictures, and the same in true ones.
    """
    rows, table = list(rows), {}
    for label, kind in (("front", "front"), ("five views", "six")):
        measured = [row for row in rows if row["kind"] == kind and "vehicles" in row]
        made, true = (summed(row[key] for row in measured) for key in ("vehicles", "true_vehicles"))
        table[label] = {
            name: [made[name][0], *(share_found(of, [name], which) for of in (made, true) for which in (1, 2))]
            for name in RANGES
            if made[name][0]
        }
    return table


def by_view(rows: Iterable[Row]) -> list[float | None]:
    """Mean PSNR in dB of each generated view, in the rig's order."""
    found = [row["views"] for row in rows if row["kind"] == "six"]
    columns = [[value for value in column if value is not None] for column in zip(*found, strict=True)]
    return [float(np.mean(column)) if column else None for column in columns]
