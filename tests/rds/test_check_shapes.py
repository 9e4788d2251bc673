"""Shapes are checked, never made; and `dreamkit check` passes nothing that `dreamkit render` refuses."""

import dataclasses
import io
import json

import numpy as np
import pytest
from label_damage import KINDS, damaged_copies
from rds_clips import (
    CLIP,
    FTHETA,
    HEADINGS,
    PINHOLE,
    camera_to_vehicle,
    drive,
    map_layers,
    objects,
    rig_poses,
    write_clip,
)
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.check import check_clip, write_pictures
from dreamkit.rds.check_boxes import box_findings
from dreamkit.rds.check_labels import map_findings
from dreamkit.rds.check_poses import camera_findings
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


def test_values_of_other_types_are_not_read_as_numbers(folder):
    tar = folder / "vehicle_pose" / f"{CLIP}.tar"
    kept = tar.read_bytes()
    poses = drive(FRAMES)
    for kind in (complex, str):
        write_tar(tar, CLIP, {f"{i:06d}.vehicle_pose.npy": encode_npy(p.astype(kind)) for i, p in enumerate(poses)})
        assert found(folder, "not real numbers")
    tar.write_bytes(kept)
    write_tar(folder / "3d_poles" / f"{CLIP}.tar", CLIP, {"poles.json": b'{"labels": [null]}'})
    assert found(folder, "a NoneType instead of a table")


@pytest.mark.parametrize("moving", ["true", "false", None, 2, []])
def test_a_text_is_no_truth(folder, moving):
    entry = {"object_to_world": np.eye(4).tolist(), "object_lwh": [4, 2, 1.5], "object_type": "Car"}
    members = {"000000.all_object_info.json": json.dumps({"1": entry | {"object_is_moving": moving}}).encode()}
    write_tar(folder / "all_object_info" / f"{CLIP}.tar", CLIP, members)
    assert found(folder, "object_is_moving")


def test_sizes_in_another_order_and_a_layer_of_another_place(folder):
    given = objects(FRAMES)
    writer.write_objects(folder, CLIP, dataclasses.replace(given, size=given.size[:, ::-1]))
    assert found(folder, "cars and trucks are 1.6 m long, 1.9 m wide and 4.5 m high", "warning")
    lines = Shapes.of([np.array([[37.1, -222.0, 0.0], [37.2, -222.1, 0.0]])])
    writer.write_layer(folder, CLIP, "lanelines", lines)
    assert found(folder, "away from the drive; other layers are nearer", "warning")


def curve():
    """A drive [T, 4, 4] along a bend of 90 m, and map layers along it: what a straight road does not tell apart."""
    angle = np.arange(FRAMES) * 0.012
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, 0, 3], poses[:, 1, 3] = 200 + 60 * np.sin(angle), 30 + 60 * (1 - np.cos(angle))
    poses[:, 0, 0] = poses[:, 1, 1] = np.cos(angle)
    poses[:, 1, 0], poses[:, 0, 1] = np.sin(angle), -np.sin(angle)

    def beside(left):
        return poses[::4, :3, 3] + left * poses[::4, :3, 1]

    def place(left, frame, up=0.0):
        return poses[frame, :3, 3] + left * poses[frame, :3, 1] + [0, 0, up]

    return poses, {
        "lanelines": [beside(1.75), beside(-1.75)],
        "road_boundaries": [beside(5.5), beside(-5.5)],
        "poles": [np.array([place(7, frame), place(7, frame, 6)]) for frame in range(5, FRAMES, 25)],
        "wait_lines": [np.array([place(-1.7, 60), place(1.7, 60)])],
        "crosswalks": [np.array([place(-5, 64), place(-5, 70), place(5, 70), place(5, 64)])],
        "road_markings": [np.array([place(-1, 40), place(-1, 44), place(1, 44), place(1, 40)])],
    }


def test_wrong_conventions_of_all_cameras_are_named():
    vehicle = curve()[0]
    mounts = {name: camera_to_vehicle(angle) for name, angle in HEADINGS.items()}
    flip, y_forward = np.diag([1.0, -1, -1, 1]), np.eye(4)
    y_forward[:2, :2] = [[0, 1], [-1, 0]]
    turned = {name: vehicle @ mount for name, mount in mounts.items()}
    for track in turned.values():
        track[:, :3, :3] = track[:, :3, :3].swapaxes(1, 2)
    for cameras, reference, cause in (
        (
            {name: vehicle @ np.linalg.inv(mount) for name, mount in mounts.items()},
            vehicle,
            "vehicle-to-camera instead",
        ),
        ({name: vehicle @ mount for name, mount in mounts.items()}, vehicle @ flip, "y right, z down"),
        ({name: vehicle @ mount for name, mount in mounts.items()}, vehicle @ y_forward, "not drive along its x axis"),
        (turned, vehicle, "transposed"),
    ):
        assert any(cause in finding.cause for finding in camera_findings(cameras, reference))


@pytest.mark.parametrize(
    ("change", "what", "severity"),
    [
        (lambda o, v: {"pose": np.linalg.inv(v[o.frame]) @ o.pose}, "2 boxes stand still if they are taken", "error"),
        (lambda o, v: {"pose": o.pose @ np.eye(4)[[1, 0, 2, 3]]}, "go 90 degrees beside their own x axis", "warning"),
        (lambda o, v: {"size": o.size / 2}, "half of the cars are at most 2.2 m long", "warning"),
        (lambda o, v: {}, "", ""),
    ],
)
def test_boxes_in_other_axes_or_of_half_their_size(change, what, severity):
    given, vehicle = objects(FRAMES), drive(FRAMES)
    findings = list(box_findings(dataclasses.replace(given, **change(given, vehicle)), vehicle, {}))
    assert [finding.severity for finding in findings] == ([severity] if what else [])
    assert all(what in finding.what for finding in findings)


@pytest.mark.parametrize("centre", [(960, 540), (240, 135)])
def test_the_centre_of_another_resolution(folder, centre):
    cameras = {name: dataclasses.replace(FTHETA, cx=centre[0], cy=centre[1]) for name in HEADINGS}
    writer.write_cameras(folder, CLIP, cameras)
    assert found(folder, "near a corner of its 960x540 picture", "warning")


LAYER_FAULTS = {
    "x and y swapped": lambda p, start: p[:, [1, 0, 2]],
    "y with the wrong sign": lambda p, start: p * [1, -1, 1],
    "turned by a half": lambda p, start: p * [-1, -1, 1],
    "an origin subtracted": lambda p, start: p - start[:3, 3],
    "latitude and longitude in degrees": lambda p, start: (p - start[:3, 3]) / 111_000 + np.array([11.5, 48.1, 0]),
    "lengths in millimetres": lambda p, start: p * 1000,
    "z = 0 in this layer": lambda p, start: p - [0, 0, 250],
    "another world frame": lambda p, start: p + np.array([4000, 900, 0]),
}


@pytest.mark.parametrize("fault", LAYER_FAULTS)
@pytest.mark.parametrize("wrong", [("lanelines", "road_boundaries"), ("poles", "crosswalks"), ("lanelines",)])
def test_layers_in_other_axes_units_or_places_than_the_rest_are_named(fault, wrong):
    vehicle, layers = curve()
    right = {name: Shapes.of(parts) for name, parts in layers.items()}
    path, start = vehicle[:, :3, 3], vehicle[0]
    assert not list(map_findings(right, path, start))
    change = LAYER_FAULTS[fault]
    broken = right | {name: Shapes.of(change(part, start) for part in layers[name]) for name in wrong}
    findings = list(map_findings(broken, path, start))
    assert {layer for finding in findings for layer in finding.layer.split(", ")} == {f"3d_{name}" for name in wrong}
    assert all(fault in finding.cause for finding in findings)


def test_a_map_in_other_axes_than_the_drive_is_told_as_a_whole():
    vehicle, layers = curve()
    whole = {name: Shapes.of(part[:, [1, 0, 2]] for part in parts) for name, parts in layers.items()}
    (finding,) = map_findings(whole, vehicle[:, :3, 3], vehicle[0])
    assert finding.layer == "3d_*" and finding.cause == "x and y swapped, in the map or in the poses"


def test_render_warns_of_layers_out_of_place(folder, tmp_path, caplog):
    vehicle, layers = curve()
    swapped = {name: layers[name] for name in ("lanelines", "road_boundaries")}
    writer.write_map(folder, CLIP, {name: Shapes.of(parts) for name, parts in layers.items()})
    writer.write_map(folder, CLIP, {k: Shapes.of(part[:, [1, 0, 2]] for part in v) for k, v in swapped.items()})
    writer.write_camera_poses(folder, CLIP, rig_poses(vehicle))
    render_clips(folder, tmp_path / "out", dataclasses.replace(QUICK, cameras=("camera_front_wide_120fov",)))
    warning = "3d_lanelines, 3d_road_boundaries of made-up_000_100: they do not fit the drive"
    assert caplog.text.count(warning) == 1
    caplog.clear()
    # `dreamkit check` prints it as a finding, and its pictures do not log it as well.
    assert write_pictures(folder, CLIP, tmp_path / "pictures") and warning not in caplog.text
    assert any("do not fit the drive" in finding.what for finding in check_clip(folder, CLIP))


def test_sparse_layers_and_wide_ones_are_no_finding():
    vehicle, layers = curve()
    path, start = vehicle[:, :3, 3], vehicle[0]
    aside = Shapes.of([np.array([[262.0, 10, 0], [262, 10, 6]])])
    grid = [np.array([[x, -2000.0, 0], [x, 2000, 0]]) for x in range(-2000, 2000, 250)]
    wide = {name: Shapes.of(parts + grid if name == "lanelines" else parts) for name, parts in layers.items()}
    for given in (wide, {"poles": aside, "lanelines": Shapes.of(layers["lanelines"][:1])}, {"wait_lines": aside}):
        assert not list(map_findings(given, path, start))


def test_the_file_without_any_intrinsics_is_named(folder):
    write_tar(folder / "ftheta_intrinsic" / f"{CLIP}.tar", CLIP, {})
    assert found(folder, "camera_front_wide_120fov has poses and no intrinsics", "warning")
