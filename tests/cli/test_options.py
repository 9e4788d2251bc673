"""Parameters on the command line: the same spelling in every command that runs a notebook, and earlier spellings."""

import json

import pytest
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.cli.options import from_old_options
from dreamkit.download import run as download_run
from dreamkit.runs.notebook import read_pairs
from dreamkit.styles.params import StyleParams

CAPTION = "A white van drives along a wide street under a clear sky in the afternoon."


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "captions").mkdir(parents=True)
    (tmp_path / "own" / "captions" / "clip.txt").write_text(CAPTION)
    return tmp_path / "own"


def styles_of(workspace):
    return list(json.loads((workspace / "captions" / "clip.json").read_text()))


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["-p", "workspace=own", "-p", "styles=[Night, Rainy]"], ""),
        (["-f", "mine.yaml"], "workspace: own\nstyles: [Night, Rainy]\n"),
        (["-f", "mine.yaml", "-p", "styles=[Night, Rainy]"], "workspace: own\nstyles: [Foggy]\n"),
    ],
)
def test_styles_are_written_as_file_and_pairs_say(workspace, words, file):
    (workspace.parent / "mine.yaml").write_text(file)
    result = CliRunner().invoke(app, ["styles", "write", *words])
    assert result.exit_code == 0, result.output
    assert styles_of(workspace) == ["Original", "Night", "Rainy"]
    assert "spelling" not in result.stderr


def test_the_earlier_options_of_styles_write_are_understood_and_the_new_ones_printed(workspace):
    old = ["-w", "own", "-s", "Night", "--style", "Rainy", "-r", "rules", "--seed", "3", "--side-weather"]
    result = CliRunner().invoke(app, ["styles", "write", *old])
    assert result.exit_code == 0, result.output
    assert styles_of(workspace) == ["Original", "Night", "Rainy"]
    (line,) = [line for line in result.stderr.splitlines() if "spelling" in line]
    assert line.endswith(
        "dreamkit styles write -p workspace=own -p 'styles=[Night, Rainy]' -p rewriter=rules -p seed=3"
        " -p side_weather=true"
    )


def test_a_wrong_parameter_of_styles_write_is_refused_by_the_model(workspace):
    result = CliRunner().invoke(app, ["styles", "write", "-p", "workspace=own", "-p", "rewriter=magic"])
    assert result.exit_code == 1
    assert "rewriter (command line) = 'magic'" in str(result.exception)


def test_models_of_download_as_words_are_understood_and_the_new_spelling_printed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(download_run, "plan", lambda p: asked.append(p) or "plan")
    monkeypatch.setattr(download_run, "fetch", lambda ws, p, todo: "done")
    old = CliRunner().invoke(app, ["download", "single_view", "styles", "--list"])
    new = CliRunner().invoke(app, ["download", "-p", "models=[single_view, styles]", "--list"])
    assert asked[0] == asked[1]
    assert (asked[0].models, asked[0].list_only) == (["single_view", "styles"], True)
    assert "the new one is: dreamkit download -p 'models=[single_view, styles]'" in old.stderr
    assert new.stderr == ""


def test_the_printed_pairs_mean_the_same(capsys):
    options = {
        "seed": 3,
        "overwrite": False,
        "model": "Qwen/Qwen3-14B",
        "clips": ["a", "b c"],
        "url": None,
        "styles": [],
    }
    given = from_old_options("styles write", options)
    assert given == {"seed": 3, "overwrite": False, "model": "Qwen/Qwen3-14B", "clips": ["a", "b c"]}
    line = capsys.readouterr().err
    for name, value in given.items():
        assert read_pairs(StyleParams, [f"{name}={value if isinstance(value, str) else json.dumps(value)}"]) == {
            name: value
        }
        assert f"{name}=" in line


@pytest.mark.parametrize("command", [["run"], ["doctor"], ["download"], ["styles", "write"]])
def test_help_names_both_ways_to_give_parameters_and_hides_the_earlier_ones(command):
    text = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert "-f" in text
    assert "-p" in text
    for old in ("--workspace", "--rewriter", "MODEL"):
        assert old not in text
