"""Novel trajectories: the file, braking, turning, what the vehicle touches, the command from labels to videos."""

from __future__ import annotations

import numpy as np
import pytest
from rds_clips import CLIP, HEADINGS, drive, map_layers, objects, rig_poses, write_clip
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import trajectory
from dreamkit.rds.collisions import VehicleSize, find_collisions, rectangles_overlap
from dreamkit.rds.objects import every_frame, hold_static
from dreamkit.rds.rig import read_camera_poses
from dreamkit.rds.top_view import draw_from_above
from dreamkit.rds.trajectory_file import plan_drive, read_trajectory, write_novel_drive

FRONT = "camera_front_wide_120fov"
WHOLE = """
name: aside
clips: [made-up_000_100]
shift: -0.5
rotate: 2
speed: 1.5
lane_change: {metres: 3.5, from: 10, frames: 20}
brake: {to: 0, from: 5, frames: 10}
vehicle: {length: 5, width: 2}
"""


def write(folder, text):
    path = folder / "trajectory.yaml"
    path.write_text(text)
    return path


def test_the_file(tmp_path):
    found = read_trajectory(write(tmp_path, WHOLE))
    assert found.name == "aside" and found.clips == (CLIP,) and found.vehicle == VehicleSize(5, 2)
    assert found.manoeuvre == trajectory.Manoeuvre(-0.5, 3.5, 10, 20, 1.5, 2.0, 0.0, 5, 10)
    plain = read_trajectory(write(tmp_path, "name: same"))
    assert plain.manoeuvre == trajectory.Manoeuvre() and plain.clips is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shift: 1", "name"),
        ("name: pose", "name 'pose'"),
        ("name: 3d_lanelines", "name '3d_lanelines'"),
        ("name: ../out", "trajectory"),
        ("name: a\nshif: 1", "unknown entry 'shif'"),
        ("name: a\nshift: left", "shift is 'left'"),
        ("name: a\nshift: 80", "shifted by 80"),
        ("name: a\nrotate: .nan", "rotate"),
        ("name: a\nlane_change: 3", "lane_change is no table"),
        ("name: a\nlane_change: {from: 3}", "lacks `metres`"),
        ("name: a\nbrake: {to: 0.5, frames: 1.5}", "frames is 1.5"),
        ("name: a\nbrake: {to: -1}", "brake to -1"),
        ("name: a\nvehicle: {length: 0}", "vehicle"),
        ("name: a\nclips: one", "clips"),
    ],
)
def test_files_that_cannot_be_are_refused(tmp_path, text, said):
    with pytest.raises(DreamkitError) as error:
        read_trajectory(write(tmp_path, text))
    assert said in error.value.message


def test_braking_slows_down_softly_and_stops():
    vehicle = drive(90)
    stopped, _ = trajectory.change_drive(vehicle, {}, trajectory.Manoeuvre(brake_to=0, brake_from=20, brake_frames=30))
    steps = np.diff(stopped[:, 0, 3])
    assert len(stopped) == 90 and steps[:20] == pytest.approx(0.3) and steps[50:] == pytest.approx(0, abs=1e-9)
    assert (np.diff(steps) < 1e-9).all() and np.abs(np.diff(steps)).max() < 0.3 * 1.5 / 30 * 1.01
    faster, _ = trajectory.change_drive(vehicle, {}, trajectory.Manoeuvre(brake_to=2, brake_from=0, brake_frames=10))
    assert 45 <= len(faster) < 55 and faster[-1, 0, 3] <= vehicle[-1, 0, 3]


def test_turning_keeps_the_place_and_the_mount():
    vehicle = drive(10)
    cameras = rig_poses(vehicle)
    turned, carried = trajectory.change_drive(vehicle, cameras, trajectory.Manoeuvre(rotate=90))
    assert turned[:, :3, 3] == pytest.approx(vehicle[:, :3, 3])
    assert turned[0, :3, 0] == pytest.approx([0, 1, 0], abs=1e-12), "forward points to the left of the road"
    mount = np.linalg.inv(vehicle[0]) @ cameras[FRONT][0]
    assert np.linalg.inv(turned[3]) @ carried[FRONT][3] == pytest.approx(mount)


def test_collisions():
    boxes = every_frame(hold_static(objects(60)), 60)
    vehicle, layers = drive(60), map_layers()
    assert not find_collisions(vehicle, boxes, layers)
    # The parked car (track 8) stands at x 20, y 3.5 and is 4.5 x 1.9 m; the vehicle's front is 3.8 m before its origin.
    left, _ = trajectory.change_drive(vehicle, {}, trajectory.Manoeuvre(shift=2.0))
    [car] = find_collisions(left, boxes, layers)
    first = np.flatnonzero(vehicle[:, 0, 3] + 3.8 > 20 - 2.25)[0]
    assert (car.layer, car.name, car.kind) == ("objects", "8", "Car") and car.first == pytest.approx(first, abs=1)
    edge, _ = trajectory.change_drive(vehicle, {}, trajectory.Manoeuvre(shift=-5.0))
    found = {one.layer: one for one in find_collisions(edge, boxes, layers)}
    assert set(found) == {"objects", "road_boundaries"}, "the boundary at -5.5 and the person at -4"
    assert (found["road_boundaries"].first, found["road_boundaries"].last) == (0, 59)
    assert str(found["road_boundaries"]) == "road boundaries 1, frames 0 to 59"
    pole, _ = trajectory.change_drive(drive(90), {}, trajectory.Manoeuvre(shift=6.0))
    assert "poles" in {one.layer for one in find_collisions(pole, every_frame(objects(3), 3), layers)}
    high, _ = trajectory.change_drive(drive(90), {}, trajectory.Manoeuvre(shift=-6.0))
    layers_found = {one.layer for one in find_collisions(high, boxes, layers)}
    assert "traffic_lights" not in layers_found, "the light hangs above the vehicle"


def test_rectangles():
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
    turned = (square - 1) @ np.array([[1, -1], [1, 1]]) / 2**0.5

    def moved(corners, x, y):
        return corners + np.array([x, y])

    assert rectangles_overlap(square, moved(square, 1.9, 0)) and not rectangles_overlap(square, moved(square, 2.1, 0))
    assert rectangles_overlap(square, moved(turned, 1, 1))
    assert not rectangles_overlap(square, moved(turned, 3.1, 3.1)), "their upright frames overlap, they do not"


def test_the_command_writes_poses_a_picture_and_condition_videos(tmp_path):
    source = write_clip(tmp_path / "rds", frames=12, cameras=list(HEADINGS)[:1])
    file = write(tmp_path, "name: left\nshift: 5.0\n")
    given = ["trajectory", str(source), str(file), "-o", str(tmp_path / "out"), "--workers", "1"]
    strict = CliRunner().invoke(app, [*given, "--strict"])
    assert isinstance(strict.exception, DreamkitError) and not (source / "left").exists()
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert "touches road boundaries 0, frames 0 to 11" in done.output
    assert (tmp_path / "out_left" / "hdmap" / f"ftheta_{FRONT}" / f"{CLIP}_0.mp4").is_file()
    assert (tmp_path / "out_left" / "trajectory" / f"{CLIP}.png").stat().st_size > 500
    moved = read_camera_poses(source, CLIP, folder="left")[FRONT]
    assert moved[:, 1, 3] == pytest.approx(read_camera_poses(source, CLIP)[FRONT][:, 1, 3] + 5)
    # Again with another shift: what was written here may be replaced, another's poses may not.
    wanted = read_trajectory(write(tmp_path, "name: left\nshift: 1.0\n"))
    planned = plan_drive(source, CLIP, wanted)
    assert not planned.collisions and draw_from_above(planned).any()
    write_novel_drive(source, planned, wanted)
    (source / "left" / f"{CLIP}.json").unlink()
    with pytest.raises(DreamkitError, match="not written from"):
        write_novel_drive(source, planned, wanted)
