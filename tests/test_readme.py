"""What the two READMEs promise: commands, parameters and notebooks that exist, the same steps in both languages."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from dreamkit.cli.app import app
from dreamkit.notebook.params import ALIASES
from dreamkit.runs.notebook import MODELS
from dreamkit.transfer import memory_needs
from dreamkit.workspace.sizes import GIB

REPO = Path(__file__).resolve().parents[1]
TEXTS = {name: (REPO / name).read_text() for name in ("README.md", "README.zh.md")}


@pytest.mark.parametrize("name", TEXTS)
def test_commands_and_options_exist(name):
    commands = get_command(app).commands
    for line in re.findall(r"`(?:[^`]*/)?dreamkit ([a-z][^`]*)`", TEXTS[name]):
        words = line.split()
        assert words[0] in commands, line
        command = commands[words[0]]
        if hasattr(command, "commands"):
            command = command.commands[words[1]]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for word in words:
            if re.fullmatch(r"-[a-z]|--[a-z-]+", word):
                assert word in options, line


@pytest.mark.parametrize("name", TEXTS)
def test_parameters_and_notebooks_exist(name):
    known = {field for model in MODELS.values() for field in model.model_fields} | set(ALIASES)
    for parameter in re.findall(r"-p '?([a-z_]+)=", TEXTS[name]):
        assert parameter in known
    for notebook in MODELS:
        assert f"`{notebook}`" in TEXTS[name]


def test_both_languages_have_the_same_first_lines():
    first, tests = (re.findall(r"`(python3 -m venv [^`]*)`", text) for text in TEXTS.values())
    assert first == tests
    assert len(first) == 2


def test_both_languages_have_the_same_tables_and_figures():
    tables = [re.findall(r"(?:^\|.*\n)+", text, re.M) for text in TEXTS.values()]
    assert [len(table.splitlines()) for table in tables[0]] == [len(table.splitlines()) for table in tables[1]]
    for english, chinese in zip(*tables, strict=True):
        options, theirs = (set(re.findall(r"`(-[^`]*|[a-z_]+: [^`]*)`", table)) for table in (english, chinese))
        assert options == theirs
        if "GiB" in english:
            assert re.findall(r"\d+\.\d+", english) == re.findall(r"\d+\.\d+", chinese)


def test_doctor_knows_the_measured_peaks():
    for need in memory_needs.MEASURED.values():
        assert f"{need.forward / GIB:.1f} GiB a forward" in TEXTS["README.md"]
        assert f"{need.run / GIB:g} GiB" in TEXTS["README.md"]
