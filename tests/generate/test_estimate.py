import pytest
from fakes import put_clip

from dreamkit.captions.files import read_captions
from dreamkit.generate.estimate import estimate
from dreamkit.generate.jobs import video_seed
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.transfer import folders
from dreamkit.transfer.config import bundle_configs
from dreamkit.workspace.workspace import Chunk, Workspace

TINY = {"checkpoints": "tiny", "device": "cpu"}
FRONT, SIX = (config.height for config in bundle_configs(folders.TINY_FOLDER))


@pytest.fixture
def ws(tmp_path):
    ws = Workspace(tmp_path)
    put_clip(ws, "alpha")
    put_clip(ws, "beta", styles=("Original",))
    return ws


def put_result(ws, style, seconds=10.0, steps=4, device="cpu", height=FRONT, peak=0, **more):
    pipeline = {"device": device, "peak_gpu_bytes": peak, **more}
    record = {"steps": steps, "seconds": seconds, "preset": "exact", "size": {"height": height}, "pipeline": pipeline}
    ws.write_sidecar("single_view", Chunk("alpha"), style, record)


def test_without_earlier_results_nothing_is_made_up(ws):
    told = estimate(ws, SingleViewParams(**TINY))
    assert (told.videos, told.evaluations, told.seconds) == (3, 21, None)  # the tiny bundle's 20 steps
    assert "known after the first step" in str(told)
    assert estimate(ws, SingleViewParams(clips=["alpha"], styles=["Night"], chunks=[0, 1], **TINY)).videos == 2


def test_without_earlier_results_the_7b_models_have_the_time_of_an_h100(ws):
    """Three results of one window, 36 evaluations of two forwards of 3.97 s (README); without guidance half of that."""
    told = estimate(ws, SingleViewParams(device="cpu"))
    assert told.reference == pytest.approx(3 * 36 * 2 * 3.97)
    assert "on an H100 80GB: about 14:18, 0.24 GPU hours, by its measured forwards" in str(told)
    assert estimate(ws, SingleViewParams(device="cpu", guidance=0.0)).reference == pytest.approx(3 * 36 * 3.97)
    four = estimate(ws, SingleViewParams(device="cpu", num_gpus=4))
    assert "on 4 H100 80GB: about 3:49, 0.25 GPU hours" in str(four)
    assert estimate(ws, SingleViewParams(device="cpu", num_gpus=3)).reference is None
    assert estimate(ws, MultiViewParams(device="cpu", preset="24gb")).reference is None
    assert estimate(ws, SingleViewParams(**TINY)).reference is None


def test_without_earlier_results_the_7b_models_have_the_size_of_a_published_video(ws):
    """15.8 kB a frame; six views and their grid twelve times 13.5 kB; 121 frames, or those asked for."""
    put_clip(ws, "long", frames=361, styles=("Original", "Night"))
    told = estimate(ws, SingleViewParams(device="cpu", clips=["long"]))
    assert told.disk_bytes == 2 * 121 * 15_800
    assert "disk: from about 3.8 MB, reckoned from a front video of these models that NVIDIA published" in str(told)
    joined = SingleViewParams(device="cpu", clips=["long"], windows="joined", frames=200)
    assert estimate(ws, joined).disk_bytes == 2 * 200 * 15_800
    assert estimate(ws, MultiViewParams(device="cpu", clips=["long"])).disk_bytes == 2 * 361 * 12 * 13_500
    assert "disk: the need is not known before the first result" in str(estimate(ws, SingleViewParams(**TINY)))


def test_earlier_results_of_this_device_and_model_tell_the_time(ws):
    put_result(ws, "Original")
    put_result(ws, "Night", seconds=20.0)
    put_result(ws, "Rainy", seconds=999.0, device="another")
    put_result(ws, "Snowy", seconds=999.0, height=704)
    put_result(ws, "Sunny", seconds=1.0, height=FRONT // 2)  # of a bundle of another version
    put_result(ws, "Foggy", seconds=5.0, num_gpus=2)
    told = estimate(ws, SingleViewParams(num_steps=9, **TINY))
    assert told.from_runs == 2
    assert told.seconds == pytest.approx(3 * 10 * 3.0)
    assert "about 1:30, as 2 earlier results here took" in str(told)
    assert estimate(ws, MultiViewParams(**TINY)).seconds is None
    assert estimate(ws, SingleViewParams(num_gpus=2, **TINY)).from_runs == 1
    record = ws.read_sidecar("single_view", Chunk("alpha"), "Original") | {"model": "Cosmos-Transfer1-7B-Sample-AV"}
    ws.write_sidecar("single_view", Chunk("alpha"), "Original", record)  # the sidecar's name counts, not the size
    assert estimate(ws, SingleViewParams(num_steps=9, **TINY)).from_runs == 1


def test_finished_results_are_not_counted(ws):
    put_result(ws, "Night")
    p = SingleViewParams(num_steps=4, clips=["alpha"], **TINY)
    path = ws.single_view(Chunk("alpha"), "Night")
    record = ws.read_sidecar("single_view", Chunk("alpha"), "Night")
    caption = read_captions(ws.captions, "alpha")["Night"]
    seed = video_seed(1, Chunk("alpha"), "Night", "clip")
    ws.write_sidecar(
        "single_view", Chunk("alpha"), "Night", record | {"prompt": caption, "seed": seed, "guidance": 0.0, "fps": 24}
    )
    assert estimate(ws, p).done == 0  # its video is not there
    path.write_bytes(b"x" * 2_000_000)
    told = estimate(ws, p)
    assert (told.done, told.videos) == (1, 1)
    assert "1 to make on cpu, 1 found done" in str(told) and "disk: about 2.0 MB" in str(told)
    assert estimate(ws, SingleViewParams(num_steps=4, clips=["alpha"], seed=2, **TINY)).done == 0
    nothing = estimate(ws, SingleViewParams(num_steps=4, clips=["alpha"], styles=["Night"], **TINY))
    assert str(nothing) == "0 to make on cpu, 1 found done"


def test_windows_count(ws):
    """Six views of 121 frames take three windows, of 105 two; two windows take twice the time of one."""
    put_clip(ws, "long", frames=121, styles=("Original",))

    def told(**values):
        return estimate(ws, MultiViewParams(**{"clips": ["long"], "num_steps": 9} | TINY | values))

    assert (told().videos, told().windows, told(frames=105).windows, told(frames=57).windows) == (1, 3, 2, 1)
    assert told(frames=105, num_input_frames=1).windows == 2 and told(frames=999).windows == 3
    assert told(windows="joined").windows == 3 and told(windows="joined", frames=57).windows == 1
    put_clip(ws, "longer", frames=170, styles=("Original",))
    longer = [told(clips=["longer"], windows=kind).windows for kind in ("auto", "extension", "joined")]
    assert longer == [4, 4, 4] and told(clips=["longer"], frames=122).windows == 3  # by extension it takes four
    assert "1 to make on cpu, 3 windows of 10 evaluations" in str(told())
    record = {"steps": 4, "seconds": 10.0, "preset": "exact", "size": {"height": SIX}, "pipeline": {"device": "cpu"}}
    ws.write_sidecar("multi_view", Chunk("long"), "Original", {**record, "frames": 105, "num_input_frames": 9})
    assert told().seconds == pytest.approx(3 * 10 * 1.0)
    first = estimate(ws, SingleViewParams(clips=["long"], **TINY))
    assert first.windows == 1 and "1 window of 21" in str(first)


def test_the_windows_that_overlap_count(ws):
    """361 frames are four joined windows; an earlier result's pace is by its own kind of windows."""
    put_clip(ws, "long", frames=361, styles=("Original",))

    def told(windows):
        return estimate(ws, SingleViewParams(clips=["long"], num_steps=9, windows=windows, **TINY))

    assert [told(windows).windows for windows in ("first", "all", "joined")] == [1, 3, 4]
    record = {"steps": 9, "seconds": 40.0, "preset": "exact", "size": {"height": FRONT}, "pipeline": {"device": "cpu"}}
    ws.write_sidecar("single_view", Chunk("long"), "Original", {**record, "frames": 361, "windows": "joined"})
    assert told("joined").seconds == pytest.approx(40.0) and told("all").seconds == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("params", "stage", "unnamed"),
    [(SingleViewParams, "single_view", "first"), (MultiViewParams, "multi_view", "extension")],
)
def test_a_result_of_other_windows_is_not_done(ws, params, stage, unnamed):
    """A long result counts as done for its own kind of windows; of one window the kind has no effect."""
    put_clip(ws, "long", frames=361, styles=("Original",))
    chunk = Chunk("long")
    path = ws.single_view(chunk, "Original") if stage == "single_view" else ws.grid(chunk, "Original")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    record = {
        "prompt": read_captions(ws.captions, "long")["Original"],
        "seed": video_seed(1, chunk, "Original", "clip"),
    }
    record |= {"steps": 20, "guidance": 0.0, "preset": "exact", "fps": 24}

    def done(of_result, windows):
        ws.write_sidecar(stage, chunk, "Original", record | {"identity": {"parameters": of_result}})
        return estimate(ws, params(clips=["long"], windows=windows, **TINY)).done

    assert [done({}, windows) for windows in (unnamed, "joined")] == [1, 0]
    assert [done({"windows": "joined"}, windows) for windows in (unnamed, "joined")] == [0, 1]
    if stage == "multi_view":  # earlier versions made long views by extension
        assert [done({}, "auto"), done({"windows": "joined"}, "auto")] == [1, 1]
    ws.write_sidecar(stage, chunk, "Original", record | {"identity": {"parameters": 3}})
    assert estimate(ws, params(clips=["long"], **TINY)).done == 1


def test_gpu_memory_is_held_against_what_is_free(ws, monkeypatch):
    gib = 2**30
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "GPU X")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (10 * gib, 80 * gib))
    assert "20.1 GiB measured on an H100 for a forward, 10.0 GiB free now" in str(estimate(ws, SingleViewParams()))
    assert "need not known yet" in str(estimate(ws, SingleViewParams(checkpoints="tiny")))
    put_result(ws, "Original", device="GPU X", height=704, peak=31 * gib)
    told = str(estimate(ws, SingleViewParams()))
    assert "31.0 GiB at the peak of those, 10.0 GiB free now" in told
    assert "set a smaller preset" in told


def test_broken_captions_and_sidecars_are_passed_over(ws):
    (ws.captions / "beta.json").write_text("{")
    put_result(ws, "Original", seconds=-1.0)
    put_result(ws, "Foggy", seconds="10")
    put_result(ws, "Snowy", steps="4")
    ws.write_sidecar("single_view", Chunk("alpha"), "Night", {"steps": None, "size": []})
    told = estimate(ws, SingleViewParams(**TINY))
    assert (told.videos, told.seconds) == (2, None)
