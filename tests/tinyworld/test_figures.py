import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dreamkit.errors import DreamkitError
from dreamkit.notebook.shipped import shipped_folder
from dreamkit.setup import sample_clip
from dreamkit.tinyworld import __main__ as command
from dreamkit.tinyworld.evaluate import figures, held_out, pictures, report, sheets
from dreamkit.tinyworld.evaluate.held_out import ConditionCache, HeldOutScene, VideoSizes, draw_conditions, scene_seed
from dreamkit.tinyworld.evaluate.models import EvaluationSettings, demo_settings
from dreamkit.tinyworld.evaluate.run import KINDS, EvaluationPlan, append_row, measure_bundle, read_rows
from dreamkit.tinyworld.render.style_presets import STYLES

pytestmark = pytest.mark.usefixtures("one_thread", "reduced_conditions")
SIZES = VideoSizes((32, 48), 2, (32, 48), 2)
SETTINGS = EvaluationSettings(1, 1.0, 1.0, 1, 1.0, 1.0)


@pytest.fixture(scope="module")
def reduced_conditions():
    """Condition pictures drawn at a quarter of their size: these tests only identify scenes by them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_out, "condition_pictures", partial(held_out.condition_pictures, reduced=4))
        yield


@cache
def scene_of(number: int) -> HeldOutScene:
    return HeldOutScene(scene_seed(0, number), SIZES, 1, torch.device("cpu"))


@cache
def drawn(number: int, six: bool) -> np.ndarray:
    return draw_conditions(scene_of(number).seed, SIZES, six)


@cache
def true(number: int, style: str, six: bool) -> np.ndarray:
    return scene_of(number).truth(style, six).colour


class Painter:
    """A model that returns the true pictures of the condition's scene; with control weight 0, grey ones."""

    def __init__(self, fingerprint: str = "one") -> None:
        self.settings, self.device, self.calls = SETTINGS, torch.device("cpu"), []
        self._fingerprint = fingerprint

    def sizes(self, frames=None):
        return SIZES

    def fingerprint(self):
        return self._fingerprint

    def encode(self, captions):
        pass

    def front(self, caption, condition, seed, weight=None):
        self.calls.append(("front", seed, weight))
        made = true(_number(condition[None], False), "Night" if " night" in caption else "Sunny", False)[0]
        noise = np.random.default_rng(seed).integers(0, 3, made.shape)
        return (made // 4 + 90 if weight == 0 else (made.clip(2) - noise).astype(np.uint8)), 1.5

    def six(self, caption, style, front, condition, seed, weight=None):
        self.calls.append(("six", seed, weight))
        return true(_number(condition, True), style, True), 2.5


def _number(condition: np.ndarray, six: bool) -> int:
    return next(number for number in range(3) if np.array_equal(drawn(number, six), condition))


def test_psnr_counts_the_masks_pixels():
    grey = np.full((2, 4, 4, 3), 100, np.uint8)
    made = grey.copy()
    made[0, :2] += 10
    mask = np.zeros((2, 4, 4), bool)
    mask[0, :2] = True
    assert figures.psnr(made, grey, mask) == pytest.approx(10 * np.log10(255**2 / 100), abs=1e-4)
    assert figures.psnr(made, grey, ~mask) == 99
    mask[0, 2:] = True
    assert figures.psnr(made, grey, mask) == pytest.approx(10 * np.log10(255**2 / 50), abs=1e-4)
    assert figures.psnr(made, grey, np.zeros_like(mask)) is None


def row(kind, scene=0, style="Sunny", **values):
    light = {"luminance": 100.0, "ground": 80.0, "far_contrast": 0.4}
    whole = {"front": 121, "six": 57}.get(kind, 121)
    known = {"psnr": 25.0, "marks": 18.0, "light": light, "true_light": light, "apart": 0.1, "true_apart": 0.05}
    known |= {"luminance": 100.0, "true_luminance": 100.0, "views": [20.0, 21.0, None, 22.0, 23.0], "given": 30.0}
    known |= {"device": "cpu", "threads": 2, "frames": whole, "seconds": 10.0, "peak_gb": 1.5, "run": "x"}
    return {"kind": kind, "scene": scene, "style": style, **known, **values}


def test_rows_become_figures_with_bounds():
    dark = {"luminance": 40.0, "ground": 30.0, "far_contrast": 0.2}
    rows = [
        row("front"),
        row("front", 1, psnr=15.0),
        row("front", 0, "Night", light=dark),
        row("swapped", psnr=20.0),
        row("uncontrolled", psnr=24.0),
        row("six", seconds=100.0),
        row("six", 1, apart=None),
        row("front", 2, device="NVIDIA", seconds=1.0),
        row("reseeded", difference=4.0),
    ]
    found = {figure.name: figure for figure in figures.figures(rows)}
    follows = found["front video follows the map"]
    assert (follows.value, follows.worst, follows.count, follows.passed) == (22.5, 15.0, 4, True)
    assert found["front: lost with another clip's map"].value == 5 and found["two seeds differ"].passed
    assert found["front: lost with control weight 0"].passed is False
    assert found["luminance, Night / Sunny"].value == pytest.approx(0.4)
    assert found["luminance, Night / Sunny"].true == pytest.approx(1.0)
    assert found["ground brightness, Snowy / Sunny"].passed is None
    assert (
        found["front and cross views differ"].value == pytest.approx(10)
        and found["front and cross views differ"].count == 1
    )
    assert found["121 front frames, 2 CPU cores"].value == 10  # not the GPU's
    assert found["six views of 57 frames, 2 CPU cores"].passed is True  # by its mean
    assert found["six views of 57 frames, 2 CPU cores"].worst == 100
    assert figures.by_view(rows) == [20, 21, None, 22, 23]
    text = report.report_text(rows)
    assert "| front: lost with control weight 0 | >= 3 dB | 1.00 dB | 1.00 |  | 1 | FAIL |" in text
    assert "| Night | 25.00 | 18.00 |" in text and "| not measured |" in text


def test_true_pictures_pass_and_a_run_goes_on_where_it_stopped(tmp_path):
    path, painter, plan = tmp_path / "rows.jsonl", Painter(), EvaluationPlan(2, ("Sunny", "Night"), KINDS, every=1)
    said: list[str] = []
    rows = measure_bundle(painter, replace(plan, scenes=1), path, minutes=0, say=said.append)
    assert [each["kind"] for each in rows] == ["front"] and "stopped after 0 minutes" in said[-1]
    with path.open("a") as file:
        file.write('{"kind": "swap')  # cut off
    rows = measure_bundle(painter, plan, path, say=said.append)
    assert len(rows) == len(plan.videos()) == 28 and rows == read_rows([path])
    calls = len(painter.calls)
    assert measure_bundle(painter, plan, path, say=said.append) == rows and len(painter.calls) == calls
    assert calls == 28 + 1  # the first front video was made again for those that follow it
    found = {figure.name: figure for figure in figures.figures(rows)}
    for name in ("front video follows the map", "five views follow the map", "front video, marks and objects"):
        assert found[name].value > 40, name
    for name in (
        "front: lost with another clip's map",
        "front: lost with control weight 0",
        "luminance, Night / Sunny",
    ):
        assert found[name].passed, name
    assert 0.5 < found["two seeds differ"].value < 1.5
    assert found["front and cross views differ"].value == pytest.approx(found["front and cross views differ"].true)
    assert found["121 front frames, 2 CPU cores"].count == 0  # two frames are none


def test_rows_of_another_bundle_are_refused_and_other_files_count(tmp_path):
    plan, quiet = EvaluationPlan(1, ("Sunny",), ("front",), every=4), lambda said: None
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    measure_bundle(Painter(), plan, first, say=quiet)
    assert len(measure_bundle(Painter(), plan, second, [first], say=quiet)) == 1 and not second.exists()
    with pytest.raises(DreamkitError, match="another bundle"):
        measure_bundle(Painter("two"), plan, first, say=quiet)
    append_row(second, row("front"))
    with pytest.raises(DreamkitError, match=r"second\.jsonl holds"):
        read_rows([first, second])


def test_conditions_drawn_by_a_pool_are_the_same():
    seed = scene_seed(3, 1)
    with ThreadPoolExecutor(2) as pool:
        ahead = ConditionCache(SIZES, pool)
        ahead.request(seed, True)
        assert np.array_equal(ahead.get(seed, True), ConditionCache(SIZES).get(seed, True))
    assert 1_000 < scene_seed(0, 0) < seed < scene_seed(299, 999) < 1_000_000  # no sample clip, no training scene


def test_the_demos_settings_are_taken_unless_given(monkeypatch):
    front = yaml.safe_load((shipped_folder("params") / "demo" / "04_single_view.yaml").read_text())
    six = yaml.safe_load((shipped_folder("params") / "demo" / "05_multi_view.yaml").read_text())
    found = demo_settings(six_guidance=2.0, steps=None)
    assert (found.steps, found.guidance, found.six_steps) == (front["num_steps"], front["guidance"], six["num_steps"])
    assert (found.weight, found.six_guidance) == (1.0, 2.0)
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(DreamkitError, match="The demo's parameters cannot be read: import of yaml halted") as caught:
        demo_settings(steps=4)
    assert "six_steps" in caught.value.hint
    assert demo_settings(steps=1, guidance=1.0, weight=1.0, six_steps=1, six_guidance=1.0, six_weight=1.0) == SETTINGS


def test_the_command_measures_a_bundle_and_writes_report_and_sheets(tmp_path, micro_checkpoints, capsys):
    rows = tmp_path / "out" / "rows.jsonl"
    options = [
        "figures",
        str(rows),
        "--checkpoints",
        str(micro_checkpoints),
        "--trust",
        "--steps",
        "1",
        "--device",
        "cpu",
    ]
    assert (
        command.run_tinyworld([*options, "--scenes", "1", "--styles", "Sunny", "--kinds", "front,six", "--every", "8"])
        == 0
    )
    assert len(read_rows([rows])) == 2 and "FAIL" in rows.with_suffix(".md").read_text()
    facts = json.loads(rows.with_suffix(".json").read_text())
    assert facts["videos"] == 2 and {"cross_left_120fov", "rear_tele_30fov"} < set(facts["views"])
    made_up = ["--scenes", "0", "--styles", "Sunny,Night", "--sheets", str(tmp_path / "sheets")]
    assert command.run_tinyworld([*options, *made_up]) == 0
    written = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    clip = f"made_up_{scene_seed(0, 0):06d}"
    names = ("Night_six", "Sunny_six", "front", "front_true")
    assert written == [f"{clip}_{name}.png" for name in names]
    assert cv2.imread(str(tmp_path / "sheets" / f"{clip}_front.png")).shape[0] > 3 * 32
    sample_clip.write_condition_clip(tmp_path / "ws", frames=3, height=88, width=160)
    real = ["--workspace", str(tmp_path / "ws"), "--styles", "Original"]
    assert command.run_tinyworld([*options, *made_up, *real]) == 0
    assert (tmp_path / "sheets" / f"{sample_clip.CURVE}_front.png").is_file()
    assert "written:" in capsys.readouterr().out


def test_the_pictures_of_the_readme_are_of_the_first_held_out_scenes(tmp_path, micro_checkpoints, capsys):
    options = ["--checkpoints", str(micro_checkpoints), "--trust", "--steps", "1", "--device", "cpu", "--scenes", "2"]
    assert command.run_tinyworld(["pictures", str(tmp_path), *options]) == 0
    printed = capsys.readouterr().out
    assert f"scene 0, {STYLES[0]}" in printed and f"scene 1, {STYLES[1]}" in printed
    assert Image.open(tmp_path / "front.jpg").width == Image.open(tmp_path / "six.jpg").width == 1000
    moving = Image.open(tmp_path / "front.gif")
    assert moving.n_frames > 2 and (tmp_path / "front.gif").stat().st_size <= pictures.GIF_BYTES
    with pytest.raises(DreamkitError, match="--scenes 0"):
        command.run_tinyworld(["pictures", str(tmp_path), "--scenes", "0"])


def test_an_animation_is_made_smaller_until_it_fits():
    noise = np.random.default_rng(0).integers(0, 255, (9, 32, 48, 3), np.uint8)
    video = pictures.SceneVideo(scene_of(0), noise, "Sunny", noise, 0)
    whole = pictures.animation([video])
    smaller = pictures.animation([video], len(whole) - 1)
    assert Image.open(io.BytesIO(smaller)).width < Image.open(io.BytesIO(whole)).width
    with pytest.raises(DreamkitError, match="over 100 bytes at every width"):
        pictures.animation([video], 100)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--styles", "Rainny"], "no style 'Rainny'"),
        (["--kinds", "sixx"], "no kind 'sixx'"),
        (["--every", "0"], "--every"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(DreamkitError, match=words):
        command.run_tinyworld(["figures", *options])


def test_a_sheet_has_a_labelled_row_for_each_style():
    picture = np.full((2, 8, 16, 3), 200, np.uint8)
    page = sheets.sheet("title", ["0.0 s", "1.0 s"], {"map": picture, "Sunny": picture}, scale=2)
    values = np.asarray(page)
    assert (values == 200).all(-1).sum() == 2 * 2 * 16 * 32
    assert page.width > 2 * 32 + 100


def test_a_workspace_without_captions_is_refused(tmp_path):
    with pytest.raises(DreamkitError, match="no captions"):
        sheets.workspace_clip(Painter(), tmp_path)
