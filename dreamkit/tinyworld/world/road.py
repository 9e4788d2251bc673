"""Roads of the made-up world: a curve, its lanes and edges, and road coordinates of points.

Everything is flat (z = 0), in metres. In road coordinates, `s` is the distance along the curve and `side` the distance
to its left. Traffic keeps right, so lanes in the curve's direction have negative sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KERB = 0.35
# A median's kerb stands this far inside the lane line beside it.
MEDIAN_GAP = 0.4
DOUBLE_LINE = 0.2


@dataclass(frozen=True)
class Curve:
    """A curve sampled evenly by arc length, continued straight beyond both ends.

    Attributes:
        start: s of the first sample, metres.
        step: distance between samples, metres.
        points: float64 [n, 2].
        heading: float64 [n], radians to the left of x, without jumps of 2 pi.
    """

    start: float
    step: float
    points: np.ndarray
    heading: np.ndarray

    def at(self, s: np.ndarray | float, side: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Points [..., 2] and headings [...] at distances s, `side` metres to the left."""
        s, side = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(side, np.float64))
        position = (s - self.start) / self.step
        inside = np.clip(position, 0, len(self.points) - 1)
        index = np.arange(len(self.points))
        heading = np.interp(inside, index, self.heading)
        along = np.stack([np.cos(heading), np.sin(heading)], -1)
        left = np.stack([-along[..., 1], along[..., 0]], -1)
        points = np.stack([np.interp(inside, index, self.points[:, axis]) for axis in (0, 1)], -1)
        beyond = (position - inside) * self.step
        return points + along * beyond[..., None] + left * side[..., None], heading

    def coordinates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """s, side and heading of points [..., 2]: nearest point of a coarse search, refined by Newton's method."""
        end = self.start + self.step * (len(self.points) - 1)
        knots = np.linspace(self.start - 200, end + 200, 120)
        places, _ = self.at(knots)
        flat = points.reshape(-1, 2)
        gaps = (flat[:, :1] - places[:, 0]) ** 2 + (flat[:, 1:] - places[:, 1]) ** 2
        s = knots[gaps.argmin(1)]
        for _ in range(6):
            place, heading = self.at(s)
            ahead = (flat[:, 0] - place[:, 0]) * np.cos(heading) + (flat[:, 1] - place[:, 1]) * np.sin(heading)
            s = s + np.clip(ahead, -4, 4)
        place, heading = self.at(s)
        side = (flat[:, 1] - place[:, 1]) * np.cos(heading) - (flat[:, 0] - place[:, 0]) * np.sin(heading)
        shape = points.shape[:-1]
        return s.reshape(shape), side.reshape(shape), heading.reshape(shape)


def bend(curvature: np.ndarray, start: float, step: float, origin: tuple[float, float], heading: float) -> Curve:
    """The curve with this curvature (1/m) [n] at each sample, which passes `origin` with `heading` at s = 0."""
    turned = np.concatenate([[0.0], np.cumsum((curvature[1:] + curvature[:-1]) / 2 * step)])
    zero = round(-start / step)
    angle = turned - turned[zero] + heading
    middle = (angle[1:] + angle[:-1]) / 2
    steps = np.stack([np.cos(middle), np.sin(middle)], 1) * step
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])
    return Curve(start, step, points - points[zero] + np.asarray(origin), angle)


def straight(origin: tuple[float, float], heading: float, start: float = -10.0, end: float = 10.0) -> Curve:
    """A straight line through `origin`, where s = 0."""
    return bend(np.zeros(round((end - start) * 2) + 1), start, 0.5, origin, heading)


@dataclass(frozen=True)
class Road:
    """A road along a curve.

    Attributes:
        curve: its centre line.
        right: number of lanes in the curve's direction.
        left: number of lanes against it.
        lane: lane width, metres.
        margin: from the outermost lane line to the boundary, metres.
        median: half the width of the strip between the directions; 0 for a double line.
    """

    curve: Curve
    right: int
    left: int
    lane: float
    margin: float
    median: float = 0.0

    @property
    def edges(self) -> tuple[float, float]:
        """Sides of the right (negative) and the left boundary."""
        return -(self.median + self.right * self.lane + self.margin), self.median + self.left * self.lane + self.margin

    def centre(self, lane: int) -> float:
        """Side of a lane's centre; lanes are 0, 1, ... to the right of the median and -1, -2, ... to its left."""
        return -(self.median + (lane + 0.5) * self.lane) if lane >= 0 else self.median + (-lane - 0.5) * self.lane

    @property
    def lines(self) -> list[tuple[float, bool]]:
        """Sides of the lane lines, and whether a line is yellow (those between the directions)."""
        if self.median:
            inner = [(-self.median, True), (self.median, True)]
        else:
            inner = [(-DOUBLE_LINE, True), (DOUBLE_LINE, True)]
        right = [(-(self.median + k * self.lane), False) for k in range(1, self.right + 1)]
        left = [(self.median + k * self.lane, False) for k in range(1, self.left + 1)]
        return sorted(right + inner + left)


@dataclass(frozen=True)
class Junction:
    """A right-angled crossing of two roads.

    Attributes:
        at: s of the crossing on both roads, metres.
        radius: of the rounded corners, metres.
    """

    at: tuple[float, float]
    radius: float

    def reach(self, roads: tuple[Road, ...], index: int) -> tuple[float, float]:
        """The part (s0, s1) of road `index` that belongs to the junction, rounded corners included.

        The second road crosses the first from right to left: its left edge lies where s of the first is small.
        """
        right, left = roads[1 - index].edges
        low, high = (-left, -right) if index == 0 else (right, left)
        return self.at[index] + low - self.radius, self.at[index] + high + self.radius


def corner_centres(roads: tuple[Road, ...], junction: Junction) -> list[np.ndarray]:
    """Centres of the four rounded corners, counter-clockwise from the near right one.

    Each is float64 [2], (s, side) on the first road.
    """
    (right, left), (low, high) = roads[0].edges, junction.reach(roads, 0)
    r = junction.radius
    return [np.array(corner) for corner in ((low, right - r), (high, right - r), (high, left + r), (low, left + r))]


def road_table(road: Road, centre: np.ndarray, half: float, cell: float) -> np.ndarray:
    """s, side, cosine and sine of the heading on a square grid, float32 [4, G, G] with axes (y, x)."""
    axis = np.arange(-half, half + cell / 2, cell)
    x, y = np.meshgrid(centre[0] + axis, centre[1] + axis)
    s, side, heading = road.curve.coordinates(np.stack([x, y], -1))
    return np.stack([s, side, np.cos(heading), np.sin(heading)]).astype(np.float32)
