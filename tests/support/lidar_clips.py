"""A made-up clip with LiDAR: walls, ground, and a car that drives away."""

import numpy as np
import pytest
from rds_clips import CLIP, drive, rig_poses

from dreamkit.rds import lidar, writer
from dreamkit.rds.labels import Objects, read_objects
from dreamkit.rds.lidar_labels import LidarFrame, read_lidar
from dreamkit.rds.objects import every_frame, hold_static

FRAMES = 31
FRONT = "camera_front_wide_120fov"
CAR_SIZE = (4.0, 2.0, 1.6)


def car_pose(frame):
    pose = np.eye(4)
    pose[:3, 3] = 12 + 0.5 * frame, 3.0, 0.8
    a = 0.02 * frame
    pose[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return pose


def planes(rng):
    """World points on a wall across the road, a slanted wall to the right, and the ground near by."""
    wall = np.stack([np.full(30000, 60.0), rng.uniform(-20, 20, 30000), rng.uniform(0, 10, 30000)], 1)
    slant = np.stack([s := rng.uniform(10, 50, 30000), -8 - 0.1 * s, rng.uniform(0, 6, 30000)], 1)
    ground = np.stack([rng.uniform(3, 9.5, 30000), rng.uniform(-6, 6, 30000), np.zeros(30000)], 1)
    return np.concatenate([wall, slant, ground])


def car_points(rng, frame, eye):
    """Points on those of the car's rear and right sides that face the sensor: a LiDAR sees no hidden side."""
    half, pose = np.array(CAR_SIZE) / 2, car_pose(frame)
    local_eye = np.linalg.inv(pose) @ [*eye, 1]
    faces = []
    for axis in (0, 1):
        if local_eye[axis] < -half[axis]:
            face = rng.uniform(-1, 1, (3000, 3)) * half
            face[:, axis] = -half[axis]
            faces.append(face)
    return np.concatenate(faces) @ pose[:3, :3].T + pose[:3, 3]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    root = tmp_path_factory.mktemp("lidar")
    rng = np.random.default_rng(0)
    numbers = list(range(0, FRAMES, 3))
    vehicle = drive(FRAMES)
    sensor = np.eye(4)
    sensor[:3, 3] = 0.5, 0, 2.0
    sweeps = {}
    for frame in numbers:
        to_world = vehicle[frame] @ sensor
        points = np.concatenate(
            [planes(rng), car_points(rng, frame, to_world[:3, 3]), to_world[:3, 3] + rng.uniform(-1, 1, (500, 3))]
        )
        back = np.linalg.inv(to_world)
        sweeps[frame] = LidarFrame((points @ back[:3, :3].T + back[:3, 3]).astype(np.float32), to_world)
    writer.write_lidar(root, CLIP, sweeps)
    count = len(numbers)
    objects = Objects(
        np.array(numbers),
        ("1",),
        np.array(numbers),
        np.zeros(count, int),
        np.stack([car_pose(n) for n in numbers]),
        np.tile(CAR_SIZE, (count, 1)),
        np.ones(count, bool),
        ("Automobile",) * count,
    )
    writer.write_objects(root, CLIP, objects)
    return root, rig_poses(vehicle, [FRONT])[FRONT]


def sweeps_of(clip, **boxes):
    root, _ = clip
    return lidar.Sweeps(
        read_lidar(root, CLIP), every_frame(hold_static(read_objects(root, CLIP)), FRAMES), FRAMES, **boxes
    )
