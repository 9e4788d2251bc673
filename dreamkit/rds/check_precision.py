"""Checks of `dreamkit check` on lost precision: poses in float16, rounded, or in float32 far from the origin.

Numbers of few bits and rounded numbers lie on a grid. A drive at an even pace may lie on one too, so a grid counts only
where steps from frame to frame are uneven, as rounding makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding, and_others

_COARSE = 0.01
"""Metres between neighbouring numbers above which poses jitter visibly."""
_GRID, _BAD = 0.015, 0.09
"""Metres of the step of a grid: above the first it is reported, so whole centimetres are not; from the second on it is
an error."""
_WIDEST = 2.0
"""Metres of the widest step that counts as rounding; a box that goes on at an even pace has wider ones."""
_ROUNDED = "rounded to few decimals, or to float16 or float32 before they were moved; write them whole"
_TURN = 0.05
"""Degrees of a step above which pictures jitter: 1 px of 1280 at a field of view of 60 degrees."""
_MOVES = 1.0
"""Metres along an axis that are enough to judge it."""
_FEW = 4
"""Different values of a coordinate below which it is not judged."""
_UNEVEN = 0.06
"""Share of the steps that differ from the step before."""


def precision_findings(layer: str, positions: Mapping[str, np.ndarray]) -> Iterator[LabelFinding]:
    """Positions that have too few digits: float16, bfloat16, rounded, or in float32 far from the origin.

    Args:
        layer: the folder that they are from.
        positions: name -> world positions in the order of time, float64 [N, 3].
    """
    yield from float32_findings(layer, positions)
    short = {name: found for name, points in positions.items() if (found := few_digits(points))}
    for cause in dict.fromkeys(cause for cause, _ in short.values()):
        steps = {name: step for name, (other, step) in short.items() if other == cause}
        name, step = max(steps.items(), key=lambda item: item[1])
        what = f"positions of {and_others(list(steps), name)} lie on a grid of {step:.2g} m"
        yield LabelFinding(ERROR if step >= _BAD else WARNING, layer, what, cause)


def turn_findings(tracks: Mapping[str, np.ndarray]) -> Iterator[LabelFinding]:
    """Rotations that stay the same for most frames of a turn and then step, as rounded angles do.

    Args:
        tracks: poses float64 [T, 4, 4] by camera, and those of the vehicle, none of them repeated throughout.
    """
    steps = {name: step for name, track in tracks.items() if (step := _turn_step(track)) > _TURN}
    if steps:
        name, step = max(steps.items(), key=lambda item: item[1])
        what = f"rotations of {and_others(list(steps), name)} go in steps of {step:.2g} degrees"
        cause = "angles, quaternions or matrices that were rounded, or written as float16; write them whole, as float64"
        yield LabelFinding(ERROR if step >= 0.5 else WARNING, "pose", what, cause)


def float32_findings(layer: str, positions: Mapping[str, np.ndarray]) -> Iterator[LabelFinding]:
    """Positions so far from the origin that float32 has no numbers close enough for them.

    Args:
        layer: the folder that they are from.
        positions: name -> world positions, float64 [N, 3].
    """
    coarse = {name: step for name, points in positions.items() if (step := coarse_step(points)) > _COARSE}
    if coarse:
        name, step = max(coarse.items(), key=lambda item: item[1])
        far = np.abs(positions[name]).max() / 1000
        what = (
            f"{and_others(list(coarse), name)} lies {far:,.0f} km from the origin in float32, whose steps there are "
            f"{step:.2g} m"
        )
        cause = (
            "UTM or other map coordinates written as float32; subtract one origin from poses, map, objects and LiDAR "
            "before rounding"
        )
        yield LabelFinding(ERROR if step > _BAD else WARNING, layer, what, cause)


def coarse_step(points: np.ndarray) -> float:
    """Metres from the largest coordinate to the next float32 number, if all coordinates are float32 numbers; else 0."""
    if len(np.unique(points)) < 4:
        return 0.0
    with np.errstate(over="ignore"):
        single = points.astype(np.float32)
    step = float(np.spacing(np.abs(single).max()))
    if not np.isfinite(step) or (single.astype(np.float64) != points).any():
        return 0.0
    whole = (points == np.round(points)).all()
    return 0.0 if whole and step < 1 else step


def few_digits(points: np.ndarray) -> tuple[str, float] | None:
    """The likely cause and the step in metres, for positions [N, 3] in the order of time that lie on a grid; else None.

    Poses that are written several times each must be left out, or their steps count as uneven.
    """
    axes = [axis for axis in points.T if np.ptp(axis) > _MOVES and len(np.unique(axis)) >= _FEW and _is_uneven(axis)]
    if not axes or coarse_step(points) > _COARSE:
        return None
    steps = [_grid_step(axis) for axis in axes]
    grid = max(steps) if min(steps) > _GRID and max(steps) <= _WIDEST else 0.0
    for kind, bits in (("bfloat16", 8), ("float16", 11)):
        step = 2.0 ** (np.floor(np.log2(np.abs(axes).max())) - bits + 1)
        if step > max(_COARSE, grid) and all(_has_bits(axis, bits) for axis in axes):
            cause = f"poses written as {kind}, whose steps grow with the distance from the origin; write float64"
            return cause, float(step)
    return (_ROUNDED, grid) if grid else None


def _has_bits(values: np.ndarray, bits: int) -> bool:
    """Whether all values are floating-point numbers with a significand of so many bits."""
    significand = np.frexp(values)[0] * 2.0**bits
    return bool((significand == np.round(significand)).all())


def _is_uneven(values: np.ndarray) -> bool:
    """Whether many steps from one value to the next differ from the step before."""
    change = np.abs(np.diff(values, 2))
    return len(change) > 0 and float((change > _tolerance(values)).mean()) > _UNEVEN


def _tolerance(values: np.ndarray) -> float:
    """Metres by which equal steps between values may differ when these are stored as float32."""
    return max(1e-6, 4 * float(np.spacing(np.float32(np.abs(values).max()))))


def _grid_step(values: np.ndarray) -> float:
    """The largest step of which all differences are multiples, 0 when it is _GRID or less (Euclid's algorithm)."""
    tolerance = _tolerance(values)
    gaps = np.diff(np.unique(values))
    gaps = np.unique(gaps[gaps > tolerance])
    step = float(gaps[0]) if len(gaps) else 0.0
    for gap in gaps[1:].tolist():
        larger, smaller = gap, step
        while smaller > tolerance:
            rest = larger % smaller
            larger, smaller = smaller, 0.0 if smaller - rest < tolerance else rest
        step = larger
        if step <= _GRID:
            return 0.0
    return step if step > max(_GRID, 10 * tolerance) else 0.0


def _turn_step(poses: np.ndarray) -> float:
    """Degrees of the usual step of rotations that are the same in most frames, poses [T, 4, 4]; 0 for even turns."""
    same = (np.diff(poses[:, :3, :3], axis=0) == 0).all((1, 2))
    moves = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) > 1e-6
    turns = np.flatnonzero(~same)
    if len(turns) < 4 or not (same & moves).sum() > len(turns):
        return 0.0
    relative = poses[turns, :3, :3].swapaxes(1, 2) @ poses[turns + 1, :3, :3]
    # The sine, since the cosine of a small angle has no digits left.
    axis = relative[:, [2, 0, 1], [1, 2, 0]] - relative[:, [1, 2, 0], [2, 0, 1]]
    return float(np.median(np.degrees(np.arcsin(np.clip(np.linalg.norm(axis, axis=1) / 2, 0, 1)))))
