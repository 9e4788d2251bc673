"""`num_gpus: 2` from a notebook: twice with a small bundle and workers on the CPU, then the kernel is killed."""

import json
import os
import time
from pathlib import Path

import nbclient
import nbformat
import pytest

from dreamkit.generate.results import MADE
from dreamkit.setup.sample_clip import CURVE, write_condition_clip
from dreamkit.workspace import video
from dreamkit.workspace.workspace import Chunk, Workspace

REPO = Path(__file__).resolve().parents[2]
FIRST = """
import json, os, threading
from pathlib import Path
from dreamkit import generate
from dreamkit.generate.params import SingleViewParams
from dreamkit.workspace.workspace import Workspace

ws = Workspace("outputs")
common = dict(checkpoints=os.environ["SMALL_BUNDLE"], styles=["Original"], guidance=0, num_gpus=2, device="cpu")

def children():
    ids = []
    for task in Path("/proc/self/task").iterdir():
        ids += [int(pid) for pid in (task / "children").read_text().split()]
    return {pid: Path(f"/proc/{pid}/cmdline").read_text().replace(chr(0), " ") for pid in ids}

def workers():
    return [pid for pid, line in children().items() if "spawn_main" in line]

def make(seed):
    results = generate.single_view(ws, SingleViewParams(num_steps=1, seed=seed, **common))
    print(json.dumps([results.results[0].state, workers()]))

make(1)
"""
KILLED = """
def kill():
    Path("children.json").write_text(json.dumps(workers()))
    os.kill(os.getpid(), 9)

from dreamkit.generate.progress import RunProgress
call = RunProgress.__call__
def killing(self, progress):
    call(self, progress)
    if progress.stage == "denoise" and progress.step == 1:
        kill()
RunProgress.__call__ = killing
generate.single_view(ws, SingleViewParams(num_steps=500, seed=3, **common))
"""


@pytest.mark.slow  # starts a kernel and three times two workers, which import PyTorch each
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="lists child processes in Linux's /proc")
def test_a_notebook_runs_on_two_workers_twice_and_leaves_none_when_it_is_killed(
    tmp_path, micro_checkpoints, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("DREAMKIT_CACHE", str(micro_checkpoints.parent / "cache"))
    monkeypatch.setenv("SMALL_BUNDLE", str(micro_checkpoints))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]))
    ws = Workspace(tmp_path / "outputs")
    write_condition_clip(ws.root, frames=9, height=88, width=160)
    cells = [nbformat.v4.new_code_cell(source) for source in (FIRST, "make(2)", KILLED)]
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(cells=cells), kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    with client.setup_kernel():
        for index in (0, 1):
            client.execute_cell(cells[index], index)
            printed = "".join(output.get("text", "") for output in cells[index].outputs)
            assert json.loads(printed.strip().splitlines()[-1]) == [MADE, []]
            record = ws.read_sidecar("single_view", Chunk(CURVE), "Original")
            assert record["pipeline"]["num_gpus"] == 2
            assert "num_gpus" not in json.dumps(record["identity"])
        assert video.probe(ws.single_view(Chunk(CURVE), "Original")).frames == 9
        with pytest.raises(nbclient.exceptions.DeadKernelError):
            client.execute_cell(cells[2], 2)
    workers = json.loads((tmp_path / "children.json").read_text())
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while left := [pid for pid in workers if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
