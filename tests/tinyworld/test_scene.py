import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import pytest

from dreamkit.rds.check import check_clip
from dreamkit.rds.labels import read_map, read_objects
from dreamkit.rds.rig import read_camera_poses, read_cameras, read_vehicle_poses
from dreamkit.styles.table import load_styles
from dreamkit.tinyworld.world.road import Curve, bend
from dreamkit.tinyworld.world.scene import SETTINGS, SHAPES, MadeUpScene, make_scene, thinned, write_clip
from dreamkit.tinyworld.world.scene_captions import scene_caption, style_captions
from dreamkit.tinyworld.world.traffic import label_frames

KINDS = [(setting, shape) for setting in SETTINGS for shape in SHAPES if shape != "junction" or setting == "street"]
MODES = ("go", "stop", "left", "right")


def of_kind(setting: str, shape: str, frames: int = 31, seed: int = 900) -> MadeUpScene:
    return make_scene(seed, frames, setting, shape)


@pytest.fixture(scope="module")
def junctions() -> dict[str, MadeUpScene]:
    """A junction scene for each manoeuvre of the ego car."""
    found: dict[str, MadeUpScene] = {}
    for seed in range(1000, 1060):
        scene = make_scene(seed, 121, shape="junction")
        found.setdefault(scene.flow.mode, scene)
    assert sorted(found) == sorted(MODES)
    return found


def same(a: MadeUpScene, b: MadeUpScene) -> bool:
    layers = all(np.array_equal(a.layers[name].points, b.layers[name].points) for name in a.layers)
    return layers and np.array_equal(a.objects.pose, b.objects.pose) and np.array_equal(a.vehicle, b.vehicle)


def test_a_seed_is_a_scene():
    assert same(make_scene(7, 31), make_scene(7, 31))
    assert not same(make_scene(7, 31), make_scene(8, 31))


@pytest.mark.parametrize(("setting", "shape"), KINDS)
def test_a_written_clip_is_complete_and_the_same_scene(tmp_path, setting, shape):
    scene = of_kind(setting, shape, 121)
    assert (scene.setting, scene.shape) == (setting, shape)
    write_clip(tmp_path, "made", scene)
    # The only finding is the note that there are no sweeps.
    assert {finding.severity for finding in check_clip(tmp_path, "made")} <= {"note"}
    layers = read_map(tmp_path, "made")
    assert set(layers) == set(scene.layers)
    for name, shapes in layers.items():
        assert np.array_equal(shapes.points, scene.layers[name].points)
    objects = read_objects(tmp_path, "made")
    assert np.array_equal(objects.pose, scene.objects.pose)
    assert objects.kind == scene.objects.kind
    assert np.array_equal(read_vehicle_poses(tmp_path, "made"), scene.vehicle)
    poses, lenses = read_camera_poses(tmp_path, "made"), read_cameras(tmp_path, "made")
    assert len(poses) == 6
    for name in scene.camera_to_vehicle:
        assert np.array_equal(poses[f"camera_{name}"], scene.camera_poses(name))
        assert lenses[f"camera_{name}"] == scene.lenses[name]


def test_scenes_have_what_roads_have(junctions):
    street = junctions["go"]
    for layer in (
        "lanelines",
        "road_boundaries",
        "wait_lines",
        "crosswalks",
        "road_markings",
        "poles",
        "traffic_lights",
    ):
        assert len(street.layers[layer]), layer
    highway = of_kind("highway", "curve")
    assert len(highway.layers["lanelines"]) >= 6
    assert len(highway.layers["road_boundaries"]) == 4
    assert {kind for seed in range(12) for kind in make_scene(seed, 31).objects.kind} >= {"Automobile", "Person"}


def test_the_drive_starts_at_the_origin_and_every_mode_does_what_it_says(junctions):
    for scene in [of_kind("rural", "curve", 121), *junctions.values()]:
        assert np.allclose(scene.vehicle[0, :3, 3], 0, atol=1e-9)
        assert np.allclose(scene.vehicle[0, :2, 0], [1, 0], atol=1e-2)
    heading = {mode: np.rad2deg(np.arctan2(*scene.vehicle[-1, 1::-1, 0])) for mode, scene in junctions.items()}
    assert heading["left"] > 20
    assert heading["right"] < -20
    assert abs(heading["go"]) < 1
    stop = junctions["stop"]
    speed = np.linalg.norm(np.diff(stop.vehicle[:, :3, 3], axis=0), axis=1) * 30
    assert speed[-1] < speed[0] / 2
    # It ends before the wait line.
    assert stop.vehicle[-1, 0, 3] + 3.5 < stop.junction.reach(stop.roads, 0)[0] - 5


def test_vehicles_do_not_drive_through_each_other():
    for seed in range(30):
        scene = make_scene(seed, 121)
        count = len(scene.movers)
        pose, size = scene.objects.pose.reshape(-1, count, 4, 4), scene.objects.size.reshape(-1, count, 3)
        wheeled = [i for i, mover in enumerate(scene.movers) if mover.model != "person"]
        for k, frame in enumerate(label_frames(121)[::20] // 3):
            ego = scene.vehicle[min(20 * k * 3, 120)]
            boxes = [_flat(pose[frame, i], size[frame, i]) for i in wheeled]
            boxes.append(_flat(ego, np.array([4.8, 1.9, 1.5]), 1.4))
            for i, a in enumerate(boxes):
                for b in boxes[:i]:
                    assert not cv2.rotatedRectangleIntersection(a, b)[0], seed


def _flat(pose: np.ndarray, size: np.ndarray, ahead: float = 0.0):
    centre = pose[:2, 3] + pose[:2, 0] * ahead
    return tuple(centre), tuple(size[:2] - 0.05), float(np.rad2deg(np.arctan2(pose[1, 0], pose[0, 0])))


def test_captions_say_what_is_there_and_take_every_style(junctions):
    captions = {mode: scene_caption(scene) for mode, scene in junctions.items()}
    assert "turns left" in captions["left"]
    assert "red light" in captions["stop"]
    assert "intersection" in captions["go"]
    assert scene_caption(junctions["go"]) == captions["go"]
    assert "highway" in scene_caption(of_kind("highway", "straight"))
    table = load_styles()
    styled = style_captions(junctions["go"])
    assert list(styled) == ["Original", *(style.name for style in table.choose())]
    for style in table.choose():
        assert any(word in styled[style.name].lower() for word in style.words), style.name


def test_a_thinned_scene_keeps_the_nearest(junctions):
    scene = junctions["go"]
    small = thinned(scene, 3)
    assert len(small.movers) == len(small.objects.ids) == 3
    assert set(small.movers) <= set(scene.movers)
    assert dataclasses.replace(small, movers=scene.movers, objects=scene.objects) == scene


def test_coordinates_undo_places():
    curve = bend(np.full(401, 1 / 80), -50, 0.5, (3.0, 4.0), 0.4)
    assert isinstance(curve, Curve)
    place, heading = curve.at(0.0)
    assert np.allclose(place, (3, 4)) and heading == pytest.approx(0.4)
    s, side = np.meshgrid(np.linspace(-80, 170, 40), np.linspace(-20, 20, 9))
    points, _ = curve.at(s, side)
    found_s, found_side, _ = curve.coordinates(points)
    assert np.abs(found_s - s).max() < 0.02
    assert np.abs(found_side - side).max() < 0.01


def test_a_training_machine_needs_torch_numpy_opencv_and_yaml_only():
    blocked = "pydantic,av,typer,pandas,scipy,filelock,PIL,matplotlib,papermill,tqdm,imageio_ffmpeg,huggingface_hub"
    code = f"""
import sys
sys.modules.update(dict.fromkeys({blocked!r}.split(",")))
from dreamkit.tinyworld.evaluate import command, sheets
from dreamkit.tinyworld.render import colour, contact_sheet
from dreamkit.tinyworld.train import bundle, recipe
from dreamkit.tinyworld.world import samples, scene, scene_captions
from dreamkit.transfer import pipeline
made = scene.make_scene(1, 2)
assert len(scene_captions.style_captions(made)) == 8
colour.render_scene(made, "Snowy", size=(16, 16), samples=1)
colour.condition_pictures(made, size=(16, 16))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
