"""The demo and its notebooks with real kernels, and a random bundle smaller than the tiny one.

The tiny bundle itself makes the videos of the browser tests and of notebook 00.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from dreamkit.cli import demo
from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import MultiViewParams
from dreamkit.notebook import shipped
from dreamkit.runs import notebook as notebook_run
from dreamkit.runs.notebook import MODELS
from dreamkit.setup.sample_clip import CURVE, TWO_WINDOWS, write_condition_clip
from dreamkit.transfer.config import bundle_configs
from dreamkit.transfer.windows import multi_view_windows
from dreamkit.workspace import video
from dreamkit.workspace.files import sha256
from dreamkit.workspace.workspace import Chunk, Workspace

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return Workspace("outputs")


@pytest.fixture
def small_bundle(micro_checkpoints, monkeypatch):
    """The folder of the micro bundle, trusted by the processes that a test starts."""
    monkeypatch.setenv("DREAMKIT_CACHE", str(micro_checkpoints.parent / "cache"))
    return micro_checkpoints


@pytest.mark.slow
def test_every_notebook_in_order(ws, small_bundle, monkeypatch, capfd):
    small = functools.partial(write_condition_clip, frames=9, height=88, width=160)
    monkeypatch.setattr(demo, "write_condition_clip", small)
    gather_params = notebook_run.gather_params

    def quick(model, file, pairs):
        return gather_params(model, file, pairs | ({"checkpoints": str(small_bundle)} if "num_steps" in pairs else {}))

    monkeypatch.setattr(notebook_run, "gather_params", quick)
    made = demo.run_demo(ws.root, steps=1)
    assert [path.stem.removesuffix(".executed") for path in sorted((ws.root / "notebooks").glob("*.ipynb"))] == sorted(
        MODELS
    )
    names = ["Night", "Original"]
    config, _ = bundle_configs(small_bundle)
    for style in names:
        front = ws.single_view(Chunk(CURVE), style)
        assert str(video.probe(front)) == f"9 frames {config.width}x{config.height} at 24 fps"
        for index in range(6):
            assert video.probe(ws.view(Chunk(CURVE), style, index)).frames == 9
        assert video.probe(ws.grid(Chunk(CURVE), style)) in [video.probe(path) for path in made]
        assert json.loads(ws.prompts(Chunk(CURVE), style).read_text())
    record = ws.read_sidecar("multi_view", Chunk(CURVE), "Night")
    assert record["pipeline"]["device"] == "cpu"
    for stage in ("04_single_view", "05_multi_view"):
        assert "data:image/jpeg" in ws.executed(stage).read_text()  # frames of the results
    assert "data:image/jpeg" in ws.executed("02_captions").read_text()
    assert "<ins" in ws.executed("03_styles").read_text()
    assert (ws.root / "review" / "report.html").is_file()
    printed = capfd.readouterr().out
    assert demo.TINY_NOTE in printed
    assert "step 2/2, window 1/1" in printed
    assert "All 7 notebooks ran in" in printed


@pytest.mark.slow
def test_papermill_the_command_and_a_hand_make_the_same_files(ws, small_bundle, tmp_path, monkeypatch):
    """Three ways into one notebook: plain papermill, `dreamkit run`, and every cell run in JupyterLab's folder."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # much faster on a busy machine
    made = {}
    write_condition_clip(tmp_path / "inputs", frames=9, height=88, width=160)
    for way in ("papermill", "command", "hand"):
        home = tmp_path / way
        shutil.copytree(tmp_path / "inputs", home / "outputs")
        (home / "notebooks").mkdir()
        copy = home / "notebooks" / "04_single_view.ipynb"
        copy.write_bytes((REPO / "notebooks" / copy.name).read_bytes())
        values = {"checkpoints": str(small_bundle), "num_steps": 1, "device": "cpu"}
        if way == "hand":
            book = nbformat.read(copy, 4)
            edited = next(cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
            edited.source += "\n" + "\n".join(f"{name} = {value!r}" for name, value in values.items())
            where = {"metadata": {"path": str(copy.parent)}}
            nbclient.NotebookClient(book, kernel_name="python3", resources=where).execute()
        else:
            pairs = [part for name, value in values.items() for part in ("-p", name, str(value))]
            command = ["papermill", str(copy), "out.ipynb", *pairs]
            if way == "command":
                pairs = [part for name, value in values.items() for part in ("-p", f"{name}={value}")]
                command = ["dreamkit.cli", "run", "04_single_view", *pairs]
            done = subprocess.run([sys.executable, "-m", *command], cwd=home, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        of = Workspace(home / "outputs")
        record = of.read_sidecar("single_view", Chunk(CURVE), "Original")
        made[way] = (sha256(of.single_view(Chunk(CURVE), "Original")), record["identity"], record["outputs"])
    assert made["papermill"] == made["command"] == made["hand"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("01_download", "no answer: http://127.0.0.1:9/.* set HF_ENDPOINT to a mirror"),
        ("02_captions", "has no clip: no condition video and no caption"),
        ("03_styles", "There is no caption in"),
        ("04_single_view", "There is no checkpoint folder|has no captions"),
        ("05_multi_view", "There is no checkpoint folder|has no captions"),
        ("06_review", "There is no video to review under"),
    ],
)
def test_alone_a_notebook_says_what_it_lacks(ws, monkeypatch, name, told):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # no server at this port
    ws.root.mkdir()
    with pytest.raises(DreamkitError, match=told) as caught:
        notebook_run.run_notebook(name, notebook_run.gather_params(MODELS[name], None, {}))
    assert caught.value.hint
    assert name == "01_download" or str(ws.root.parent) in str(caught.value)
    left = {path.name for path in ws.root.rglob("*") if path.is_file() and "notebooks" not in path.parts[-2:]}
    assert not [name for name in left if name.endswith((".mp4", ".txt"))]


def test_the_demo_draws_its_clip_once(ws, monkeypatch):
    small = functools.partial(write_condition_clip, frames=3, height=44, width=80)
    monkeypatch.setattr(demo, "write_condition_clip", small)
    demo.prepare_demo(ws)
    front = ws.condition("hdmap", demo.SIX_VIEWS.front, Chunk(CURVE))
    before = front.stat().st_mtime_ns
    assert video.probe(front).frames == 3
    demo.prepare_demo(ws)
    assert front.stat().st_mtime_ns == before
    assert ws.clips() == [CURVE]
    assert list(json.loads(ws.spec("multi_view").read_text())) == ["hdmap"]


def test_the_demo_makes_two_whole_windows_of_six_views():
    window, given = bundle_configs(checkpoints.folder("tiny"))[1].window_frames, MultiViewParams().num_input_frames
    assert multi_view_windows(TWO_WINDOWS, window, given, True).starts == (0, window - given)
    assert 2 * window - given == TWO_WINDOWS


def test_the_demo_runs_its_own_specs(ws, monkeypatch, tmp_path):
    (tmp_path / "single_view_spec.json").write_text('{"lidar": {"control_weight": 0.1}}')
    monkeypatch.setattr(demo, "write_condition_clip", lambda root: root.mkdir(parents=True))
    run = {}
    monkeypatch.setattr(notebook_run, "run_notebook", lambda name, p: (run.update({name: p}), ws.executed(name))[1])
    demo.run_demo(ws.root)
    assert run["04_single_view"].spec == str(ws.spec("single_view"))
    assert run["05_multi_view"].spec == str(ws.spec("multi_view"))


def test_the_bundle_has_what_both_stages_need(ws):
    root = checkpoints.folder("tiny")
    for stage, controls in (("single_view", ["hdmap", "lidar"]), ("multi_view", ["hdmap"])):
        assert checkpoints.needed(stage, root, controls, {})


def test_the_demo_ends_with_the_command_that_continues_it(ws, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(demo, "write_condition_clip", lambda root: root.mkdir(parents=True))
    monkeypatch.setattr(notebook_run, "run_notebook", lambda name, p: ws.executed(name))
    ws = Workspace("outputs/demo")
    demo.run_demo(Path("outputs/demo"))
    assert capsys.readouterr().out.splitlines()[-1] == "  dreamkit lab --params params/demo"
    ws = Workspace("other place")
    demo.run_demo(Path("other place"))
    assert capsys.readouterr().out.splitlines()[-1] == "  dreamkit lab --params 'other place/params'"
    params = notebook_run.gather_params(MODELS["04_single_view"], Path("other place/params"), {})
    assert (params.workspace, params.checkpoints) == ("other place", "tiny")


def test_the_demo_says_when_its_files_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "REPOSITORY", tmp_path)
    monkeypatch.setattr(shipped, "_installed_files", list)
    with pytest.raises(DreamkitError, match="The params that belong to dreamkit are not at"):
        demo.run_demo(tmp_path / "outputs")
