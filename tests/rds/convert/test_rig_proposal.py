"""A proposed rig: which camera stands for which view, what is missing, and what is wrong with poses or intrinsics."""

import shutil

import cv2
import numpy as np
import pytest
from own_rigs import CLIP, FLEET, write_fleet, write_vectors
from rds_clips import camera_to_vehicle, drive
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.convert.rig_pictures import write_rig_pictures
from dreamkit.rds.convert.rig_proposal import propose_rig
from dreamkit.rds.labels import layer_path
from dreamkit.rds.mounts import Mount
from dreamkit.rds.rig import read_camera_poses
from dreamkit.rds.rig_file import read_rig, write_rig
from dreamkit.rds.rig_views import view_poses
from dreamkit.workspace.cameras import SIX_VIEWS

SHORT = tuple(name for name in FLEET if name != "cam_b")


def test_cameras_are_matched_by_heading_and_field_of_view(tmp_path):
    proposal = propose_rig(write_fleet(tmp_path), CLIP)
    assert {view: entry.camera for view, entry in proposal.rig.views.items()} == {
        "front_wide_120fov": "cam_f",
        "cross_left_120fov": "cam_fl",
        "cross_right_120fov": "cam_fr",
        "rear_tele_30fov": "cam_b",
        "rear_left_70fov": "cam_bl",
        "rear_right_70fov": "cam_br",
    }
    assert proposal.unused == ("cam_f_tele",) and not proposal.missing
    assert proposal.rig.views["rear_left_70fov"].order == "centre_first"
    assert proposal.rig.views["cross_left_120fov"].crop == (0, 60, 1920, 1080)


def test_a_view_without_a_camera_is_placed_on_the_vehicle(tmp_path):
    proposal = propose_rig(write_fleet(tmp_path / "a", SHORT), CLIP)
    assert proposal.missing == ("rear_tele_30fov",)
    assert tuple(proposal.rig.views) == SIX_VIEWS.names
    assert proposal.rig.views["rear_tele_30fov"].mount is not None
    text = proposal.report()
    assert "All six views can be made" in text and "views: 5" in text
    bare = propose_rig(write_fleet(tmp_path / "b", SHORT, with_vehicle=False), CLIP)
    assert "rear_tele_30fov" not in bare.rig.views
    assert "need the vehicle's poses" in bare.report()


def test_a_camera_without_usable_intrinsics_gets_its_views_lens(tmp_path):
    names = tuple(name for name in FLEET if name != "cam_f_tele")
    root = write_fleet(tmp_path, names)
    vectors = {name: [960, 960, 960, 540, 1920, 1080] for name in names if name != "cam_b"}
    write_vectors(root, vectors | {"cam_f": [960, 960, 960, 540, 1920, 1080, -0.2, 0.1]})
    proposal = propose_rig(root, CLIP)
    assert proposal.rig.views["front_wide_120fov"].as_model == "ftheta"
    assert "distort" in proposal.report()
    assert proposal.rig.views["rear_tele_30fov"].as_model == "ftheta"
    layer_path(root, CLIP, "pinhole_intrinsic").unlink()
    write_vectors(root, vectors, "fisheye")
    assert "fisheye_intrinsic/ is of a camera model that is not known" in propose_rig(root, CLIP).report()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda pose, vehicle: np.linalg.inv(pose), "world-to-camera"),
        (lambda pose, vehicle: np.linalg.inv(vehicle) @ pose, "camera-to-vehicle, not camera-to-world"),
        (lambda pose, vehicle: np.linalg.inv(pose) @ vehicle, "vehicle-to-camera, not camera-to-world"),
        (lambda pose, vehicle: vehicle @ np.linalg.inv(pose) @ vehicle, "places were inverted: use camera-to-vehicle"),
        (lambda pose, vehicle: pose @ np.diag([-1.0, 1, 1, 1]), "left-handed"),
        (lambda pose, vehicle: pose @ np.diag([1.0, -1, -1, 1]), "OpenGL"),
        (lambda pose, vehicle: pose @ np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]), "on end"),
    ],
)
def test_poses_of_another_convention_are_named(tmp_path, change, told):
    root, vehicle = write_fleet(tmp_path), drive(12)
    poses = {name: change(vehicle @ camera_to_vehicle(FLEET[name][0]), vehicle) for name in FLEET}
    writer.write_camera_poses(root, CLIP, poses)
    with pytest.raises(DreamkitError, match=told):
        propose_rig(root, CLIP)


def test_a_camera_that_looks_down_is_left_out(tmp_path):
    root, vehicle = write_fleet(tmp_path), drive(12)
    poses = {name: vehicle @ camera_to_vehicle(FLEET[name][0]) for name in FLEET}
    poses["cam_f_tele"] = vehicle @ Mount((1.0, 0.0, 2.0), 0.0, -60.0).pose
    writer.write_camera_poses(root, CLIP, poses)
    assert propose_rig(root, CLIP).unused == ("cam_f_tele",)


def test_a_name_that_contradicts_the_direction_is_told(tmp_path):
    root, vehicle = write_fleet(tmp_path, names=("cam_f",)), drive(12)
    poses = {"front": vehicle @ camera_to_vehicle(0), "side_left": vehicle @ camera_to_vehicle(-60)}
    writer.write_camera_poses(root, CLIP, poses)
    assert "side_left: its name says left" in propose_rig(root, CLIP).report()


def test_the_command_writes_the_file_and_two_pictures_and_render_takes_it(tmp_path):
    root, path = write_fleet(tmp_path / "labels", SHORT), tmp_path / "rig.yaml"
    done = CliRunner().invoke(app, ["rig", "propose", str(root), "-o", str(path)], catch_exceptions=False)
    assert done.exit_code == 0 and "dreamkit render" in done.output
    assert tuple(read_rig(path).views) == SIX_VIEWS.names
    frames = cv2.imread(str(tmp_path / "rig_frames.png"))
    assert frames.shape[0] == (6 + 1) * (24 + 315) and frames.max() > 200
    assert cv2.imread(str(tmp_path / "rig_above.png")).shape[0] > 500
    with pytest.raises(DreamkitError, match="exists"):
        CliRunner().invoke(app, ["rig", "propose", str(root), "-o", str(path)], catch_exceptions=False)
    out = tmp_path / "out"
    line = ["render", str(root), "-o", str(out), "--rig", str(path), "--as-model", "ftheta", "--workers", "1"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert "6 videos made" in done.output


def test_a_rig_is_drafted_by_render_and_check_and_labels_of_other_names_say_how(tmp_path):
    root, out = write_fleet(tmp_path / "labels", SHORT), tmp_path / "out"
    with pytest.raises(DreamkitError) as error:
        CliRunner().invoke(app, ["render", str(root), "-o", str(out)], catch_exceptions=False)
    assert "dreamkit rig propose" in error.value.hint
    done = CliRunner().invoke(app, ["check", str(root), "--rig", "auto"], catch_exceptions=False)
    assert "cam_bl: its intrinsics" in done.output and "error" not in done.output
    line = ["render", str(root), "-o", str(out), "--rig", "auto", "--cameras", "front_wide_120fov", "--workers", "1"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert "1 video made" in done.output and tuple(read_rig(out / "rig.yaml").views) == SIX_VIEWS.names


def test_a_camera_mounted_turned_is_drawn_upright(tmp_path):
    """Upside down and turned by a quarter: the views are those of the same cameras mounted upright."""
    upright = write_fleet(tmp_path / "upright")
    poses = read_camera_poses(upright, CLIP)
    turned = tmp_path / "turned"
    shutil.copytree(upright, turned)
    rolls = {"cam_fr": 180.0, "cam_br": 90.0}
    for name, roll in rolls.items():
        turn, angle = np.eye(4), np.radians(roll)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        poses[name] = poses[name] @ turn
    writer.write_camera_poses(turned, CLIP, poses)
    proposal = propose_rig(turned, CLIP)
    write_rig(proposal.rig, tmp_path / "rig.yaml")
    rig = read_rig(tmp_path / "rig.yaml")
    assert {view.camera: abs(view.roll) for view in rig.views.values() if view.roll} == pytest.approx(rolls, abs=0.01)
    assert all(view.as_model == "ftheta" for view in rig.views.values() if view.roll)
    assert "turned by" in proposal.report()
    drawn, expected = view_poses(turned, CLIP, rig), view_poses(upright, CLIP, propose_rig(upright, CLIP).rig)
    for name, track in expected.items():
        assert drawn[name] == pytest.approx(track, abs=1e-4), name


def test_names_that_fonts_lack_are_left_out_of_pictures(tmp_path, monkeypatch, recwarn):
    import own_rigs

    names = {"前方": "cam_f", "左前": "cam_fl", "後方": "cam_b"}
    monkeypatch.setattr(own_rigs, "FLEET", {new: FLEET[old] for new, old in names.items()})
    root = write_fleet(tmp_path, names=tuple(names), centre_first=())
    proposal = propose_rig(root, CLIP)
    assert proposal.rig.views["front_wide_120fov"].camera == "前方"
    write_rig_pictures(root, CLIP, proposal, tmp_path / "above.png", tmp_path / "frames.png", frame=0)
    assert not [str(one.message) for one in recwarn if "Glyph" in str(one.message)]
