"""Shapes are checked, never made; and `dreamkit check` passes nothing that `dreamkit render` refuses."""

import dataclasses
import io

import numpy as np
import pytest
from label_damage import KINDS, damaged_copies
from rds_clips import CLIP, HEADINGS, PINHOLE, camera_to_vehicle, drive, map_layers, objects, rig_poses, write_clip
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.check import check_clip
from dreamkit.rds.check_report import report
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.labels import Shapes
from dreamkit.rds.lidar_labels import read_lidar
from dreamkit.rds.object_types import ask_for_types, likely_class, read_type_table
from dreamkit.rds.plan import Options
from dreamkit.rds.render import render_clips
from dreamkit.rds.tars import encode_npy, write_tar
from dreamkit.workspace.files import read_json
from dreamkit.workspace.video import read_video

FRAMES = 123
QUICK = Options(conditions=("hdmap",), chunk_frames=2, max_chunks=1, workers=1, size=(320, 176))


@pytest.fixture
def folder(tmp_path):
    return write_clip(tmp_path / "rds", frames=FRAMES, model=None)


def found(folder, what, severity="error", model="ftheta"):
    findings = check_clip(folder, CLIP, model)
    matching = [finding for finding in findings if what in finding.what]
    assert matching, report(CLIP, findings)
    assert matching[0].severity == severity
    return matching[0]


def sweep(xyz):
    stream = io.BytesIO()
    np.savez(stream, xyz=xyz, lidar_to_world=np.eye(4))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((900, 4), "Further columns are probably intensity"),
        ((899, 4), "Further columns"),
        ((3, 900), "transposed"),
        ((4, 900), "transposed"),
        ((2700,), "one row a point"),
        ((900, 2), "one row a point"),
        ((1, 900, 3), "one row a point"),
    ],
)
def test_points_of_another_shape_are_refused_not_reshaped(folder, shape, hint):
    write_tar(folder / "lidar_raw" / f"{CLIP}.tar", CLIP, {"000000.lidar_raw.npz": sweep(np.zeros(shape, np.float32))})
    with pytest.raises(DreamkitError, match=r"xyz of the shape .* instead of \[N, 3\]") as caught:
        read_lidar(folder, CLIP).load(0)
    assert hint in caught.value.hint
    assert hint in found(folder, "xyz of the shape").cause


def test_a_sweep_without_points_stays_allowed(folder):
    for empty in (np.zeros(0), np.zeros((0, 3)), np.zeros((0, 4))):
        write_tar(folder / "lidar_raw" / f"{CLIP}.tar", CLIP, {"000000.lidar_raw.npz": sweep(empty)})
        assert read_lidar(folder, CLIP).load(0).xyz.shape == (0, 3)


def test_every_sweep_is_read_and_a_shared_cause_is_told_once(folder):
    good, bad = sweep(np.ones((9, 3), np.float32)), sweep(np.ones((9, 4), np.float32))
    members = {f"{n:06d}.lidar_raw.npz": bad if n % 2 else good for n in range(0, FRAMES, 3)}
    write_tar(folder / "lidar_raw" / f"{CLIP}.tar", CLIP, members)
    findings = [f for f in check_clip(folder, CLIP) if "xyz" in f.what]
    assert len(findings) == 1 and "(19 more sweeps of 41 likewise)" in findings[0].what


@pytest.mark.parametrize("vector", [np.eye(3) * 900, np.zeros((2, 3)), np.ones((2, 7))])
def test_matrices_are_no_vectors_of_intrinsics(vector):
    with pytest.raises(DreamkitError, match="no vector"):
        FTheta.from_vector(vector)


def test_vertices_of_another_shape_raise():
    with pytest.raises(ValueError, match=r"shape \[2, 4\]"):
        Shapes.of([np.zeros((2, 4))])


def test_matrices_that_are_transposed_scaled_or_inverted(folder):
    vehicle = drive(FRAMES)
    poses = rig_poses(vehicle)
    writer.write_camera_poses(folder, CLIP, {name: track.swapaxes(1, 2) for name, track in poses.items()})
    assert "transposed" in found(folder, "not 0 0 0 1").cause
    writer.write_camera_poses(folder, CLIP, {name: np.linalg.inv(track) for name, track in poses.items()})
    assert any("world-to-camera" in f.what + f.cause for f in check_clip(folder, CLIP))
    writer.write_camera_poses(folder, CLIP, poses)
    given = objects(FRAMES)
    scaled = given.pose.copy()
    scaled[:, :3, :3] *= given.size[:, None]
    writer.write_objects(folder, CLIP, dataclasses.replace(given, pose=scaled))
    assert "object_lwh" in found(folder, "no rotation and place").cause
    away = given.pose.copy()
    away[:, 0, 3] += 5000
    writer.write_objects(folder, CLIP, dataclasses.replace(given, pose=away))
    assert "different world frames" in found(folder, "boxes are over").cause


def test_a_map_of_another_height_is_told(folder):
    writer.write_map(folder, CLIP, {n: Shapes(s.points - [0, 0, 400], s.starts) for n, s in map_layers().items()})
    assert "flat map" in found(folder, "the map lies 400 m below the drive").cause
    (folder / "all_object_info" / f"{CLIP}.tar").unlink()
    assert "out of sight" in found(folder, "the first picture of every camera is black", "warning").cause


def test_check_says_what_render_will_refuse(tmp_path):
    cameras = {"front": 0, "side_left": 90}
    folder = write_clip(tmp_path / "rds", frames=FRAMES, model=PINHOLE)
    vehicle = drive(FRAMES)
    tracks = {name: vehicle @ camera_to_vehicle(angle) for name, angle in cameras.items()}
    writer.write_camera_poses(folder, CLIP, tracks)
    writer.write_cameras(folder, CLIP, dict.fromkeys(cameras, PINHOLE))
    assert "--camera-model pinhole" in found(folder, "gives no intrinsics of front, side_left").cause
    with pytest.raises(DreamkitError, match="gives no intrinsics of front, side_left"):
        render_clips(folder, tmp_path / "out", QUICK)
    assert not [f for f in check_clip(folder, CLIP, "pinhole") if f.severity == "error"]
    assert len(render_clips(folder, tmp_path / "out", dataclasses.replace(QUICK, model="pinhole"))) == 2


def test_a_three_to_two_f_theta_camera_is_drawn(folder, tmp_path):
    camera = FTheta(960, 640, 1920, 1280, (0.0, np.deg2rad(120) / 1920, 0, 0, 0, 0), True)
    writer.write_cameras(folder, CLIP, dict.fromkeys(HEADINGS, camera))
    assert not [f for f in check_clip(folder, CLIP) if f.layer == "render"]
    made = render_clips(folder, tmp_path / "out", dataclasses.replace(QUICK, cameras=("front_wide_120fov",)))
    picture = read_video(made[0].path)[0]
    assert picture.shape == (176, 320, 3) and picture.max() > 60


def test_own_object_types_are_asked_for_once_and_drawn_as_told(folder, tmp_path, caplog):
    given = objects(FRAMES)
    own = ["moto" if kind == "Automobile" else kind for kind in given.kind]
    writer.write_objects(folder, CLIP, dataclasses.replace(given, kind=tuple(own)))
    options = dataclasses.replace(QUICK, cameras=("front_wide_120fov",))
    (video,) = (result.path for result in render_clips(folder, tmp_path / "out", options))
    table = tmp_path / "out" / "object_types.yaml"
    assert '"moto":  # perhaps Cyclist' in table.read_text() and "has lines for these types" in caplog.text
    white = read_video(video)[0]
    caplog.clear()
    assert not render_clips(folder, tmp_path / "out", options)[0].made
    assert "unknown type" not in caplog.text and "has lines" not in caplog.text
    table.write_text(table.read_text().replace('"moto":', '"moto": Cyclist'))
    assert render_clips(folder, tmp_path / "out", options)[0].made
    assert not np.array_equal(read_video(video)[0], white)
    assert read_json(video.with_suffix(".json"), "sidecar")["object_types"] == {"moto": "Cyclist"}
    table.write_text('"moto": Bycicle')
    with pytest.raises(DreamkitError, match="no class of boxes") as caught:
        render_clips(folder, tmp_path / "out", options)
    assert "Cyclist" in caught.value.hint


def test_check_is_silent_on_types_that_the_workspace_has_a_class_for(folder, tmp_path, monkeypatch):
    given = objects(FRAMES)
    own = {"Automobile": "moto", "Person": "cone"}
    kinds = tuple(own.get(kind, kind) for kind in given.kind)
    assert len({"moto", "cone"} & set(kinds)) == 2
    writer.write_objects(folder, CLIP, dataclasses.replace(given, kind=kinds))
    monkeypatch.chdir(tmp_path)

    def warned(*more):
        said = CliRunner().invoke(app, ["check", str(folder), *more], catch_exceptions=False).output
        return [kind for kind in ("moto", "cone") if repr(kind) in said]

    assert warned() == ["moto", "cone"]
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "object_types.yaml").write_text("moto: Cyclist\ncone:  # not said yet\n")
    assert warned() == ["cone"] and warned("-o", "elsewhere") == ["moto", "cone"]
    (tmp_path / "outputs" / "object_types.yaml").write_text("moto: Cyclist\ncone: Others\n")
    assert warned() == [] and warned("-o", "outputs") == []


def test_the_table_of_types_keeps_what_stands_in_it(tmp_path):
    path = tmp_path / "object_types.yaml"
    path.write_text("# mine\nvan: Automobile\n'no': Others")
    ask_for_types(path, ['a "b"', "Cone"])
    assert read_type_table(path) == {"van": "Car", "no": "Others", 'a "b"': "", "Cone": ""}
    assert path.read_text().startswith("# mine\n")
    assert [likely_class(kind) for kind in ("human.adult", "TRAM", "my_van", "thing")] == [
        "Pedestrian", "Truck", "Car", "Others",
    ]  # fmt: skip


def test_damaged_copies_never_end_in_a_traceback_or_a_silent_pass(tmp_path):
    cameras = ("camera_front_wide_120fov", "camera_rear_tele_30fov")
    root = write_clip(tmp_path / "rds", frames=124, cameras=cameras, model=None, with_lidar=True)
    outcomes = list(damaged_copies([(root, "ftheta")], len(KINDS), seed=3))
    assert len(outcomes) == len(KINDS)
    assert not [one.trace for one in outcomes if one.trace]
    assert not [(one.kind, one.folder, one.refused) for one in outcomes if one.passed_silently]


def test_a_vector_in_a_row_or_column_is_still_a_vector(tmp_path):
    folder = write_clip(tmp_path / "rds", frames=9)
    vector = PINHOLE.vector()
    for shaped in (vector[None], vector[:, None]):
        write_tar(
            folder / "pinhole_intrinsic" / f"{CLIP}.tar",
            CLIP,
            {f"pinhole_intrinsic.{name}.npy": encode_npy(shaped) for name in HEADINGS},
        )
        assert not [f for f in check_clip(folder, CLIP, "pinhole") if f.layer in ("pinhole_intrinsic", "render")]
