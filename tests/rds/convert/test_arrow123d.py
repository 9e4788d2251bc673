"""Logs of py123d as RDS-HQ, on made-up logs in its form; and radial distortion as an f-theta lens."""

import numpy as np
import pytest
from argoverse_logs import CITY, ego_at

from dreamkit.errors import DreamkitError
from dreamkit.rds.convert.distortion import distorted_radius, ftheta_of_distorted
from dreamkit.rds.pinhole import Pinhole


@pytest.mark.parametrize(
    ("focal", "k"), [(1970, (-0.59, 0.66, 0.0)), (1400, (-0.28, 0.07, 0.0)), (1000, (0.1, 0.0, 0.0))]
)
def test_radial_distortion_becomes_an_f_theta_lens(focal, k):
    lens, error = ftheta_of_distorted(Pinhole(focal, 1.01 * focal, 960, 540, 1920, 1080), k)
    assert error < 1.0
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.4, 0.4, 200), rng.uniform(-0.22, 0.22, 200), np.ones(200)])
    radius = np.hypot(points[:, 0], points[:, 1])
    bent = points[:, :2] * (distorted_radius(radius, k) / radius)[:, None]
    expected = bent * [focal, 1.01 * focal] + [960, 540]
    assert np.abs(lens.project(points) - expected).max() < 1.5


def test_a_distortion_that_folds_the_picture_is_told():
    with pytest.raises(DreamkitError, match="folds the picture"):
        ftheta_of_distorted(Pinhole(1000, 1000, 960, 540, 1920, 1080), (-0.9, 0.0, 0.0))


def read(root):
    from dreamkit.rds.convert.formats import convert_logs

    return next(convert_logs(root / "logs", root / "rds"))[1]


def test_a_log_becomes_a_clip(tmp_path):
    logs = pytest.importorskip("arrow_logs", exc_type=ImportError)
    from dreamkit.rds.check import check_clip
    from dreamkit.rds.labels import read_layer, read_objects
    from dreamkit.rds.rig import read_camera_poses, read_cameras, read_vehicle_poses

    logs.write_log_123d(tmp_path)
    record, root = read(tmp_path), tmp_path / "rds"
    assert record["shapes"] == {"lanelines": 1, "wait_lines": 1, "road_boundaries": 1, "crosswalks": 1}
    assert "distorted pinhole" in record["source"]["cameras"]["cam_front"]
    assert "fisheye_mei is not known" in record["source"]["cameras"]["cam_back"]
    errors = [one for one in check_clip(root, logs.LOG, "pinhole") if one.severity == "error"]
    # Without a rig file render refuses, as one camera's model is not known.
    assert [one.layer for one in errors] == ["render"] and "has no intrinsics of cam_back" in errors[0].what
    vehicle = read_vehicle_poses(root, logs.LOG)
    assert np.allclose(
        vehicle[:, :3, 3] + record["origin"], ego_at(np.arange(len(vehicle)) / 30)[:, :3, 3] + [-1.4, 0, 0.3]
    )
    camera = read_camera_poses(root, logs.LOG)["cam_left"]
    assert np.allclose(camera[:, :3, 3] - vehicle[:, :3, 3], [1.4, 0, 1.2])
    assert set(read_cameras(root, logs.LOG, ["cam_front", "cam_right"])) == {"cam_front", "cam_right"}
    assert list(read_cameras(root, logs.LOG, model="pinhole")) == ["cam_left"]
    objects = read_objects(root, logs.LOG)
    assert set(objects.kind) == {"Truck"} and np.allclose(np.diff(objects.pose[:, 0, 3]), 1.2)
    line = read_layer(root, logs.LOG, "wait_lines").points
    assert np.allclose(line + record["origin"] - CITY, [[51, 0, 0.2], [51, -3.5, 0.2]]) or len(line) == 2


def test_a_flat_map_gets_the_height_of_the_drive(tmp_path):
    logs = pytest.importorskip("arrow_logs", exc_type=ImportError)
    from dreamkit.rds.labels import read_layer

    logs.write_log_123d(tmp_path, z=False)
    record = read(tmp_path)
    heights = read_layer(tmp_path / "rds", logs.LOG, "lanelines").points[:, 2] + record["origin"][2]
    assert np.allclose(heights, CITY[2] + 0.3)


def test_another_version_and_unknown_labels_are_told(tmp_path):
    logs = pytest.importorskip("arrow_logs", exc_type=ImportError)
    logs.write_log_123d(tmp_path / "a", version="0.9.1")
    assert "py123d 0.9.1" in read(tmp_path / "a").message
    logs.write_log_123d(tmp_path / "b", labels="MarsLabel")
    assert "MarsLabel" in read(tmp_path / "b").message
    folder = logs.write_log_123d(tmp_path / "c")
    (folder / "ego_state_se3.arrow").write_bytes(b"nothing")
    assert "cannot be read as an Arrow file" in read(tmp_path / "c").message
    folder = logs.write_log_123d(tmp_path / "d")
    logs.write_arrow(folder / "camera.cam_front.arrow", {"x": [0]}, {"camera_model": "pinhole", "intrinsics": [1.0]})
    assert "this log of py123d cannot be read" in read(tmp_path / "d").message
