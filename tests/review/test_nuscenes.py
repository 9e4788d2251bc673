"""The export in nuScenes' form: sound tables, right geometry and frames; opened by the real devkit where there is one.

The devkit pins numpy below 2, so it stands in an environment of its own: DREAMKIT_NUSCENES_PYTHON names its Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import rds_clips
from labelled_results import CHUNK, FRAMES, KEY, SIZE, make_labelled
from review_world import read_number
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.drawing import read_boxes
from dreamkit.rds.objects import box_corners
from dreamkit.rds.rig import read_camera_poses
from dreamkit.review.geometry import Limits, check_geometry
from dreamkit.review.labelled import read_labelled
from dreamkit.review.library import find_videos
from dreamkit.review.nuscenes.categories import CHANNELS
from dreamkit.review.nuscenes.dataset import NuscenesOptions, export_nuscenes
from dreamkit.review.nuscenes.records import TABLES
from dreamkit.review.nuscenes.street_map import drivable_area
from dreamkit.review.nuscenes.visibility import visible_shares
from dreamkit.review.overlay import overlay_frames, project_lines
from dreamkit.review.session import Review
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.video import read_video, write_video
from dreamkit.workspace.workspace import Workspace

PYTHON = os.environ.get("DREAMKIT_NUSCENES_PYTHON", "")
VIEW_OF = {channel: name for name, channel in CHANNELS.items()}
EVERY = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_labelled(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    workspace, root = made
    review = Review(workspace, "ann")
    review.judge(KEY, "accept")
    folder = tmp_path_factory.mktemp("set") / "nuscenes"
    result = export_nuscenes(review, str(folder), str(root), NuscenesOptions(every=EVERY, keep_original=True))
    assert not result.refused
    return folder


def tables(folder: Path) -> dict[str, dict[str, dict]]:
    rows = {name: json.loads((folder / "v1.0-dreamkit" / f"{name}.json").read_text()) for name in TABLES}
    return {name: {row["token"]: row for row in found} for name, found in rows.items()}


def rotation_of(q: list[float]) -> np.ndarray:
    """The matrix of a quaternion w, x, y, z, by the formula of q v q*."""
    w, v = q[0], np.array(q[1:])
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return (w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross


def pose_of(row: dict) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation_of(row["rotation"]), row["translation"]
    return pose


def test_every_token_leads_to_a_record_and_every_picture_is_there(exported):
    found = tables(exported)
    links = {"sample_token": "sample", "ego_pose_token": "ego_pose", "scene_token": "scene", "log_token": "log"}
    links |= {"instance_token": "instance", "sensor_token": "sensor", "category_token": "category"}
    links |= {"calibrated_sensor_token": "calibrated_sensor", "visibility_token": "visibility"}
    links |= {"first_sample_token": "sample", "last_sample_token": "sample"}
    links |= {"first_annotation_token": "sample_annotation", "last_annotation_token": "sample_annotation"}
    for name, rows in found.items():
        for row in rows.values():
            for key in row.keys() & links.keys():
                assert row[key] in found[links[key]], (name, key)
            for key in row.keys() & {"prev", "next"}:
                assert row[key] == "" or row[key] in rows
    assert all(
        token in found["attribute"] for row in found["sample_annotation"].values() for token in row["attribute_tokens"]
    )
    pictures = found["sample_data"].values()
    assert len(pictures) == 6 * FRAMES and sum(row["is_key_frame"] for row in pictures) == 6 * 3
    for row in pictures:
        assert cv2.imread(str(exported / row["filename"])).shape == (row["height"], row["width"], 3) == (*SIZE[::-1], 3)
        assert row["filename"].startswith("samples/" if row["is_key_frame"] else "sweeps/")
        assert not row["prev"] or found["sample_data"][row["prev"]]["timestamp"] < row["timestamp"]
        assert row["timestamp"] <= found["sample"][row["sample_token"]]["timestamp"]
    [scene], [log], [street] = (list(found[name].values()) for name in ("scene", "log", "map"))
    assert scene["nbr_samples"] == 3 and "rain" in scene["description"].lower()
    assert street["log_tokens"] == [log["token"]] and (exported / street["filename"]).is_file()
    assert log["provenance"]["accepted_by"] == "ann" and log["provenance"]["synthetic"]
    assert log["provenance"]["video_fps"] == 24 and log["provenance"]["labels_hz"] == 30
    for instance in found["instance"].values():
        own = [row for row in found["sample_annotation"].values() if row["instance_token"] == instance["token"]]
        assert len(own) == instance["nbr_annotations"] and own[0]["token"] == instance["first_annotation_token"]


def test_frame_i_of_the_video_has_the_labels_of_frame_i_of_its_condition(exported, made):
    found = tables(exported)
    first = CHUNK.index * FRAMES
    for row in found["sample_data"].values():
        if VIEW_OF[channel_of(found, row)] == SIX_VIEWS.front.name:
            original = cv2.imread(str(exported / row["original_filename"]))
            assert read_number(original) == row["video_frame"] == row["label_frame"] - first
    front = [row for row in found["sample_data"].values() if channel_of(found, row) == "CAM_FRONT"]
    steps = np.diff([row["timestamp"] for row in front])
    assert set(steps.tolist()) <= {33333, 33334}, "the labels' 30 Hz, not the 24 fps of the video"


def channel_of(found: dict, picture: dict) -> str:
    calibration = found["calibrated_sensor"][picture["calibrated_sensor_token"]]
    return found["sensor"][calibration["sensor_token"]]["channel"]


def test_poses_and_calibration_put_every_camera_where_its_condition_was_drawn_from(exported, made):
    found, (_, root) = tables(exported), made
    recorded = read_camera_poses(root, rds_clips.CLIP)
    [log] = found["log"].values()
    for row in found["sample_data"].values():
        calibration = found["calibrated_sensor"][row["calibrated_sensor_token"]]
        pose = pose_of(found["ego_pose"][row["ego_pose_token"]]) @ pose_of(calibration)
        expected = recorded[f"camera_{calibration['view']}"][row["label_frame"]].copy()
        expected[:3, 3] += log["provenance"]["world_offset"]
        assert pose == pytest.approx(expected, abs=1e-9)
        mount = rds_clips.camera_to_vehicle(rds_clips.HEADINGS[f"camera_{calibration['view']}"])
        assert pose_of(calibration) == pytest.approx(mount, abs=1e-9)
        [fx, _, cx], [_, fy, cy], last = calibration["camera_intrinsic"]
        assert fx == fy and (cx, cy) == ((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2) and last == [0, 0, 1]


def box_points(row: dict) -> np.ndarray:
    """Points along the edges of an annotation's box in the global frame, [n, 3]."""
    width, length, height = row["size"]
    corners = np.array([[x, y, z] for x in (1, -1) for y in (1, -1) for z in (1, -1)]) * [length, width, height] / 2
    pairs = [(a, b) for a in range(8) for b in range(a) if np.count_nonzero(corners[a] != corners[b]) == 1]
    local = np.concatenate([np.linspace(corners[a], corners[b], 20) for a, b in pairs])
    return local @ rotation_of(row["rotation"]).T + row["translation"]


def test_boxes_lie_on_the_boxes_in_the_rectified_pictures(exported):
    found = tables(exported)
    checked = 0
    for row in found["sample_data"].values():
        calibration = found["calibrated_sensor"][row["calibrated_sensor_token"]]
        if not row["is_key_frame"]:
            continue
        to_camera = np.linalg.inv(pose_of(found["ego_pose"][row["ego_pose_token"]]) @ pose_of(calibration))
        picture = cv2.imread(str(exported / row["filename"]))
        for box in found["sample_annotation"].values():
            points = box_points(box)
            local = points @ to_camera[:3, :3].T + to_camera[:3, 3]
            if box["sample_token"] != row["sample_token"] or local[:, 2].min() < 4:
                continue
            pixels = (local / local[:, 2:]) @ np.array(calibration["camera_intrinsic"]).T
            u, v = np.round(pixels[:, :2]).astype(int).T
            inside = (u >= 1) & (v >= 1) & (u < SIZE[0] - 1) & (v < SIZE[1] - 1)
            around = [picture[v[inside] + dv, u[inside] + du].max(-1) for dv in (-1, 0, 1) for du in (-1, 0, 1)]
            if inside.sum() > 60:
                assert (np.max(around, axis=0) > 60).mean() > 0.97
                checked += 1
    assert checked >= 4


def test_boxes_are_those_of_the_labels_in_nuscenes_order(exported, made):
    found, (_, root) = tables(exported), made
    boxes = read_boxes(root, rds_clips.CLIP, 2 * FRAMES)
    [log] = found["log"].values()
    names = {row["token"]: row["name"] for row in found["category"].values()}
    for row in found["sample_annotation"].values():
        frame = FRAMES + next(
            p["video_frame"]
            for p in found["sample_data"].values()
            if p["sample_token"] == row["sample_token"] and p["is_key_frame"]
        )
        here = np.flatnonzero(boxes.frame == frame)
        centres = boxes.pose[here, :3, 3] + log["provenance"]["world_offset"]
        box = here[np.linalg.norm(centres - row["translation"], axis=1).argmin()]
        length, width, height = boxes.size[box]
        assert row["size"] == [width, length, height]
        assert rotation_of(row["rotation"]) == pytest.approx(boxes.pose[box, :3, :3], abs=1e-9)
        instance = found["instance"][row["instance_token"]]
        person = boxes.kind[box] == "Person"
        assert names[instance["category_token"]] == ("human.pedestrian.adult" if person else "vehicle.car")
        assert row["num_lidar_pts"] == -1


def test_the_card_and_the_table_load(exported, tmp_path, monkeypatch):
    card = (exported / "README.md").read_text()
    for words in ("synthetic", "| scenes | 1 |", "| pictures | 78 |", "Models and licences", "num_lidar_pts"):
        assert words in card
    assert json.loads((exported / "v1.0-dreamkit" / "splits.json").read_text())["train"] == [KEY.replace("/", "__")]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(exported), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded[0]["pictures"] == 78 and loaded[0]["style"] == "Rainy"


def test_pictures_that_do_not_fit_the_labels_are_left_out_and_measured(made, tmp_path):
    workspace = Workspace(tmp_path / "outputs")
    shutil.copytree(made[0].root, workspace.root)
    view = SIX_VIEWS.front
    path = workspace.view(CHUNK, "Rainy", view.index)
    write_video(path, np.roll(read_video(path), 20, axis=2), 24, crf=8)
    review = Review(workspace, "ann")
    review.judge(KEY, "accept")
    result = export_nuscenes(review, str(tmp_path / "set"), str(made[1]), NuscenesOptions(every=EVERY))
    [(what, why)] = result.refused.items()
    assert what == f"{KEY} front_wide_120fov" and "to the right" in why
    moved = float(why.split("best ")[1].split(" %")[0])
    assert moved == pytest.approx(100 * 20 / SIZE[0], abs=1.2)
    assert f"{KEY} front_wide_120fov" in (tmp_path / "set" / "README.md").read_text()
    assert len(tables(tmp_path / "set")["sample_data"]) == 5 * FRAMES


def test_labels_other_than_those_of_the_conditions_are_refused(made, tmp_path):
    workspace, root = made
    other = tmp_path / "labels"
    shutil.copytree(root, other)
    moved = {
        name: replace(shapes, points=shapes.points + np.array([0, 0.6, 0]))
        for name, shapes in rds_clips.map_layers().items()
    }
    writer.write_map(other, rds_clips.CLIP, moved)
    review = Review(workspace, "ann")
    with pytest.raises(DreamkitError, match="another file than the one"):
        export_nuscenes(review, str(tmp_path / "set"), str(other))
    with pytest.raises(DreamkitError, match="needs labels"):
        export_nuscenes(review, str(tmp_path / "set"), "")
    assert not (tmp_path / "set").exists()
    # Condition videos of one's own have no checksums: their geometry is compared, and told in pixels.
    own = Workspace(tmp_path / "own")
    shutil.copytree(workspace.root, own.root)
    for camera in SIX_VIEWS.cameras:
        sidecar = own.condition("hdmap", camera, CHUNK).with_suffix(".json")
        record = json.loads(sidecar.read_text())
        sidecar.write_text(json.dumps({**record, "inputs": {}}))
    video = next(video for video in find_videos(own) if video.key == KEY)
    good, bad = (check_geometry(read_labelled(video, folder), Limits()) for folder in (root, other))
    assert all(view.condition_distance < 1 and not view.fault for view in good.values())
    assert "beside the condition video" in bad["front_wide_120fov"].fault


def test_the_overlay_lies_on_the_drawn_lines(made):
    workspace, root = made
    video = next(video for video in find_videos(workspace) if video.key == KEY)
    labelled = read_labelled(video, root)
    [picture] = overlay_frames(labelled, "front_wide_120fov", [4], width=1, strength=1)
    [lines] = project_lines(labelled, "front_wide_120fov", [4])
    drawn = read_video(labelled.views["front_wide_120fov"].video)[4]
    on = lines.max(-1) > 0
    assert picture.shape == drawn.shape and (picture[on] == lines[on]).all()
    assert (drawn[on].max(-1) > 40).mean() > 0.9 and (drawn[~on].max(-1) > 40).mean() < 0.2


def test_a_hidden_box_and_one_outside_the_picture():
    camera, pose = rds_clips.PINHOLE, rds_clips.camera_to_vehicle(0)
    places = np.array([[10, 0, 1.5], [20, 0, 1.5], [15, 5, 1.5], [-9, 0, 1.5]])
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, 3] = places
    shares, inside = visible_shares(poses, np.tile([4.0, 2, 1.6], (4, 1)), [(camera, pose)])
    assert inside.tolist() == [True, True, True, False]
    assert shares[0] == pytest.approx(1) and shares[1] == 0 and shares[2] == pytest.approx(1) and shares[3] == 0


def test_the_drivable_area_reaches_the_nearest_boundaries():
    path = np.stack([np.arange(0.0, 20, 0.5), np.zeros(40), np.zeros(40)], 1)
    sides = [np.array([[-5.0, y, 0], [30.0, y, 0]]) for y in (6.0, -4.0, 9.0)]
    area = drivable_area(path, sides)
    half = len(area) // 2
    assert area[:half, 1] == pytest.approx(6) and area[half:, 1] == pytest.approx(-4)
    assert abs(drivable_area(path, [])[:, 1]) == pytest.approx(3.5)
    assert len(drivable_area(np.zeros((5, 3)), sides)) == 4, "a vehicle that stands"


def test_the_command_exports_what_nobody_judged(made, tmp_path):
    workspace, root = made
    given = ["export", "-o", str(tmp_path / "set"), "-w", str(workspace.root), "--labels", str(root)]
    done = CliRunner().invoke(app, [*given, "--form", "nuscenes", "--unjudged", "--every", "12"])
    assert done.exit_code == 0, done.output
    assert "2 key frames" in done.output and (tmp_path / "set" / "v1.0-dreamkit" / "sample.json").is_file()
    wrong = CliRunner().invoke(app, [*given, "--form", "kitti"])
    assert isinstance(wrong.exception, DreamkitError)


DEVKIT = """
import json, sys
import matplotlib
matplotlib.use("Agg")
import numpy as np
from nuscenes.map_expansion import map_api
from nuscenes.nuscenes import NuScenes

root, out = sys.argv[1:]
nusc = NuScenes("v1.0-dreamkit", root, verbose=False)
found = {}
for picture in nusc.sample_data:
    path, boxes, intrinsic = nusc.get_sample_data(picture["token"])
    found[picture["token"]] = {box.token: box.corners().T.tolist() for box in boxes}
velocity = {row["token"]: nusc.box_velocity(row["token"]).tolist() for row in nusc.sample_annotation}
nusc.render_sample(nusc.sample[1]["token"], out_path=out + "/sample.png", verbose=False)
location = nusc.log[0]["location"]
map_api.locations.append(location)
street = map_api.NuScenesMap(root, location)
edge = street.canvas_edge
layers = ["drivable_area", "lane_divider", "ped_crossing", "stop_line"]
near = street.get_records_in_patch((0, 0, *edge), layers, mode="intersect")
counts = {name: len(near[name]) for name in layers}
on_road = [bool(nusc.map[0]["mask"].is_on_mask(*row["translation"][:2])[0]) for row in nusc.ego_pose]
result = {"boxes": found, "velocity": velocity, "map": counts, "on_road": on_road}
json.dump(result, open(out + "/found.json", "w"))
"""


@pytest.mark.skipif(not PYTHON, reason="DREAMKIT_NUSCENES_PYTHON names no Python with nuscenes-devkit")
def test_the_devkit_loads_and_renders_it(exported, made, tmp_path):
    subprocess.run([PYTHON, "-W", "ignore", "-c", DEVKIT, str(exported), str(tmp_path)], check=True, timeout=300)
    result = json.loads((tmp_path / "found.json").read_text())
    found, (_, root) = tables(exported), made
    boxes = read_boxes(root, rds_clips.CLIP, 2 * FRAMES)
    cameras = read_camera_poses(root, rds_clips.CLIP)
    seen = 0
    for token, corners in result["boxes"].items():
        picture = found["sample_data"][token]
        view = found["calibrated_sensor"][picture["calibrated_sensor_token"]]["view"]
        to_camera = np.linalg.inv(cameras[f"camera_{view}"][picture["label_frame"]])
        ours = box_corners(boxes)[boxes.frame == picture["label_frame"]] @ to_camera[:3, :3].T + to_camera[:3, 3]
        for annotation, theirs in corners.items():
            if found["sample_annotation"][annotation]["size"][1] < 1 and not picture["is_key_frame"]:
                continue  # the person has a gap, where the devkit shows the later box
            seen += 1
            # At key frames the devkit's boxes are the labels'; in between it interpolates key frames 0.2 s apart.
            away = np.abs(np.sort(np.array(theirs), 0) - np.sort(ours, 1)).max((1, 2)).min()
            assert away < (1e-6 if picture["is_key_frame"] else 0.05)
    assert seen > 30
    cars = [v for v in result["velocity"].values() if np.isfinite(v).all()]
    assert max(v[0] for v in cars) == pytest.approx(12, rel=1e-3), "0.4 m a frame at 30 Hz"
    assert result["map"] == {"drivable_area": 1, "lane_divider": 2, "ped_crossing": 1, "stop_line": 1}
    assert all(result["on_road"])
    assert (tmp_path / "sample.png").stat().st_size > 10_000
