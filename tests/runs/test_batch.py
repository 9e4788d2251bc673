import json
import os
import shutil
import time
from pathlib import Path

import fakes
import pytest
import yaml
from fakes import put_checkpoints, put_clip
from guardrail_files import UNSAFE_WORD
from typer.testing import CliRunner

from dreamkit.captions import files as caption_files
from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError, OutOfGpuMemory, ProcessKilled
from dreamkit.generate import reference_pace
from dreamkit.generate import run as generate_run
from dreamkit.guardrail.model_files import COSMOS, LLAMA
from dreamkit.runs import batch_queue, batch_run
from dreamkit.runs.batch_estimate import stage_cost
from dreamkit.runs.batch_events import EventLog, read_events
from dreamkit.runs.batch_params import STAGE_MODELS, read_batch
from dreamkit.runs.batch_plan import make_batch_plan
from dreamkit.runs.batch_status import find_batch, read_status
from dreamkit.runs.batch_units import BatchFolder, Target, UnitEnd, with_preset
from dreamkit.runs.batch_worker import BUSY, FINISHED, STOPPED, _failure, unit_locks
from dreamkit.runs.engine_local import Ended, LocalEngine
from dreamkit.workspace.files import write_json
from dreamkit.workspace.workspace import Chunk, Workspace

REPO = Path(__file__).resolve().parents[2]


class InProcess:
    """An engine that makes a unit's videos in this process, with the stand-in pipelines, when it is polled."""

    summary = "this process"

    def __init__(self):
        self.started = []
        self.before = {}  # unit key -> function called in place of the unit's work, once
        self._waiting = []

    def has_room(self, unit):
        return not self._waiting

    def start(self, folder, unit, attempt):
        folder.log(unit.key, attempt).touch()
        self.started.append(unit)
        self._waiting.append((folder, unit, attempt))
        return "here"

    def ended(self):
        over = []
        for folder, unit, attempt in self._waiting:
            end = self._make(folder, unit)
            if end is not None:
                write_json(folder.end(unit.key, attempt), end.as_dict())
            over.append(Ended(unit.key, attempt, 0 if end else -9))
        self._waiting.clear()
        return over

    def _make(self, folder, unit):
        if unit.key in self.before:
            return self.before.pop(unit.key)(unit)
        model = STAGE_MODELS[unit.stage]
        make = {"single": generate_run.single_view, "multi": generate_run.multi_view}.get(unit.stage)
        params = model(**unit.params)
        try:
            make(params.open_workspace(), params)
        except DreamkitError as error:
            return UnitEnd(STOPPED, failure=_failure(error))
        return UnitEnd(FINISHED)

    def stop(self):
        self._waiting.clear()


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    put_checkpoints(tmp_path / "checkpoints")
    monkeypatch.setattr(batch_queue, "POLL_SECONDS", 0)
    workspace = Workspace(tmp_path / "outputs")
    for clip in ("clip_a", "clip_b", "clip_c"):
        put_clip(workspace, clip)
    return workspace


@pytest.fixture
def pipes(monkeypatch):
    made = []

    def load(plan, ws):
        made.append(fakes.FakeSingle() if plan.stage == "single_view" else fakes.FakeMulti())
        return made[-1]

    monkeypatch.setattr(generate_run, "load_pipeline", load)
    return made


@pytest.fixture
def engine(monkeypatch):
    engine = InProcess()
    monkeypatch.setattr(batch_run, "make_engine", lambda batch: engine)
    return engine


def write_batch(ws, **entries):
    small = {"num_steps": 2, "device": "cpu"}
    values = {"workspace": str(ws.root), "stages": ["single", "multi"], "params": {"single": small, "multi": small}}
    path = ws.root.parent / "night.yaml"
    path.write_text(yaml.safe_dump({**values, "clips_per_unit": 2, "keep_free_gib": 0, **entries}))
    return path


def run(ws, **entries):
    return batch_run.run_batch(read_batch(write_batch(ws, **entries)))


def folder_of(ws):
    return BatchFolder(ws.batch_folder("night"))


def kinds(ws):
    return [event["event"] for event in read_events(folder_of(ws).events)]


def videos(ws, stage="single_view"):
    return {path.stem for path in (ws.root / stage).glob("*.mp4")}


def test_a_batch_makes_everything_once_and_a_second_run_nothing(ws, pipes, engine, capsys):
    assert run(ws) == 0
    assert len(videos(ws)) == 6 and len(ws.result_names("multi_view")) == 6
    assert [unit.key for unit in engine.started] == [
        f"{stage}-1-000{n}-0" for stage in ("single", "multi") for n in (0, 1)
    ]
    assert len(pipes) == 4  # one model a unit
    assert "12 of 12 results are done" in capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in ws.root.rglob("*.mp4")}
    assert run(ws) == 0
    assert len(engine.started) == 4
    assert times == {path: path.stat().st_mtime_ns for path in ws.root.rglob("*.mp4")}


@pytest.mark.parametrize("change", ["caption", "condition", "parameter", "video", "front"])
def test_only_what_is_missing_or_changed_is_made_again(ws, pipes, engine, change):
    run(ws)
    engine.started.clear()
    entries = {}
    if change == "caption":
        captions = {"Original": "A road, Original.", "Night": "Another road."}
        caption_files.write_style_captions(ws.captions, "clip_b", captions)
    elif change == "condition":
        fakes.video.write_video(
            ws.condition("hdmap", fakes.SIX_VIEWS.front, Chunk("clip_b")), fakes.picture(shade=9), 30
        )
    elif change == "parameter":
        entries = {"overrides": {"clip_b": {"single": {"guidance": 4.0}}}}
    elif change == "video":
        ws.view(Chunk("clip_b"), "Night", 3).unlink()
    elif change == "front":
        ws.single_view(Chunk("clip_b"), "Night").unlink()
    assert run(ws, **entries) == 0
    made = {(unit.stage, unit.clips) for unit in engine.started}
    expected = {("multi", ("clip_b",))} | (set() if change == "video" else {("single", ("clip_b",))})
    assert made == expected


def test_the_plan_counts_estimates_and_writes_nothing(ws, pipes, engine, capsys, monkeypatch):
    before = sorted(ws.root.rglob("*"))
    batch = read_batch(write_batch(ws))
    assert batch_run.run_batch(batch, dry_run=True) == 0
    text = capsys.readouterr().out
    assert sorted(ws.root.rglob("*")) == before
    assert "batch night: 3 clips" in text and "not known before the first result" in text
    with monkeypatch.context() as patch:  # as if the folder had the released models
        patch.setattr(reference_pace.folders, "model_name", lambda *_: "Cosmos-Transfer1-7B-Sample-AV")
        batch_run.run_batch(batch, dry_run=True)
    assert "; on an H100 80GB: about " in (text := capsys.readouterr().out) and " GPU hours, by its measured" in text
    assert "disk: from about " in text and "NVIDIA published" in text
    run(ws, styles=["Night"], stages="single")
    for sidecar in ws.root.glob("single_view/*.json"):
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"seconds": 30.0}))
    capsys.readouterr()
    batch_run.run_batch(batch, dry_run=True)
    text = capsys.readouterr().out
    assert "time of single: about 1:30 on one cpu" in text and "GiB free" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith(("single", "multi"))}
    assert rows["single"] == ["6", "3", "3", "0", "0", "2", "3"]


def test_the_estimate_counts_windows_presets_and_gpus(ws):
    for clip in ("clip_a", "clip_b"):
        put_clip(ws, clip, frames=121 if clip == "clip_a" else 57, styles=("Night",))
    (ws.captions / "clip_c.json").unlink()
    head = {"steps": 4, "frames": 57, "num_input_frames": 9, "size": {"height": fakes.FakePipe.size[0]}}
    for number, (preset, seconds, gpus) in enumerate((("exact", 10.0, 1), ("exact", 5.0, 2), ("24gb", 20.0, 1))):
        pipeline = {"device": "cpu", "num_gpus": gpus}
        record = {**head, "seconds": seconds, "preset": preset, "pipeline": pipeline}
        ws.write_sidecar("multi_view", Chunk(f"made_{number}"), "Night", record)

    def cost(presets=None, **multi):
        batch = read_batch(write_batch(ws, params={"multi": {"num_steps": 9, "device": "cpu", **multi}}))
        return stage_cost(make_batch_plan(batch, ws, presets), "multi")

    told = cost()  # the front videos are not there yet: three windows and one, by the condition videos
    assert (told.left, told.windows, told.seconds) == (2, 4, pytest.approx(4 * 10 * 2.0))
    assert cost(num_gpus=2).seconds == pytest.approx(4 * 10 * 1.0)
    assert cost(frames=57).windows == 2 and cost(preset="16gb").seconds is None
    lower = {Target("multi", 1, "clip_a", 0, "Night"): "24gb"}
    assert cost(lower).seconds == pytest.approx(3 * 10 * 4.0 + 10 * 2.0)


def test_clips_by_name_pattern_and_column(ws, tmp_path):
    (tmp_path / "list.csv").write_text("name,clip\n1,clip_c\n2,clip_a\n2,clip_a\n")

    def clips(value):
        return make_batch_plan(read_batch(write_batch(ws, clips=value)), ws).clips

    assert clips("all") == ["clip_a", "clip_b", "clip_c"]
    assert clips("*_[bc]") == ["clip_b", "clip_c"]
    assert clips(["clip_b", "clip_a"]) == ["clip_b", "clip_a"]
    assert clips({"csv": str(tmp_path / "list.csv")}) == ["clip_c", "clip_a"]
    with pytest.raises(DreamkitError, match=r"no clip clip_d\.\n.*Did you mean clip_"):
        clips(["clip_d"])
    with pytest.raises(DreamkitError, match="no column 'nam'"):
        clips({"csv": str(tmp_path / "list.csv"), "column": "nam"})


def test_a_batch_file_is_checked_whole(ws, tmp_path):
    file = write_batch(
        ws,
        stage=["single"],
        params={"single": {"num_step": 3}, "multy": {}, "multi": {"seed": 3}},
        overrides={"clip_a": {"single": {"fps": 0}}},
    )
    with pytest.raises(DreamkitError) as caught:
        read_batch(file)
    text = str(caught.value)
    for part in ("stage: not an entry of a batch; did you mean stages?", "multy: not a stage", "use seeds"):
        assert part in text
    file = write_batch(ws, params={"single": {"num_step": 3}}, stages="render")
    with pytest.raises(DreamkitError, match=r"(?s)did you mean num_steps.*labels: the stage render needs"):
        read_batch(file)
    file.write_text("clips: [0001, 2335_01]\nstyles: [No]\noverrides: {0001: {single: {clips: [a]}}}\n")
    with pytest.raises(DreamkitError, match=r"overrides.0001.single.clips: the batch sets it"):
        read_batch(file)
    file.write_text("clips: [0001, 2335_01]\nstyles: No\n")
    assert (read_batch(file).clips, read_batch(file).styles) == (["0001", "2335_01"], ["No"])


def test_several_seeds_have_a_folder_each(ws, pipes, engine):
    assert run(ws, seeds=[1, 7], stages=["single", "multi"], styles=["Night"], clips="clip_a") == 0
    inner = Workspace(ws.seed_folder(7))
    seeds = [space.read_sidecar("multi_view", Chunk("clip_a"), "Night")["seed"] for space in (ws, inner)]
    assert len(set(seeds)) == 2
    assert inner.manifest.is_file()
    assert run(ws, seeds=[1, 7], stages=["single", "multi"], styles=["Night"], clips="clip_a") == 0
    assert len(engine.started) == 4


def test_clips_of_a_unit_have_the_same_styles(ws, pipes, engine):
    caption_files.write_style_captions(ws.captions, "clip_b", {"Rainy": "Rain."})
    assert run(ws, stages="single", clips_per_unit=8) == 0
    assert sorted((unit.clips, tuple(unit.params["styles"])) for unit in engine.started) == [
        (("clip_a", "clip_c"), ("Original", "Night")),
        (("clip_b",), ("Rainy",)),
    ]
    engine.started.clear()
    for path in ws.root.glob("single_view/*"):
        path.unlink()
    assert run(ws, stages="single", clips_per_unit=8, styles_per_unit=1) == 0
    assert len(engine.started) == 3


def test_a_path_of_one_clip_in_the_spec_is_not_used_for_a_unit_of_one_clip(ws, pipes, engine):
    own = ws.condition("hdmap", fakes.SIX_VIEWS.front, Chunk("clip_a"))
    write_json(ws.spec("single_view"), {"hdmap": {"control_weight": 0.7, "input_control": str(own)}})
    assert run(ws, stages="single", clips_per_unit=1, styles=["Night"]) == 0
    for clip in ("clip_a", "clip_b"):
        record = ws.read_sidecar("single_view", Chunk(clip), "Night")
        assert Path(record["controls"]["hdmap"]["videos"][0]).name == f"{clip}_0.mp4"
        assert record["controls"]["hdmap"]["weight"] == 0.7


def test_a_bad_clip_is_listed_and_the_rest_is_made(ws, pipes, engine, capsys):
    path = ws.condition("hdmap", fakes.SIX_VIEWS.front, Chunk("clip_b"))
    path.write_bytes(path.read_bytes()[:200])
    (ws.captions / "clip_c.json").write_text("{")
    assert run(ws, stages="single") == 1
    assert videos(ws) == {"clip_a_Original", "clip_a_Night"}
    text = capsys.readouterr().out
    assert "failed: single/clip_b_Night (seed 1): " in text and str(path) in text
    assert "clip_c.json is not valid JSON" in text
    assert "2 of 5 results are done" in text
    status = read_status(folder_of(ws))
    assert (status.count("done"), status.count("failed"), status.count("left")) == (2, 3, 0)
    assert run(ws) == 1  # the six views of what has no front video fail too
    text = capsys.readouterr().out
    assert f"multi/clip_b_Night (seed 1): The front video {ws.single_view(Chunk('clip_b'), 'Night')} is missing" in text
    assert len(ws.result_names("multi_view")) == 2


def test_a_style_that_a_clip_lacks_fails_alone(ws, pipes, engine, capsys):
    caption_files.write_style_captions(ws.captions, "clip_b", {"Original": "A road."})
    assert run(ws, stages="single", styles=["Original", "Night"]) == 1
    assert "clip_b_Original" in videos(ws) and len(videos(ws)) == 5
    assert "The clip clip_b has no caption of style 'Night'." in capsys.readouterr().out


def test_an_input_that_decodes_badly_fails_alone(ws, pipes, engine, monkeypatch, capsys):
    real = generate_run._make

    def broken(space, job, *rest):
        if job.name == "clip_b_Night":
            raise DreamkitError("The video is odd.", "Mend it.")
        return real(space, job, *rest)

    monkeypatch.setattr(generate_run, "_make", broken)
    assert run(ws, stages="single") == 1
    assert len(videos(ws)) == 5
    assert "failed: single/clip_b_Night (seed 1): The video is odd.\n    -> Mend it." in capsys.readouterr().out
    monkeypatch.setattr(generate_run, "_make", real)
    assert run(ws, stages="single") == 0
    assert not ws.failure("single_view", "clip_b_Night").exists()


def full_gpu(unit):
    return UnitEnd(STOPPED, failure=_failure(OutOfGpuMemory("Out of GPU memory.", "Close others.")))


def test_out_of_gpu_memory_goes_on_with_the_next_preset_on_one_gpu(ws, pipes, engine, capsys):
    key = "single-1-0000-0"
    engine.before[key] = full_gpu
    entries = {"stages": "single", "params": {"single": {"num_steps": 2, "device": "cpu", "num_gpus": 2}}}
    assert run(ws, **entries) == 0
    tried = [unit.params for unit in engine.started if unit.key == key]
    assert [(p.get("preset"), p["num_gpus"]) for p in tried] == [(None, 2), ("24gb", 1)]
    assert len(videos(ws)) == 6
    assert [pipe.closed for pipe in pipes] == [False, True]  # of the unit on one GPU, and of that on two
    assert f"{key}: out of GPU memory with the preset exact; again with 24gb" in capsys.readouterr().out
    found = batch_run.fallen_back(folder_of(ws))
    assert set(found.values()) == {"24gb"} and len(found) == 4
    engine.started.clear()
    ws.single_view(Chunk("clip_a"), "Night").unlink()  # a further start goes on with that preset
    assert run(ws, **entries) == 0
    assert [(unit.params["preset"], unit.params["num_gpus"]) for unit in engine.started] == [("24gb", 1)]


def test_out_of_gpu_memory_is_tried_once_more_only(ws, pipes, engine, monkeypatch, capsys):
    ran = engine._make
    monkeypatch.setattr(
        engine, "_make", lambda folder, unit: full_gpu(unit) if "clip_a" in unit.clips else ran(folder, unit)
    )
    assert run(ws, stages="single") == 1
    assert len(engine.started) == 3 and len(videos(ws)) == 2
    assert "failed: single/clip_a_Night (seed 1): Out of GPU memory." in capsys.readouterr().out


def test_the_gpus_of_a_unit(ws):
    def gpus(**params):
        return {unit.gpus for unit in make_batch_plan(read_batch(write_batch(ws, params=params)), ws).units}

    assert gpus(single={"num_gpus": 2}, multi={"num_gpus": 4}) == {2, 4}
    assert gpus(single={"num_gpus": 2, "device": "cpu"}) == {0, 1}
    assert with_preset({"num_gpus": 2}, "fp8") == {"num_gpus": 2, "preset": "fp8"}
    assert with_preset({"seed": 2}, "12gb") == {"seed": 2, "preset": "12gb"}


def test_the_next_memory_preset(monkeypatch):
    known = ("exact", "fp8", "24gb", "16gb", "12gb")
    field = type("Field", (), {"annotation": type("Choice", (), {"__args__": known})})
    model = type("Model", (), {"model_fields": {"preset": field}})
    monkeypatch.setattr(batch_queue, "STAGE_MODELS", {"single": model})
    found = [batch_queue.lower_preset("single", preset) for preset in known]
    assert found == ["24gb", "24gb", "16gb", "12gb", None]


def test_a_killed_unit_is_tried_again_and_given_up_after_the_retries(ws, pipes, engine, capsys):
    engine.before["single-1-0000-0"] = lambda unit: None
    assert run(ws, stages="single") == 0
    assert [unit.key for unit in engine.started].count("single-1-0000-0") == 2
    for path in ws.root.glob("single_view/clip_a*"):
        path.unlink()
    engine.started.clear()
    engine._make = lambda folder, unit: None
    assert run(ws, stages="single", retries=3) == 1
    assert len(engine.started) == 4
    assert "Its process ended with exit code -9" in capsys.readouterr().out


def test_a_unit_whose_kernel_was_killed_is_tried_again(ws, pipes, engine):
    end = UnitEnd(STOPPED, failure=_failure(ProcessKilled("The kernel was killed.", "Free memory.")))
    engine.before["single-1-0000-0"] = lambda unit: end
    assert run(ws, stages="single") == 0
    assert [unit.key for unit in engine.started].count("single-1-0000-0") == 2


def test_a_full_disk_pauses_the_batch_until_there_is_room(ws, pipes, engine, monkeypatch, capsys):
    free = [1000]
    monkeypatch.setattr(batch_queue, "free_bytes", lambda folder: free[0])
    monkeypatch.setattr(batch_queue, "DISK_SECONDS", 0.01)

    def full(unit):
        error = DreamkitError("Cannot write the video: No space left on device.", "Make room.")
        error.__cause__ = OSError(28, "No space left on device")
        return UnitEnd(STOPPED, failure=_failure(error))

    engine.before["single-1-0000-0"] = full
    sleeps = []

    def sleep(seconds):
        sleeps.append(len(engine.started))
        if len(sleeps) > 20:
            free[0] = 2**30

    monkeypatch.setattr(batch_queue.time, "sleep", lambda seconds: (sleep(seconds), time_sleep(0.001))[0])
    assert run(ws, stages="single") == 0
    assert len(videos(ws)) == 6
    assert sleeps[5] == sleeps[19]  # nothing started while it was full
    text = capsys.readouterr().out
    assert "paused: the disk of" in text and "is full: 0.0 MiB free" in text and "the batch goes on" in text
    assert {"paused", "resumed"} <= set(kinds(ws))


time_sleep = time.sleep


def test_a_folder_that_cannot_be_written_stops_before_anything_runs(ws, pipes, engine):
    (ws.root / "runs").write_text("in the way")
    with pytest.raises(DreamkitError, match=r"Cannot write .*runs/night"):
        run(ws)
    assert not engine.started


def test_a_blocked_result_is_told_apart_and_not_tried_again(ws, pipes, engine, capsys, guardrail_root):
    (ws.root.parent / "checkpoints" / COSMOS).symlink_to(guardrail_root / COSMOS)
    (ws.root.parent / "checkpoints" / LLAMA).parent.mkdir(exist_ok=True)
    (ws.root.parent / "checkpoints" / LLAMA).symlink_to(guardrail_root / LLAMA)
    caption_files.write_style_captions(
        ws.captions, "clip_b", {"Original": "A road.", "Night": f"A bus with {UNSAFE_WORD} on the road."}
    )
    entries = {"params": {"single": {"num_steps": 2, "device": "cpu", "guardrail": ["llama_guard"]}}}
    assert run(ws, **entries) == 1
    assert videos(ws) == {f"clip_{letter}_{style}" for letter in "abc" for style in ("Original", "Night")} - {
        "clip_b_Night"
    }
    text = capsys.readouterr().out
    assert "blocked: single/clip_b_Night (seed 1): Blocked by the check llama_guard" in text
    assert "blocked: multi/clip_b_Night (seed 1): Its front video was blocked. Blocked by" in text
    assert read_status(folder_of(ws)).count("blocked") == 2  # its six views too
    engine.started.clear()
    os.utime(ws.captions / "clip_b.json", (time.time() + 5,) * 2)  # the same words
    assert run(ws, **entries) == 1 and not engine.started
    captions = {"Original": "A road.", "Night": "A bus on the road."}
    caption_files.write_style_captions(ws.captions, "clip_b", captions)
    assert run(ws, **entries) == 0
    assert {(unit.stage, unit.clips) for unit in engine.started} == {(s, ("clip_b",)) for s in ("single", "multi")}


def test_a_unit_whose_clips_another_batch_makes_waits(ws, pipes, engine, monkeypatch):
    monkeypatch.setattr(batch_queue, "BUSY_SECONDS", 0.01)
    engine.before["single-1-0000-0"] = lambda unit: UnitEnd(BUSY)
    assert run(ws, stages="single") == 0
    assert [unit.key for unit in engine.started] == ["single-1-0000-0", "single-1-0001-0", "single-1-0000-0"]


def test_units_lock_results_not_clips(ws):
    batch = read_batch(write_batch(ws, stages="single", styles_per_unit=1, clips="clip_a"))
    night, original = sorted(make_batch_plan(batch, ws).units, key=lambda unit: unit.params["styles"])
    with unit_locks(ws, night) as ours, unit_locks(ws, original) as theirs, unit_locks(ws, night) as again:
        assert (ours, theirs, again) == (True, True, False)
    with unit_locks(ws, night) as ours:
        assert ours


def test_the_same_batch_does_not_run_twice_at_once(ws, pipes, engine):
    from filelock import FileLock

    folder_of(ws).root.mkdir(parents=True)
    with FileLock(folder_of(ws).lock), pytest.raises(DreamkitError, match="night runs already"):
        run(ws)


def test_status_while_it_runs_and_after_a_crash(ws, pipes, engine, capsys):
    from filelock import FileLock

    seen = []

    def look(unit):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dreamkit.runs.batch_status.is_locked", lambda path: True)
            seen.append(read_status(folder_of(ws)))
        return UnitEnd(STOPPED, failure=_failure(KeyboardInterrupt()))

    engine.before["single-1-0001-0"] = look
    run(ws, stages="single", styles=["Night"], retries=0)
    assert (seen[0].count("done"), seen[0].count("running"), seen[0].count("left")) == (2, 1, 0)
    assert list(seen[0].running) == ["single-1-0001-0"] and seen[0].seconds_left is not None
    assert "1" in str(seen[0])
    now = read_status(folder_of(ws))
    assert not now.alive and now.count("failed") == 1
    # A crash: the last start has no end, and the results on disk count.
    lines = folder_of(ws).events.read_text().splitlines()
    cut = next(k for k, line in enumerate(lines) if "unit_ended" in line)
    folder_of(ws).events.write_text("\n".join(lines[:cut]) + '\n{"time": "2026')
    after = read_status(folder_of(ws))
    assert (after.count("done"), after.count("left")) == (2, 1)
    assert "start the same command again" in str(after)
    with FileLock(folder_of(ws).lock):
        assert read_status(folder_of(ws)).alive
    for asked in ("night", str(folder_of(ws).root), str(ws.root.parent / "night.yaml"), ""):
        assert find_batch(asked, str(ws.root)).root == folder_of(ws).root
    with pytest.raises(DreamkitError, match="Did you mean night"):
        find_batch("nigth", str(ws.root))
    found = CliRunner().invoke(app, ["batch", "status", "night", "--workspace", str(ws.root), "--json"])
    assert json.loads(found.stdout)["states"]["single"]["done"] == 2


def test_a_store_has_the_inputs_and_gets_the_results(ws, pipes, engine, tmp_path, monkeypatch, capsys):
    from dreamkit.runs import batch_store

    store, local = tmp_path / "bucket", Workspace(tmp_path / "copy")
    ws.root.rename(store)
    entries = {"workspace": str(local.root), "store": f"file://{store}", "stages": ["single", "multi"]}
    assert run(ws, **entries) == 0
    there = Workspace(store)
    assert len(videos(there)) == 6 and len(there.result_names("multi_view")) == 6
    assert (store / "manifest.jsonl").read_text().count("\n") == 12
    assert (store / "runs" / "night" / "report.md").is_file()
    assert not list(store.rglob(".partial-*"))
    # On another machine, with nothing but the store, everything is done; what is removed there is made again.
    shutil.rmtree(local.root)
    engine.started.clear()
    assert run(ws, **entries) == 0 and not engine.started
    shutil.rmtree(local.root)
    (store / "single_view" / "clip_b_Night.mp4").unlink()
    assert run(ws, **entries) == 0
    assert {unit.clips for unit in engine.started} == {("clip_b",)}
    # A store that cannot be reached stops the start, or, later, fails what it could not take.
    monkeypatch.setattr(batch_store, "WAIT_SECONDS", 0)
    (store / "single_view" / "clip_b_Night.mp4").unlink()
    (local.root / "single_view" / "clip_b_Night.mp4").unlink()

    def refuse(self, name):
        raise OSError("The network is down")

    monkeypatch.setattr(batch_store.Store, "_put", refuse)
    capsys.readouterr()
    assert run(ws, **{**entries, "retries": 0}) == 1
    told = capsys.readouterr()
    assert "clip_b_Night (seed 1): The store" in told.out and "The network is down" in told.out
    assert "records of the batch were not copied out" in told.err
    with pytest.raises(DreamkitError, match="cannot be opened"):
        run(ws, **{**entries, "store": "nosuch://bucket"})


def test_the_table_in_a_notebook(ws, pipes, engine):
    from dreamkit.runs.batch_widget import BatchBoard, plot_gpu_use

    (ws.captions / "clip_c.json").write_text("{")
    run(ws, stages="single")
    board = BatchBoard("night", str(ws.root))
    assert (board.bar.value, board.bar.max, board.bar.bar_style) == (5, 5, "danger")
    assert "<td>single</td><td>4</td>" in board.table.value and "clip_c.json is not valid JSON" in board.table.value
    with pytest.raises(DreamkitError, match="recorded no use of GPUs"):
        plot_gpu_use(folder_of(ws))
    events = EventLog(folder_of(ws).events)
    for percent in (10, 90):
        events.write(
            "gpus", use=[{"index": 0, "percent": percent}, {"index": 1, "percent": 100}, {"index": 2, "percent": None}]
        )
    assert [line.get_ydata()[-1] for line in plot_gpu_use(folder_of(ws)).axes[0].lines] == [90, 100]


def test_a_gpu_whose_use_is_not_told_is_left_out_of_the_plot_and_stops_nothing(monkeypatch, tmp_path):
    from dreamkit.runs import batch_events

    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '0, [N/A], 1024, 81559'\necho '1, 97, 2048, 81559'\necho 'No devices'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert batch_events.gpu_use() == [
        {"index": 0, "percent": None, "used_mib": 1024, "total_mib": 81559},
        {"index": 1, "percent": 97, "used_mib": 2048, "total_mib": 81559},
    ]


def test_the_report_says_who_made_what_and_how(ws, pipes, engine):
    run(ws, stages="single")
    text = folder_of(ws).report.read_text()
    for part in ("# Batch night", "single-1-0000-0", "notebooks/single-1-0000-0.1.ipynb", "| single | 6 | 6 |"):
        assert part in text
    assert json.loads(folder_of(ws).params.read_text())["stages"] == ["single"]


def test_gpus_are_shared_out(tmp_path, monkeypatch):
    calls = []

    class Process:
        pid, returncode = 1, 0

        def __init__(self, command, env, **rest):
            calls.append(env["CUDA_VISIBLE_DEVICES"])

        def poll(self):
            return None

    monkeypatch.setattr("dreamkit.runs.engine_local.subprocess.Popen", Process)
    unit = type("Unit", (), {"key": "a", "gpus": 1, "stage": "single"})
    engine = LocalEngine(["0", "1", "2"], 3)
    for key, gpus in (("a", 1), ("b", 2)):
        unit.key, unit.gpus = key, gpus
        assert engine.has_room(unit)
        engine.start(BatchFolder(tmp_path), unit, 1)
    assert calls == ["0", "1,2"]
    unit.gpus = 1
    assert not engine.has_room(unit)
    unit.gpus = 4
    with pytest.raises(DreamkitError, match="needs 4 GPUs, and this machine has 3"):
        engine.has_room(unit)


def test_the_files_in_params_are_batches():
    for name in ("batch.example", "batch.demo"):
        read_batch(REPO / "params" / f"{name}.yaml")
