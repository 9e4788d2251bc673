import json
import logging
import os
from collections import Counter
from pathlib import Path

import fakes
import pytest
import torch
from fakes import put_checkpoints, put_clip

from dreamkit.captions.files import write_style_captions
from dreamkit.errors import DreamkitError
from dreamkit.generate import input_videos
from dreamkit.generate import run as generate_run
from dreamkit.generate.outcome import RunOutcome
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.notebook import interruption
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT
from dreamkit.transfer.windows import joined_windows, multi_view_windows
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

CLIP = Chunk("clip_a")


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DREAMKIT_PROGRESS", "lines")
    put_checkpoints(tmp_path / "checkpoints")
    return Workspace("outputs")


@pytest.fixture
def pipes(monkeypatch):
    """Every pipeline that a run loads, in order."""
    loaded = []

    def load(plan, ws):
        loaded.append(fakes.FakeSingle() if plan.stage == "single_view" else fakes.FakeMulti())
        return loaded[-1]

    monkeypatch.setattr(generate_run, "load_pipeline", load)
    return loaded


def single(ws, **values):
    return generate_run.single_view(ws, SingleViewParams(num_steps=2, **values))


def multi(ws, **values):
    return generate_run.multi_view(ws, MultiViewParams(num_steps=2, **values))


def files(root):
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] in ("single_view", "multi_view")
    )


@pytest.mark.parametrize(("where", "guidance", "told"), [("tiny", 5, 1), ("tiny", 0, 0), ("checkpoints", 5, 0)])
def test_guidance_is_advised_against_with_the_tiny_bundle(ws, pipes, caplog, where, guidance, told):
    put_clip(ws)
    single(ws, checkpoints=where, guidance=guidance, styles=["Night"])
    assert caplog.text.count("was trained to run without guidance") == told


def test_front_video_then_six_views(ws, pipes):
    put_clip(ws)
    made = single(ws)
    assert [result.state for result in made.results] == ["made", "made"]
    multi(ws, styles=["Night"])
    views = [f"multi_view/clip_a_Night/{name}.mp4" for name in (*range(6), "grid")]
    assert files(ws.root) == sorted(
        [
            *(f"single_view/clip_a_{style}.{kind}" for style in ("Original", "Night") for kind in ("mp4", "json")),
            *views,
            "multi_view/clip_a_Night/prompt.json",
            "multi_view/clip_a_Night.json",
        ]
    )
    for name in views:
        info = video.probe(ws.root / name)
        assert (info.frames, info.fps) == (5, 24)
    assert video.probe(ws.grid(CLIP, "Night")).width == 3 * 56
    prompts = json.loads(ws.prompts(CLIP, "Night").read_text())
    assert prompts["front_wide_120fov"].endswith("facing forward. A road, Night.")
    assert prompts["rear_tele_30fov"].endswith("facing backwards.")
    assert pipes[1].calls[0]["shapes"] == {"hdmap": (6, 5, 32, 56, 3)}
    rows = [json.loads(line) for line in ws.manifest.read_text().splitlines()]
    assert [(row["stage"], row["style"]) for row in rows] == [
        ("single_view", "Night"),
        ("single_view", "Original"),
        ("multi_view", "Night"),
    ]


def test_the_other_views_are_told_the_weather_when_asked(ws, pipes):
    put_clip(ws)
    single(ws)
    multi(ws, styles=["Night"])
    plain = json.loads(ws.prompts(CLIP, "Night").read_text())
    made = multi(ws, styles=["Night"], side_weather=True)
    assert [result.state for result in made.results] == ["made"]
    told = json.loads(ws.prompts(CLIP, "Night").read_text())
    assert told["front_wide_120fov"] == plain["front_wide_120fov"]
    for camera in list(told)[1:]:
        assert told[camera].startswith(plain[camera]) and len(told[camera]) > len(plain[camera])
    assert ws.read_sidecar("multi_view", CLIP, "Night")["side_weather"] is True


def test_the_sidecar_tells_everything(ws, pipes):
    put_clip(ws, controls=("hdmap", "lidar"), styles=("Night",))
    single(ws, controls=["hdmap", "lidar"], control_weight={"hdmap": 0.3, "lidar": 0.7})
    record = ws.read_sidecar("single_view", CLIP, "Night")
    assert record["prompt"] == "A road, Night."
    assert record["negative_prompt"] == NEGATIVE_PROMPT
    assert (record["steps"], record["guidance"], record["frames"], record["fps"]) == (2, 5.0, 5, 24)
    assert record["controls"]["lidar"]["weight"] == 0.7
    assert record["size"] == {"height": 32, "width": 56}
    assert record["guardrail"]["ran"] == []
    assert "No guardrail ran" in record["guardrail"]["note"]
    assert set(record["identity"]["inputs"]) == {"hdmap/front_wide_120fov", "lidar/front_wide_120fov"}
    assert "nvidia/Cosmos-Transfer1-7B-Sample-AV/lidar_control.pt" in record["identity"]["checkpoints"]
    assert record["pipeline"]["attention"] == "fake"
    assert "torch" in record["versions"]
    assert pipes[0].calls[0]["weights"] == {"hdmap": 0.3, "lidar": 0.7}
    assert pipes[0].texts == [["A road, Night.", NEGATIVE_PROMPT]]
    assert "No guardrail ran" in ws.log_file("single_view").read_text()


def test_what_is_done_is_skipped_without_loading_a_model(ws, pipes):
    put_clip(ws)
    single(ws)
    again = single(ws, device="cpu", offload=True)
    assert [result.state for result in again.results] == ["done before", "done before"]
    assert len(pipes) == 1


def test_another_preset_is_another_result_and_says_what_it_computed(ws, pipes):
    put_clip(ws, styles=("Night",))
    single(ws)
    record = ws.read_sidecar("single_view", CLIP, "Night")
    assert record["preset"] == "exact" and "computed_evaluations" not in record
    assert single(ws, preset="fast").results[0].state == "made"
    record = ws.read_sidecar("single_view", CLIP, "Night")
    assert record["preset"] == record["identity"]["parameters"]["preset"] == "fast"
    assert record["computed_evaluations"] == [0, 1, 2]
    assert single(ws).results[0].state == "made"


@pytest.mark.parametrize("change", ["steps", "caption", "condition", "checkpoint", "weight"])
def test_what_changed_is_made_again(ws, pipes, change, tmp_path):
    put_clip(ws, styles=("Night",))
    single(ws)
    values = {}
    if change == "steps":
        values = {"guidance": 4.0}
    elif change == "weight":
        values = {"control_weight": 0.5}
    elif change == "caption":
        (ws.captions / "clip_a.json").write_text('{"Night": "Another road."}')
    elif change == "condition":
        video.write_video(ws.condition("hdmap", SIX_VIEWS.front, CLIP), fakes.picture(6), 30)
    elif change == "checkpoint":
        (tmp_path / "checkpoints/nvidia/Cosmos-Transfer1-7B-Sample-AV/base_model.pt").write_text("retrained")
    assert single(ws, **values).results[0].state == "made"


def test_the_users_own_video_is_used_and_kept(ws, pipes):
    put_clip(ws, styles=("Night",))
    own = ws.single_view(CLIP, "Night")
    video.write_video(own, fakes.picture(5, 64, 112), 24)
    before = own.read_bytes()
    assert single(ws).results[0].state == "your own, kept"
    assert own.read_bytes() == before
    assert not pipes
    assert multi(ws).results[0].state == "made"
    assert pipes[0].calls[0]["front"] == (5, 32, 56, 3)
    assert single(ws, overwrite=True).results[0].state == "made"
    assert own.read_bytes() != before


def test_a_video_put_over_ours_counts_as_the_users(ws, pipes):
    put_clip(ws, styles=("Night",))
    single(ws)
    video.write_video(ws.single_view(CLIP, "Night"), fakes.picture(5), 24)
    assert single(ws).results[0].state == "changed since, kept"


def test_a_killed_run_continues(ws, pipes, monkeypatch):
    put_clip(ws)
    publish = generate_run.publish

    def killed(ws, plan, job, files, record):
        if job.style == "Night":
            raise KeyboardInterrupt
        return publish(ws, plan, job, files, record)

    with monkeypatch.context() as patch:
        patch.setattr(generate_run, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            single(ws)
    assert video.probe(ws.single_view(CLIP, "Original")).frames == 5
    assert not ws.single_view(CLIP, "Night").exists()
    assert [result.state for result in single(ws).results] == ["done before", "made"]


def test_killed_between_sidecar_and_video_is_made_again(ws, pipes):
    put_clip(ws, styles=("Night",))
    single(ws)
    multi(ws)
    ws.single_view(CLIP, "Night").unlink()
    ws.view(CLIP, "Night", 3).unlink()
    assert single(ws).results[0].state == "made"
    assert multi(ws).results[0].state == "made"


def test_seeds_are_stable_and_differ_by_clip_and_style(ws, pipes):
    put_clip(ws)
    put_clip(ws, clip="clip_b")
    single(ws)
    seeds = [call["seed"] for call in pipes[0].calls]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**31 - 2**16 for seed in seeds)
    assert seeds[0] == 564885350  # of seed 1, clip_a, Original: stable over versions
    single(ws, seed_mode="upstream", seed=7)
    assert {call["seed"] for call in pipes[1].calls} == {7}


@pytest.mark.parametrize(("frames", "made"), [(57, 57), (121, 121), (190, 121), (646, 121)])
def test_inputs_of_any_length(ws, pipes, frames, made):
    put_clip(ws, frames=frames, styles=("Night",))
    single(ws)
    assert video.probe(ws.single_view(CLIP, "Night")).frames == made
    multi(ws)
    assert video.probe(ws.view(CLIP, "Night", 5)).frames == made
    assert pipes[0].calls[0]["windows"] == "first"


def test_frames_cuts_the_inputs_before_windows_are_counted(ws, pipes, capsys):
    put_clip(ws, frames=121, styles=("Night",))
    single(ws)
    multi(ws, frames=105)
    assert pipes[-1].encoded[0] == multi_view_windows(105, 57, 9, extension=True)
    assert pipes[-1].encoded[0].starts == (0, 48)
    record = ws.read_sidecar("multi_view", CLIP, "Night")
    assert record["frames"] == record["identity"]["parameters"]["frames"] == 105
    assert video.probe(ws.view(CLIP, "Night", 5)).frames == 105
    assert "the shorter one counts" not in capsys.readouterr().out
    assert multi(ws, frames=105).results[0].state == "done before"
    assert multi(ws, frames=105, windows="joined").results[0].state == "made"
    record = ws.read_sidecar("multi_view", CLIP, "Night")
    assert pipes[-1].encoded[0].joined and record["window_starts"] == list(pipes[-1].encoded[0].starts)
    assert record["windows"] == record["identity"]["parameters"]["windows"] == "joined"
    assert multi(ws, frames=105, windows="joined", num_input_frames=1).results[0].state == "done before"
    assert multi(ws).results[0].state == "made"
    assert "frames" not in ws.read_sidecar("multi_view", CLIP, "Night")["identity"]["parameters"]
    assert multi(ws, frames=121).results[0].state == "done before"  # as many as there are: no cut


def test_long_views_are_joined_by_default_and_earlier_ones_stay_valid(ws, pipes, capsys):
    """Up to 121 frames the default makes what it made before; longer views are joined, and the sidecar says so."""
    put_clip(ws, frames=130, styles=("Night",))
    single(ws, windows="all")
    assert multi(ws, frames=121).results[0].state == "made"
    record = ws.read_sidecar("multi_view", CLIP, "Night")
    assert record["windows"] == "extension" and "window_starts" not in record
    assert "windows" not in record["identity"]["parameters"]  # as earlier versions wrote it
    assert multi(ws, frames=121, windows="extension").results[0].state == "done before"
    assert multi(ws, windows="extension").results[0].state == "made"
    assert multi(ws).results[0].state == "done before"  # of an earlier version, or by extension on purpose
    assert multi(ws, windows="joined").results[0].state == "made"
    assert multi(ws).results[0].state == "done before"
    assert multi(ws, windows="extension").results[0].state == "made"
    capsys.readouterr()
    assert multi(ws, seed=3).results[0].state == "made"
    record = ws.read_sidecar("multi_view", CLIP, "Night")
    assert record["windows"] == record["identity"]["parameters"]["windows"] == "joined"
    assert pipes[-1].encoded[0] == joined_windows(130, 57, 1) and record["frames"] == 130
    assert "130 frames, so 3 windows that overlap are denoised together; windows: extension" in capsys.readouterr().out


def test_more_frames_than_the_clip_has_are_refused_before_a_model_loads(ws, pipes):
    put_clip(ws, frames=9, styles=("Night",))
    with pytest.raises(
        DreamkitError, match="The parameter frames is 10, but clip_a_Night can have 9 at most"
    ) as caught:
        single(ws, frames=10)
    assert "\n" not in caught.value.message
    assert not pipes and files(ws.root) == []


def test_frames_of_one_window_are_the_first_ones(ws, pipes):
    put_clip(ws, frames=190, styles=("Night",))
    single(ws)
    assert single(ws, frames=150).results[0].state == "done before"  # windows: first makes 121 of both
    single(ws, frames=30)
    assert video.probe(ws.single_view(CLIP, "Night")).frames == 30


def test_presets_that_bound_memory_count_as_exact(ws, pipes):
    put_clip(ws, styles=("Night",))
    single(ws, preset="16gb")
    assert ws.read_sidecar("single_view", CLIP, "Night")["preset"] == "16gb"
    assert single(ws).results[0].state == "done before"


def test_all_windows_warn_of_the_jump(ws, pipes, capsys):
    put_clip(ws, frames=190, styles=("Night",))
    single(ws, windows="all")
    assert video.probe(ws.single_view(CLIP, "Night")).frames == 190
    assert "jumps every 120 frames" in capsys.readouterr().out


def test_joined_windows_are_planned_named_and_made_again(ws, pipes, capsys):
    """The sidecar has the starts of joined windows; results of `windows: all` and of `joined` are different results."""
    put_clip(ws, frames=190, styles=("Night",))
    single(ws, windows="joined")
    assert pipes[0].encoded[0] == joined_windows(190, 121) and pipes[0].calls[0]["windows"] == "joined"
    told = capsys.readouterr().out
    assert "jumps" not in told and "2 windows that overlap are denoised together" in told
    record = ws.read_sidecar("single_view", CLIP, "Night")
    assert (record["windows"], record["window_starts"], record["frames"]) == ("joined", [0, 72], 190)
    assert single(ws, windows="joined").results[0].state == "done before"
    assert single(ws, windows="all").results[0].state == "made"
    assert "window_starts" not in ws.read_sidecar("single_view", CLIP, "Night")


def test_t2w_alone_makes_one_window_and_says_why(ws, pipes, capsys, tmp_path):
    for path in (tmp_path / "checkpoints").rglob("v2w_*"):
        path.unlink()
    put_clip(ws, frames=121, styles=("Night",))
    single(ws)
    multi(ws)
    assert video.probe(ws.view(CLIP, "Night", 5)).frames == 57
    assert (
        "57 of 121 frames are made: longer ones need v2w_base_model.pt and v2w control files" in capsys.readouterr().out
    )


@pytest.mark.parametrize("fps", [10, 24, 30])
@pytest.mark.parametrize("rows", [704, 720])
def test_inputs_of_any_rate_and_size(ws, pipes, fps, rows, capsys):
    put_clip(ws, frames=3, fps=fps, height=rows // 8, width=160, styles=("Night",))
    single(ws)
    info = video.probe(ws.single_view(CLIP, "Night"))
    assert (info.frames, info.fps) == (3, 24)
    assert ("2.4 times as fast" in capsys.readouterr().out) == (fps == 10)


def test_chunks_keep_their_names(ws, pipes):
    put_clip(ws, styles=("Night",))
    put_clip(ws, styles=("Night",), chunk=1)
    single(ws, chunks=[])
    multi(ws, chunks=[1])
    assert video.probe(ws.root / "single_view" / "clip_a_1_Night.mp4").frames == 5
    assert video.probe(ws.root / "multi_view" / "clip_a_1_Night" / "grid.mp4").frames == 5


def test_five_cameras(ws, pipes, tmp_path):
    put_clip(ws, styles=("Night",))
    single(ws)
    for path in (ws.root / "hdmap" / "ftheta_camera_rear_tele_30fov").iterdir():
        path.unlink()
    with pytest.raises(DreamkitError, match=r"no rear camera, views: 5"):
        multi(ws)
    with pytest.raises(DreamkitError, match="Five views need a control file"):
        multi(ws, views=5)
    (tmp_path / "mine.pt").write_text("x")
    (tmp_path / "five.json").write_text('{"hdmap": {"control_weight": 1, "ckpt_path": "mine.pt"}}')
    multi(ws, views=5, spec="five.json")
    assert files(ws.root / "multi_view" / "clip_a_Night") == []
    assert sorted(path.name for path in ws.multi_view(CLIP, "Night").iterdir()) == [
        *(f"{index}.mp4" for index in range(5)),
        "grid.mp4",
        "prompt.json",
    ]
    record = ws.read_sidecar("multi_view", CLIP, "Night")
    assert "mine.pt" in record["identity"]["checkpoints"]


def test_five_views_are_not_continued_with_the_released_files(ws, pipes, tmp_path, capsys):
    put_clip(ws, frames=60, styles=("Night",))
    single(ws)
    (tmp_path / "t2w_mine.pt").write_text("x")
    (tmp_path / "five.json").write_text('{"hdmap": {"ckpt_path": "t2w_mine.pt"}}')
    multi(ws, views=5, spec="five.json")
    assert video.probe(ws.grid(CLIP, "Night")).frames == 57
    assert "57 of 60 frames are made: longer ones need v2w_base_model.pt and your own v2w" in capsys.readouterr().out
    (tmp_path / "v2w_mine.pt").write_text("x")
    multi(ws, views=5, spec="five.json")
    assert video.probe(ws.grid(CLIP, "Night")).frames == 60
    (tmp_path / "five.json").write_text('{"hdmap": {"ckpt_path": "v2w_mine.pt"}}')
    assert multi(ws, views=5, spec="five.json").results[0].state == "done before"
    (tmp_path / "t2w_mine.pt").unlink()
    with pytest.raises(DreamkitError, match=r"t2w_mine\.pt"):
        multi(ws, views=5, spec="five.json")


def test_text_alone_is_enough(ws, pipes):
    put_clip(ws)
    (ws.captions / "clip_a.json").unlink()
    (ws.captions / "clip_a.txt").write_text("A road.")
    assert single(ws).results[0].name == "clip_a_Original"


def test_weight_maps_reach_the_single_view_model(ws, pipes, tmp_path):
    put_clip(ws, styles=("Night",))
    torch.save(torch.ones(32, 56), tmp_path / "map.pt")
    single(ws, control_weight={"hdmap": "map.pt"})
    assert pipes[0].calls[0]["weights"]["hdmap"].shape == (32, 56)
    with pytest.raises(DreamkitError, match="maps work for single view only"):
        multi(ws, control_weight={"hdmap": "map.pt"})
    torch.save({"a": 1}, tmp_path / "map.pt")
    with pytest.raises(DreamkitError, match="is dict"):
        single(ws, control_weight={"hdmap": "map.pt"})
    (tmp_path / "map.pt").write_text("no")
    with pytest.raises(DreamkitError, match="cannot be read"):
        single(ws, control_weight={"hdmap": "map.pt"})
    with pytest.raises(DreamkitError, match=r"no weight map other\.pt"):
        single(ws, control_weight={"hdmap": "other.pt"})


def test_scalars_of_a_spec_are_parameters(ws, pipes, tmp_path):
    put_clip(ws, styles=("Night",))
    spec = {"hdmap": {"control_weight": 0.4}, "num_steps": 3, "guidance": 7, "is_av_sample": True, "sigma_max": 80}
    (tmp_path / "single_view_spec.json").write_text(json.dumps(spec))
    single(ws, guidance=4.0)
    call = pipes[0].calls[0]
    assert (call["steps"], call["guidance"], call["weights"]) == (2, 4.0, {"hdmap": 0.4})
    generate_run.single_view(ws, SingleViewParams())
    call = pipes[1].calls[0]
    assert (call["steps"], call["guidance"]) == (3, 7.0)
    for extra, message in [
        ({"num_step": 3}, "Did you mean 'num_steps'"),
        ({"sigma_max": 70}, "sigma_max to 70"),
        ({"num_gpus": 32, "seed": 9}, "num_gpus is 32, but PyTorch sees"),
    ]:
        (tmp_path / "single_view_spec.json").write_text(json.dumps({**spec, **extra}))
        with pytest.raises(DreamkitError, match=message):
            generate_run.single_view(ws, SingleViewParams())


def test_the_written_spec_holds_nothing_of_its_run(ws, pipes):
    put_clip(ws, styles=("Night",))
    single(ws, control_weight=0.3)
    single(ws)
    assert [pipe.calls[0]["weights"]["hdmap"] for pipe in pipes] == [0.3, 1.0]
    assert json.loads(ws.spec("single_view").read_text())["hdmap"]["control_weight"] == 1.0


def test_what_is_given_wins_over_a_spec_also_at_its_default(ws, pipes, tmp_path):
    put_clip(ws, styles=("Night",))
    (tmp_path / "single_view_spec.json").write_text('{"hdmap": {}, "guidance": 7, "steps": 3}')
    generate_run.single_view(ws, SingleViewParams(guidance=5.0))
    assert (pipes[0].calls[0]["steps"], pipes[0].calls[0]["guidance"]) == (3, 5.0)


@pytest.mark.parametrize("scalar", ["trust_jit", "overwrite", "workspace", "clips", "skip_bad", "checkpoints", "views"])
def test_a_spec_sets_nothing_but_the_generation(ws, pipes, tmp_path, scalar):
    put_clip(ws, styles=("Night",))
    (tmp_path / "multi_view_spec.json").write_text(json.dumps({"hdmap": {}, scalar: "x"}))
    with pytest.raises(DreamkitError, match=f"sets {scalar}, which is no part of a spec"):
        multi(ws)


def test_upstreams_scalars_mean_the_same_or_are_refused(ws, pipes, tmp_path):
    put_clip(ws, styles=("Night",))
    path = tmp_path / "single_view_spec.json"
    path.write_text('{"hdmap": {}, "num_input_frames": 1, "waymo_example": true, "checkpoint_dir": "elsewhere"}')
    single(ws)
    path.write_text('{"hdmap": {}, "num_input_frames": 9}')
    with pytest.raises(DreamkitError, match="num_input_frames to 9, which is not supported"):
        single(ws)
    path = tmp_path / "multi_view_spec.json"
    path.write_text('{"hdmap": {}, "num_input_frames": 1, "negative_prompt": "fog", "waymo_example": false}')
    multi(ws)
    assert pipes[1].calls[0]["num_input_frames"] == 1
    path.write_text('{"hdmap": {}, "waymo_example": true}')
    with pytest.raises(DreamkitError, match="Five views need a control file"):
        multi(ws)
    assert multi(ws, views=6).results[0].name == "clip_a_Night"


class TestRefusedBeforeAModelLoads:
    @pytest.fixture(autouse=True)
    def _no_model(self, ws, pipes):
        put_clip(ws, styles=("Night",))
        yield
        assert not pipes
        assert files(ws.root) in ([], ["single_view/clip_a_Night.mp4"])

    def test_missing_condition(self, ws):
        ws.condition("hdmap", SIX_VIEWS.front, CLIP).rename(ws.condition("hdmap", SIX_VIEWS.front, Chunk("clip_x")))
        with pytest.raises(DreamkitError, match=r"clip_a_0\.mp4"):
            single(ws)

    def test_a_missing_condition_names_the_command_that_draws_it(self, ws):
        ws.condition("hdmap", SIX_VIEWS.front, CLIP).with_suffix(".json").write_text("{}")
        ws.condition("hdmap", SIX_VIEWS.front, CLIP).unlink()
        with pytest.raises(DreamkitError, match="is missing") as caught:
            single(ws)
        assert f"dreamkit render LABELS -o {ws.root}" in caught.value.hint
        assert ".json" not in caught.value.hint

    def test_a_missing_rear_camera_names_its_file(self, ws):
        video.write_video(ws.single_view(CLIP, "Night"), fakes.picture(), 24)
        rear = ws.condition("hdmap", SIX_VIEWS.cameras[3], CLIP)
        rear.unlink()
        with pytest.raises(DreamkitError, match=f"{rear} is missing") as caught:
            multi(ws)
        assert "views: 5" in caught.value.hint and "dreamkit render" in caught.value.hint

    def test_one_cause_is_told_once_for_many_clips(self, ws):
        for k in range(7):
            put_clip(ws, clip=f"clip_{k}", styles=("Night",))
            ws.condition("hdmap", SIX_VIEWS.front, Chunk(f"clip_{k}")).unlink()
        ws.condition("hdmap", SIX_VIEWS.front, CLIP).unlink()
        with pytest.raises(DreamkitError) as caught:
            single(ws)
        assert caught.value.message.count("has no hdmap video") == 1
        assert caught.value.message.startswith("8 clips: The clip <clip> has no hdmap video for front_wide_120fov")
        assert caught.value.message.endswith("<clip>: clip_0, clip_1, clip_2, clip_3, clip_4 and 3 more.")
        assert caught.value.hint.startswith("Draw it with `dreamkit render")

    def test_missing_front_video(self, ws):
        with pytest.raises(DreamkitError, match=r"front video .*clip_a_Night.mp4 is missing(.|\n)*notebook 04"):
            multi(ws)

    def test_truncated_condition(self, ws):
        path = ws.condition("hdmap", SIX_VIEWS.front, CLIP)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(DreamkitError, match=r"cannot be read|cut off"):
            single(ws)

    @pytest.mark.parametrize("fault", [{"frames": 4}, {"height": 48}])
    def test_views_that_do_not_belong_together(self, ws, fault):
        video.write_video(ws.single_view(CLIP, "Night"), fakes.picture(), 24)
        video.write_video(ws.condition("hdmap", SIX_VIEWS.cameras[4], CLIP), fakes.picture(**fault), 30)
        with pytest.raises(DreamkitError, match="rear_left_70fov has"):
            multi(ws)

    def test_unknown_clip_and_style(self, ws):
        with pytest.raises(DreamkitError, match="Did you mean clip_a"):
            single(ws, clips=["clip_A"])
        with pytest.raises(DreamkitError, match="Did you mean 'Night'"):
            single(ws, styles=["night"])

    def test_all_problems_are_told_at_once(self, ws):
        put_clip(ws, clip="clip_b")
        (ws.captions / "clip_b.json").write_text("{")
        with pytest.raises(DreamkitError, match=r"2 problems(.|\n)*style 'Foggy'(.|\n)*line 1, column 2"):
            single(ws, styles=["Foggy"])

    def test_missing_checkpoint_files(self, ws, tmp_path):
        (tmp_path / "checkpoints/nvidia/Cosmos-Transfer1-7B-Sample-AV/hdmap_control.pt").unlink()
        with pytest.raises(DreamkitError, match=r"lacks 1 of the 6 files .*Sample-AV/hdmap_control\.pt"):
            single(ws)
        with pytest.raises(DreamkitError, match="no checkpoint folder") as caught:
            single(ws, checkpoints="elsewhere")
        assert "dreamkit download -p checkpoints=elsewhere" in caught.value.hint

    def test_a_control_file_that_is_not_there(self, ws, tmp_path):
        (tmp_path / "spec.json").write_text('{"hdmap": {"ckpt_path": "mine.pt"}}')
        with pytest.raises(DreamkitError, match=r"checkpoint file mine\.pt"):
            single(ws, spec="spec.json")

    def test_a_trusted_file_that_is_not_there(self, ws):
        with pytest.raises(DreamkitError, match=r"trust_jit names .*mine\.jit"):
            single(ws, trust_jit=["mine.jit"])

    def test_an_empty_workspace(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(DreamkitError, match="has no captions"):
            single(Workspace(tmp_path / "empty"))

    def test_a_misspelt_workspace(self, tmp_path):
        with pytest.raises(DreamkitError, match=r"no workspace folder(.|\n)*nearest that exists is .*outputs\."):
            single(Workspace(tmp_path / "output"))
        assert not (tmp_path / "output").exists()

    @pytest.mark.parametrize("values", [{"control_weight": "nope.pt"}, {"clips": ["nope"]}])
    def test_no_spec_is_left_behind(self, ws, values):
        with pytest.raises(DreamkitError):
            single(ws, **values)
        assert not ws.spec("single_view").exists()

    def test_a_folder_that_cannot_be_written(self, ws):
        (ws.root / "multi_view").write_text("no folder")
        video.write_video(ws.single_view(CLIP, "Night"), fakes.picture(), 24)
        with pytest.raises(DreamkitError, match=r"Results cannot be written into .*multi_view"):
            multi(ws)
        (ws.root / "multi_view").unlink()

    def test_two_results_of_one_name(self, ws):
        put_clip(ws, styles=("Night",), chunk=1)
        put_clip(ws, clip="clip_a_1", styles=("Night",))
        with pytest.raises(DreamkitError, match="would both be named clip_a_1_Night"):
            single(ws, chunks=[])
        with pytest.raises(DreamkitError, match=r"clip_a_Night would be made twice"):
            single(ws, clips=["clip_a", "clip_a"])

    def test_a_condition_damaged_in_the_middle(self, ws, monkeypatch):
        def damaged(path, *_):
            raise DreamkitError(f"{path} is damaged")

        monkeypatch.setattr(video, "read_frames", damaged)
        with pytest.raises(DreamkitError, match="is damaged"):
            single(ws)


@pytest.mark.parametrize("content", ["{", "null", '{"outputs": ["x"]}', '{"identity": 3}'])
def test_a_damaged_sidecar_counts_as_none(ws, pipes, content, capsys):
    put_clip(ws, styles=("Night",))
    put_clip(ws, clip="clip_b", styles=("Night",))
    single(ws, clips=["clip_a"])
    ws.sidecar("single_view", CLIP, "Night").write_text(content)
    assert [result.state for result in single(ws).results] == ["your own, kept", "made"]
    assert "counts as none" in capsys.readouterr().out
    assert single(ws, overwrite=True, clips=["clip_a"]).results[0].state == "made"
    assert single(ws).results[0].state == "done before"


def test_skip_bad_goes_on_after_a_video_that_fails(ws, pipes, monkeypatch, capsys):
    for clip in ("clip_a", "clip_b", "clip_c"):
        put_clip(ws, clip=clip, styles=("Night",))
    paint = fakes.FakeSingle.__call__

    def fails(self, prompt, controls, **options):
        if self.calls and len(self.calls) == 1:
            self.calls.append({})
            raise DreamkitError("Out of memory.", "Use less.")
        return paint(self, prompt, controls, **options)

    monkeypatch.setattr(fakes.FakeSingle, "__call__", fails)
    results = single(ws, skip_bad=True)
    assert [result.state for result in results.results] == ["made", "failed", "made"]
    assert "clip_b_Night was not made: Out of memory." in capsys.readouterr().out
    assert [path.name for path in ws.root.glob("single_view/*_b_*")] == []
    ws.captions.joinpath("clip_b.json").unlink()
    ws.captions.joinpath("clip_a.json").write_text('{"Night": "New."}')
    pipe = fakes.FakeSingle()
    pipe.calls.append({})
    monkeypatch.setattr(generate_run, "load_pipeline", lambda plan, ws: pipe)
    with pytest.raises(DreamkitError, match="Out of memory"):
        single(ws, skip_bad=True, clips=["clip_a"])


def test_stopped_by_hand_nothing_half_written_stays(ws, pipes, monkeypatch):
    put_clip(ws, styles=("Night",))
    single(ws)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(generate_run, "publish", stopped)
    with pytest.raises(KeyboardInterrupt):
        multi(ws)
    assert list((ws.root / "multi_view").iterdir()) == []


def test_interrupted_in_a_notebook_it_ends_in_one_sentence(ws, pipes, monkeypatch):
    put_clip(ws, styles=("Night", "Rainy"))
    publish = generate_run.publish

    def stopped(*arguments):
        monkeypatch.setattr(generate_run, "publish", interrupt)
        return publish(*arguments)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(generate_run, "publish", stopped)
    monkeypatch.setattr(interruption, "in_kernel", lambda: True)
    with pytest.raises(interruption.Interrupted) as caught:
        single(ws)
    assert caught.value._render_traceback_() == [
        "Interrupted. 1 of 2 videos is finished and kept; the one begun is not.",
        "  -> Run this cell again to go on from there.",
    ]
    monkeypatch.setattr(generate_run, "publish", publish)
    assert [one.state for one in single(ws).results] == ["done before", "made"]


@pytest.mark.parametrize(
    ("made", "asked", "said"), [(0, 1, "0 of 1 video is"), (0, 2, "0 of 2 videos are"), (1, 2, "1 of 2 videos is")]
)
def test_what_an_interrupted_run_keeps_agrees_in_number(made, asked, said):
    outcome = RunOutcome(*[None] * 4, seconds=dict.fromkeys(map(str, range(made)), 1.0))
    assert outcome.kept(asked).startswith(f"{said} finished and kept")


def test_captions_with_faults_are_warned_of_before_the_model_loads(ws, pipes, monkeypatch, capsys):
    put_clip(ws, styles=("Night",))
    write_style_captions(ws.captions, "clip_a", {"Night": "Eine Straße in der Nacht, es regnet und ist dunkel."})
    loaded = generate_run.load_pipeline
    monkeypatch.setattr(generate_run, "load_pipeline", lambda *rest: print("loading") or loaded(*rest))
    single(ws)
    told, _, _ = capsys.readouterr().out.partition("loading\n")
    assert "clip_a_Night: look at its caption in notebook 02: It " in told


def test_the_models_own_settings_hold_where_none_are_given(ws, pipes, tmp_path):
    put_clip(ws, styles=("Night",))
    config = tmp_path / "checkpoints/nvidia/Cosmos-Transfer1-7B-Sample-AV/dreamkit.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"settings": {"num_steps": 3, "guidance": 0}}))
    generate_run.single_view(ws, SingleViewParams())
    assert (pipes[-1].calls[0]["steps"], pipes[-1].calls[0]["guidance"]) == (3, 0.0)
    generate_run.single_view(ws, SingleViewParams(guidance=5.0))
    assert (pipes[-1].calls[0]["steps"], pipes[-1].calls[0]["guidance"]) == (3, 5.0)
    (tmp_path / "spec.json").write_text('{"hdmap": {}, "num_steps": 4}')
    generate_run.single_view(ws, SingleViewParams(spec="spec.json"))
    assert (pipes[-1].calls[0]["steps"], pipes[-1].calls[0]["guidance"]) == (4, 0.0)
    config.write_text(json.dumps(json.loads(config.read_text()) | {"settings": {"num_steps": -3}}))
    with pytest.raises(DreamkitError, match="must be numbers of at least 0"):
        generate_run.single_view(ws, SingleViewParams())


@pytest.mark.parametrize("done", range(8))
def test_killed_while_replacing_the_old_result_is_kept_and_made_again(ws, pipes, monkeypatch, done):
    put_clip(ws, styles=("Night",))
    single(ws)
    multi(ws)
    before = ws.view(CLIP, "Night", 5).read_bytes()
    replace, moved = Path.replace, []

    def killed(self, target):
        if target.parent.name == "clip_a_Night" and not target.name.startswith("."):
            if len(moved) == done:
                raise KeyboardInterrupt
            moved.append(target)
        return replace(self, target)

    paint = fakes.FakeMulti.__call__
    monkeypatch.setattr(fakes.FakeMulti, "__call__", lambda *a, **options: paint(*a, **options) // 2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            multi(ws, guidance=4.0)
    assert len(list(ws.multi_view(CLIP, "Night").iterdir())) == 8
    assert ws.view(CLIP, "Night", 5).read_bytes() == before or done > 5
    assert multi(ws, guidance=4.0).results[0].state == "made"
    assert multi(ws, guidance=4.0).results[0].state == "done before"
    assert "replacing" not in ws.read_sidecar("multi_view", CLIP, "Night")


def test_only_videos_say_whose_a_result_is(ws, pipes, capsys):
    put_clip(ws, styles=("Night",))
    single(ws)
    multi(ws)
    ws.prompts(CLIP, "Night").write_text("{}")
    assert multi(ws).results[0].state == "done before"
    assert multi(ws, guidance=4.0).results[0].state == "made"
    ws.grid(CLIP, "Night").unlink()
    capsys.readouterr()
    assert multi(ws, guidance=4.0).results[0].state == "made"
    printed = capsys.readouterr().out
    assert "grid.mp4 missing; it is made again" in printed and "changed" not in printed


def test_another_clips_result_of_the_same_name_is_kept(ws, pipes):
    put_clip(ws, styles=("Night",))
    put_clip(ws, styles=("Night",), chunk=1)
    single(ws, chunks=[1])
    put_clip(ws, clip="clip_a_1", styles=("Night",))
    assert single(ws, clips=["clip_a_1"]).results[0].state == "your own, kept"


def test_parameters_without_effect_change_nothing(ws, pipes):
    put_clip(ws, styles=("Night",))
    single(ws)
    assert single(ws, windows="all", negative_prompt=NEGATIVE_PROMPT).results[0].state == "done before"
    assert single(ws, windows="joined").results[0].state == "done before"
    assert single(ws, negative_prompt="fog").results[0].state == "made"
    multi(ws)
    made = single(ws)
    assert made.results[0].state == "made"
    multi(ws)
    assert multi(ws, num_input_frames=1).results[0].state == "done before"
    assert multi(ws, windows="joined").results[0].state == "done before"


def test_a_weight_map_of_the_whole_video_is_cut_to_what_is_made(ws, pipes, tmp_path):
    put_clip(ws, frames=190, styles=("Night",))
    torch.save(torch.arange(190.0)[:, None, None].expand(190, 2, 2).clone(), tmp_path / "map.pt")
    single(ws, control_weight="map.pt")
    assert pipes[0].calls[0]["weights"]["hdmap"][:, 0, 0].tolist() == list(range(121))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_7b_models_without_a_gpu_are_refused(ws):
    put_clip(ws, styles=("Night",))
    with pytest.raises(DreamkitError, match="7B models need a GPU"):
        single(ws)
    assert files(ws.root) == []


def test_skip_bad_makes_the_rest(ws, pipes, capsys):
    put_clip(ws, styles=("Night",))
    put_clip(ws, clip="clip_b", styles=("Night",))
    (ws.captions / "clip_b.json").write_text("{")
    assert [result.name for result in single(ws, skip_bad=True).results] == ["clip_a_Night"]
    assert "left out: The caption file" in capsys.readouterr().out


def test_upstreams_checkpoint_folder_is_found(ws, pipes, tmp_path):
    (tmp_path / "cosmos-transfer1").mkdir()
    (tmp_path / "checkpoints").rename(tmp_path / "cosmos-transfer1" / "checkpoints")
    put_clip(ws, styles=("Night",))
    assert single(ws).results[0].state == "made"


def test_each_step_is_logged_with_the_time_left(ws, pipes, capsys):
    put_clip(ws)
    single(ws)
    log = ws.log_file("single_view").read_text()
    assert log.count("step 3/3, window 1/1") == 2
    assert "left (video 1 of" in log
    assert "step 1/3" in capsys.readouterr().out
    assert not logging.getLogger("dreamkit").handlers


def shown(results):
    """The HTML that the results display in a notebook that is run headless."""
    pages = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda *outputs: pages.extend(output.data for output in outputs))
        results.show()
    return pages


def test_a_users_unfinished_views_are_kept_and_shown_as_far_as_there(ws, pipes):
    put_clip(ws, styles=("Night",))
    single(ws)
    own = ws.prompts(CLIP, "Night")
    own.parent.mkdir(parents=True)
    own.write_text("a;b")
    results = multi(ws)
    assert results.results[0].state == "your own, kept"
    assert own.read_text() == "a;b"
    assert shown(results) == []


def test_results_show_themselves(ws, pipes):
    put_clip(ws, styles=("Night",))
    results = single(ws)
    assert "clip_a_Night" in results._repr_html_()
    assert "No guardrail ran" in str(results)
    (page,) = shown(results)
    assert "data:image/jpeg" in page and "seed" in page


def test_real_workspace(real_data, ws, pipes, tmp_path):
    """The real conditions and captions through the planning, with painted results."""
    import shutil

    shutil.copytree(real_data / "outputs", tmp_path / "outputs", copy_function=shutil.copyfile)
    for path in [tmp_path / "outputs", *(tmp_path / "outputs").rglob("*")]:
        path.chmod(0o755)
    made = single(ws, styles=["Night", "Golden hour"])
    assert [video.probe(result.path).frames for result in made.results] == [57, 57]
    assert multi(ws, styles=["Golden hour"]).results[0].path.name == "grid.mp4"


@pytest.mark.parametrize(
    ("name", "left"),
    [
        (".partial-999999999-clip_a_Night.mp4", False),
        (".partial-999999999-.partial-clip_a_Night.mp4", False),  # of earlier versions
        (".partial-clip_a_Night.mp4", False),
        (".partial-{alive}-clip_b_Night.mp4", True),
    ],
)
def test_partial_files_of_killed_runs_are_removed(ws, pipes, name, left):
    put_clip(ws, styles=("Night",))
    single(ws)
    name = name.format(alive=os.getpid())
    leftovers = [ws.root / "single_view" / name, ws.multi_view(CLIP, "Night") / name]
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    single(ws)
    multi(ws)
    assert [path.exists() for path in leftovers] == [left, left]


def test_while_a_result_is_written_its_partials_have_plain_names(ws, pipes, monkeypatch):
    put_clip(ws, styles=("Night",))
    seen = []
    publish = generate_run.publish
    monkeypatch.setattr(
        generate_run, "publish", lambda *given: seen.extend(ws.root.rglob(".partial-*")) or publish(*given)
    )
    single(ws)
    multi(ws)
    assert len(seen) == 1 + 8
    assert not [path for path in seen if ".partial-" in path.name[1:]]
    assert not list(ws.root.rglob(".partial-*"))


@pytest.mark.parametrize("budget", [2**30, 0])
def test_an_input_video_is_read_once_for_all_styles(ws, pipes, monkeypatch, budget):
    put_clip(ws)
    single(ws)
    reads = Counter()
    for owner, name in ((video, "probe"), (video, "decode_video"), (input_videos, "sha256")):
        read = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda path, *a, read=read, name=name: reads.update([(name, path)]) or read(path, *a)
        )
    monkeypatch.setattr(input_videos.DecodedVideos.__init__, "__defaults__", (budget,))
    multi(ws)
    conditions = [ws.condition("hdmap", camera, CLIP) for camera in SIX_VIEWS.cameras]
    fronts = [ws.single_view(CLIP, style) for style in ("Original", "Night")]
    expected = {(name, path): 1 for name in ("probe", "sha256") for path in (*conditions, *fronts)}
    expected |= {("decode_video", path): 1 if budget else 2 for path in (*conditions, *fronts)}
    assert reads == expected
    assert len(pipes[1].encoded) == 1 and len(pipes[1].calls) == 2
