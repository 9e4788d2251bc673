"""A made-up driving scene from a seed: roads, markings, roadside objects, traffic and an ego car with six cameras.

A scene has all RDS-HQ labels (map layers, objects, poses, lenses), which `write_clip` writes as a clip, and solids for
the renderer, of which buildings and trees are not labelled. World coordinates are metres: the ego car starts at the
origin and faces along x; the ground is flat at z = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dreamkit.rds import writer
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.labels import CAMERA_HZ, Objects, Shapes
from dreamkit.rds.lidar_labels import LidarFrame
from dreamkit.tinyworld.world import roadside, traffic
from dreamkit.tinyworld.world.camera_rig import camera_rig
from dreamkit.tinyworld.world.markings import Paint, ground_layers, paint
from dreamkit.tinyworld.world.road import Curve, Junction, Road, bend, straight
from dreamkit.tinyworld.world.solids import Solid
from dreamkit.tinyworld.world.traffic import Flow, Mover

SETTINGS = ("street", "highway", "rural")
SHAPES = ("straight", "curve", "junction")
_MAIN, _CROSS = (-110.0, 230.0), (-110.0, 110.0)


@dataclass(frozen=True)
class MadeUpScene:
    """One made-up clip of T frames at 30 Hz.

    Attributes:
        seed: of the scene.
        setting: one of SETTINGS.
        shape: of the road, one of SHAPES.
        turn: curvature of the first road, 1/m, positive to the left.
        roads: one road, or two that cross.
        junction: where they cross, or None.
        paint: road markings.
        solids: static roadside solids.
        layers: RDS-HQ map layers by name, world metres.
        movers: road users, in the order of the tracks in `objects`.
        objects: RDS-HQ object labels.
        flow: how the traffic moves.
        vehicle: vehicle-to-world poses of the ego car, float64 [T, 4, 4].
        camera_to_vehicle: camera-to-vehicle poses, float64 [4, 4] by camera name.
        lenses: f-theta lenses by camera name.
        green: whether the traffic lights for the ego car are green.
        lamps: positions of street lamps, float64 [L, 3].
    """

    seed: int
    setting: str
    shape: str
    turn: float
    roads: tuple[Road, ...]
    junction: Junction | None
    paint: tuple[Paint, ...]
    solids: tuple[Solid, ...]
    layers: dict[str, Shapes]
    movers: tuple[Mover, ...]
    objects: Objects
    flow: Flow
    vehicle: np.ndarray
    camera_to_vehicle: dict[str, np.ndarray]
    lenses: dict[str, FTheta]
    green: bool
    lamps: np.ndarray

    @property
    def frames(self) -> int:
        """Number of 30 Hz frames."""
        return len(self.vehicle)

    def camera_poses(self, camera: str) -> np.ndarray:
        """Camera-to-world poses float64 [T, 4, 4] of a camera, named without `camera_`."""
        return self.vehicle @ self.camera_to_vehicle[camera]


def make_scene(seed: int, frames: int = 121, setting: str | None = None, shape: str | None = None) -> MadeUpScene:
    """The made-up scene of a seed, the same on every machine.

    Args:
        seed: any whole number >= 0.
        frames: camera frames at 30 Hz.
        setting: street, highway or rural; random when None. A junction is always in a street.
        shape: straight, curve or junction; random when None.
    """
    rng = np.random.default_rng([seed, 4])
    drawn_shape = str(rng.choice(SHAPES, p=[0.25, 0.4, 0.35]))
    drawn_setting = str(rng.choice(SETTINGS, p=[0.45, 0.35, 0.2]))
    shape = shape or ("straight" if setting in ("highway", "rural") and drawn_shape == "junction" else drawn_shape)
    setting = "street" if shape == "junction" else setting or drawn_setting
    flow, roads, junction, turn = _layout(rng, setting, shape)
    crossing = None
    if setting == "street" and junction is None and rng.random() < 0.35:
        crossing = float(rng.uniform(12, 60))
    arrows = _arrows(rng, roads, junction) if setting != "rural" else []
    extents = [_MAIN, _CROSS][: len(roads)]
    painted = paint(roads, junction, extents, crossing, arrows)
    stop_at = junction.reach(roads, 0)[0] - 10.5 if junction and flow.mode == "stop" else None
    movers = traffic.movers(rng, roads, junction, flow, stop_at, frames)
    if setting == "street":
        movers += _street_life(rng, roads, junction, crossing, flow, frames)
    green = flow.mode != "stop"
    solids, lamps = roadside.roadside_solids(rng, setting, roads, junction, green)
    layers = ground_layers(roads, junction, painted, extents) | roadside.map_layers(solids)
    # Labels are in millimetres; rounding here makes a written clip and its scene draw the same pictures.
    layers = {name: Shapes(shapes.points.round(3), shapes.starts) for name, shapes in layers.items()}
    path, side = traffic.ego_path(roads, junction, flow)
    times = np.arange(frames) / CAMERA_HZ
    vehicle = _drive(rng, path, side, traffic.progress(times, flow, stop_at))
    camera_to_vehicle, lenses = camera_rig(rng)
    return MadeUpScene(
        seed,
        setting,
        shape,
        turn,
        roads,
        junction,
        tuple(painted),
        tuple(solids),
        layers,
        tuple(movers),
        traffic.objects(movers, frames),
        flow,
        vehicle,
        camera_to_vehicle,
        lenses,
        green,
        lamps,
    )


def _layout(
    rng: np.random.Generator, setting: str, shape: str
) -> tuple[Flow, tuple[Road, ...], Junction | None, float]:
    """Traffic flow, roads, junction, and the curvature of the first road."""
    median, lane = 0.0, float(rng.uniform(3.3, 3.7))
    if setting == "highway":
        right, left = int(rng.integers(2, 5)), int(rng.integers(2, 5))
        median, margin, speed = float(rng.uniform(1.0, 2.2)), float(rng.uniform(1.0, 2.6)), rng.uniform(13, 24)
    elif setting == "rural":
        right, left, margin, speed = 1, 1, float(rng.uniform(0.5, 1.2)), rng.uniform(9, 16)
    else:
        right, left = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        margin, speed = float(rng.choice([0.7, 2.5, 2.6])), rng.uniform(5, 11)
    flow = Flow("go", float(speed), float(rng.uniform(22, 60)), int(rng.integers(0, right)))
    turn = 0.0
    if shape == "curve":
        tightest = {"street": 55, "highway": 130, "rural": 70}[setting]
        turn = float(rng.choice([-1, 1]) / rng.uniform(tightest, 3 * tightest))
    road = Road(_bend(rng, turn), right, left, lane, margin, median)
    if shape != "junction":
        return flow, (_through_origin(road, flow),), None, turn
    mode = str(rng.choice(["go", "stop", "left", "right"], p=[0.35, 0.3, 0.15, 0.2]))
    flow = replace(flow, mode=mode, lane={"left": 0, "right": right - 1}.get(mode, flow.lane))
    road = _through_origin(road, flow)
    lanes, radius = int(rng.integers(1, 3)), float(rng.uniform(4, 7))
    speeds, ways = {"stop": ((6, 9), (16.5, 28.5)), "go": ((5, 11), (8, 38))}.get(mode, ((4.5, 6.5), (4, 9)))
    flow = replace(flow, speed=float(rng.uniform(*speeds)))
    at = lanes * lane + margin + radius + float(rng.uniform(*ways))
    origin, heading = road.curve.at(at)
    across = straight(tuple(origin), float(heading) + np.pi / 2, *_CROSS)
    return flow, (road, Road(across, lanes, lanes, lane, margin)), Junction((at, 0.0), radius), turn


def _bend(rng: np.random.Generator, turn: float) -> Curve:
    """A bend of curvature `turn` with gradual ends, by about 75 degrees at most."""
    step = 0.5
    s = np.arange(_MAIN[0], _MAIN[1] + step, step)
    length = min(1.3 / abs(turn), 260.0) if turn else 0.0
    begin = float(rng.uniform(-0.4, 0.1)) * length
    curvature = turn * np.clip((s - begin) / 15 + 0.5, 0, 1) * np.clip((begin + length - s) / 15 + 0.5, 0, 1)
    return bend(curvature, float(s[0]), step, (0.0, 0.0), 0.0)


def _through_origin(road: Road, flow: Flow) -> Road:
    """The road shifted so that the ego car's lane passes the origin at s = 0."""
    away = road.curve.at(0.0, road.centre(flow.lane))[0]
    return replace(road, curve=replace(road.curve, points=road.curve.points - away))


def _arrows(
    rng: np.random.Generator, roads: tuple[Road, ...], junction: Junction | None
) -> list[tuple[int, int, float]]:
    """Random straight-on arrows (road, lane, s) on the first road."""
    found = []
    for lane in range(-roads[0].left, roads[0].right):
        if junction:
            low, high = junction.reach(roads, 0)
            places = [high + 14.0, high + 34.0] if lane < 0 else [low - 14.0, low - 34.0]
        else:
            places = list(rng.uniform(5, 120, 1)) if rng.random() < 0.5 else []
        found += [(0, lane, float(s)) for s in places]
    return found


def _street_life(
    rng: np.random.Generator,
    roads: tuple[Road, ...],
    junction: Junction | None,
    crossing: float | None,
    flow: Flow,
    frames: int,
) -> list[Mover]:
    """Parked cars, people and cyclists of a street."""
    keep_out, pavement = [], None
    if junction:
        low, high = junction.reach(roads, 0)
        keep_out.append((low - 8, high + 8))
        pavement = (low - 1, high + 1)
        if flow.mode == "stop":
            crossing = low - 3.9
    elif crossing is not None:
        # No people on the crosswalk, because the ego car does not stop.
        keep_out.append((crossing - 4, crossing + 7))
        crossing = None
    found = []
    roomy = roads[0].margin > 2
    if roomy:
        found += traffic.parked(
            rng, roads[0], float(rng.uniform(0.1, 0.6)), keep_out, len(traffic.label_frames(frames))
        )
    cyclists = 0 if roomy or junction else int(rng.integers(0, 2))
    return found + traffic.people(rng, roads[0], pavement, crossing, cyclists, frames)


def _drive(rng: np.random.Generator, path: Curve, side: float, s: np.ndarray) -> np.ndarray:
    """Vehicle-to-world poses [T, 4, 4] along a curve, with a slight random pitch oscillation."""
    points, heading = path.at(s, side)
    time = np.arange(len(s)) / CAMERA_HZ
    nod = np.deg2rad(0.25) * np.sin(2 * np.pi * rng.uniform(0.5, 1.2) * time + rng.uniform(0, 6))
    poses = np.tile(np.eye(4), (len(s), 1, 1))
    ahead = np.stack([np.cos(heading) * np.cos(nod), np.sin(heading) * np.cos(nod), np.sin(nod)], 1)
    left = np.stack([-np.sin(heading), np.cos(heading), np.zeros_like(heading)], 1)
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = ahead, left, np.cross(ahead, left)
    poses[:, :2, 3] = points
    return poses


def thinned(scene: MadeUpScene, count: int) -> MadeUpScene:
    """The scene with only the `count` road users that come nearest to the ego car."""
    where = scene.vehicle[np.minimum(traffic.label_frames(scene.frames), scene.frames - 1), :2, 3]
    nearest = [np.linalg.norm(m.curve.at(m.s, m.side)[0] - where, axis=1).min() for m in scene.movers]
    kept = [scene.movers[index] for index in sorted(np.argsort(nearest)[:count])]
    return replace(scene, movers=tuple(kept), objects=traffic.objects(kept, scene.frames))


def write_clip(root: Path | str, clip: str, scene: MadeUpScene, sweeps: Mapping[int, LidarFrame] | None = None) -> None:
    """Write a scene as an RDS-HQ clip: map layers, objects, vehicle and camera poses, lenses.

    Args:
        root: folder of the labels.
        clip: name of the clip.
        scene: the scene.
        sweeps: LiDAR sweeps by frame number, from `dreamkit.tinyworld.render.lidar_sim`; none when None.
    """
    root = Path(root)
    writer.write_map(root, clip, scene.layers)
    writer.write_objects(root, clip, scene.objects)
    writer.write_vehicle_poses(root, clip, scene.vehicle)
    writer.write_camera_poses(
        root, clip, {f"camera_{name}": scene.camera_poses(name) for name in scene.camera_to_vehicle}
    )
    writer.write_cameras(root, clip, {f"camera_{name}": lens for name, lens in scene.lenses.items()})
    if sweeps is not None:
        writer.write_lidar(root, clip, sweeps)
