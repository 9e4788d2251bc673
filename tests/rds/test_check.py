import dataclasses

import cv2
import numpy as np
import pytest
from rds_clips import CLIP, HEADINGS, NOMINAL, drive, lidar, map_layers, objects, rig_poses, write_clip
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.check import check_clip, write_pictures
from dreamkit.rds.check_report import ERROR, report
from dreamkit.rds.labels import Shapes
from dreamkit.rds.lidar_labels import LidarFrame
from dreamkit.rds.plan import Options
from dreamkit.workspace.video import write_video

FRONT = "camera_front_wide_120fov"
FRAMES = 123


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("good"), frames=FRAMES, model=None, with_lidar=True)


@pytest.fixture
def folder(tmp_path):
    return write_clip(tmp_path / "rds", frames=FRAMES, model=None, with_lidar=True)


def only(folder, what, severity=ERROR):
    """The one finding whose text has `what`; there must be no other error."""
    findings = check_clip(folder, CLIP)
    matching = [finding for finding in findings if what in finding.what]
    assert matching, report(CLIP, findings)
    assert matching[0].severity == severity
    return matching[0]


def test_a_good_clip_has_no_findings(good):
    assert report(CLIP, check_clip(good, CLIP)) == f"{CLIP}: nothing found"


def test_the_published_clip_lacks_only_its_lidar(real_data):
    root = real_data / "rds_hq"
    clip = next((root / "pose").glob("*.tar")).stem
    (finding,) = check_clip(root, clip)
    assert finding.layer == "lidar_raw" and finding.severity == "note"


def test_missing_and_damaged_layers(folder):
    for layer, severity in (("3d_poles", "warning"), ("vehicle_pose", "warning"), ("ftheta_intrinsic", "warning")):
        path = folder / layer / f"{CLIP}.tar"
        kept = path.read_bytes()
        path.unlink()
        assert only(folder, f"{layer}/{CLIP}.tar is missing", severity).layer == layer
        path.write_bytes(kept[:2000])
        assert only(folder, str(path)).layer == layer
        path.write_bytes(kept)
    (folder / "pose" / f"{CLIP}.tar").unlink()
    assert only(folder, "is missing").cause == "nothing can be rendered"


def test_frame_counts_that_disagree_and_short_clips(folder):
    writer.write_vehicle_poses(folder, CLIP, drive(100))
    assert "lost frames" in only(folder, "frame counts disagree").cause
    only(folder, "fewer than a chunk", "warning")


def test_poses_that_jump(folder):
    vehicle = drive(FRAMES)
    vehicle[50:, 1, 3] += 30
    writer.write_camera_poses(folder, CLIP, rig_poses(vehicle))
    found = only(folder, "jumps 30.0 m")
    assert found.frame == 50 and "lost frames" in found.cause


def test_a_rotation_that_flips_mirrors_or_stretches(folder):
    poses = rig_poses(drive(FRAMES))
    poses[FRONT][60, :3, :3] = poses["camera_rear_tele_30fov"][60, :3, :3]
    writer.write_camera_poses(folder, CLIP, poses)
    assert only(folder, "turns 180 degrees").frame == 60
    poses = rig_poses(drive(FRAMES))
    poses[FRONT][:, :3, 0] *= -1
    writer.write_camera_poses(folder, CLIP, poses)
    assert "left-handed" in only(folder, "mirrors").cause
    poses[FRONT][:, :3, 0] *= -2
    writer.write_camera_poses(folder, CLIP, poses)
    only(folder, "off a rotation")


def test_cameras_that_look_the_wrong_way(folder):
    poses = rig_poses(drive(FRAMES))
    left, right = "camera_cross_left_120fov", "camera_cross_right_120fov"
    swapped = poses | {left: poses[right], right: poses[left]}
    writer.write_camera_poses(folder, CLIP, swapped)
    assert "swapped" in only(folder, f"{left} looks -60 degrees").cause
    # The vehicle's axes instead of OpenCV's: z up where z should look forward.
    writer.write_camera_poses(folder, CLIP, {name: drive(FRAMES) for name in HEADINGS})
    assert "OpenCV" in only(folder, f"{FRONT} looks up or down").cause
    (folder / "vehicle_pose" / f"{CLIP}.tar").unlink()
    writer.write_camera_poses(folder, CLIP, swapped)
    only(folder, f"{left} looks -60 degrees")


def test_intrinsics_that_cannot_be(folder):
    camera = NOMINAL[FRONT]
    writer.write_cameras(folder, CLIP, NOMINAL | {FRONT: dataclasses.replace(camera, cx=1900)})
    assert "another resolution" in only(folder, f"optical centre of {FRONT}").cause
    narrow = dataclasses.replace(camera, polynomial=(0, 0.0005, 0, 0, 0, 0))
    writer.write_cameras(folder, CLIP, NOMINAL | {FRONT: narrow})
    only(folder, f"{FRONT} sees 28 degrees")


def test_units_that_look_like_millimetres(folder):
    given = objects(FRAMES)
    writer.write_objects(folder, CLIP, dataclasses.replace(given, size=given.size * 1000))
    assert "millimetres" in only(folder, "objects are").cause
    writer.write_objects(folder, CLIP, given)
    vehicle = drive(FRAMES)
    vehicle[:, :3, 3] *= 1000
    writer.write_vehicle_poses(folder, CLIP, vehicle)
    assert "millimetres" in only(folder, "vehicle drives").cause
    writer.write_vehicle_poses(folder, CLIP, drive(FRAMES))
    writer.write_map(folder, CLIP, {n: Shapes(s.points * 1000 + 1e6, s.starts) for n, s in map_layers().items()})
    assert "millimetres" in only(folder, "no map vertex within 100 m").cause
    writer.write_map(folder, CLIP, map_layers())
    writer.write_lidar(folder, CLIP, {n: LidarFrame(s.xyz * 1000, s.to_world) for n, s in lidar(FRAMES).items()})
    assert "millimetres" in only(folder, "half of the points").cause


def test_objects_under_the_ground_and_tracks_that_jump(folder):
    given = objects(FRAMES)
    pose = given.pose.copy()
    pose[given.track == 0, 2, 3] = -2
    writer.write_objects(folder, CLIP, dataclasses.replace(given, pose=pose))
    found = only(folder, "under the road")
    assert "object 7" in found.what and found.frame == 0
    pose = given.pose.copy()
    pose[(given.track == 2) & (given.frame >= 60), 0, 3] += 60
    writer.write_objects(folder, CLIP, dataclasses.replace(given, pose=pose))
    assert only(folder, "object 9 moves at", "warning").frame == 60


def test_unknown_types_single_points_and_missing_sweeps(folder):
    given = objects(FRAMES)
    writer.write_objects(folder, CLIP, dataclasses.replace(given, kind=("Unicorn", *given.kind[1:])))
    only(folder, "'Unicorn'", "warning")
    writer.write_layer(folder, CLIP, "poles", Shapes.of([np.zeros((1, 3))]))
    only(folder, "1 of 1 shapes have a single point", "warning")
    sweeps = lidar(FRAMES)
    del sweeps[30]
    writer.write_lidar(folder, CLIP, sweeps)
    assert only(folder, "1 of 41 sweeps are missing", "warning").frame == 30


def test_pictures_and_their_blend_with_a_video(good, tmp_path):
    options = Options(conditions=("hdmap",), drawn=(640, 360))
    plain = write_pictures(good, CLIP, tmp_path / "plain", options, frame=3)
    assert sorted(path.stem for path in plain) == sorted(HEADINGS)
    white = np.full((8, 360, 640, 3), 255, np.uint8)
    write_video(tmp_path / "videos" / f"ftheta_{FRONT}" / f"{CLIP}_0.mp4", white, 30)
    blended = write_pictures(good, CLIP, tmp_path / "blended", options, tmp_path / "videos", 3)
    first, second = (cv2.imread(str(next(path for path in paths if path.stem == FRONT))) for paths in (plain, blended))
    assert first.shape == (540, 960, 3) and first.any()
    assert second.min() > 100 and np.abs(second - (first / 2 + 127.5)).mean() < 3
    with pytest.raises(DreamkitError, match="no frame 500"):
        write_pictures(good, CLIP, tmp_path, options, frame=500)
    with pytest.raises(DreamkitError, match="none for frame 9"):
        write_pictures(good, CLIP, tmp_path, options, tmp_path / "videos", 9)


def test_lane_lines_coincide_with_the_real_video(real_data, tmp_path):
    root = real_data / "rds_hq"
    clip = next((root / "pose").glob("*.tar")).stem
    from dreamkit.rds.drawing import draw_hdmap, read_clip
    from dreamkit.rds.strokes import Rules
    from dreamkit.workspace.video import read_video

    rules = Rules(layers=("lanelines", "road_boundaries"))
    options = Options(conditions=("hdmap",), cameras=(FRONT,), rules=rules)
    frames = [0, 20, 40, 56]
    real = read_video(real_data / "outputs" / "hdmap" / f"ftheta_{FRONT}" / f"{clip}_0.mp4")[frames]
    read = read_clip(root, clip, options)
    # Without boxes: this folder's boxes are made up, those in the video are real.
    from dreamkit.rds.hdmap import BOX_COLOURS

    layers = tuple(layer for layer in read.scene.layers if layer.colour not in BOX_COLOURS.values())
    read = dataclasses.replace(read, scene=dataclasses.replace(read.scene, layers=layers))
    ours = draw_hdmap(read, FRONT, frames, options)
    near = np.s_[:, 500:]
    lit, lit_real = ours[near].max(-1) > 60, real[near].max(-1) > 60
    window = np.ones((5, 5), np.uint8)
    covered = [cv2.dilate(a.astype(np.uint8), window)[b].mean() for a, b in zip(lit_real, lit, strict=True)]
    assert lit.any((1, 2)).all() and min(covered) > 0.95, covered


def test_the_command_line_reports_and_fails_on_errors(good, folder, tmp_path):
    ran = CliRunner().invoke(app, ["check", str(good), "--pictures", str(tmp_path / "pictures")])
    assert ran.exit_code == 0 and "nothing found" in ran.output and "6 pictures" in ran.output
    (folder / "3d_lanelines" / f"{CLIP}.tar").write_bytes(b"soup")
    ran = CliRunner().invoke(app, ["check", str(folder), "--pictures", str(tmp_path / "more")])
    assert ran.exit_code == 1 and "1 error" in ran.output and "no pictures" in ran.output
