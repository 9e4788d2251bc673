"""The vehicle judge and what the evaluation counts with it."""

import numpy as np
import pytest
import torch

from dreamkit.tinyworld.evaluate import vehicles
from dreamkit.tinyworld.evaluate.figures import by_distance, figures
from dreamkit.tinyworld.evaluate.held_out import GroundTruth
from dreamkit.tinyworld.evaluate.report import report_text
from dreamkit.tinyworld.render.colour import render_scene
from dreamkit.tinyworld.train.judge_stage import JUDGE_SEED, draw_judge_pictures
from dreamkit.tinyworld.train.vehicle_judge import JUDGED, VehicleJudge, judge_pictures, judged_classes
from dreamkit.tinyworld.world.scene import make_scene

pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = np.array([1, 2, 3, 0])  # of a car, a truck and a person


def truth_of(track: np.ndarray, distance: float) -> GroundTruth:
    """The truth of one view and frame in which road users lie at one distance."""
    track = track[None, None]
    other = np.zeros(track.shape, bool)
    return GroundTruth(
        np.zeros((*track.shape, 3), np.uint8), other, other, np.full(track.shape, distance), other, track
    )


def counted(monkeypatch, judged: np.ndarray, track: np.ndarray, distance: float = 10.0):
    monkeypatch.setattr(vehicles, "judge_pictures", lambda judge, pictures: judged[None, None])
    truth = truth_of(track, distance)
    return vehicles.count_vehicles(None, truth.colour, truth, CLASSES)


@pytest.fixture
def car():
    track = np.full((24, 40), -1)
    track[10:16, 10:20] = 0
    return track


@pytest.mark.parametrize(
    ("columns", "kind", "expected"),
    [((10, 20), 1, [1, 1, 1]), ((10, 20), 2, [1, 1, 0]), ((15, 20), 1, [1, 1, 1]), ((16, 20), 1, [1, 0, 0])],
    ids=["its pixels", "as a truck", "half of it", "less than half"],
)
def test_a_vehicle_is_found_where_half_of_it_is_marked(monkeypatch, car, columns, kind, expected):
    judged = np.zeros_like(car)
    judged[10:16, slice(*columns)] = kind
    found = counted(monkeypatch, judged, car)
    assert found == {"vehicles": {"0-15": expected, "15-40": [0, 0, 0], "40-80": [0, 0, 0]}, "false_vehicles": 0.0}


def test_a_judge_that_marks_everything_finds_nothing(monkeypatch, car):
    found = counted(monkeypatch, np.ones_like(car), car)
    assert found["vehicles"]["0-15"] == [1, 0, 0] and found["false_vehicles"] == 1.0


def test_marks_on_another_road_user_do_not_count_against_a_vehicle(monkeypatch, car):
    car[10:16, 20:30] = 1
    judged = np.where(car >= 0, 1, 0)
    assert counted(monkeypatch, judged, car)["vehicles"]["0-15"] == [2, 2, 1]


def test_persons_specks_and_far_vehicles_are_not_counted(monkeypatch, car):
    none = {name: [0, 0, 0] for name in vehicles.RANGES}
    judged = np.zeros_like(car)
    assert counted(monkeypatch, judged, np.where(car == 0, 2, -1))["vehicles"] == none
    speck = np.full_like(car, -1)
    speck[5, 5:15] = 0
    assert counted(monkeypatch, judged, speck)["vehicles"] == none
    assert counted(monkeypatch, judged, car, 90.0)["vehicles"] == none
    assert counted(monkeypatch, judged, car, 39.0)["vehicles"]["15-40"] == [1, 0, 0]


def test_figures_and_report_sum_over_videos():
    def row(kind: str, scene: int, found: int) -> dict:
        near = {name: [0, 0, 0] for name in vehicles.RANGES}
        counts = {**near, "15-40": [4, found, 0]}
        extra = {"vehicles": counts, "true_vehicles": {**near, "15-40": [4, 4, 3]}}
        light = {"luminance": 1.0, "ground": 1.0, "far_contrast": 1.0}
        other = {"psnr": 20.0, "marks": 20.0, "light": light, "true_light": light, "run": "a", "views": [20.0] * 5}
        timed = {"device": "gpu", "threads": 1, "frames": 1, "seconds": 1.0, "peak_gb": 1.0, "apart": 0.1}
        more = {"true_apart": 0.1, "luminance": 1.0, "true_luminance": 1.0}
        return {"kind": kind, "scene": scene, "style": "Sunny", **extra, **other, **timed, **more}

    rows = [row("front", 0, 4), row("front", 1, 1), row("six", 0, 2)]
    found = {figure.name: figure for figure in figures(rows)}
    front = found["front: mapped vehicles within 40 m found"]
    assert (front.value, front.worst, front.count, front.true, front.passed) == (62.5, 25.0, 8, 100.0, False)
    assert found["five views: mapped vehicles within 40 m found"].value == 50.0
    assert by_distance(rows) == {
        "front": {"15-40": [8, 62.5, 0.0, 100.0, 75.0]},
        "five views": {"15-40": [4, 50, 0, 100, 75]},
    }
    assert "| front | 15-40 | 8 | 62.50 | 0.00 | 100.00 | 75.00 |" in report_text(rows)
    # Rows that were measured without a judge have no counts.
    assert figures([{k: v for k, v in rows[0].items() if "vehicles" not in k}])[-5].value is None


def test_pixels_of_a_road_user_have_its_track_and_class():
    scene = make_scene(41, 40)
    seen = render_scene(scene, "Sunny", size=(96, 160), frames=[20], samples=1)
    assert (seen.track >= 0).any() and not (seen.still & (seen.track >= 0)).any()
    kinds = judged_classes(scene)
    assert len(kinds) == len(scene.movers) + 1 and kinds[-1] == 0
    for track in seen.track.unique().tolist():
        if track >= 0:
            expected = {"truck": 2, "bus": 2, "person": 3, "cyclist": 3}.get(scene.movers[track].model, 1)
            assert kinds[track] == expected


def test_the_judge_reads_pictures_of_any_size():
    torch.manual_seed(0)
    pictures = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 30, 3), np.uint8)
    judged = judge_pictures(VehicleJudge().eval(), pictures)
    assert judged.shape == (2, 3, 20, 30) and judged.max() < len(JUDGED)


def test_judge_pictures_are_of_scenes_that_nothing_else_uses(monkeypatch):
    from dreamkit.tinyworld.train import judge_stage

    seeds = []
    monkeypatch.setattr(judge_stage, "make_scene", lambda seed, frames: seeds.append(seed) or make_scene(41, 3))
    monkeypatch.setattr(judge_stage, "_FRAMES", 3)
    monkeypatch.setattr(judge_stage, "_FRONT", (32, 48))
    monkeypatch.setattr(judge_stage, "_SIDE", (16, 32))
    front, side = draw_judge_pictures(JUDGE_SEED, 5)
    assert seeds == [400_005]
    assert front.colour.shape == (3, 32, 48, 3) and front.classes.shape == (3, 32, 48)
    assert side.colour.shape == (5, 16, 32, 3) and set(np.unique(side.classes)) <= set(range(len(JUDGED)))
