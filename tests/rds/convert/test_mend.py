"""`dreamkit check --fix`: a mended copy of what can be mended, and the folder itself left as it was."""

import hashlib

import numpy as np
import pytest
from own_rigs import CLIP as FLEET_CLIP
from own_rigs import FLEET, write_fleet
from rds_clips import CLIP, drive, map_layers, objects, rig_poses, write_clip
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.convert.mend import mend_clip
from dreamkit.rds.drawing import read_clip
from dreamkit.rds.hdmap import draw_hdmap_frames
from dreamkit.rds.labels import Objects, Shapes, layer_path, read_layer, read_objects
from dreamkit.rds.plan import Options
from dreamkit.rds.rig import read_camera_poses, read_cameras, read_vehicle_poses
from dreamkit.rds.tars import encode_npy, write_tar

FRONT = "camera_front_wide_120fov"
FRAMES = 31


@pytest.fixture
def folder(tmp_path):
    return write_clip(tmp_path / "rds", frames=FRAMES, model=None, with_lidar=True)


def sums(root):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.rglob("*.tar"))}


def write_poses(root, vehicle, numbers=None, dtype=np.float64):
    """Write the poses of vehicle and cameras with other frame numbers or in another dtype."""
    numbers = range(len(vehicle)) if numbers is None else numbers
    tracks = {name: track.astype(dtype) for name, track in rig_poses(vehicle).items()}
    members = {
        f"{number:06d}.pose.{name}.npy": encode_npy(track[row])
        for row, number in enumerate(numbers)
        for name, track in tracks.items()
    }
    write_tar(layer_path(root, CLIP, "pose"), CLIP, members)
    members = {f"{n:06d}.vehicle_pose.npy": encode_npy(vehicle[row].astype(dtype)) for row, n in enumerate(numbers)}
    write_tar(layer_path(root, CLIP, "vehicle_pose"), CLIP, members)


def test_a_good_clip_is_copied_as_it_is(folder, tmp_path):
    before = sums(folder)
    assert mend_clip(folder, CLIP, tmp_path / "out") == []
    assert sums(folder) == before
    assert [path.read_bytes() for path in before] == [path.read_bytes() for path in sums(tmp_path / "out")]
    with pytest.raises(DreamkitError, match="the folder itself"):
        mend_clip(folder, CLIP, folder)


def test_poses_of_every_third_frame_are_interpolated(folder, tmp_path):
    write_poses(folder, drive(FRAMES)[::3], range(0, FRAMES, 3))
    told = mend_clip(folder, CLIP, tmp_path / "out")
    assert sum("every third frame" in line for line in told) == 2
    assert np.allclose(read_vehicle_poses(tmp_path / "out", CLIP), drive(FRAMES))
    assert np.allclose(read_camera_poses(tmp_path / "out", CLIP)[FRONT], rig_poses(drive(FRAMES))[FRONT])


def test_repeated_poses_are_interpolated(folder, tmp_path):
    write_poses(folder, drive(FRAMES)[np.arange(FRAMES) // 3 * 3])
    assert any("repeated poses" in line for line in mend_clip(folder, CLIP, tmp_path / "out"))
    assert np.allclose(read_vehicle_poses(tmp_path / "out", CLIP), drive(FRAMES))


def test_a_stop_is_no_repetition(folder, tmp_path):
    stop = drive(FRAMES)[np.minimum(np.arange(FRAMES), 20)]
    write_poses(folder, stop)
    assert mend_clip(folder, CLIP, tmp_path / "out") == []


def test_boxes_numbered_at_10_hz_get_the_numbers_of_the_poses(folder, tmp_path):
    good = read_objects(folder, CLIP)
    wrong = Objects(**{**vars(good), "frames": good.frames // 3, "frame": good.frame // 3})
    writer.write_objects(folder, CLIP, wrong)
    assert any("numbered at 10 Hz" in line for line in mend_clip(folder, CLIP, tmp_path / "out"))
    assert read_objects(tmp_path / "out", CLIP).frames.tolist() == good.frames.tolist()


def test_boxes_written_three_times_are_kept_once(folder, tmp_path):
    good = objects(FRAMES)
    rows = {int(number): np.flatnonzero(good.frame == number) for number in good.frames[::5]}
    parts = [(number + more, row) for number, found in rows.items() for more in range(3) for row in found]
    chosen = [row for _, row in parts]
    thrice = Objects(
        frames=np.array(sorted({number for number, _ in parts})),
        ids=good.ids,
        frame=np.array([number for number, _ in parts]),
        track=good.track[chosen],
        pose=good.pose[chosen],
        size=good.size[chosen],
        moving=good.moving[chosen],
        kind=tuple(good.kind[row] for row in chosen),
    )
    writer.write_objects(folder, CLIP, thrice)
    assert any("repeated the boxes" in line for line in mend_clip(folder, CLIP, tmp_path / "out"))
    assert read_objects(tmp_path / "out", CLIP).frames.tolist() == [0, 15, 30]


def write_far_clip(root, frames, offset):
    """A clip moved by `offset`, its vehicle poses in float32; returns them in float64."""
    write_clip(root, frames=frames, model=None)
    vehicle = drive(frames)
    vehicle[:, :3, 3] += offset
    write_poses(root, vehicle, dtype=np.float32)
    for name, shapes in map_layers().items():
        writer.write_layer(root, CLIP, name, Shapes(shapes.points + offset, shapes.starts))
    moved = objects(frames)
    moved.pose[:, :3, 3] += offset
    writer.write_objects(root, CLIP, moved)
    return vehicle


def test_float32_far_from_the_origin_is_moved_and_smoothed(tmp_path):
    far, root = np.array([500_000.0, 5_300_000.0, 40.0]), tmp_path / "rds"
    vehicle = write_far_clip(root, 121, far)
    assert any("float32 5300 km" in line for line in mend_clip(root, CLIP, tmp_path / "out"))
    found = read_vehicle_poses(tmp_path / "out", CLIP)[:, :3, 3]
    exact = drive(121)[:, :3, 3]
    before = vehicle[:, :3, 3].astype(np.float32).astype(np.float64) - far
    assert np.abs(np.diff(before[:, 0])).max() > 0.31
    assert np.abs(np.diff(found[:, 0]) - 0.3).max() < 0.02
    assert np.abs(found - exact).max() < 0.6
    assert np.allclose(
        read_layer(tmp_path / "out", CLIP, "lanelines").points, map_layers()["lanelines"].points, atol=0.6
    )
    assert np.abs(read_objects(tmp_path / "out", CLIP).pose[:, :3, 3]).max() < 200


def drawings(root, frames=(0, 25, 50)):
    """Pictures of the front condition, uint8 [n, H, W, 3]."""
    clip = read_clip(root, CLIP, Options(("hdmap",), cameras=(FRONT.removeprefix("camera_"),), drawn=(480, 270)))
    [camera] = clip.poses
    return np.stack(list(draw_hdmap_frames(clip.scene, clip.cameras[camera], clip.poses[camera], frames)))


def test_mended_copies_are_drawn_as_the_labels_that_were_damaged(tmp_path):
    whole = drawings(write_clip(tmp_path / "good", frames=61, model=None))

    slow = write_clip(tmp_path / "slow", frames=61, model=None)
    boxes = read_objects(slow, CLIP)
    writer.write_objects(slow, CLIP, Objects(**{**vars(boxes), "frames": boxes.frames // 3, "frame": boxes.frame // 3}))
    assert (drawings(slow) != whole).any()
    mend_clip(slow, CLIP, tmp_path / "slow_mended")
    assert (drawings(tmp_path / "slow_mended") == whole).all()

    far = tmp_path / "far"
    write_far_clip(far, 61, np.array([200_000.0, 100_000.0, 40.0]))
    mend_clip(far, CLIP, tmp_path / "far_mended")
    # float32 has steps of 16 mm there, and half a step that all poses share cannot be seen in the poses.
    other = (drawings(tmp_path / "far_mended") != whole).any(-1)
    assert other.mean() < 0.001


def test_the_command_mends_swapped_intrinsics_and_checks_the_copy(tmp_path):
    root, out = write_fleet(tmp_path / "rds", frames=123), tmp_path / "out"
    line = ["check", str(root), "--camera-model", "pinhole"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 1 and "cx, cy, fx, fy" in done.output and "--fix" in done.output
    done = CliRunner().invoke(app, [*line, "--fix", str(out)], catch_exceptions=False)
    assert done.exit_code == 0 and "mended: Intrinsics were in the order cx, cy, fx, fy: cam_bl." in done.output
    done = CliRunner().invoke(app, ["check", str(root), "--rig", "auto", "--fix", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, "the rig is drafted from the mended copy"
    assert read_cameras(out, FLEET_CLIP, model="pinhole")["cam_bl"].fx == FLEET["cam_bl"][1]
