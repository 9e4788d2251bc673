import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rds_clips import CLIP, FTHETA, HEADINGS, PINHOLE, drive, lidar, map_layers, objects, rig_poses, write_clip

from dreamkit.errors import DreamkitError
from dreamkit.rds import labels, rig, writer
from dreamkit.rds.lidar_labels import read_lidar
from dreamkit.rds.objects import every_frame, hold_static, unknown_types
from dreamkit.rds.tars import encode_npy, open_tar, write_tar


def read_sweeps(root, clip):
    source = read_lidar(root, clip)
    return [source.load(frame) for frame in source.frames]


READERS = {
    "pose": rig.read_camera_poses,
    "vehicle_pose": rig.read_vehicle_poses,
    "ftheta_intrinsic": rig.read_cameras,
    "all_object_info": labels.read_objects,
    "3d_lanelines": lambda root, clip: labels.read_layer(root, clip, "lanelines"),
    "3d_traffic_signs": lambda root, clip: labels.read_layer(root, clip, "traffic_signs"),
    "lidar_raw": read_sweeps,
}


@pytest.fixture
def folder(tmp_path):
    return write_clip(tmp_path / "rds", frames=9, with_lidar=True)


def tar_of(folder, layer):
    return folder / layer / f"{CLIP}.tar"


def put(folder, layer, members):
    write_tar(tar_of(folder, layer), CLIP, members)


def test_writer_and_reader_agree_on_every_layer(folder):
    for name, shapes in map_layers().items():
        found = labels.read_layer(folder, CLIP, name)
        np.testing.assert_array_equal(found.points, shapes.points)
        np.testing.assert_array_equal(found.starts, shapes.starts)
    assert labels.read_map(folder, CLIP).keys() == labels.LAYERS.keys()
    given_objects, found = objects(9), labels.read_objects(folder, CLIP)
    for field in ("frames", "frame", "track", "pose", "size", "moving"):
        np.testing.assert_array_equal(getattr(found, field), getattr(given_objects, field), err_msg=field)
    assert (found.ids, found.kind) == (given_objects.ids, given_objects.kind)
    for name, track in rig_poses(drive(9)).items():
        np.testing.assert_array_equal(rig.read_camera_poses(folder, CLIP)[name], track)
    np.testing.assert_array_equal(rig.read_vehicle_poses(folder, CLIP), drive(9))
    assert rig.read_cameras(folder, CLIP) == dict.fromkeys(HEADINGS, FTHETA)
    sweeps = read_lidar(folder, CLIP)
    assert sweeps.frames == (0, 3, 6)
    for frame, sweep in lidar(9).items():
        read = sweeps.load(frame)
        for field in ("xyz", "to_world", "intensity"):
            np.testing.assert_array_equal(getattr(read, field), getattr(sweep, field))


def test_pinhole_cameras_round_trip(tmp_path):
    write_clip(tmp_path, frames=3, model=PINHOLE)
    assert rig.read_cameras(tmp_path, CLIP, model="pinhole") == dict.fromkeys(HEADINGS, PINHOLE)


def test_writing_twice_gives_the_same_bytes(folder, tmp_path):
    again = write_clip(tmp_path / "again", frames=9, with_lidar=True)
    for path in sorted(folder.rglob("*.tar")):
        assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes() or "lidar" in str(path)


def test_the_published_clip_reads(real_data):
    root = real_data / "rds_hq"
    clip = labels.list_clips(root)[0]
    assert {name: len(shapes) for name, shapes in labels.read_map(root, clip).items()} == {
        "lanelines": 85,
        "road_boundaries": 93,
        "wait_lines": 34,
        "poles": 28,
        "crosswalks": 1,
        "road_markings": 6,
        "traffic_signs": 29,
        "traffic_lights": 0,
    }
    assert len(rig.read_cameras(root, clip)) == 7
    assert all(track.shape == (300, 4, 4) for track in rig.read_camera_poses(root, clip).values())
    found = labels.read_objects(root, clip)
    assert len(found.frames) == 100 and not unknown_types(found)


def test_keys_may_lack_the_clip_prefix(folder):
    for layer, read in READERS.items():
        path = tar_of(folder, layer)
        source = open_tar(path, CLIP)
        members = {key: source.read(key) for key in source.members}
        before = read(folder, CLIP)
        with tarfile.open(path, "w") as tar:
            for key, data in members.items():
                info = tarfile.TarInfo(key)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        assert str(read(folder, CLIP)) == str(before)


def test_vertices_are_found_in_every_published_nesting(folder):
    vertices = [[0, 0, 0], [1, 0, 0]]
    as_points = [{"x": 0, "y": 0, "z": 0}, {"x": 1, "y": 0, "z": 0}]
    for shape in (
        {"polyline3d": {"vertices": vertices}},
        {"polylines3d": {"polylines": [vertices]}},
        {"polylines3d": {"polylines": [{"vertices": vertices}]}},
        {"polyline3d": {"vertices": as_points}},
    ):
        put(folder, "3d_lanes", {"lanes.json": json.dumps({"labels": [{"labelData": {"shape3d": shape}}]}).encode()})
        np.testing.assert_array_equal(labels.read_layer(folder, CLIP, "lanes").points, vertices)


def test_an_empty_layer_is_empty(folder):
    for content in (
        {"labels": []},
        {"labels": [{"labelFamily": "EMPTY", "labelData": {"emptyLabel": True}}]},
        {"labels": [{"labelData": {"shape3d": {"polyline3d": {"vertices": []}}}}]},
    ):
        put(folder, "3d_lanelines", {"lanelines.json": json.dumps(content).encode()})
        assert len(labels.read_layer(folder, CLIP, "lanelines")) == 0


def test_a_line_of_one_point_is_read_and_not_an_error(folder):
    writer.write_layer(folder, CLIP, "lanelines", labels.Shapes.of([np.zeros((1, 3))]))
    assert len(labels.read_layer(folder, CLIP, "lanelines")) == 1


def test_a_missing_tar_names_the_file(folder):
    for layer, read in READERS.items():
        if layer == "ftheta_intrinsic":
            continue
        tar_of(folder, layer).unlink()
        with pytest.raises(DreamkitError, match=f"{layer}.*is missing"):
            read(folder, CLIP)
    with pytest.raises(DreamkitError, match="is missing, so"):
        labels.list_clips(folder / "nothing")


def test_a_missing_map_layer_is_skipped_with_a_warning(folder, caplog):
    tar_of(folder, "3d_poles").unlink()
    assert "poles" not in labels.read_map(folder, CLIP)
    assert "poles are not drawn" in caplog.text
    for path in folder.glob("3d_*/*.tar"):
        path.unlink()
    with pytest.raises(DreamkitError, match="no map layer"):
        labels.read_map(folder, CLIP)


def test_missing_intrinsics_fall_back_to_the_default_table_with_a_warning(folder, caplog):
    tar_of(folder, "ftheta_intrinsic").unlink()
    found = rig.read_cameras(folder, CLIP, ["camera_front_wide_120fov"])
    assert found == {"camera_front_wide_120fov": rig.default_cameras()["camera_front_wide_120fov"]}
    assert "default f-theta" in caplog.text
    writer.write_cameras(folder, CLIP, {"camera_front_wide_120fov": FTHETA})
    caplog.clear()
    assert len(rig.read_cameras(folder, CLIP, ["camera_rear_tele_30fov"])) == 1
    assert "no intrinsics of camera_rear_tele_30fov" in caplog.text
    with pytest.raises(DreamkitError, match="default table has none either"):
        rig.read_cameras(folder, CLIP, ["camera_of_my_own"])
    with pytest.raises(DreamkitError, match=r"pinhole_intrinsic.*missing"):
        rig.read_cameras(folder, CLIP, model="pinhole")


def test_the_default_cameras_see_what_their_names_say():
    for name, camera in rig.default_cameras().items():
        rays = camera.unproject(np.array([[0, camera.cy], [camera.width, camera.cy]], float))
        degrees = np.degrees(np.arctan2(rays[:, 0], rays[:, 2]))
        assert degrees[1] - degrees[0] == pytest.approx(int(name.rpartition("_")[2].removesuffix("fov")), abs=0.1)


@pytest.mark.parametrize("cut", [1, 300, 512, 1024, 1500, 5000])
@pytest.mark.parametrize("layer", READERS)
def test_a_truncated_tar_is_an_error(folder, layer, cut):
    path = tar_of(folder, layer)
    data = path.read_bytes()
    path.write_bytes(data[: max(1, min(cut, len(data) - 512 * 21))])
    with pytest.raises(DreamkitError, match=layer):
        READERS[layer](folder, CLIP)


def test_nan_in_a_pose_names_camera_and_frame(folder):
    poses = rig_poses(drive(9))
    source = open_tar(tar_of(folder, "pose"), CLIP)
    members = {key: source.read(key) for key in source.members}
    bad = poses["camera_rear_tele_30fov"][4].copy()
    bad[0, 3] = np.nan
    members["000004.pose.camera_rear_tele_30fov.npy"] = encode_npy(bad)
    put(folder, "pose", members)
    with pytest.raises(DreamkitError, match="camera_rear_tele_30fov, frame 4"):
        rig.read_camera_poses(folder, CLIP)
    # The other cameras are still of use.
    assert len(rig.read_camera_poses(folder, CLIP, ["camera_front_wide_120fov"])) == 1


def test_a_missing_frame_is_an_error(folder):
    source = open_tar(tar_of(folder, "pose"), CLIP)
    put(folder, "pose", {key: source.read(key) for key in source.members if not key.startswith("000003")})
    with pytest.raises(DreamkitError, match=r"frame 3 of .* is missing"):
        rig.read_camera_poses(folder, CLIP)


def test_an_unknown_camera_names_those_there_are(folder):
    with pytest.raises(DreamkitError, match="no poses of camera_roof") as caught:
        rig.read_camera_poses(folder, CLIP, ["camera_roof"])
    assert "camera_front_wide_120fov" in caught.value.hint


OBJECT = {
    "object_to_world": np.eye(4).tolist(),
    "object_lwh": [1, 1, 1],
    "object_is_moving": True,
    "object_type": "Car",
}
BAD_OBJECTS = [
    {"object_to_world": [[1, 2], [3, 4]]},
    {"object_to_world": "no"},
    {"object_to_world": np.zeros((4, 4)).tolist()},
    {"object_lwh": [1, 2]},
    {"object_lwh": [1, 2, "x"]},
    {"object_lwh": [1, -2, 3]},
    {"object_lwh": None},
]


@pytest.mark.parametrize("change", BAD_OBJECTS)
def test_an_object_that_cannot_be_one_is_named(folder, change):
    put(folder, "all_object_info", {"000003.all_object_info.json": json.dumps({"77": OBJECT | change}).encode()})
    with pytest.raises(DreamkitError, match="object 77"):
        labels.read_objects(folder, CLIP)


def test_an_unknown_object_type_is_kept_and_counted(folder):
    info = OBJECT | {"object_type": "Unicorn"}
    put(folder, "all_object_info", {"000000.all_object_info.json": json.dumps({"1": info}).encode()})
    assert unknown_types(labels.read_objects(folder, CLIP)) == {"Unicorn": 1}


def test_a_pickle_or_a_lying_header_is_refused(folder):
    stream = io.BytesIO()
    np.save(stream, np.array([{}], dtype=object), allow_pickle=True)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 4)})
    for data in (stream.getvalue(), header.getvalue()):
        put(folder, "vehicle_pose", {"000000.vehicle_pose.npy": data})
        with pytest.raises(DreamkitError, match=r"000000\.vehicle_pose\.npy"):
            rig.read_vehicle_poses(folder, CLIP)


# What a damaged download or a careless converter can put where a layer should be.
SOUP = st.binary(max_size=2000)
NUMBERS = st.floats() | st.integers(-(2**62), 2**62)
FIELDS = ["labels", "vertices", "polylines", "x", "y", "z", "1", *OBJECT]
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)
VERTICES = st.lists(st.lists(NUMBERS, min_size=2, max_size=4), max_size=9)
LABELS = st.fixed_dictionaries({"labels": st.lists(st.fixed_dictionaries({"vertices": VERTICES}) | JSON, max_size=3)})
ARRAYS = st.builds(
    lambda shape, values: encode_npy(np.resize(np.array(values), shape)),
    st.lists(st.integers(0, 5), max_size=3),
    st.lists(NUMBERS, min_size=1, max_size=16),
)
TEXTS = (JSON | LABELS).map(lambda value: json.dumps(value).encode())
KEYS = {
    "pose": "000000.pose.camera_front_wide_120fov.npy",
    "vehicle_pose": "000000.vehicle_pose.npy",
    "ftheta_intrinsic": "ftheta_intrinsic.camera_front_wide_120fov.npy",
    "all_object_info": "000000.all_object_info.json",
    "3d_lanelines": "lanelines.json",
    "3d_traffic_signs": "traffic_signs.json",
    "lidar_raw": "000000.lidar_raw.npz",
}
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=SOUP | TEXTS | ARRAYS, layer=st.sampled_from(sorted(KEYS)), wrapped=st.booleans())
def test_no_byte_soup_gets_past_the_readers(tmp_path, data, layer, wrapped):
    path = tar_of(tmp_path, layer)
    if wrapped:
        put(tmp_path, layer, {KEYS[layer]: data})
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    try:
        READERS[layer](tmp_path, CLIP)
    except DreamkitError as error:
        assert str(path) in str(error)


@FUZZ
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=40),
    layer=st.sampled_from(sorted(KEYS)),
)
def test_flipped_bytes_in_a_good_tar_do_not_get_past_either(tmp_path, flips, layer):
    if not tar_of(tmp_path, "pose").is_file():
        write_clip(tmp_path, frames=3, with_lidar=True)
    good = tar_of(tmp_path, layer).read_bytes()
    bad = bytearray(good)
    for place, value in flips:
        bad[place % len(bad)] = value
    other = "flipped"
    path = tmp_path / layer / f"{other}.tar"
    path.write_bytes(bytes(bad))
    try:
        READERS[layer](tmp_path, other)
    except DreamkitError as error:
        assert str(path) in str(error)


def test_boxes_between_labelled_frames_are_interpolated_and_gaps_stay_gaps():
    boxes = every_frame(hold_static(objects(30)), 30)
    car = {int(f): boxes.pose[i, 0, 3] for i, f in enumerate(boxes.frame) if boxes.track[i] == "7"}
    np.testing.assert_allclose([car[f] for f in range(28)], 15 + 0.4 * np.arange(28))
    # After the last labelled frame (27) the box stays.
    assert car[28] == car[29] == car[27]
    person = {int(f) for i, f in enumerate(boxes.frame) if boxes.track[i] == "9"}
    assert person == set(range(30)) - set(range(10, 21))
    parked = boxes.pose[[track == "8" for track in boxes.track]]
    assert np.ptp(parked[:, :3, 3], axis=0).max() < 1e-12


def test_a_resting_object_with_one_turned_label_keeps_its_heading():
    given_objects = objects(30)
    pose = given_objects.pose.copy()
    row = np.flatnonzero(given_objects.track == 1)[3]
    pose[row, :2, :2] = [[-1, 0], [0, -1]]
    pose[row, 0, 3] += 100
    import dataclasses

    resting = hold_static(dataclasses.replace(given_objects, pose=pose))
    where = resting.pose[resting.track == 1]
    assert np.abs(where[:, 0, 3] - 20).max() < 0.2
    np.testing.assert_allclose(where[:, :3, :3], np.tile(np.eye(3), (len(where), 1, 1)), atol=1e-12)


def test_frames_before_the_first_label_have_no_boxes_and_few_frames_are_fine():
    import dataclasses

    late = objects(30)
    late = dataclasses.replace(late, frames=late.frames + 6, frame=late.frame + 6)
    assert every_frame(late, 12).frame.min() == 6
    assert len(every_frame(late, 5).frame) == 0
    assert len(every_frame(late, 0).frame) == 0
