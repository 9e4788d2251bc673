"""Drives written as RDS-HQ: 30 Hz by slerp and linear steps, gaps kept, coordinates near the origin, times in order."""

import numpy as np
import pytest
from rds_clips import camera_to_vehicle

from dreamkit.errors import DreamkitError
from dreamkit.rds.check import check_clip
from dreamkit.rds.convert.drive import Drive, DriveCamera, TrackedBox, nominal_cameras, write_drive
from dreamkit.rds.convert.own_data import any_pinhole, box_pose, joined_lines, world_points
from dreamkit.rds.labels import read_layer, read_objects
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.rig import read_camera_poses, read_cameras, read_vehicle_poses

FAR = np.array([500_000.0, 5_300_000.0, 40.0])


def turning_drive(seconds: float = 5.0, rate: float = 10.0, **changes) -> Drive:
    """A vehicle at 10 m/s that turns by 6 degrees a second, far from the origin."""
    times = np.arange(int(seconds * rate) + 1) / rate + 100.0
    ego = np.array([box_pose(np.add(FAR, [10 * (t - 100), 0, 0]), np.radians(6) * (t - 100)) for t in times])
    lines = [np.array([np.add(FAR, [x, y, 0.0]) for x in range(0, 60, 10)]) for y in (-2.0, 2.0)]
    boxes = [
        TrackedBox("7", "Car", t, box_pose(np.add(FAR, [20 + 10 * (t - 100), 3, 0.8]), 0), (4.5, 1.9, 1.6))
        for t in times
        if not 101.95 < t < 103.05
    ]
    boxes += [TrackedBox("8", "Car", t, box_pose(np.add(FAR, [30, -6, 0.8]), 0), (4.5, 1.9, 1.6)) for t in times]
    camera = DriveCamera(camera_to_vehicle(0), Pinhole(960, 960, 960, 540, 1920, 1080))
    whole = {"times": times, "ego": ego, "cameras": {"front": camera}, "layers": {"lanelines": lines}, "boxes": boxes}
    return Drive("turn_0001", **(whole | changes))


def test_poses_are_interpolated_to_30_hz_near_the_origin(tmp_path):
    record = write_drive(tmp_path, turning_drive())
    vehicle = read_vehicle_poses(tmp_path, "turn_0001")
    assert record["origin"] == FAR.tolist() and len(vehicle) == record["frames"] == 151
    heading = np.degrees(np.arctan2(vehicle[:, 1, 0], vehicle[:, 0, 0]))
    assert np.allclose(heading, np.arange(151) / 30 * 6)
    assert np.allclose(vehicle[:, 0, 3], np.arange(151) / 3)
    assert np.allclose(read_camera_poses(tmp_path, "turn_0001")["front"], vehicle @ camera_to_vehicle(0))
    assert np.abs(read_layer(tmp_path, "turn_0001", "lanelines").points).max() < 60


def test_a_gap_in_a_track_stays_a_gap_and_boxes_lie_on_every_third_frame(tmp_path):
    write_drive(tmp_path, turning_drive())
    objects = read_objects(tmp_path, "turn_0001")
    assert objects.frames.tolist() == list(range(0, 151, 3))
    rows = {track: objects.frame[objects.track == index] for index, track in enumerate(objects.ids)}
    assert rows["8"].tolist() == list(range(0, 151, 3))
    assert rows["7"].tolist() == [*range(0, 58, 3), *range(93, 151, 3)]
    moving = {objects.ids[track]: bool(flag) for track, flag in zip(objects.track, objects.moving, strict=True)}
    assert moving == {"7": True, "8": False}


def test_keyframes_at_2_hz_are_interpolated(tmp_path):
    times = np.arange(100, 105.1, 0.5)
    boxes = [
        TrackedBox("7", "Car", t, box_pose(np.add(FAR, [8 * (t - 100), 3, 0.8]), 0), (4.5, 1.9, 1.6)) for t in times
    ]
    write_drive(tmp_path, turning_drive(boxes=boxes))
    objects = read_objects(tmp_path, "turn_0001")
    assert len(objects) == 51
    assert np.allclose(objects.pose[:, 0, 3], np.arange(51) * 0.8)


def test_check_finds_nothing_in_a_written_drive(tmp_path):
    write_drive(tmp_path, turning_drive())
    assert [str(one) for one in check_clip(tmp_path, "turn_0001", "pinhole") if one.severity != "note"] == []


def test_nominal_cameras_stand_in(tmp_path):
    write_drive(tmp_path, turning_drive(cameras=nominal_cameras()))
    assert len(read_cameras(tmp_path, "turn_0001")) == 6
    assert not [one for one in check_clip(tmp_path, "turn_0001") if one.severity == "error"]


def test_times_out_of_order_and_lost_poses_are_told(tmp_path):
    drive = turning_drive()
    swapped = drive.times.copy()
    swapped[[10, 11]] = swapped[[11, 10]]
    with pytest.raises(DreamkitError, match=r"not in the order of time: number 11 is at 101\.000000 s"):
        write_drive(tmp_path, turning_drive(times=swapped))
    kept = np.r_[0:20, 30:51]
    with pytest.raises(DreamkitError, match=r"missing for 1\.10 s after 101\.900 s"):
        write_drive(tmp_path, turning_drive(times=drive.times[kept], ego=drive.ego[kept]))
    double = [TrackedBox("7", "Car", 101.0, np.eye(4), (4, 2, 1.5))] * 2
    with pytest.raises(DreamkitError, match="track 7 are not in the order of time"):
        write_drive(tmp_path, turning_drive(boxes=double))
    with pytest.raises(DreamkitError, match="Times are seconds"):
        write_drive(tmp_path, turning_drive(times=drive.times * 1e9))
    with pytest.raises(DreamkitError, match="'lane_lines' is unknown"):
        write_drive(tmp_path, turning_drive(layers={"lane_lines": []}))
    elsewhere = [np.zeros((2, 3)), np.ones((2, 3))]
    with pytest.raises(DreamkitError, match="in another place than the drive: its nearest vertex is 5323"):
        write_drive(tmp_path, turning_drive(layers={"lanelines": elsewhere}))
    assert not list(tmp_path.iterdir())


def test_intrinsics_are_taken_in_either_order_and_as_a_matrix():
    wanted = Pinhole(900, 900, 960, 540, 1920, 1080)
    assert any_pinhole([900, 900, 960, 540], 1920, 1080) == wanted
    assert any_pinhole([960, 540, 900, 900], 1920, 1080) == wanted
    assert any_pinhole([[900, 0, 960], [0, 900, 540], [0, 0, 1]], 1920, 1080) == wanted
    with pytest.raises(DreamkitError, match="skew"):
        any_pinhole([[900, 5, 960], [0, 900, 540], [0, 0, 1]], 1920, 1080)


def test_lines_seen_in_every_frame_are_joined_once():
    road = np.array([[x, 1.75, 0.0] for x in range(101)])
    pieces = [np.add(road[start : start + 31], [0, 0.05 * (start % 2), 0]) for start in range(0, 71)]
    lines = joined_lines(pieces)
    total = sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines)
    assert 98 < total < 115
    points = np.concatenate(lines)
    assert points[:, 0].min() < 0.5 and points[:, 0].max() > 99.5 and np.abs(points[:, 1] - 1.75).max() < 0.06


def test_points_move_with_a_pose():
    assert np.allclose(world_points(box_pose([10, 0, 0], np.pi / 2), [[1, 0, 0]]), [[10, 1, 0]])
