"""Road users of the made-up world: vehicles, pedestrians and cyclists on their paths, and the path of the ego car.

A vehicle's model decides its colour, so that the size of a box in a condition picture determines the colour. Vehicles
in one lane have the same speed, so that they do not collide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamkit.rds.labels import CAMERA_HZ, LABEL_HZ, Objects
from dreamkit.tinyworld.world.road import Curve, Junction, Road, bend, straight


@dataclass(frozen=True)
class RoadUserModel:
    """A model of road user.

    Attributes:
        kind: RDS-HQ object type.
        size: length, width and height, metres.
        colour: linear RGB 0..1.
        word: noun in captions.
    """

    kind: str
    size: tuple[float, float, float]
    colour: tuple[float, float, float]
    word: str


ROAD_USER_MODELS = {
    "hatchback": RoadUserModel("Automobile", (3.9, 1.75, 1.52), (0.05, 0.13, 0.38), "blue hatchback"),
    "sedan": RoadUserModel("Automobile", (4.7, 1.85, 1.42), (0.62, 0.63, 0.65), "silver sedan"),
    "coupe": RoadUserModel("Automobile", (4.4, 1.9, 1.28), (0.45, 0.03, 0.03), "red coupe"),
    "suv": RoadUserModel("Automobile", (4.8, 1.98, 1.78), (0.03, 0.035, 0.04), "black SUV"),
    "van": RoadUserModel("Automobile", (5.4, 2.05, 2.2), (0.7, 0.67, 0.6), "white van"),
    "truck": RoadUserModel("Heavy_truck", (9.0, 2.5, 3.4), (0.6, 0.6, 0.58), "truck"),
    "bus": RoadUserModel("Bus", (11.5, 2.55, 3.1), (0.55, 0.33, 0.03), "yellow bus"),
    "person": RoadUserModel("Person", (0.6, 0.6, 1.75), (0.35, 0.07, 0.05), "pedestrian"),
    "cyclist": RoadUserModel("Rider", (1.8, 0.6, 1.75), (0.08, 0.3, 0.1), "cyclist"),
}
CARS = ("hatchback", "sedan", "coupe", "suv", "van")
_ODDS = {"hatchback": 0.22, "sedan": 0.28, "coupe": 0.1, "suv": 0.2, "van": 0.08, "truck": 0.08, "bus": 0.04}
STEP = CAMERA_HZ // LABEL_HZ


@dataclass(frozen=True, eq=False)
class Mover:
    """A road user on a curve.

    Attributes:
        model: key of ROAD_USER_MODELS.
        curve: its path.
        s: position along the curve at the labelled frames, float64 [K].
        side: distance to the left of the curve, metres.
        backwards: whether it faces against the curve's direction.
        moving: whether it moves during the clip.
    """

    model: str
    curve: Curve
    s: np.ndarray
    side: float
    backwards: bool
    moving: bool


@dataclass(frozen=True)
class Flow:
    """How the traffic of a scene moves.

    Attributes:
        mode: manoeuvre of the ego car: go, stop, left or right.
        speed: initial speed of the ego car, m/s.
        gap: mean distance between vehicles, metres.
        lane: lane of the ego car.
    """

    mode: str
    speed: float
    gap: float
    lane: int


def label_frames(frames: int) -> np.ndarray:
    """Numbers of the labelled frames, int64 [K]; the last may lie past the clip, for interpolation."""
    return np.arange(0, frames + STEP - 1, STEP)


def ego_path(roads: tuple[Road, ...], junction: Junction | None, flow: Flow) -> tuple[Curve, float]:
    """The ego car's curve, and its side on it; the clip begins at s = 0."""
    if flow.mode not in ("left", "right"):
        return roads[0].curve, roads[0].centre(flow.lane)
    assert junction is not None  # the ego car only turns at junctions
    cross = roads[1]
    lane = cross.centre(0) if flow.mode == "left" else cross.centre(-cross.left)
    radius = 10.0 if flow.mode == "left" else 7.0
    begin, length = junction.at[0] - lane - radius, radius * np.pi / 2
    s = np.arange(-100, 160.01, 0.25)
    sign = 1 if flow.mode == "left" else -1
    curvature = np.where((s >= begin) & (s <= begin + length), sign / radius, 0.0)
    # The road's curve is straight around a junction.
    origin, heading = roads[0].curve.at(0.0, roads[0].centre(flow.lane))
    return bend(curvature, -100, 0.25, tuple(origin), float(heading)), 0.0


def progress(times: np.ndarray, flow: Flow, stop_at: float | None) -> np.ndarray:
    """Distance driven at times [N] (seconds): constant speed, or constant braking to a stop after `stop_at` metres."""
    if stop_at is None:
        return flow.speed * times
    duration = 2 * stop_at / flow.speed
    t = np.minimum(times, duration)
    return flow.speed * t - flow.speed / duration * t**2 / 2


def movers(
    rng: np.random.Generator,
    roads: tuple[Road, ...],
    junction: Junction | None,
    flow: Flow,
    stop_at: float | None,
    frames: int,
) -> list[Mover]:
    """Random vehicles on the lanes of all roads."""
    times = label_frames(frames) / CAMERA_HZ
    main, found = roads[0], []
    hold = junction.reach(roads, 0) if junction else None
    for lane in range(-main.left, main.right):
        own, against = lane == flow.lane, lane < 0
        speed = flow.speed if own else flow.speed * rng.uniform(0.75, 1.2)
        waits = against and flow.mode in ("stop", "left")
        for start in _starts(rng, flow.gap, (-70.0, 190.0)):
            model = str(rng.choice(list(_ODDS), p=list(_ODDS.values())))
            length = ROAD_USER_MODELS[model].size[0]
            if own and abs(start) < 9 + length / 2:
                continue
            driven = speed * times
            if hold and flow.mode == "stop" and not against:
                if own and 0 < start < hold[1]:
                    continue
                if start < hold[0] - 4:
                    driven = progress(times, flow, stop_at)
                    if not own and start + stop_at > hold[0] - 8:
                        continue
                elif start < hold[1]:
                    continue
            if hold and flow.mode in ("left", "right") and own and -5 < start < hold[1] + 5:
                continue
            if hold and waits and start > hold[0]:
                if start < hold[1] + 6.5 + length / 2:
                    continue
                driven = np.zeros_like(times)
            s = start - driven if against else start + driven
            found.append(Mover(model, main.curve, s, main.centre(lane), against, bool(driven[-1] > 0)))
    if junction:
        found += _cross_traffic(rng, roads, junction, flow, times)
    return found


def _cross_traffic(
    rng: np.random.Generator, roads: tuple[Road, ...], junction: Junction, flow: Flow, times: np.ndarray
) -> list[Mover]:
    """Vehicles on the second road: driving while the ego car stops, waiting at their lines otherwise."""
    cross, found = roads[1], []
    low, high = junction.reach(roads, 1)
    for lane in range(-cross.left, cross.right):
        against = lane < 0
        speed = rng.uniform(7, 10)
        line = high + 6.3 if against else low - 6.3
        outward = 1 if against else -1
        if flow.mode == "stop":
            starts = _starts(rng, flow.gap, (-80.0, 80.0))
        else:
            starts = line + outward * (np.arange(rng.integers(0, 4)) * 13.0 + 3 + rng.uniform(0, 1))
        for start in starts:
            model = str(rng.choice([*CARS, "truck"], p=[0.25, 0.3, 0.1, 0.2, 0.1, 0.05]))
            start = start + outward * (ROAD_USER_MODELS[model].size[0] / 2 - 3) if flow.mode != "stop" else start
            driven = speed * times if flow.mode == "stop" else np.zeros_like(times)
            s = start - driven if against else start + driven
            found.append(Mover(model, cross.curve, s, cross.centre(lane), against, flow.mode == "stop"))
    return found


def _starts(rng: np.random.Generator, gap: float, extent: tuple[float, float]) -> np.ndarray:
    """Random positions along a lane, at least 16 m apart (a bus and a gap), `gap` metres on average."""
    gaps = 16 + rng.exponential(max(gap - 16, 1), 40)
    places = extent[0] + rng.uniform(0, gap) + np.cumsum(gaps) - gaps[0]
    return places[places < extent[1]]


def parked(
    rng: np.random.Generator, road: Road, chance: float, keep_out: list[tuple[float, float]], count: int
) -> list[Mover]:
    """Parked cars between the outer lane lines and the boundaries, for `count` labelled frames."""
    found = []
    for edge in road.edges:
        for s in np.arange(-60, 170, 6.6):
            if rng.random() < chance and not any(a - 5 < s < b + 5 for a, b in keep_out):
                model, at = str(rng.choice(CARS)), s + rng.uniform(-0.4, 0.4)
                side = edge - np.sign(edge) * 1.2
                found.append(Mover(model, road.curve, np.full(count, at), side, edge > 0, False))
    return found


def people(
    rng: np.random.Generator,
    road: Road,
    keep_out: tuple[float, float] | None,
    crossing: float | None,
    cyclists: int,
    frames: int,
) -> list[Mover]:
    """Pedestrians on pavements outside `keep_out` and on the crosswalk at `crossing`; cyclists at the road's edge."""
    times, found = label_frames(frames) / CAMERA_HZ, []
    for _ in range(int(rng.integers(0, 7))):
        edge = road.edges[rng.integers(2)]
        s0, speed = rng.uniform(-25, 70), rng.uniform(0.9, 1.6) * rng.choice([-1, 1])
        side, s = edge + np.sign(edge) * rng.uniform(1.0, 2.6), s0 + speed * times
        if keep_out is None or s.max() < keep_out[0] or s.min() > keep_out[1]:
            found.append(Mover("person", road.curve, s, side, bool(speed < 0), True))
    if crossing is not None:
        for _ in range(int(rng.integers(1, 4))):
            middle, heading = road.curve.at(crossing + rng.uniform(0.6, 2.6))
            speed = rng.uniform(1.0, 1.5) * rng.choice([-1, 1])
            path = straight(tuple(middle), float(heading) + np.pi / 2)
            start = rng.uniform(*road.edges) * 0.8
            found.append(Mover("person", path, start + speed * times, 0.0, bool(speed < 0), True))
    for _ in range(cyclists):
        side = road.edges[0] + 0.7
        found.append(Mover("cyclist", road.curve, rng.uniform(8, 60) + rng.uniform(3, 5) * times, side, False, True))
    return found


def objects(found: list[Mover], frames: int) -> Objects:
    """RDS-HQ object labels of all movers in every labelled frame, rounded as in label files."""
    numbers = label_frames(frames)
    count, total = len(found), len(numbers)
    pose = np.tile(np.eye(4), (total, count, 1, 1))
    for index, mover in enumerate(found):
        points, heading = mover.curve.at(mover.s, mover.side)
        heading = heading + np.pi * mover.backwards
        cosine, sine = np.cos(heading), np.sin(heading)
        pose[:, index, :2, 0] = np.stack([cosine, sine], 1)
        pose[:, index, :2, 1] = np.stack([-sine, cosine], 1)
        pose[:, index, :2, 3] = points
        pose[:, index, 2, 3] = ROAD_USER_MODELS[mover.model].size[2] / 2
    kinds = [ROAD_USER_MODELS[mover.model].kind for mover in found]
    sizes = np.array([ROAD_USER_MODELS[mover.model].size for mover in found], np.float64).reshape(-1, 3)
    return Objects(
        frames=numbers,
        ids=tuple(f"{index + 1:03d}" for index in range(count)),
        frame=np.repeat(numbers, count),
        track=np.tile(np.arange(count), total),
        pose=pose.reshape(-1, 4, 4).round(4),
        size=np.tile(sizes, (total, 1)),
        moving=np.tile(np.array([mover.moving for mover in found], bool), total),
        kind=tuple(kinds) * total,
    )
