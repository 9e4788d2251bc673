"""A small made-up clip for the tests of dreamkit.rds: a straight road, three objects, six cameras, a LiDAR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dreamkit.rds import writer
from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.labels import Objects, Shapes
from dreamkit.rds.lidar_labels import LidarFrame
from dreamkit.rds.pinhole import Pinhole

CLIP = "made-up_000_100"
# Heading of each camera in degrees to the left of straight ahead.
HEADINGS = {
    "camera_front_wide_120fov": 0,
    "camera_cross_left_120fov": 60,
    "camera_cross_right_120fov": -60,
    "camera_rear_tele_30fov": 180,
    "camera_rear_left_70fov": 145,
    "camera_rear_right_70fov": -145,
}
FTHETA = FTheta(480, 270, 960, 540, (0.0, 0.0021, 0.0, 0.0, 0.0, 0.0), True)
PINHOLE = Pinhole(500, 500, 480, 270, 960, 540)
# A 960x540 camera of each name's field of view.
NOMINAL = {
    name: FTheta(480, 270, 960, 540, (0.0, np.deg2rad(int(name[-6:-3].strip("_"))) / 960, 0.0, 0.0, 0.0, 0.0), True)
    for name in HEADINGS
}


def camera_to_vehicle(heading: float) -> np.ndarray:
    """A camera 1.5 m up that looks `heading` degrees to the left of the vehicle's x axis."""
    a = np.deg2rad(heading)
    forward, left, up = np.array([np.cos(a), np.sin(a), 0]), np.array([-np.sin(a), np.cos(a), 0]), np.array([0, 0, 1.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([-left, -up, forward], 1)
    pose[2, 3] = 1.5
    return pose


def drive(frames: int, metres_a_frame: float = 0.3) -> np.ndarray:
    """Vehicle poses [T, 4, 4] along x."""
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 3] = np.arange(frames) * metres_a_frame
    return poses


def rig_poses(vehicle: np.ndarray, cameras=HEADINGS) -> dict[str, np.ndarray]:
    return {name: vehicle @ camera_to_vehicle(HEADINGS[name]) for name in cameras}


def map_layers() -> dict[str, Shapes]:
    def line(y: float) -> np.ndarray:
        x = np.arange(-40, 160, 10.0)
        return np.stack([x, np.full_like(x, y), np.zeros_like(x)], 1)

    def box(x: float, y: float, z: float, size: tuple[float, float, float]) -> np.ndarray:
        signs = np.array([[a, b, c] for c in (-1, 1) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]) / 2
        return signs * size + [x, y, z]

    return {
        "lanelines": Shapes.of([line(1.75), line(-1.75)]),
        "lanes": Shapes.of([line(1.7), line(-1.7)]),
        "road_boundaries": Shapes.of([line(5.5), line(-5.5)]),
        "wait_lines": Shapes.of([np.array([[30, -1.7, 0], [30, 1.7, 0]], float)]),
        "poles": Shapes.of([np.array([[25, 6, 0], [25, 6, 5]], float)]),
        "crosswalks": Shapes.of([np.array([[32, -5, 0], [35, -5, 0], [35, 5, 0], [32, 5, 0]], float)]),
        "road_markings": Shapes.of([np.array([[20, -1, 0], [23, -1, 0], [23, 1, 0], [20, 1, 0]], float)]),
        "traffic_signs": Shapes.of([box(25, 6, 4.5, (0.1, 0.8, 0.8))]),
        "traffic_lights": Shapes.of([box(30, -6, 4.5, (0.3, 0.3, 0.9))]),
    }


def objects(frames: int) -> Objects:
    """A car ahead that drives, one parked with jitter, and a person who is not labelled from frame 12 to 18."""
    rng = np.random.default_rng(1)
    rows = []
    numbers = list(range(0, frames, 3))
    for frame in numbers:
        for track, kind, x, y, moving in (
            ("7", "Automobile", 15 + 0.4 * frame, 0.0, True),
            ("8", "Car", 20.0, 3.5, False),
            ("9", "Person", 12.0, -4.0, True),
        ):
            if track == "9" and 12 <= frame <= 18:
                continue
            pose = np.eye(4)
            pose[:3, 3] = x, y, 0.8
            if not moving:
                pose[:2, 3] += rng.normal(0, 0.05, 2)
            rows.append((frame, track, pose, (4.5, 1.9, 1.6) if kind != "Person" else (0.6, 0.6, 1.7), moving, kind))
    ids = ("7", "8", "9")
    return Objects(
        frames=np.array(numbers),
        ids=ids,
        frame=np.array([r[0] for r in rows]),
        track=np.array([ids.index(r[1]) for r in rows]),
        pose=np.array([r[2] for r in rows]),
        size=np.array([r[3] for r in rows], float),
        moving=np.array([r[4] for r in rows]),
        kind=tuple(r[5] for r in rows),
    )


def lidar(frames: int, points: int = 400) -> dict[int, LidarFrame]:
    rng = np.random.default_rng(2)
    return {
        frame: LidarFrame(
            rng.uniform(-20, 20, (points, 3)).astype(np.float32),
            drive(frames)[frame],
            rng.random(points).astype(np.float32),
        )
        for frame in range(0, frames, 3)
    }


def write_clip(
    root: Path,
    clip: str = CLIP,
    frames: int = 30,
    cameras=HEADINGS,
    model: CameraModel | None = FTHETA,
    with_lidar: bool = False,
) -> Path:
    """Write the whole clip, without a model with the nominal cameras; returns the folder."""
    vehicle = drive(frames)
    writer.write_map(root, clip, map_layers())
    writer.write_objects(root, clip, objects(frames))
    writer.write_vehicle_poses(root, clip, vehicle)
    writer.write_camera_poses(root, clip, rig_poses(vehicle, cameras))
    writer.write_cameras(root, clip, {name: model or NOMINAL[name] for name in cameras})
    if with_lidar:
        writer.write_lidar(root, clip, lidar(frames))
    return root
