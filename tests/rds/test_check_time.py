"""`dreamkit check` on time: timestamps, repeated poses, uneven steps, numbering, float32, labels that do not cover."""

import dataclasses

import numpy as np
import pytest
from rds_clips import CLIP, drive, lidar, map_layers, objects, rig_poses, write_clip
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.rds import writer
from dreamkit.rds.check import check_clip, track_findings
from dreamkit.rds.check_precision import coarse_step
from dreamkit.rds.check_report import report
from dreamkit.rds.check_time import repetitions, timestamp_findings
from dreamkit.rds.labels import Shapes
from dreamkit.rds.lidar_labels import LidarFrame
from dreamkit.rds.tars import write_tar

FRAMES = 123


@pytest.fixture
def folder(tmp_path):
    return write_clip(tmp_path / "rds", frames=FRAMES, model=None)


def drive_as(folder, vehicle):
    writer.write_vehicle_poses(folder, CLIP, vehicle)
    writer.write_camera_poses(folder, CLIP, rig_poses(vehicle))


def stamps(folder, micros):
    members = {f"{n:06d}.timestamp_micros.txt": str(int(t)).encode() for n, t in micros.items()}
    write_tar(folder / "timestamp" / f"{CLIP}.tar", CLIP, members)


def found(folder, what, severity="error"):
    findings = check_clip(folder, CLIP)
    matching = [finding for finding in findings if what in finding.what]
    assert matching, report(CLIP, findings)
    assert matching[0].severity == severity
    return matching[0]


def test_timestamps_that_fit_are_no_finding(folder):
    for start, step in ((0, 1), (0, 3)):
        stamps(folder, {n: 10**15 + n * 33_333 for n in range(start, FRAMES, step)})
        assert [f.layer for f in check_clip(folder, CLIP)] == ["lidar_raw"]
    ntsc = np.round(np.arange(FRAMES) * 1e6 * 1001 / 30000).astype(np.int64)
    assert not list(timestamp_findings(np.arange(FRAMES), ntsc, FRAMES))


def test_timestamps_of_another_rate_unit_or_order(folder):
    stamps(folder, {n: 10**15 + n * 100_000 for n in range(FRAMES)})
    assert "interpolate them to 30 Hz" in found(folder, "say 10 frames a second, the format 30").cause
    stamps(folder, {n: (10**15 + n * 33_333) * 1000 for n in range(FRAMES)})
    found(folder, "the timestamps are nanoseconds", "warning")
    stamps(folder, {n: 10**15 - n * 33_333 for n in range(FRAMES)})
    found(folder, f"{FRAMES - 1} timestamps are not later")
    stamps(folder, {n: 10**15 + (n + 3 * (n >= 50)) * 33_333 for n in range(FRAMES)})
    assert found(folder, "1 steps in time are uneven; the first is 133 ms instead of 33 ms", "warning").frame == 50
    stamps(folder, {n: 10**15 + n * 33_333 for n in range(40)})
    found(folder, "timestamps reach frame 39, poses frame 122", "warning")
    write_tar(folder / "timestamp" / f"{CLIP}.tar", CLIP, {"000000.timestamp_micros.txt": b"12:30"})
    found(folder, "000000.timestamp_micros.txt cannot be read")


@pytest.mark.parametrize("factor", [1000, 0.001, 1e-6])
def test_times_in_two_units(factor):
    times = 1_700_000_000_000_000 + np.arange(60) * 33_333
    times[40:] = times[40:] * factor
    (finding,) = timestamp_findings(np.arange(60), times, 60)
    assert "from frame 40 on" in finding.what and "two units" in finding.cause
    assert not list(timestamp_findings(np.arange(60), np.arange(60) * 33_333, 60))  # from zero


def test_a_single_pose_that_was_not_set():
    poses = drive(FRAMES)
    poses[50] = np.eye(4)
    findings = list(track_findings({"vehicle": poses}))
    assert any("identity matrix" in finding.cause for finding in findings)


@pytest.mark.parametrize("metres", [2.0, 3.0])
def test_repeated_poses_are_named_and_can_be_interpolated(folder, metres):
    drive_as(folder, np.repeat(drive(FRAMES // 3, metres), 3, 0))
    finding = found(folder, "come 3 times each")
    assert "10 Hz" in finding.cause and "--fix OUT" in finding.cause
    assert not [f for f in check_clip(folder, CLIP) if "jumps" in f.what]
    ran = CliRunner().invoke(app, ["check", str(folder), "--fix", str(folder.parent / "mended")])
    assert "times each" not in ran.output


def test_a_vehicle_that_stands_or_drives_evenly_repeats_nothing():
    standing = np.concatenate([np.tile(np.eye(4), (40, 1, 1)), drive(20)])
    assert repetitions(standing) == repetitions(drive(40)) == 1


def test_frames_that_were_lost_or_written_twice(folder):
    drive_as(folder, np.delete(drive(FRAMES + 2), [40, 80], 0))
    finding = found(folder, "moves unevenly at 2 frames; at the first 0.60 m, before it 0.30 m", "warning")
    assert finding.frame == 40
    drive_as(folder, np.insert(drive(FRAMES - 1), 60, drive(FRAMES)[60], 0))
    assert found(folder, "moves unevenly at 1 frames; at the first 0.00 m", "warning").frame == 61


def test_poses_at_another_rate_without_timestamps(folder):
    drive_as(folder, drive(FRAMES, 2.0))
    assert "lower rate than 30 Hz" in found(folder, "drives 60 m/s (216 km/h)", "warning").cause


def test_float32_far_from_the_origin(folder):
    far = drive(FRAMES)
    far[:, :3, 3] += [692_000.1, 4_649_000.1, 0]
    drive_as(folder, far.astype(np.float32))
    finding = found(folder, "lies 4,649 km from the origin in float32, whose steps there are 0.5 m")
    assert "subtract one origin" in finding.cause
    drive_as(folder, far)
    assert not [f for f in check_clip(folder, CLIP) if "in float32" in f.what]
    assert coarse_step(np.array([[500_000.0, 4_000_000, 0], [500_010, 4_000_020, 0]])) == 0  # whole metres are a choice


def uneven_drive():
    """A drive [T, 4, 4] that speeds up and turns, as real ones do."""
    angle = 0.4 * (np.arange(FRAMES) / FRAMES) ** 2
    poses = drive(FRAMES)
    poses[:, 0, 0] = poses[:, 1, 1] = np.cos(angle)
    poses[:, 1, 0], poses[:, 0, 1] = np.sin(angle), -np.sin(angle)
    step = (0.3 + 0.2 * np.linspace(0, 1, FRAMES))[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    poses[:, :2, 3] = np.cumsum(step, 0) + np.array([100.3, 40.7])
    return poses


def rounded_angles(poses, degrees):
    angle = np.arctan2(poses[:, 1, 0], poses[:, 0, 0])
    angle = np.radians(np.round(np.degrees(angle) / degrees) * degrees)
    out = poses.copy()
    out[:, 0, 0] = out[:, 1, 1] = np.cos(angle)
    out[:, 1, 0], out[:, 0, 1] = np.sin(angle), -np.sin(angle)
    return out


def at(poses, change):
    """Poses with changed positions."""
    out = poses.copy()
    out[:, :3, 3] = change(poses[:, :3, 3])
    return out


def bfloat16(values):
    return (np.asarray(values, np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    ("change", "what", "cause", "severity"),
    [
        (lambda p: p.astype(np.float16), "on a grid of 0.12 m", "written as float16", "error"),
        (lambda p: at(p, bfloat16), "on a grid of 1 m", "written as bfloat16", "error"),
        (lambda p: at(p, lambda x: x.round(1)), "on a grid of 0.1 m", "few decimals", "error"),
        (lambda p: at(p, lambda x: x.round(1).astype(np.float32)), "on a grid of 0.1 m", "few decimals", "error"),
        (lambda p: at(p, np.round), "on a grid of 1 m", "few decimals", "error"),
        (lambda p: at(p, lambda x: (x + 900).astype(np.float16) - 900.3), "on a grid of 0.5 m", "were moved", "error"),
        (lambda p: at(p, lambda x: x.round(2)), "", "", ""),
        (lambda p: p.astype(np.float32), "", "", ""),
        (lambda p: rounded_angles(p, 1), "go in steps of 1 degrees", "angles", "error"),
        (lambda p: rounded_angles(p, 0.5), "go in steps of 0.5 degrees", "angles", "error"),
        (lambda p: rounded_angles(p, 0.001), "", "", ""),
    ],
)
def test_poses_of_few_digits_are_named(change, what, cause, severity):
    poses = change(uneven_drive()).astype(np.float64)
    findings = [one for one in track_findings({"vehicle": poses}) if one.severity != "note"]
    if not what:
        assert not findings
        return
    (finding,) = findings
    assert what in finding.what and cause in finding.cause and finding.severity == severity


def test_objects_of_few_digits_are_named_and_even_drives_are_not(folder):
    for even in (0.25, 0.3, 0.5):
        assert not list(track_findings({"vehicle": drive(FRAMES, even)}))
    given = objects(FRAMES)
    poses = given.pose.copy()
    rows = given.track == 0
    poses[rows, 0, 3] = 100 + 0.01 * given.frame[rows] ** 1.7
    writer.write_objects(folder, CLIP, dataclasses.replace(given, pose=poses))
    assert not [one for one in check_clip(folder, CLIP) if "grid" in one.what]
    poses[rows, 0, 3] = poses[rows, 0, 3].astype(np.float16)
    writer.write_objects(folder, CLIP, dataclasses.replace(given, pose=poses))
    assert "float16" in found(folder, "positions of object 7 lie on a grid of 0.12 m").cause


def test_labels_numbered_one_by_one(folder):
    given = objects(FRAMES)
    numbered = dataclasses.replace(given, frames=given.frames // 3, frame=given.frame // 3)
    writer.write_objects(folder, CLIP, numbered)
    assert "number them by the frames" in found(folder, "numbered 0 to 40 in steps of 1").cause
    writer.write_lidar(folder, CLIP, {n // 3: sweep for n, sweep in lidar(FRAMES).items()})
    assert "number them by the frames" in found(folder, "the sweeps are numbered 0 to 40").cause


def test_labels_that_do_not_cover_the_clip(folder):
    given = objects(FRAMES)

    def kept(frames, rows):
        fields = {n: getattr(given, n)[rows] for n in ("frame", "track", "pose", "size", "moving")}
        kinds = tuple(np.array(given.kind)[rows])
        writer.write_objects(
            folder, CLIP, dataclasses.replace(given, frames=given.frames[frames], kind=kinds, **fields)
        )

    kept(given.frames >= 60, given.frame >= 60)
    found(folder, "the first labelled frame is 60", "warning")
    kept(np.abs(given.frames - 60) > 20, np.abs(given.frame - 60) > 20)
    assert found(folder, "no frame is labelled between 39 and 81", "warning").frame == 39
    writer.write_objects(folder, CLIP, given)
    short = {n: Shapes.of([s[s[:, 0] < -20] for s in shapes if len(s) > 2]) for n, shapes in map_layers().items()}
    drive_as(folder, drive(FRAMES, 1.5))
    writer.write_map(folder, CLIP, {"lanelines": short["lanelines"], "road_boundaries": short["road_boundaries"]})
    for layer in ("lanes", "wait_lines", "poles", "crosswalks", "road_markings", "traffic_signs", "traffic_lights"):
        (folder / f"3d_{layer}" / f"{CLIP}.tar").unlink()
    assert found(folder, "no map vertex within 100 m of the drive in", "warning").frame > 40


def test_repeated_labels_and_untracked_boxes(folder):
    given = objects(FRAMES)
    rows = np.repeat(np.arange(len(given)), 3)
    shift = np.tile(np.arange(3), len(given))
    fields = {n: getattr(given, n)[rows] for n in ("track", "pose", "size", "moving")}
    every = np.arange(FRAMES)
    writer.write_objects(
        folder,
        CLIP,
        dataclasses.replace(
            given, frames=every, frame=given.frame[rows] + shift, kind=tuple(np.array(given.kind)[rows]), **fields
        ),
    )
    found(folder, "labels of moving objects come 3 times each", "warning")
    pose = given.pose.copy()
    pose[(given.track == 0), 0, 3] += 60 * (np.arange((given.track == 0).sum()) % 2)
    writer.write_objects(folder, CLIP, dataclasses.replace(given, pose=pose, ids=("-1", *given.ids[1:])))
    assert "all under one id" in found(folder, "object -1 moves at", "warning").cause


def test_points_in_world_coordinates(folder):
    driven = drive(FRAMES)
    sweeps = {
        n: LidarFrame((s.xyz + driven[n, :3, 3]).astype(np.float32), s.to_world) for n, s in lidar(FRAMES).items()
    }
    writer.write_lidar(folder, CLIP, sweeps)
    assert "world coordinates" in found(folder, "the points of the sweeps move with the drive").cause
    writer.write_lidar(folder, CLIP, {n: LidarFrame(s.xyz + 400, s.to_world) for n, s in lidar(FRAMES).items()})
    found(folder, "half of the points are over 6")
    inverted = {n: LidarFrame(s.xyz, np.linalg.inv(s.to_world)) for n, s in lidar(FRAMES).items()}
    writer.write_lidar(folder, CLIP, inverted)
    assert "world-to-LiDAR" in found(folder, "lidar_to_world lies").cause
