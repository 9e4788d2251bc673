import dataclasses
import io

import cv2
import numpy as np
import pytest
import torch
from lidar_clips import CAR_SIZE, FRAMES, car_pose, sweeps_of
from rds_clips import CLIP, FTHETA, PINHOLE, camera_to_vehicle

from dreamkit.errors import DreamkitError
from dreamkit.rds import lidar
from dreamkit.rds.labels import read_objects
from dreamkit.rds.lidar_labels import LidarFrame, read_lidar
from dreamkit.rds.objects import Boxes, every_frame
from dreamkit.rds.tars import write_tar


def depth_picture(sweeps, camera, pose, frame):
    parts = sweeps.around(frame)
    weight = torch.cat([torch.full((len(points),), float(count)) for points, count in parts])
    return lidar.splat(torch.cat([points for points, _ in parts]), weight, camera, pose)


def true_depth(camera, pose, frame):
    """Depth by casting a ray through the middle of every pixel at the planes and the car; inf where it meets none."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.unproject(np.stack([u, v], -1)) @ pose[:3, :3].T
    eye = pose[:3, 3]
    depth = np.full(u.shape, np.inf)

    def hit(normal, offset, bounds, to_local=np.eye(4)):
        local, start = rays @ to_local[:3, :3].T, to_local[:3, :3] @ eye + to_local[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (offset - start @ normal) / (local @ normal)
            where = start + local * t[..., None]
            inside = (t > 0) & np.all(
                [(where[..., i] >= lo) & (where[..., i] <= hi) for i, (lo, hi) in bounds.items()], 0
            )
            along = (rays * t[..., None]) @ pose[:3, 2]
        np.minimum(depth, np.where(inside, along, np.inf), out=depth)

    hit(np.array([1.0, 0, 0]), 60.0, {1: (-20, 20), 2: (0, 10)})
    hit(np.array([0.1, 1.0, 0]), -8.0, {0: (10, 50), 2: (0, 6)})
    hit(np.array([0, 0, 1.0]), 0.0, {0: (3, 9.5), 1: (-6, 6)})
    size = np.array(CAR_SIZE) / 2
    to_car = np.linalg.inv(car_pose(frame))
    hit(np.array([1.0, 0, 0]), -size[0], {1: (-size[1], size[1]), 2: (-size[2], size[2])}, to_car)
    hit(np.array([0, 1.0, 0]), -size[1], {0: (-size[0], size[0]), 2: (-size[2], size[2])}, to_car)
    return depth


def interior(depth):
    """Pixels with one surface for four pixels around: a splatted picture is blurred where one ends."""
    finite = np.where(np.isfinite(depth), depth, 1e6)
    window = np.ones((9, 9), np.uint8)
    inside = cv2.dilate(finite, window) < 1.15 * cv2.erode(finite, window)
    inside[:4], inside[-4:], inside[:, :4], inside[:, -4:] = False, False, False, False
    return inside & np.isfinite(depth)


@pytest.mark.parametrize("camera", [PINHOLE, FTHETA], ids=["pinhole", "ftheta"])
@pytest.mark.parametrize("frame", [0, 16])
def test_depths_are_right_to_one_percent(clip, camera, frame):
    sweeps, pose = sweeps_of(clip), clip[1][frame]
    camera = camera.scaled_to(1280, 720)
    found = depth_picture(sweeps, camera, pose, frame).numpy()
    expected = true_depth(camera, pose, frame)
    judged = interior(expected) & (found > 0)
    error = np.abs(found - expected)[judged] / expected[judged]
    assert judged.sum() > 100_000
    assert error.mean() < 0.003
    assert np.percentile(error, 98) < 0.01, np.percentile(error, [50, 90, 98, 100])


def test_a_moving_car_is_carried_to_the_drawn_frame(clip):
    frame = 16
    pose = clip[1][frame]
    camera = PINHOLE.scaled_to(640, 360)
    rear = (car_pose(frame) @ [-CAR_SIZE[0] / 2, 0, 0, 1])[:3]
    local = np.linalg.inv(pose) @ [*rear, 1]
    u, v = camera.project(local[:3]).round().astype(int)
    found = depth_picture(sweeps_of(clip), camera, pose, frame)[v, u].item()
    assert found == pytest.approx(local[2], rel=0.01)


def test_points_of_a_car_that_is_gone_are_dropped(clip):
    root, _ = clip
    boxes = every_frame(read_objects(root, CLIP), FRAMES)
    rows = int((boxes.frame <= 12).sum())
    left = Boxes(*(getattr(boxes, field.name)[:rows] for field in dataclasses.fields(Boxes)))
    with_car, without = (lidar.Sweeps(read_lidar(root, CLIP), b, FRAMES).around(15) for b in (boxes, left))
    sizes = [[len(points) for points, _ in parts] for parts in (with_car, without)]
    # The boxes of `left` end at frame 12: only sweeps 9 and 12 have a box of the car, and lose its points.
    assert [a - b >= 3000 for a, b in zip(*sizes, strict=True)] == [True, True, False, False, False]


class Scattered:
    """Sweeps of random points in memory."""

    def __init__(self, rng, numbers):
        self.frames = tuple(numbers)
        self.made = {n: LidarFrame(rng.uniform(-30, 30, (4000, 3)).astype(np.float32), car_pose(n)) for n in numbers}

    def load(self, frame):
        return self.made[frame]


def scattered_boxes(rng, frames):
    """Big boxes in any attitude that overlap, come and go and stand still now and then; none in frames 12 to 14."""
    rows = [(frame, str(track)) for frame in range(frames) for track in range(12) if not 12 <= frame < 15]
    rows = [row for row, seen in zip(rows, rng.random(len(rows)) < 0.8, strict=True) if seen]
    pose = np.tile(np.eye(4), (len(rows), 1, 1))
    pose[:, :3, :3] = np.linalg.qr(rng.normal(size=(len(rows), 3, 3)))[0]
    pose[:, :3, 3] = rng.uniform(-25, 25, (len(rows), 3)) + car_pose(0)[:3, 3]
    size, moving = rng.uniform(2, 30, (len(rows), 3)), rng.random(len(rows)) < 0.8
    number, track = zip(*rows, strict=True)
    return Boxes(np.array(number), track, pose, size, moving, ("Car",) * len(rows))


def carried_box_by_box(points, boxes, sweep, frame):
    """The rule: boxes in row order, each acting on the points that lay in it before any was moved."""
    now = {boxes.track[row]: row for row in np.flatnonzero(boxes.frame == frame)}
    moved, kept, boxes_of = points.copy(), np.ones(len(points), bool), np.zeros(len(points), int)
    for row in np.flatnonzero((boxes.frame == sweep) & boxes.moving) if sweep != frame else ():
        to_box = np.linalg.inv(boxes.pose[row])
        inside = (np.abs(points @ to_box[:3, :3].T + to_box[:3, 3]) <= boxes.size[row] * 0.6).all(1)
        boxes_of += inside
        if (target := now.get(boxes.track[row])) is None:
            kept &= ~inside
        else:
            carry = boxes.pose[target] @ to_box
            moved[inside] = moved[inside] @ carry[:3, :3].T + carry[:3, 3]
    return moved[kept], boxes_of


@pytest.mark.parametrize("seed", range(3))
def test_points_are_carried_as_box_by_box(seed):
    rng = np.random.default_rng(seed)
    scattered, boxes = Scattered(rng, range(0, FRAMES, 3)), scattered_boxes(rng, FRAMES)
    sweeps = lidar.Sweeps(scattered, boxes, FRAMES)
    most = 0
    for frame in range(6, FRAMES - 7):
        around = np.clip(3 * np.round((frame + 3 * np.arange(-2, 3)) / 3).astype(int), 0, FRAMES - 1)
        parts = sweeps.around(frame)
        assert len(parts) == len(around)
        for (found, _), number in zip(parts, around, strict=True):
            sweep = scattered.load(number)
            xyz = sweep.xyz[np.linalg.norm(sweep.xyz, axis=1) >= lidar.NEAREST_RETURN].astype(float)
            world = xyz @ sweep.to_world[:3, :3].T + sweep.to_world[:3, 3]
            expected, boxes_of = carried_box_by_box(world, boxes, number, frame)
            np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-9)
            most = max(most, boxes_of.max())
    assert most >= 3


def test_near_returns_are_dropped_and_the_ends_count_again(clip):
    sweeps = sweeps_of(clip)
    (points, count), *rest_of = sweeps.around(0)
    assert count == 3 and len(rest_of) == 2
    # Two walls, the ground and the visible sides of the car; the 500 returns from within 3 m are gone.
    assert len(points) in (93000, 96000)
    assert [n for _, n in sweeps.around(FRAMES - 1)] == [1, 1, 3]


def test_grey_is_far_bright_and_black_where_nothing_is():
    depth = torch.tensor([[0.0, 7.5, 37.5, 75.0, 200.0]])
    np.testing.assert_array_equal(lidar.depth_to_grey(depth)[0], [0, 25, 127, 255, 255])


def test_no_point_in_front_gives_a_black_picture():
    behind = torch.tensor([[-5.0, 0, 0]], dtype=torch.float64)
    picture = lidar.splat(behind, torch.ones(1), PINHOLE.scaled_to(64, 36), camera_to_vehicle(0))
    assert picture.shape == (36, 64) and not picture.any()


def test_a_clip_without_sweeps_in_its_frames_is_an_error(clip):
    boxes = every_frame(read_objects(clip[0], CLIP), FRAMES)
    with pytest.raises(DreamkitError, match="no sweep"):
        lidar.Sweeps(read_lidar(clip[0], CLIP), boxes, 0)


def test_intensity_keeps_to_the_points_that_are_finite(tmp_path):
    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    points[1, 0] = np.nan
    stream = io.BytesIO()
    np.savez(stream, xyz=points, lidar_to_world=np.eye(4), intensity=np.arange(4, dtype=np.float32))
    write_tar(tmp_path / "lidar_raw" / "a.tar", "a", {"000000.lidar_raw.npz": stream.getvalue()})
    sweep = read_lidar(tmp_path, "a").load(0)
    assert sweep.xyz.shape == (3, 3) and sweep.intensity.tolist() == [0, 2, 3]
