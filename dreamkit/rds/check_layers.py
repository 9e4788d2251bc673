"""Checks of `dreamkit check` on single map layers: axes, units, origin or heights other than those of the other layers.

Layers of one map lie along one another and along the drive: lane lines beside road boundaries, poles beside both. A
layer whose axes were swapped or mirrored still crosses them, but fits them much better once it is turned back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping

import cv2
import numpy as np

from dreamkit.rds.check_poses import MILLIMETRES
from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.labels import Shapes

LINES = ("lanelines", "lanes", "road_boundaries")
"""Layers that run along the drive."""
_AROUND, _CELL = 300.0, 2.0
"""Metres around the drive in which layers are compared, and of a cell of the grid of distances."""
_FARTHEST = 40.0
"""Metres at which distances between layers are cut off: a crosswalk need not lie near every pole."""
_STEP, _LONGEST_EDGE = 4.0, 20_000.0
_MOST_POINTS, _MOST_CELLS = 1500, 1500
_EACH, _IN_ALL, _PER_LAYER = 5.0, 12.0, 3.0
"""Metres that a change of axes or origin must gain for each pair of layers, metres that it must gain in sum, and metres
that are added to the cost for each layer that it changes."""
_FITTING, _BESIDE_LINES = 7.0, 9.0
"""Mean distances in metres below which a layer fits another one as it is, and below which lines fit the drive."""
_COVERED = 20.0
"""Mean distance in metres from the drive to lines that lie along about half of it."""
_FAR = 100.0
"""Metres from the origin to the first pose from which a layer with another origin can be told from a right one."""
_AWAY, _HIGH, _BESIDE = 100.0, 20.0, 30.0
_APART = 200.0
"""Metres from the drive within which other layers lie, or from a layer near the drive; lines lie within _AWAY."""
_UPRIGHT = ("poles", "traffic_signs", "traffic_lights")
_SMALL, _SPECK = 0.1, 0.5
"""Metres that a layer spans at least: one of _UPRIGHT or of a single shape, and one of several shapes."""
_LARGEST, _HUGE = 20_000.0, 30.0
"""Metres that a map spans at most, and the ratio to the other layers' span above which a layer has other units."""
Change = Callable[[np.ndarray], np.ndarray]


def _axes(order: tuple[int, int], x: int, y: int) -> Change:
    """A function of points [P, 3] that takes x and y from other columns and multiplies them by signs."""
    return lambda points: points[:, [*order, 2]] * [x, y, 1]


_AXES = {
    "x and y swapped": _axes((1, 0), 1, 1),
    "turned by a quarter to the right": _axes((1, 0), -1, 1),
    "turned by a quarter to the left": _axes((1, 0), 1, -1),
    "x with the wrong sign": _axes((0, 1), -1, 1),
    "y with the wrong sign": _axes((0, 1), 1, -1),
    "turned by a half": _axes((0, 1), -1, -1),
}
"""What is wrong with a layer's axes -> the change that puts it right."""


def layer_findings(layers: Mapping[str, Shapes], path: np.ndarray, start: np.ndarray | None) -> Iterator[LabelFinding]:
    """Layers in other units, in other axes or from another origin than the drive and the other layers.

    Args:
        layers: the map layers by name, none of them empty.
        path: world positions of the vehicle, or of a camera without it, float64 [T, 3].
        start: the vehicle's first pose [4, 4], for layers relative to it, or None.
    """
    odd = list(_unit_findings(layers, path))
    yield from odd
    told = {finding.layer for finding in odd}
    yield from _axis_findings({key: value for key, value in layers.items() if f"3d_{key}" not in told}, path, start)


def _unit_findings(layers: Mapping[str, Shapes], path: np.ndarray) -> Iterator[LabelFinding]:
    """Layers smaller than a single shape is in metres, or many times as large as the others, which lie at the drive."""
    places = path[:: max(1, len(path) // 20)]
    off = {name: _apart(_few(shapes.points), places).min() for name, shapes in layers.items()}
    sizes = {name: float(np.ptp(shapes.points[:, :2], axis=0).max()) for name, shapes in layers.items()}
    for name, size in sizes.items():
        others = max((sizes[key] for key in layers if key != name and off[key] < _APART), default=0.0)
        if not 20 < others < _LARGEST:
            continue
        count = len(layers[name])
        least = _SMALL if name in _UPRIGHT or count == 1 else _SPECK
        if size < least and (name not in _UPRIGHT or count > 2):
            what = f"the {count} shapes together are {size:.2g} m wide; other layers reach {others:.0f} m"
            cause = "latitude and longitude in degrees, or kilometres; the format wants metres"
            yield LabelFinding(ERROR, f"3d_{name}", what, cause)
        elif size > _HUGE * others and off[name] > _BESIDE:
            what = f"the layer spans {size:.0f} m; other layers span {others:.0f} m at most"
            yield LabelFinding(ERROR, f"3d_{name}", what, MILLIMETRES)


def _axis_findings(layers: Mapping[str, Shapes], path: np.ndarray, start: np.ndarray | None) -> Iterator[LabelFinding]:
    """Layers that fit the drive and the other layers much better with other axes, or from another origin."""
    changes = dict(_AXES)
    if start is not None and not 1 < np.abs(start[:2, 3]).max() < _FAR:
        changes["relative to the vehicle's first pose"] = lambda points: points @ start[:3, :3].T + start[:3, 3]
    if np.abs(path[0, :2]).max() > _FAR:
        changes["an origin subtracted that the others have"] = lambda points: points + path[0]
        changes["an origin left in that the others lack"] = lambda points: points - path[0]
    found = _changed_layers(layers, path, changes)
    if found:
        names, likely = found
        whole = len(names) == len(layers) > 1
        where = "3d_*" if whole else ", ".join(f"3d_{name}" for name in names)
        layer = "it does" if len(names) == 1 else "they do"
        what = "the map does not fit the drive" if whole else f"{layer} not fit the drive and the other layers"
        yield LabelFinding(ERROR, where, what, ", or ".join(likely) + (", in the map or in the poses" if whole else ""))


def _changed_layers(
    layers: Mapping[str, Shapes], path: np.ndarray, changes: Mapping[str, Change]
) -> tuple[list[str], list[str]] | None:
    """The layers that a change puts right, and the changes that do so about equally well; None for a right map.

    For each change, all choices of layers to be changed are compared by the distances of every layer from every other
    and from the drive, which is taken to be right.
    """
    names = list(layers)
    drive = _points_along([path])
    given = [_points_along(layers[name]) for name in names]
    lines = np.isin(names, LINES)
    kept = [*range(len(names)), -1]
    grid = _Grid(path)
    best = {}
    for what, change in changes.items():
        changed = [change(points) for points in given]
        if all(np.abs(one - other).max() < 1 for one, other in zip(given, changed, strict=True)):
            continue
        parts = [*given, *changed, drive]
        fields = [grid.distances(points) for points in parts]
        means = np.array([[grid.mean(points, distances) for distances in fields] for points in parts])
        # Lines should run along the whole drive; other layers are somewhere near it.
        along = np.where(np.tile(lines, 2), 2 * means[-1, :-1], means[:-1, -1])
        between, fits = (means + means.T) / 2, _fits(means[np.ix_(kept, kept)], lines)
        flags = np.array(list(itertools.product((0, 1), repeat=len(names))))  # [2^L, L], 1 where a layer is changed
        version = flags * len(names) + np.arange(len(names))
        cost = along[version].sum(1) + _PER_LAYER * flags.sum(1)
        for i, j in itertools.combinations(range(len(names)), 2):
            cost += between[version[:, i], version[:, j]]
            for a, b in ((i, j), (j, i)):
                cost[(flags[:, a] > flags[:, b]) & fits[a, b]] = np.inf
        cost[(flags.astype(bool) & fits[:, -1]).any(1)] = np.inf
        right = version[cost.argmin()]
        before, after = (means[-1, those[lines]].min(initial=_FARTHEST) for those in (version[0], right))
        if (right >= len(names)).all() and after > min(_COVERED, before / 2):
            continue  # without a layer that is kept, lines must come to lie along the drive
        if _fits(means[np.ix_([*right, -1], [*right, -1])], lines)[right >= len(names)].any(1).all():
            best[what] = (float(cost[0] - cost.min()), right >= len(names))
    return _largest_gain(names, best)


def _largest_gain(names: list[str], best: Mapping[str, tuple[float, np.ndarray]]) -> tuple[list[str], list[str]] | None:
    """The layers whose change gains most, if it gains enough, and the changes that gain nearly as much for them.

    Args:
        names: of the layers.
        best: change -> metres gained, and which layers are changed, bool [L].
    """
    gain, layers = max(best.values(), key=lambda one: one[0], default=(0.0, np.zeros(len(names), bool)))
    count = int(layers.sum())
    # A changed layer is compared with the drive and with each layer that is kept.
    if gain < max(_IN_ALL, _EACH * count * (len(names) - count + 1)):
        return None
    likely = [what for what, (other, same) in best.items() if other > 0.8 * gain and (same == layers).all()]
    return [name for name, is_changed in zip(names, layers, strict=True) if is_changed], likely


def _fits(means: np.ndarray, are_lines: np.ndarray) -> np.ndarray:
    """Whether each layer fits each other one and the drive as it is, bool [L, L + 1].

    Args:
        means: metres from the points of a row's layer to the nearest of a column's, the drive last, [L + 1, L + 1].
        are_lines: which layers are lines, bool [L]. Such a layer may reach further than the others, so it also fits if
            the drive and another layer lie along it.
    """
    beside = are_lines & (means[-1, :-1] < _BESIDE_LINES)
    around = beside[:, None] & (means[:-1, :-1].T < _FITTING)
    near = (means[:-1] < _FITTING) | np.column_stack([around, np.zeros(len(around), bool)])
    return near & ~np.eye(*near.shape, dtype=bool)


class _Grid:
    """Distances on a grid around the drive, for places [T, 3]."""

    def __init__(self, path: np.ndarray) -> None:
        self.low = path[:, :2].min(0) - _AROUND
        span = path[:, :2].max(0) + _AROUND - self.low
        self.cell = max(_CELL, float(span.max()) / _MOST_CELLS)
        self.shape = tuple(np.ceil(span[::-1] / self.cell).astype(int))

    def _cells(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns [K, 2] of the points that lie on the grid, and which do, bool [P]."""
        place = np.floor((points[:, :2] - self.low) / self.cell)[:, ::-1]
        inside = ((place >= 0) & (place < self.shape)).all(1)
        return place[inside].astype(int), inside

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Metres from each cell to the nearest of the points, _FARTHEST at most, float [H, W]."""
        cells, _ = self._cells(points)
        empty = np.full(self.shape, 255, np.uint8)
        empty[cells[:, 0], cells[:, 1]] = 0
        if not len(cells):
            return np.full(self.shape, _FARTHEST)
        return np.minimum(cv2.distanceTransform(empty, cv2.DIST_L2, 5) * self.cell, _FARTHEST)

    def mean(self, points: np.ndarray, distances: np.ndarray) -> float:
        """Mean of the distances at points [P, 3]; off the grid they are _FARTHEST."""
        cells, inside = self._cells(points)
        near = float(distances[cells[:, 0], cells[:, 1]].sum())
        return (near + _FARTHEST * float((~inside).sum())) / len(points)


def _points_along(shapes: Iterable[np.ndarray]) -> np.ndarray:
    """Vertices, and points between them every few metres, [P, 3]; _MOST_POINTS of them at most, evenly."""
    parts = []
    for points in shapes:
        parts.append(points[:1])
        for a, b in itertools.pairwise(points):
            count = int(min(max(np.linalg.norm((b - a)[:2]) / _STEP, 1), _LONGEST_EDGE / _STEP))
            parts.append(a + (b - a) * np.arange(1, count + 1)[:, None] / count)
    together = np.concatenate(parts)
    return together[:: -(-len(together) // _MOST_POINTS)]


def distance_findings(layers: Mapping[str, Shapes], path: np.ndarray) -> Iterator[LabelFinding]:
    """Lines far from the drive, and other layers far from it and from all layers.

    Args:
        layers: the map layers by name, none of them empty.
        path: world positions, float64 [T, 3].
    """
    places = path[:: max(1, len(path) // 20)]
    off = {name: float(_apart(shapes.points, places).min()) for name, shapes in layers.items()}
    near = {name for name, metres in off.items() if metres < (_AWAY if name in LINES else _APART)}
    few = {name: _few(shapes.points) for name, shapes in layers.items()}
    away = [name for name in layers if name not in near]
    for _ in layers:  # a layer may be near one that is near the drive
        near |= {a for a in away if a not in LINES and any(_apart(few[a], few[b]).min() < _APART for b in near)}
    for name in (name for name in away if name not in near):
        what = f"the nearest vertex is {off[name]:.0f} m away from the drive; other layers are nearer"
        cause = "a layer in another world frame, such as latitude and longitude in degrees, or from another origin"
        yield LabelFinding(WARNING, f"3d_{name}", what, cause)


def height_findings(layers: Mapping[str, Shapes], path: np.ndarray) -> Iterator[LabelFinding]:
    """Layers far above or below the drive beside them, or else the layers beside them; none where all of them are.

    Args:
        layers: the map layers by name, none of them empty.
        path: world positions, float64 [T, 3].
    """
    few = {name: _few(shapes.points) for name, shapes in layers.items()}
    heights = {name: _height(points, path[:: max(1, len(path) // 50)]) for name, points in few.items()}
    right = [name for name, height in heights.items() if height is not None and abs(height) <= _HIGH]
    for name in layers if right else ():
        height = heights[name]
        if height is None:
            found = [height for other in right if (height := _height(few[name], few[other])) is not None]
            height = float(np.median(found)) if found else 0.0
        if abs(height) > _HIGH:
            what = f"it lies {abs(height):.0f} m {'above' if height > 0 else 'below'} the drive and the other layers"
            cause = "heights of another reference, or z = 0 in this layer"
            yield LabelFinding(ERROR, f"3d_{name}", what, cause)


def _height(points: np.ndarray, others: np.ndarray) -> float | None:
    """Metres by which points lie above the nearest others, the median; None if none are near."""
    away = _apart(points, others)
    near = away.min(1) < _BESIDE
    return float(np.median(points[near, 2] - others[away[near].argmin(1), 2])) if near.any() else None


def _few(points: np.ndarray) -> np.ndarray:
    """Every so many of the points, about 400."""
    return points[:: -(-len(points) // 400)]


def _apart(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Horizontal distances of points [P, 3] from others [Q, 3], float64 [P, Q]."""
    return np.hypot(points[:, None, 0] - others[None, :, 0], points[:, None, 1] - others[None, :, 1])
