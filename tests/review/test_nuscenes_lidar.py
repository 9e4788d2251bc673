"""LIDAR_TOP in the export in nuScenes' form, where the labels have sweeps; drawn by the devkit where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import rds_clips
from labelled_results import FRAMES, KEY, make_labelled

from dreamkit.rds import writer
from dreamkit.rds.lidar_labels import LidarFrame
from dreamkit.review.nuscenes.dataset import NuscenesOptions, export_nuscenes
from dreamkit.review.nuscenes.sweeps import points_inside
from dreamkit.review.session import Review

PYTHON = os.environ.get("DREAMKIT_NUSCENES_PYTHON", "")
EVERY = 6
POINTS = 20_000


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    workspace, root = make_labelled(tmp_path_factory.mktemp("with_lidar"))
    writer.write_lidar(root, rds_clips.CLIP, rds_clips.lidar(2 * FRAMES + 2, POINTS))
    review = Review(workspace, "ann")
    review.judge(KEY, "accept")
    folder = tmp_path_factory.mktemp("set") / "nuscenes"
    made = export_nuscenes(review, str(folder), str(root), NuscenesOptions(every=EVERY, limits=None))
    assert made.counts["LiDAR sweeps at key frames"] == 3 and made.counts["pictures"] == 6 * FRAMES
    return folder


def rows(folder, name):
    return json.loads((folder / "v1.0-dreamkit" / f"{name}.json").read_text())


def test_sweeps_are_those_of_the_labels_at_the_vehicles_place(exported):
    poses = {row["token"]: row for row in rows(exported, "ego_pose")}
    written = rds_clips.lidar(2 * FRAMES + 2, POINTS)
    [log] = rows(exported, "log")
    sweeps = [row for row in rows(exported, "sample_data") if row["fileformat"] == "pcd"]
    assert len(sweeps) == len(rows(exported, "sample")) == 3
    for row in sweeps:
        points = np.fromfile(exported / row["filename"], np.float32).reshape(-1, 5)
        sweep: LidarFrame = written[row["label_frame"]]
        assert (points[:, :3] == sweep.xyz).all() and (points[:, 4] == 0).all()
        expected = sweep.to_world[:3, 3] + log["provenance"]["world_offset"]
        assert poses[row["ego_pose_token"]]["translation"] == pytest.approx(expected, abs=1e-6)
    counts = [row["num_lidar_pts"] for row in rows(exported, "sample_annotation")]
    assert min(counts) >= 0 and max(counts) > 0


def test_points_in_a_box():
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # its length lies along y
    pose[:3, 3] = [5, 0, 0]
    points = np.array([[5, 1.9, 0], [5, 2.1, 0], [5.9, 0, 0], [6.1, 0, 0]])
    assert points_inside(points, pose, np.array([4.0, 2.0, 2.0])) == 2


DEVKIT = """
import sys
import matplotlib
matplotlib.use("Agg")
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud

root, out = sys.argv[1:]
nusc = NuScenes("v1.0-dreamkit", root, verbose=False)
sample = nusc.sample[1]
assert LidarPointCloud.from_file(nusc.get_sample_data_path(sample["data"]["LIDAR_TOP"])).points.shape == (4, 20000)
nusc.render_annotation(sample["anns"][0], out_path=out + "/annotation.png")
nusc.render_pointcloud_in_image(sample["token"], out_path=out + "/points.png", verbose=False)
"""


@pytest.mark.skipif(not PYTHON, reason="DREAMKIT_NUSCENES_PYTHON names no Python with nuscenes-devkit")
def test_the_devkit_draws_boxes_from_above_and_points_in_pictures(exported, tmp_path):
    subprocess.run([PYTHON, "-W", "ignore", "-c", DEVKIT, str(exported), str(tmp_path)], check=True, timeout=300)
    if folder := os.environ.get("DREAMKIT_SCREENSHOTS"):
        shutil.copytree(tmp_path, folder, dirs_exist_ok=True)
    assert all((tmp_path / f"{name}.png").stat().st_size > 5_000 for name in ("annotation", "points"))
