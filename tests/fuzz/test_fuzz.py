"""Short runs of the fuzzers, of kills and of several runs at once; `python -m tests.fuzz...` runs them at length."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


def command(module, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=REPO, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_no_format_leads_to_a_traceback_or_out_of_the_workspace():
    out = command("tests.fuzz", "all", "--cases", "8", "--seed", "1", "--seconds", "5")
    assert out.count(" 0 failed") == 12


def test_a_kill_at_a_file_operation_leaves_nothing_after_the_next_run():
    assert " 0 failed" in command("tests.fuzz.kills", "--every", "40")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_kill_at_a_system_call_leaves_nothing_after_the_next_run():
    assert " 0 failed" in command("tests.fuzz.syscall_kills", "--every", "60")


def test_two_and_four_runs_on_one_workspace_make_each_video_once():
    assert " 0 failed" in command("tests.fuzz.runs", "--times", "1")


def namespaces():
    return subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux") or not namespaces(), reason="a small disk needs a namespace")
def test_on_a_full_disk_nothing_half_stands_under_a_final_name():
    out = command("tests.fuzz.disk_full")
    assert "No space left on device" in out and " 0 failed" in out
