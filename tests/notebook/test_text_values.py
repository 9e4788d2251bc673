"""Parameters declared as text keep their text, however they are given."""

import datetime

import pytest

from dreamkit.errors import DreamkitError
from dreamkit.generate.params import SingleViewParams
from dreamkit.notebook.params import ALIASES, parse_params
from dreamkit.notebook.text_values import as_written, restore_texts
from dreamkit.runs.notebook import gather_params, read_pairs

ODD = ["0001", "2335_01", "2335854536382166371_2709_426_2729_426", "20240115_103000", "no", "2024-01-15", "1e5"]


@pytest.mark.parametrize("name", [*ODD, "2026-13-45", "~", "0x1F", ".5"])
def test_command_line_and_yaml(tmp_path, name):
    assert read_pairs(SingleViewParams, [f"clips={name}", f"workspace={name}"]) == {"clips": name, "workspace": name}
    assert read_pairs(SingleViewParams, [f"clips=[{name}, {name}]"]) == {"clips": [name, name]}
    if name not in ("2026-13-45", "~"):
        file = tmp_path / "p.yaml"
        file.write_text(f"clips: [{name}]\nworkspace: {name}\n")
        p = gather_params(SingleViewParams, file, {})
        assert (p.clips, p.workspace) == ([name], name)


@pytest.mark.parametrize("name", ODD)
def test_what_papermill_and_cells_have_lost_is_found_by_the_names_on_disk(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    captions = tmp_path / "ws" / "captions"
    captions.mkdir(parents=True)
    for clip in (name, "other"):
        (captions / f"{clip}.txt").write_text("A street.")
    lost = {
        "0001": 1,
        "2335_01": 233501,
        "20240115_103000": 20240115103000,
        "no": False,
        "2024-01-15": datetime.date(2024, 1, 15),
        "1e5": 1e5,
    }.get(name, 233585453638216637127094262729426)
    assert restore_texts(SingleViewParams, {"workspace": "ws", "clips": [lost]})["clips"] == [name]
    assert restore_texts(SingleViewParams, {"workspace": "ws", "clips": lost})["clips"] == name
    (tmp_path / name).mkdir()
    assert restore_texts(SingleViewParams, {"workspace": lost})["workspace"] == name


def test_two_names_of_one_number_are_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    captions = tmp_path / "ws" / "captions"
    captions.mkdir(parents=True)
    for clip in ("0001", "1"):
        (captions / f"{clip}.txt").write_text("A street.")
    values = restore_texts(SingleViewParams, {"workspace": "ws", "clips": [1]})
    assert values["clips"] == [1]
    with pytest.raises(DreamkitError, match="papermill's option -r"):
        parse_params(SingleViewParams, values, "Notebook")


def test_windows_paths_name_the_escape(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text('workspace: "C:\\data"\n')
    with pytest.raises(DreamkitError) as caught:
        gather_params(SingleViewParams, file, {})
    assert "backslash" in caught.value.hint
    file.write_text('workspace: "C:\\new\\table"\n')  # valid escapes: a line break and a tab
    with pytest.raises(DreamkitError, match="backslash in double quotes"):
        gather_params(SingleViewParams, file, {})
    for text in ("C:\\data", "'C:\\new\\table'", "C:/new"):
        file.write_text(f"workspace: {text}\n")
        assert gather_params(SingleViewParams, file, {}).workspace == text.strip("'")
    with pytest.raises(DreamkitError) as caught:
        read_pairs(SingleViewParams, ['workspace="C:\\data"'])
    assert "backslash" in caught.value.hint


def test_an_empty_line_is_an_empty_text_and_long_values_are_cut():
    assert as_written(SingleViewParams, {"spec": None}, {"spec": ""}, ALIASES) == {"spec": ""}
    with pytest.raises(DreamkitError) as caught:
        parse_params(SingleViewParams, {"num_steps": "x" * 40_000}, "Notebook")
    assert len(str(caught.value)) < 1000
