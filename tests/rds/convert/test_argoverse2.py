"""Argoverse 2 logs as RDS-HQ: made-up logs in the data set's form, and a real one where ARGOVERSE2_LOG names it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from argoverse_logs import CAMERAS, CITY, LOG, city_map, ego_at, write_log
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds.check import check_clip
from dreamkit.rds.convert.argoverse2 import read_argoverse2
from dreamkit.rds.convert.drive import write_drive
from dreamkit.rds.convert.formats import convert_logs, find_logs
from dreamkit.rds.convert.map_areas import outer_edges
from dreamkit.rds.convert.rig_proposal import propose_rig
from dreamkit.rds.labels import read_layer, read_objects
from dreamkit.rds.rig import read_camera_poses, read_cameras, read_vehicle_poses


def test_a_log_becomes_a_clip_that_passes_the_check(tmp_path):
    write_log(tmp_path / "logs")
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "logs"), "-o", str(tmp_path / "rds")])
    assert done.exit_code == 0 and "dreamkit rig propose" in done.output
    root = tmp_path / "rds"
    assert [str(one) for one in check_clip(root, LOG, "pinhole") if one.severity == "error"] == []
    vehicle = read_vehicle_poses(root, LOG)
    frames = 0.1 + np.arange(len(vehicle)) / 30
    assert np.allclose(vehicle[:, 0, 3], ego_at(frames)[:, 0, 3] - np.round(CITY[0] + 1.0), atol=1e-6)
    assert set(read_cameras(root, LOG, model="pinhole")) == set(CAMERAS)
    objects = read_objects(root, LOG)
    assert dict(zip((objects.ids[track] for track in objects.track), objects.kind, strict=True)) == {
        "car": "Car",
        "bus": "Bus",
        "odd": "Unknown",
    }
    car = objects.pose[objects.track == objects.ids.index("car"), 0, 3]
    assert np.allclose(np.diff(car), 1.2, atol=1e-6)
    assert len(read_layer(root, LOG, "traffic_signs")) == len(read_layer(root, LOG, "crosswalks")) == 1
    assert sorted({round(y, 3) for y in read_layer(root, LOG, "lanelines").points[:, 1]}) == [-3.5, 0.0]
    assert len(read_layer(root, LOG, "lanelines")) == 2


def test_boxes_project_where_the_annotations_do(tmp_path):
    log = write_log(tmp_path / "logs")
    write_drive(tmp_path / "rds", read_argoverse2(log))
    objects, poses = read_objects(tmp_path / "rds", LOG), read_camera_poses(tmp_path / "rds", LOG)
    lenses = read_cameras(tmp_path / "rds", LOG, model="pinhole")
    for frame in (0, 30, 60):
        row = np.flatnonzero((objects.frame == frame) & (objects.track == objects.ids.index("bus")))[0]
        seen = np.linalg.inv(poses["ring_front_center"][frame]) @ objects.pose[row][:, 3]
        focal, width, height = CAMERAS["ring_front_center"][1:]
        ahead = 40 - 10 * (0.1 + frame / 30)
        expected = [focal * 7 / ahead + width / 2, focal * (1.5 - 1.6) / ahead + height / 2]
        assert np.abs(lenses["ring_front_center"].project(seen[:3]) - expected).max() < 0.01


def test_edges_between_drivable_areas_are_no_road_boundaries():
    areas = [
        np.array([[v["x"], v["y"], v["z"]] for v in area["area_boundary"]])
        for area in city_map()["drivable_areas"].values()
    ]
    edges = outer_edges(areas)
    points = np.concatenate(edges) - CITY
    across = (np.abs(points[:, 0] - 40) < 1) & (np.abs(points[:, 1]) < 4)
    assert not across.any()
    length = sum(np.linalg.norm(np.diff(edge, axis=0), axis=1).sum() for edge in edges)
    assert 255 < length <= 260


def test_a_log_without_calibration_gets_the_nominal_cameras(tmp_path):
    write_drive(tmp_path / "rds", read_argoverse2(write_log(tmp_path / "logs", calibrated=False)))
    assert len(read_cameras(tmp_path / "rds", LOG)) == 6
    assert not propose_rig(tmp_path / "rds", LOG).missing


def test_damaged_logs_and_folders_of_other_data_sets_are_told(tmp_path):
    log = write_log(tmp_path / "logs")
    (log / "annotations.feather").write_bytes(b"nothing")
    with pytest.raises(DreamkitError, match="cannot be read as a feather file"):
        read_argoverse2(log)
    assert isinstance(next(convert_logs(tmp_path / "logs", tmp_path / "rds"))[1], DreamkitError)
    assert not (tmp_path / "rds").exists()
    for place, told in (
        ("a/v1.0-mini/sample_data.json", "nuScenes"),
        ("b/segment-1.tfrecord", "Waymo"),
        ("c/x.db", "nuPlan"),
        ("d/data_3d_bboxes/x", "KITTI-360"),
        ("e/pose/x.tar", "RDS-HQ labels already"),
        ("f/holiday.jpg", "no drive in a known form; it has holiday.jpg"),
        ("g/v1.0-mini/scene.json", "nuScenes"),
        ("h/drives/2011_09_26/x_sync/image_02/data/0.png", "x_sync looks like KITTI,"),
        ("i/data_2d_raw/x_sync/image_02/data_rgb/0.png", "KITTI-360"),
        ("j/x_sync/image_00/data_rect/0.png", "KITTI-360"),
        ("k/training/segment-1.tfrecord", "k/training looks like the Waymo"),
        ("l/training/camera_image/1.parquet", "Waymo Open Dataset in parquet"),
        (
            "m/train/log/calibration/intrinsics.feather",
            "log looks like an Argoverse 2 sensor log without its ego poses",
        ),
        ("n/train1/log/vehicle_calibration_info.json", "Argoverse 1"),
        ("o/001/annotations/cuboids/00.pkl.gz", "PandaSet"),
        ("q/logs/one/box_detections_se3.arrow", "log of py123d without its ego poses"),
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True)
        path.write_text("x")
        with pytest.raises(DreamkitError, match=told):
            find_logs(tmp_path / place[0])
    with pytest.raises(DreamkitError, match="format 'waymo' is unknown"):
        find_logs(tmp_path / "logs", "waymo")


def test_an_unknown_version_of_the_tables_is_told(tmp_path):
    from pyarrow import feather

    log = write_log(tmp_path / "logs")
    table = feather.read_table(str(log / "annotations.feather"))
    feather.write_feather(table.drop_columns(["track_uuid"]), str(log / "annotations.feather"))
    with pytest.raises(DreamkitError, match="has no column track_uuid"):
        read_argoverse2(log)
    path = next((log / "map").glob("log_map_archive_*.json"))
    path.write_text(json.dumps({"lanes": {}}))
    write_log(tmp_path / "logs")
    path.write_text(json.dumps({"lanes": {}}))
    with pytest.raises(DreamkitError, match="not in the form"):
        read_argoverse2(log)


def test_poses_out_of_the_order_of_time_are_told(tmp_path):
    from pyarrow import feather

    path = write_log(tmp_path / "logs") / "city_SE3_egovehicle.feather"
    table = feather.read_table(str(path))
    feather.write_feather(table.take([*range(10), 11, 10, *range(12, len(table))]), str(path))
    _, error = next(convert_logs(tmp_path / "logs", tmp_path / "rds"))
    assert isinstance(error, DreamkitError) and "not in the order of time: number 11" in error.message
    assert not (tmp_path / "rds").exists()


@pytest.mark.real_data
@pytest.mark.skipif("ARGOVERSE2_LOG" not in os.environ, reason="ARGOVERSE2_LOG names no log of the data set")
def test_a_real_log_passes_the_check(tmp_path):
    log = Path(os.environ["ARGOVERSE2_LOG"])
    record = write_drive(tmp_path, read_argoverse2(log))
    model = "pinhole" if record["source"]["calibration"] == "of the log" else "ftheta"
    assert [one for one in check_clip(tmp_path, log.name, model) if one.severity == "error"] == []
