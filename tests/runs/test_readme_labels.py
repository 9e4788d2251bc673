"""The README's four commands from labels to a data set: the first is run, the parameters of the others are checked."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from own_rigs import CLIP, write_fleet
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.review.params import ReviewParams
from dreamkit.runs.notebook import gather_params, read_pairs
from dreamkit.workspace.cameras import SIX_VIEWS

REPO = Path(__file__).resolve().parents[2]
NOTEBOOKS = {"04_single_view": SingleViewParams, "05_multi_view": MultiViewParams, "06_review": ReviewParams}


def four_commands(readme: str) -> list[str]:
    block = re.search(r"```\n(dreamkit render my_labels --rig auto .*?)```", (REPO / readme).read_text(), re.DOTALL)
    assert block
    return block[1].splitlines()


def test_the_four_commands(tmp_path, monkeypatch):
    commands = four_commands("README.md")
    assert len(commands) == 4 and four_commands("README.zh.md") == commands
    write_fleet(tmp_path / "my_labels", frames=4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_HOME", str(tmp_path))
    done = CliRunner().invoke(app, [*shlex.split(commands[0])[1:], "--workers", "1", "--chunk-frames", "4"])
    assert done.exit_code == 0, done.output
    folders = [tmp_path / "outputs" / "hdmap" / f"ftheta_camera_{name}" for name in SIX_VIEWS.names]
    assert all((folder / f"{CLIP}_0.mp4").is_file() for folder in folders)
    assert (tmp_path / "outputs" / "captions" / f"{CLIP}.txt").read_text().startswith("A car drives")
    for command in commands[1:]:
        _, run, notebook, *options = shlex.split(command)
        pairs = [text for flag, text in zip(options[::2], options[1::2], strict=True) if flag == "-p"]
        model = NOTEBOOKS[notebook]
        assert run == "run" and gather_params(model, None, read_pairs(model, pairs))
    # Another render keeps a caption that is there.
    (tmp_path / "outputs" / "captions" / f"{CLIP}.txt").write_text("My own words.\n")
    CliRunner().invoke(app, [*shlex.split(commands[0])[1:], "--workers", "1", "--chunk-frames", "4"])
    assert (tmp_path / "outputs" / "captions" / f"{CLIP}.txt").read_text() == "My own words.\n"
    bad = CliRunner().invoke(app, ["render", "my_labels", "--rig", "auto", "--caption", "123"])
    assert "holds no words" in str(bad.exception)
