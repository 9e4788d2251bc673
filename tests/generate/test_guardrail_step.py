"""Runs with a guardrail: ten clips with three blocked ones, records, second runs, the six views, sidecars."""

import importlib.util
import json

import cv2
import fakes
import guardrail_files
import numpy as np
import pytest
import torch
from fakes import put_checkpoints, put_clip

from dreamkit.captions import files as caption_files
from dreamkit.generate import run as generate_run
from dreamkit.generate.guardrail_step import user_texts
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.generate.plan import make_plan
from dreamkit.guardrail import faces, model_files
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

CHECKS = ["llama_guard", "content", "faces"]
UNSAFE = f"a bus with {guardrail_files.UNSAFE_WORD} on the road"
COLOURS = {"red": (200, 20, 20), "green": (20, 230, 20), "dark": (7, 7, 7)}
CLIP = Chunk("clip_a")
pytestmark = pytest.mark.usefixtures("one_thread", "disc_network")


class PaintedSingle(fakes.FakeSingle):
    """Frames of the colour that the prompt names, with a white disc where it names one."""

    def __call__(self, prompt, controls, **values):
        frames = super().__call__(prompt, controls, **values)
        for word, colour in COLOURS.items():
            if word in prompt.split():
                frames = np.broadcast_to(np.array(colour, np.uint8), frames.shape).copy()
        if "disc" in prompt.split():
            frames[:] = 60
            cv2.circle(frames[1], (28, 16), 17, (255, 255, 255), -1)
        return frames


@pytest.fixture
def ws(tmp_path, monkeypatch, guardrail_root):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_PROGRESS", "lines")
    put_checkpoints(tmp_path / "checkpoints")
    for name in (model_files.COSMOS, model_files.LLAMA):
        link = tmp_path / "checkpoints" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(guardrail_root / name)
    return Workspace("outputs")


@pytest.fixture
def pipes(monkeypatch):
    loaded = []

    def load(plan, ws):
        loaded.append(PaintedSingle() if plan.stage == "single_view" else fakes.FakeMulti())
        return loaded[-1]

    monkeypatch.setattr(generate_run, "load_pipeline", load)
    return loaded


def put(ws, clip, prompt, all_views=False, **values):
    """A clip's caption and its condition video of the front camera, or of all six."""
    if all_views:
        put_clip(ws, clip, styles=("Night",), **values)
    else:
        video.write_video(ws.condition("hdmap", SIX_VIEWS.front, Chunk(clip)), fakes.picture(**values), 30)
    caption_files.write_style_captions(ws.captions, clip, {"Night": prompt})


def single(ws, **values):
    return generate_run.single_view(
        ws, SingleViewParams(num_steps=2, **{"guardrail": CHECKS, "device": "cpu"} | values)
    )


def states(results):
    return {result.name: result.state for result in results.results}


def blocked_record(ws, chunk=CLIP, stage="single_view"):
    return json.loads(ws.blocked(stage, chunk, "Night").read_text())


def test_ten_clips_of_which_three_are_blocked(ws, pipes, monkeypatch):
    for number in range(7):
        put(ws, f"good_{number}", f"the road in the rain {number}")
    put(ws, "bad_prompt", UNSAFE)
    put(ws, "bad_video", "a red car on the road")
    put(ws, "no_verdict", "a dark road")
    find = faces.FaceCheck.find

    def find_or_fail(self, frames):
        if frames.max() == 7:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return find(self, frames)

    monkeypatch.setattr(faces.FaceCheck, "find", find_or_fail)
    results = single(ws)
    found = states(results)
    assert sorted(name for name, state in found.items() if state == "made") == [f"good_{n}_Night" for n in range(7)]
    blocked = {result.name: result.reason for result in results.results if result.state == "blocked"}
    assert blocked == {
        "bad_prompt_Night": "Blocked by the check llama_guard of the prompt: Llama Guard answers unsafe: "
        "S9 Indiscriminate Weapons.",
        "bad_video_Night": "Blocked by the check content of the video: 0% of the frames are safe, 95% are needed; "
        "drugs on 5 of 5.",
        "no_verdict_Night": "Blocked because the check faces of the video could not decide: CUDA out of memory.",
    }
    assert len(pipes) == 1
    assert len(pipes[0].calls) == 9  # no time for the blocked prompt
    assert UNSAFE not in pipes[0].texts[0]
    folder = ws.root / "single_view"
    assert sorted(path.name for path in folder.iterdir() if "good" not in path.name) == [
        "bad_prompt_Night.blocked.json",
        "bad_video_Night.blocked.json",
        "no_verdict_Night.blocked.json",
    ]
    assert not list(folder.glob(".partial*"))
    for name, reason in blocked.items():
        assert name in str(results) and reason in str(results)
        assert reason.split(":")[0] in results._repr_html_()
    assert "Guardrail: llama_guard, content, faces; 3 blocked." in str(results)
    assert len(ws.sidecars("single_view")) == 7
    assert len(ws.manifest.read_text().splitlines()) == 7


def test_the_sidecar_and_the_record_say_what_was_asked_what_ran_and_what_came_out(ws, pipes):
    put(ws, "clip_a", "a disc on the road")
    put(ws, "clip_b", "a green car")
    single(ws, guardrail_stride=2)
    entry = ws.read_sidecar("single_view", CLIP, "Night")["guardrail"]
    assert (entry["asked"], entry["ran"], entry["blocked"], entry["stride"]) == (CHECKS, CHECKS, False, 2)
    assert [verdict["check"] for verdict in entry["verdicts"]] == CHECKS
    assert entry["verdicts"][0]["scores"] == {"answer": "safe"}
    assert entry["verdicts"][1]["scores"]["frames"] == 3
    told = entry["verdicts"][2]["scores"]
    assert (told["faces"] >= 1, told["frames_with_faces"], told["frames"]) == (True, 1, 5)
    assert "Faces pixelated" in entry["note"]
    assert entry["versions"]["content"]["files"].startswith("sha256:")
    assert entry["versions"]["content"]["libraries"]["transformers"]
    record = blocked_record(ws, Chunk("clip_b"))
    assert {"stage", "clip", "chunk", "style", "identity", "seed", "seconds"} <= set(record)
    entry = record["guardrail"]
    assert (entry["asked"], entry["ran"], entry["blocked"]) == (CHECKS, ["llama_guard"], True)
    assert "class 2, which has no name" in entry["reason"]


def test_a_second_run_skips_a_blocked_video_and_asks_again_about_what_failed(ws, pipes):
    put(ws, "clip_a", "a red car")
    put(ws, "clip_b", "a green car")
    put(ws, "clip_c", UNSAFE)
    put(ws, "clip_d", "the road")
    first = single(ws)
    assert len(pipes[0].calls) == 3
    second = single(ws)
    assert len(pipes[1].calls) == 1  # the video without a verdict
    names = ["clip_a_Night", "clip_b_Night", "clip_c_Night"]
    assert states(second) == {**states(first), "clip_d_Night": "done before"}
    assert [states(second)[name] for name in names] == ["blocked"] * 3
    assert single(ws, seed=2).results[0].state == "blocked"
    assert len(pipes[2].calls) == 3  # another seed is another video; the unsafe prompt stays unsafe
    mended = single(ws, guardrail=["content"], clips=["clip_c"])
    assert states(mended) == {"clip_c_Night": "made"}
    assert not ws.blocked("single_view", Chunk("clip_c"), "Night").exists()


def test_other_checks_make_a_video_anew_and_its_earlier_file_stays_when_it_is_blocked(ws, pipes, caplog):
    put(ws, "clip_a", "a red car")
    assert states(single(ws, guardrail="none")) == {"clip_a_Night": "made"}
    before = ws.single_view(CLIP, "Night").read_bytes()
    assert states(single(ws)) == {"clip_a_Night": "blocked"}
    assert ws.single_view(CLIP, "Night").read_bytes() == before
    assert "of an earlier run, which this guardrail did not check, is left as it is" in caplog.text
    assert states(single(ws, guardrail="none")) == {"clip_a_Night": "done before"}
    put(ws, "clip_b", "the road")
    for asked, state in (("none", "made"), (["content"], "made"), ("content", "done before"), ("none", "made")):
        assert states(single(ws, guardrail=asked, clips=["clip_b"])) == {"clip_b_Night": state}


def test_a_check_without_its_files_blocks_before_any_model_is_loaded(ws, pipes):
    (ws.root.parent / "checkpoints" / model_files.COSMOS).unlink()
    put(ws, "clip_a", "the road")
    results = single(ws)
    assert states(results) == {"clip_a_Night": "blocked"}
    assert "snapshots of SigLIP" in results.results[0].reason
    assert "faces" in results.results[0].reason
    assert pipes == []
    assert blocked_record(ws)["guardrail"]["ran"] == ["llama_guard"]


def test_six_views_of_a_blocked_front_video_are_blocked_too(ws, pipes):
    put(ws, "clip_a", UNSAFE, all_views=True)
    put(ws, "clip_b", "the road", all_views=True)
    single(ws)
    for asked in ("none", CHECKS):
        results = generate_run.multi_view(ws, MultiViewParams(num_steps=2, guardrail=asked, device="cpu"))
        assert states(results) == {"clip_b_Night": "made", "clip_a_Night": "blocked"}
        entry = blocked_record(ws, stage="multi_view")["guardrail"]
        assert entry["blocked"] is True
        assert entry["reason"].startswith("Its front video was blocked. Blocked by the check llama_guard")
    assert ws.read_sidecar("multi_view", Chunk("clip_b"), "Night")["guardrail"]["verdicts"][1]["scores"]["frames"] == 30
    put(ws, "clip_a", "the road", all_views=True)
    single(ws)
    results = generate_run.multi_view(ws, MultiViewParams(num_steps=2, guardrail=CHECKS, device="cpu"))
    assert states(results) == {"clip_a_Night": "made", "clip_b_Night": "done before"}
    assert not ws.blocked("multi_view", CLIP, "Night").exists()


def test_a_blocked_view_publishes_none_of_the_six(ws, pipes, monkeypatch):
    put(ws, "clip_a", "the road", all_views=True)
    single(ws, guardrail="none")
    make = fakes.FakeMulti.__call__

    def red_rear(self, *args, **values):
        views = make(self, *args, **values)
        views[3] = np.array(COLOURS["red"], np.uint8)
        return views

    monkeypatch.setattr(fakes.FakeMulti, "__call__", red_rear)
    results = generate_run.multi_view(ws, MultiViewParams(num_steps=2, guardrail=CHECKS, device="cpu"))
    assert "of the frames in view 3 are safe" in results.results[0].reason
    assert sorted(path.name for path in (ws.root / "multi_view").iterdir()) == ["clip_a_Night.blocked.json"]
    monkeypatch.setattr("IPython.display.display", lambda *outputs: pytest.fail("there is nothing to show"))
    results.show()


def test_faces_are_pixelated_in_the_file(ws, pipes):
    put(ws, "clip_a", "a disc on the road")
    single(ws, guardrail="none")
    path = ws.single_view(CLIP, "Night")
    sharp = video.read_frames(path, video.probe(path), 5, (32, 56))
    single(ws)
    coarse = video.read_frames(path, video.probe(path), 5, (32, 56))
    difference = np.abs(sharp.astype(int) - coarse).max(axis=(1, 2, 3))
    assert difference[1] > 40
    assert (difference[[0, 2, 3, 4]] < 20).all()


def test_only_the_users_words_are_checked(ws, pipes):
    put(ws, "clip_a", "the road", all_views=True)
    single(ws, guardrail="none")
    plan = make_plan(ws, MultiViewParams(guardrail="prompts"))
    assert user_texts(plan.jobs[0], plan.rig, plan.params) == ["the road"]
    weather = make_plan(ws, MultiViewParams(guardrail="prompts", side_weather=True))
    assert len(user_texts(weather.jobs[0], weather.rig, weather.params)) == 2
    own = make_plan(ws, SingleViewParams(guardrail="prompts", negative_prompt=UNSAFE))
    assert user_texts(own.jobs[0], own.rig, own.params) == ["the road", UNSAFE]
    assert states(single(ws, negative_prompt=UNSAFE)) == {"clip_a_Night": "blocked"}


def test_full_from_prompt_to_sidecar(ws, pipes):
    for name in ("better_profanity", "nltk"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    put(ws, "clip_a", "a car on the road")
    put(ws, "clip_b", "a grotzel on the road")
    put(ws, "clip_c", "一辆汽车")
    results = single(ws, guardrail="full")
    assert states(results) == {"clip_a_Night": "made", "clip_b_Night": "blocked", "clip_c_Night": "blocked"}
    assert "has a blocked word" in results.results[1].reason
    assert "translate it" in results.results[2].reason
    assert ws.read_sidecar("single_view", CLIP, "Night")["guardrail"]["ran"] == [
        "blocklist",
        "llama_guard",
        "content",
        "faces",
    ]
