import numpy as np
import pytest

from dreamkit.rds.check import check_clip
from dreamkit.rds.lidar import Sweeps, draw_lidar_frames
from dreamkit.rds.objects import every_frame, hold_static
from dreamkit.tinyworld.render.lidar_sim import simulate_sweeps
from dreamkit.tinyworld.render.scene_tensors import build_scene_tensors
from dreamkit.tinyworld.world.scene import make_scene, write_clip

FRONT = "front_wide_120fov"


@pytest.fixture(scope="module")
def cast():
    scene = make_scene(43, 13)
    return scene, simulate_sweeps(scene, build_scene_tensors(scene))


def test_returns_lie_on_the_ground_and_on_the_labelled_boxes(cast):
    scene, lidar = cast
    assert lidar.frames == (0, 3, 6, 9, 12)
    boxes = every_frame(hold_static(scene.objects), scene.frames)
    for frame in (0, 12):
        sweep = lidar.load(frame)
        world = sweep.xyz @ sweep.to_world[:3, :3].T + sweep.to_world[:3, 3]
        assert 10_000 < len(world) < 52_000
        assert (np.abs(world[:, 2]) < 0.02).mean() > 0.3
        assert world[:, 2].min() > -0.02
        near = [row for row in np.flatnonzero(boxes.frame == frame) if boxes.kind[row] == "Automobile"]
        hits = []
        for row in near:
            local = (world - boxes.pose[row, :3, 3]) @ boxes.pose[row, :3, :3]
            inside = (np.abs(local) < boxes.size[row] / 2 + 0.03).all(1)
            deep = (np.abs(local) < boxes.size[row] / 2 * 0.6).all(1)
            hits.append(inside.sum())
            assert deep.sum() <= 0.35 * max(inside.sum(), 3)
        assert max(hits) > 50


def test_a_clip_with_sweeps_has_no_finding_but_its_length(tmp_path, cast):
    scene, lidar = cast
    write_clip(tmp_path, "made", scene, lidar.sweeps)
    assert {finding.layer for finding in check_clip(tmp_path, "made")} <= {"pose"}


def test_sweeps_in_memory_are_drawn(cast):
    scene, lidar = cast
    boxes = every_frame(hold_static(scene.objects), scene.frames)
    lens = {FRONT: scene.lenses[FRONT].scaled_to(320, 180)}
    (picture,) = draw_lidar_frames(Sweeps(lidar, boxes, scene.frames), lens, {FRONT: scene.camera_poses(FRONT)}, [6])
    assert picture[FRONT].shape == (180, 320)
    assert 0.05 < (picture[FRONT] > 0).mean() < 0.9
