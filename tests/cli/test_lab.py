"""`dreamkit lab`: its command, its kernel, its working copies; it ends its server and the kernels when it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from lab import TOKEN, free_port, wait_for
from typer.testing import CliRunner

from dreamkit.cli import lab
from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.notebook.shipped import REPOSITORY
from dreamkit.workspace.paths import home


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What `dreamkit lab` would start: (command, folder, environment, kernel specification)."""
    monkeypatch.chdir(tmp_path)
    found = []

    def note(command, folder, environment):
        kernel = Path(environment["JUPYTER_PATH"].split(os.pathsep)[0]) / "kernels" / "python3" / "kernel.json"
        found.append((command, folder, environment, json.loads(kernel.read_text())))
        return 0

    monkeypatch.setattr(lab, "run_child", note)
    return found


def test_lab_opens_in_the_users_folder_on_working_copies(started, tmp_path):
    result = CliRunner().invoke(app, ["lab", "--open", "04", "--", "--no-browser", "--port=8890"])
    assert result.exit_code == 0, result.output
    ((command, folder, _, kernel),) = started
    assert folder == tmp_path
    assert command[command.index("-m") :][:3] == ["-m", "jupyter", "lab"]
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert "--LabApp.default_url=/lab/tree/my_notebooks/04_single_view.ipynb" in command
    assert command[-2:] == ["--no-browser", "--port=8890"]
    assert kernel["argv"][0] == sys.executable
    assert kernel["env"] == {"DREAMKIT_HOME": str(tmp_path), "DREAMKIT_PARAMS": "", "PYTHONSAFEPATH": "1"}
    assert len(list((tmp_path / "my_notebooks").glob("*.ipynb"))) == 7


def test_lab_opens_beside_the_notebooks_that_it_is_started_in(started, tmp_path, monkeypatch):
    (tmp_path / "my_notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "my_notebooks")
    assert lab.open_lab() == 0
    assert started[0][1] == tmp_path


def test_a_parameter_set_is_checked_before_the_server_starts(started, tmp_path):
    assert lab.open_lab("params/demo") == 0
    assert started[0][3]["env"]["DREAMKIT_PARAMS"] == "params/demo"
    own = tmp_path / "own"
    own.mkdir()
    for wrong, told in (
        ("params/dem", "Did you mean params/demo"),
        ("own", "has no parameter file that is named after a notebook"),
    ):
        with pytest.raises(DreamkitError) as caught:
            lab.open_lab(wrong)
        assert told in str(caught.value)
    (own / "04_single_view.yaml").write_text("num_step: 3\n")
    with pytest.raises(DreamkitError, match="did you mean num_steps"):
        lab.open_lab("own")
    with pytest.raises(DreamkitError, match="a parameter set is a folder"):
        lab.open_lab("own/04_single_view.yaml")
    assert len(started) == 1


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_lab_ends_its_server_and_kernels(tmp_path, sign):
    port = free_port()
    command = [sys.executable, "-m", "dreamkit.cli", "lab", "--", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    with (tmp_path / "lab.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        wait_for(f"{url}?token={TOKEN}")
        body = json.dumps({"name": "python3"}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/kernels?token={TOKEN}", body), timeout=30).close()
        started = psutil.Process(process.pid).children(recursive=True)
        assert any("ipykernel_launcher" in " ".join(one.cmdline()) for one in started)
        time.sleep(2)
        process.send_signal(sign)
        process.wait(30)
        _, alive = psutil.wait_procs(started, 10)
        assert not alive
    finally:
        process.kill()
    said = (tmp_path / "lab.log").read_text()
    assert "Traceback" not in said
    assert "over TCP without encryption" not in said
    assert "ERROR" not in said


def test_relative_paths_start_where_a_run_began(tmp_path, monkeypatch):
    copies = tmp_path / "outputs" / "notebooks"
    copies.mkdir(parents=True)
    monkeypatch.chdir(copies)
    assert home() == tmp_path / "outputs"
    (copies / ".dreamkit-start").write_text("../..\n")
    assert home() == tmp_path
    (copies / ".dreamkit-start").write_text("../nowhere\n")
    assert home() == tmp_path / "outputs"
    monkeypatch.setenv("DREAMKIT_HOME", str(tmp_path))
    assert home() == tmp_path
    assert home(tmp_path / "a") == tmp_path / "a"
