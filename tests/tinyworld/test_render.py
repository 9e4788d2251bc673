import sys
from dataclasses import fields
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from other_device import other_device

from dreamkit.errors import DreamkitError
from dreamkit.rds import hdmap
from dreamkit.rds.labels import read_map, read_objects
from dreamkit.rds.objects import every_frame, hold_static
from dreamkit.rds.rig import read_camera_poses, read_cameras
from dreamkit.review.measures.style_agreement import light_of
from dreamkit.tinyworld import __main__ as command
from dreamkit.tinyworld.evaluate.overlap import colour_difference, shared_pixels
from dreamkit.tinyworld.render import contact_sheet, raycast
from dreamkit.tinyworld.render.colour import DRAWN, condition_pictures, pixel_rays, render_scene
from dreamkit.tinyworld.render.scene_tensors import build_scene_tensors
from dreamkit.tinyworld.render.style_presets import STYLES, style_preset
from dreamkit.tinyworld.world.scene import make_scene, write_clip
from dreamkit.workspace.cameras import SIX_VIEWS

pytestmark = pytest.mark.usefixtures("one_thread")
FRONT = ("front_wide_120fov",)
SMALL = (96, 160)


@pytest.fixture(scope="module")
def scenes():
    found = [make_scene(41, 40), make_scene(43, 40), make_scene(44, 40)]
    return [(scene, build_scene_tensors(scene)) for scene in found]


def test_conditions_are_those_of_the_written_clip(tmp_path, scenes):
    scene, _ = scenes[0]
    write_clip(tmp_path, "made", scene)
    boxes = every_frame(hold_static(read_objects(tmp_path, "made")), scene.frames)
    world = hdmap.build_scene(read_map(tmp_path, "made"), boxes)
    name = "camera_cross_left_120fov"
    lens = read_cameras(tmp_path, "made", [name])[name].scaled_to(*DRAWN)
    poses = read_camera_poses(tmp_path, "made", [name])[name]
    drawn = [
        cv2.resize(picture, (1280, 704), interpolation=cv2.INTER_LANCZOS4)
        for picture in hdmap.draw_hdmap_frames(world, lens, poses, [0, 38])
    ]
    expected = np.stack([cv2.resize(picture, (160, 96), interpolation=cv2.INTER_LINEAR) for picture in drawn])
    made = condition_pictures(scene, ["cross_left_120fov"], SMALL, [0, 38])[0]
    assert np.abs(made.astype(int) - expected).max() <= 1  # the resizer's own rounding


def test_every_labelled_lane_line_lies_on_paint_in_all_six_cameras(scenes):
    size = (DRAWN[1], DRAWN[0])
    for index, camera in enumerate(SIX_VIEWS.names):
        scene, tensors = scenes[index % len(scenes)]
        seen = render_scene(scene, "Sunny", [camera], size, [20], samples=1, tensors=tensors)
        marks, still = seen.marks[0, 0].numpy(), seen.still[0, 0].numpy()
        lens, pose = scene.lenses[camera].scaled_to(*DRAWN), scene.camera_poses(camera)[20]
        world = np.concatenate([hdmap.resample_line(line, 0.8) for line in scene.layers["lanelines"]])
        local = (world - pose[:3, 3]) @ pose[:3, :3]
        away = np.linalg.norm(local, axis=1)
        column, row = lens.project(local).round().astype(int).T
        # Farther away a line that runs across the view is flatter than a pixel.
        near = (local[:, 2] > 0) & (away < 15) & (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
        row, column, away = row[near], column[near], away[near]
        # What stands before a line hides it.
        open_view = still[row, column] & (seen.distance[0, 0].numpy()[row, column] > 0.93 * away)
        assert open_view.any(), camera
        assert marks[row, column][open_view].all(), camera


def test_vehicles_fill_their_boxes_and_no_more(scenes):
    size = (160, 288)
    for scene, tensors in scenes:
        seen = render_scene(scene, "Sunny", FRONT, size, [20], tensors=tensors)
        boxes = every_frame(hold_static(scene.objects), scene.frames)
        mine = boxes.frame == 20
        pose = scene.camera_poses(FRONT[0])[20]
        ray = pixel_rays(scene, FRONT, size, 2)[0, 1::2, 1::2] * seen.distance[0, 0].numpy()[..., None]
        moving = (~seen.still & (seen.distance > 0))[0, 0].numpy()
        points = ray[moving] @ pose[:3, :3].T + pose[:3, 3]
        inside = np.zeros(len(points), bool)
        for box, size_lwh in zip(boxes.pose[mine], boxes.size[mine], strict=True):
            inside |= (np.abs((points - box[:3, 3]) @ box[:3, :3]) < size_lwh / 2 + 0.03).all(1)
        assert moving.sum() > 50
        assert inside.all()


def test_masks_and_distances_fit_together(scenes):
    scene, tensors = scenes[2]
    seen = render_scene(scene, "Sunny", SIX_VIEWS.names, SMALL, [0, 30], tensors=tensors)
    assert seen.colour.shape == (6, 2, *SMALL, 3) and seen.colour.dtype == torch.uint8
    assert not (seen.marks & ~seen.determined).any()
    assert 0.1 < seen.determined.float().mean() < 0.7
    assert 0.02 < seen.marks.float().mean() < 0.4
    assert not seen.still[seen.distance == 0].any()
    assert (seen.distance[:, :, :10] == 0).float().mean() > 0.2  # the sky
    assert seen.still.any()


def test_a_frame_is_the_same_alone_and_among_others(scenes):
    scene, tensors = scenes[1]
    together = render_scene(scene, "Rainy", FRONT, SMALL, [3, 17, 30], samples=1, tensors=tensors)
    alone = render_scene(scene, "Rainy", FRONT, SMALL, [17], samples=1, tensors=tensors)
    assert (together.colour[:, 1].int() - alone.colour[:, 0].int()).abs().float().mean() < 0.05
    assert torch.equal(together.marks[:, 1], alone.marks[:, 0])


def test_styles_differ_as_they_must():
    light = {style: [] for style in STYLES}
    for seed in (100, 103, 105):
        scene = make_scene(seed, 31)
        tensors = build_scene_tensors(scene)
        for style in STYLES:
            light[style].append(
                light_of(render_scene(scene, style, FRONT, SMALL, [0], 1, tensors=tensors).colour[0].numpy())
            )
    for index, sunny in enumerate(light["Sunny"]):
        assert light["Night"][index].luminance < 0.45 * sunny.luminance
        assert light["Snowy"][index].ground > 1.35 * sunny.ground
        assert light["Foggy"][index].far_contrast < 0.45 * sunny.far_contrast
        assert light["Golden hour"][index].warmth > sunny.warmth + 40
        assert light["Rainy"][index].saturation < 0.6 * sunny.saturation


def test_front_and_cross_cameras_see_the_same_colours(scenes):
    names, differences = ("front_wide_120fov", "cross_left_120fov", "cross_right_120fov"), []
    for scene, tensors in scenes:
        seen = render_scene(scene, "Sunny", names, SMALL, [0], tensors=tensors)
        colour, distance, still = (values[:, 0].numpy() for values in (seen.colour, seen.distance, seen.still))
        for other in (1, 2):
            distances = (distance[0], distance[other])
            pairs = shared_pixels(scene, (names[0], names[other]), SMALL, 0, still[0], distances)
            assert len(pairs.mine) > 200
            differences.append(colour_difference(colour[0], colour[other], pairs))
            flipped = colour_difference(colour[0], colour[other][::-1], pairs)
            assert flipped > 2 * differences[-1]
    assert np.mean(differences) < 0.08, differences


def test_cameras_that_share_nothing_have_no_difference(scenes):
    scene, tensors = scenes[0]
    names = ("front_wide_120fov", "rear_tele_30fov")
    seen = render_scene(scene, "Sunny", names, SMALL, [0], tensors=tensors)
    colour, distance = seen.colour[:, 0].numpy(), seen.distance[:, 0].numpy()
    pairs = shared_pixels(scene, names, SMALL, 0, seen.still[0, 0].numpy(), (distance[0], distance[1]))
    assert len(pairs.mine) == 0 and np.isnan(colour_difference(colour[0], colour[1], pairs))


@pytest.mark.parametrize("style", ["Night", "Rainy", "Snowy", "Sunny"])
def test_pictures_are_made_on_the_stages_device(style, scenes):
    scene, _ = scenes[0]
    expected = render_scene(scene, style, SIX_VIEWS.names[:2], (16, 32), [0, 9])
    with other_device() as device:
        made = render_scene(scene, style, SIX_VIEWS.names[:2], (16, 32), [0, 9], device=device)
    assert made.colour.device == device
    for field in fields(made):
        assert torch.equal(getattr(made, field.name).near, getattr(expected, field.name)), field.name


def test_the_other_device_refuses_tensors_of_the_cpu():
    with other_device() as device, pytest.raises(RuntimeError, match="a tensor of the CPU"):
        torch.zeros(3, device=device) + torch.ones(3)


def test_without_a_gpu_rays_are_cast_by_torch(monkeypatch, scenes):
    monkeypatch.setattr(raycast, "has_triton", lambda: True)  # the kernel's module would not even import
    monkeypatch.setitem(sys.modules, "dreamkit.tinyworld.render.raycast_kernel", None)
    scene, tensors = scenes[0]
    assert render_scene(scene, "Sunny", FRONT, (16, 32), [0], samples=1, tensors=tensors).colour.any()


def test_triton_is_looked_for(monkeypatch):
    for found in (None, object()):
        raycast.has_triton.cache_clear()
        monkeypatch.setattr("importlib.util.find_spec", lambda name, found=found: found)
        assert raycast.has_triton() is (found is not None)
    raycast.has_triton.cache_clear()


def test_an_unknown_style_is_refused():
    with pytest.raises(DreamkitError, match="no style 'Windy'"):
        style_preset("Windy")


def test_the_sheet_has_a_row_for_each_style(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "render_scene", partial(contact_sheet.render_scene, samples=1))
    assert command.run_tinyworld(["sheet", str(tmp_path / "sheet.png"), "3"]) == 0
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 96 * (1 + len(STYLES)), 2 * 160 * 6, 3)


def test_speed_says_frames_a_second(monkeypatch):
    said = []
    monkeypatch.setattr(contact_sheet, "timed_sizes", lambda: [("front", FRONT, (32, 48))])
    figures = contact_sheet.measure_speed([1], said.append)
    assert len(said) == len(figures) + 1
    assert all(value > 0 for value in figures.values())


def test_wrong_words_show_the_help(capsys):
    assert command.run_tinyworld(["paint"]) == 2
    assert "sheet FILE.png SEED" in capsys.readouterr().out
