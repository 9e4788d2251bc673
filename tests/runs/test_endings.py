"""What a user reads, and what is left, when a kernel, JupyterLab or a command is killed, or the disk is full."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dreamkit.errors import DreamkitError
from dreamkit.runs import notebook as notebook_run
from dreamkit.setup.params import SetupParams
from dreamkit.workspace.failures import failure_of

REPO = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A function that writes a notebook 00 with the parameters' cell and one more."""
    monkeypatch.chdir(tmp_path)

    def write(source):
        path = tmp_path / "00_setup.ipynb"
        whole = json.loads((REPO / "notebooks" / path.name).read_text())
        cells = [cell for cell in whole["cells"] if "parameters" in cell["metadata"].get("tags", [])]
        own = {"cell_type": "code", "execution_count": None, "id": "own", "metadata": {}, "outputs": []}
        whole["cells"] = [*cells, {**own, "source": [source]}]
        path.write_text(json.dumps(whole))
        return str(path)

    return write


def run(path, folder, before="pass"):
    """`dreamkit run` in a process: exit code, output, errors; `before` is done before it."""
    code = f"import resource, sys; {before}; from dreamkit.cli import main; sys.argv[0] = 'dreamkit'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", path, "-p", f"workspace={folder}"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_killed_kernel_is_one_line_with_the_likely_cause(book, tmp_path):
    code, out, err = run(book("import os; print('so far', flush=True); os.kill(os.getpid(), 9)"), tmp_path / "outputs")
    assert code == 1 and "Traceback" not in out + err
    assert "The kernel of notebook 00_setup was killed, most likely because the machine ran out of memory." in err
    assert (tmp_path / "outputs" / "notebooks" / "00_setup.executed.ipynb").is_file()


def test_an_executed_copy_that_does_not_fit_leaves_nothing(book, tmp_path):
    path = book("print('x' * 300_000)")
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000,) * 2)"
    code, out, err = run(path, tmp_path / "outputs", limit)
    assert code == 1 and "Traceback" not in out + err
    assert "00_setup.executed.ipynb cannot be written: File too large." in err
    assert "Check that the disk has room." in err
    assert [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()] == []


def test_a_full_disk_under_an_executed_copy_is_told_to_the_batch_as_such(book, tmp_path, monkeypatch):
    import papermill

    def fill(source, output, **rest):
        Path(output).write_text('{"cells": [')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(papermill, "execute_notebook", fill)
    with pytest.raises(DreamkitError, match="No space left on device") as caught:
        notebook_run.run_notebook(book(""), SetupParams(workspace=str(tmp_path / "outputs")))
    assert failure_of(caught.value).disk_full


def below(process):
    return psutil.Process(process.pid).children(recursive=True)


def end(process, sign, seconds=20):
    """End a process and expect that those below it end too; returns its exit code."""
    found = below(process)
    process.send_signal(sign)
    code = process.wait(seconds)
    _, alive = psutil.wait_procs(found, seconds)
    assert not alive
    return code


@pytest.mark.parametrize(("sign", "code"), [("SIGTERM", 143), ("SIGINT", 0), ("SIGKILL", -9)])
def test_a_server_ends_with_the_command_that_started_it(tmp_path, sign, code):
    server = "import time, pathlib; pathlib.Path('up').touch(); time.sleep(60)"
    command = (
        "import pathlib, sys\n"
        "from dreamkit.workspace.processes import run_child, terminating_like_ctrl_c\n"
        "with terminating_like_ctrl_c():\n"
        "    try:\n"
        f"        run_child([sys.executable, '-c', {server!r}], pathlib.Path())\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
    )
    process = subprocess.Popen([sys.executable, "-c", command], cwd=tmp_path, env=ENVIRONMENT)
    wait_for(lambda: (tmp_path / "up").is_file())
    assert end(process, getattr(signal, sign)) == code


def wait_for(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow  # JupyterLab starts in about three seconds
def test_jupyterlab_ends_with_a_killed_command(tmp_path):
    options = ("--no-browser", "--port=0", "--allow-root", "--IdentityProvider.token=x")
    process = subprocess.Popen(
        [sys.executable, "-m", "dreamkit.cli", "lab", "--", *options],
        env={**ENVIRONMENT, "JUPYTER_RUNTIME_DIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: list(tmp_path.glob("jpserver-*.json")))
    assert end(process, signal.SIGKILL) == -signal.SIGKILL
