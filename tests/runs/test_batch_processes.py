"""Batches in real processes with real kernels: killed, interrupted, two at once, on a full disk, on a Ray cluster."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import batch_kills
import pytest
import yaml
from batch_kills import check_whole, descendants, gone, put_batch, run_with_kills, start

from dreamkit.runs.batch_events import read_events
from dreamkit.workspace.workspace import Workspace

REPO = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(monkeypatch, micro_checkpoints):
    """Processes that find this package, and keep the micro bundle as trusted as this one does."""
    paths = [str(REPO), str(REPO / "tests" / "support"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("DREAMKIT_CACHE", str(micro_checkpoints.parent / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return micro_checkpoints


def started_units(path):
    ws = Workspace(yaml.safe_load(path.read_text())["workspace"])
    return [
        event["unit"]
        for event in read_events(ws.batch_folder("batch").joinpath("events.jsonl"))
        if event["event"] == "unit_started"
    ]


def wait_for(condition, seconds=60.0):
    until = time.time() + seconds
    while not condition():
        assert time.time() < until
        time.sleep(0.1)


def test_kills_at_random_moments_lose_nothing_and_leave_nothing(settings, tmp_path):
    path = put_batch(tmp_path, 1, styles=("Night", "Rainy"), checkpoints=settings)
    counts = run_with_kills(path, kills=2, longest=5.0, seed=1)
    assert sum(counts.values()) >= 1
    check_whole(Workspace(tmp_path / "outputs"), 2)


def test_two_batches_at_once_and_an_interrupt(settings, tmp_path):
    path = put_batch(tmp_path, 2, styles=("Night",), checkpoints=settings, clips_per_unit=1)
    one, two = start(path), start(path, "--name", "other")
    wait_for(lambda: len(descendants(one)) >= 2)
    below = descendants(one)
    one.send_signal(signal.SIGINT)  # no further unit starts; the running one finishes
    assert one.wait(timeout=120) == 130
    gone(below)
    assert two.wait(timeout=120) == 0, path.with_suffix(".log").read_text()
    check_whole(Workspace(tmp_path / "outputs"), 2)
    log = Workspace(tmp_path / "outputs").log_file("single_view").read_text()
    assert log.count(" frames in ") == 2  # none was made twice
    assert "the running units finish first" in path.with_suffix(".log").read_text()


def test_sigterm_and_a_second_interrupt_stop_at_once(settings, tmp_path):
    path = put_batch(tmp_path, 1, styles=("Night",), checkpoints=settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        batch = start(path)
        wait_for(lambda batch=batch: len(descendants(batch)) >= 1)
        below = descendants(batch)
        batch.send_signal(number)
        if number == signal.SIGINT:
            time.sleep(0.3)
            batch.send_signal(number)
        assert batch.wait(timeout=20) == 130
        gone(below)
    assert not list((tmp_path / "outputs").glob("single_view/*.mp4"))


def test_a_ray_cluster_makes_what_the_local_engine_makes(settings, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    path = put_batch(tmp_path, 2, styles=("Night",), checkpoints=settings, clips_per_unit=1, engine="ray")
    store = tmp_path / "store"  # as on a cluster whose nodes share no folder
    Workspace(tmp_path / "outputs").root.rename(store)
    path.write_text(path.read_text() + f"store: file://{store}\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # its sockets need short paths
    (tmp_path / "scratch").mkdir()
    script = (
        "import ray, sys\n"
        "from ray.cluster_utils import Cluster\n"
        "from dreamkit.cli import main\n"
        "def started(start, attempts=3):\n"
        "    try:\n"
        "        return start()\n"
        "    except Exception:  # Ray gives up after 30 s, which a busy machine may need\n"
        "        if attempts == 1: raise\n"
        "        return started(start, attempts - 1)\n"
        "cluster = started(lambda: Cluster(initialize_head=True, head_node_args={'num_cpus': 1}))\n"
        "started(lambda: cluster.add_node(num_cpus=1))\n"
        "ray.init(address=cluster.address, log_to_driver=False)\n"
        "sys.argv = ['dreamkit', 'batch', sys.argv[1]]\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Ray cluster: 2 nodes" in ran.stdout
    check_whole(Workspace(tmp_path / "outputs"), 2)
    check_whole(Workspace(store), 2)


def test_a_kernel_ends_with_its_parent(tmp_path):
    code = "import os, subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).pid, flush=True)"
    child = (
        "import os, time; from dreamkit.workspace.processes import end_unit_with_parent;"
        " end_unit_with_parent(os.getppid()); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code + "; import time; time.sleep(60)", child],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert parent.stdout
    process = batch_kills.psutil.Process(int(parent.stdout.readline()))
    time.sleep(1.0)
    assert process.is_running()
    parent.kill()
    parent.wait()
    gone([process])
