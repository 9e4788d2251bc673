"""Notebooks by name, working copies, parameter files and sets, and the values in a notebook's own cells."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from dreamkit.cli.app import main
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import SingleViewParams
from dreamkit.notebook.shipped import shipped_folder
from dreamkit.review.params import ReviewParams
from dreamkit.runs import notebook as notebook_run
from dreamkit.runs import notebook_files
from dreamkit.workspace.paths import home


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("04", "04_single_view"),
        ("05_m", "05_multi_view"),
        ("review", "06_review"),
        ("a/b/04_single_view.ipynb", "04_single_view"),
        ("a/04_single_view.executed.ipynb", "04_single_view"),
        ("0", "0"),
        ("s", "s"),  # setup, styles, single_view
    ],
)
def test_a_beginning_that_only_one_notebook_has_is_its_name(given, name):
    assert notebook_files.notebook_name(given) == name


def test_a_parameter_set_is_named_in_one_line(capsys):
    found = SingleViewParams.from_cell({"params_file": "params/demo", "styles": ["Night"], "num_steps": 35})
    assert (found.workspace, found.checkpoints, found.device) == ("outputs/demo", "tiny", "cpu")
    assert found.num_steps == 20
    assert found.styles == ["Night"]
    assert {"workspace", "styles", "guidance"} <= found.model_fields_set
    assert "04_single_view.yaml: workspace = 'outputs/demo', checkpoints = 'tiny'" in capsys.readouterr().out
    with pytest.raises(DreamkitError, match="no parameter file or folder of them at") as caught:
        SingleViewParams.from_cell({"params_file": "params/dmeo"})
    assert caught.value.hint == "Did you mean params/demo?"


def test_the_set_of_the_lab_holds_where_the_cell_names_none(folder, monkeypatch):
    (folder / "set").mkdir()
    (folder / "set" / "04_single_view.yaml").write_text("seed: 5\nsteps: 3\n")
    monkeypatch.setenv("DREAMKIT_PARAMS", str(folder / "set"))
    found = SingleViewParams.from_cell({})
    assert (found.seed, found.num_steps) == (5, 3)
    assert SingleViewParams.from_cell({"num_steps": 4}).num_steps == 4
    assert SingleViewParams.from_cell({"params_file": "params/demo"}).seed == 1
    assert ReviewParams.from_cell({}).params_file == ""  # the set has no file for it


def test_values_of_a_file_are_checked_and_named(folder):
    (folder / "mine.yaml").write_text("num_step: 3\nfps: 0\n")
    with pytest.raises(DreamkitError) as caught:
        SingleViewParams.from_cell({"params_file": "mine.yaml"})
    assert f"num_step ({folder / 'mine.yaml'}): not a parameter; did you mean num_steps?" in str(caught.value)
    (folder / "mine.yaml").write_text("params_file: params/demo\n")
    with pytest.raises(DreamkitError, match="names another one, params/demo"):
        SingleViewParams.from_cell({"params_file": "mine.yaml"})


def test_a_file_of_another_notebook_is_recognised():
    with pytest.raises(DreamkitError, match=r"parameter file of notebook 03_styles, not of 06_review") as caught:
        file = shipped_folder("params") / "demo" / "03_styles.yaml"
        changed_copy = Path("03_styles.yaml")
        changed_copy.write_text(file.read_text() + "rewriter: rules\n")
        notebook_run.gather_params(ReviewParams, changed_copy, {})
    assert "dreamkit run 03_styles -f" in caught.value.hint
    changed_copy = changed_copy.rename("mine.yaml")  # a name of the user's own: by its parameters
    with pytest.raises(DreamkitError, match=r"mine.yaml is a parameter file of notebook 03_styles, not of 06_review"):
        notebook_run.gather_params(ReviewParams, changed_copy, {})


def test_a_file_that_is_named_after_another_notebook_is_refused(folder):
    """Also where all its parameters are this notebook's as well; a name of the user's own is not looked at."""
    files = shipped_folder("params") / "demo"
    for take in (
        lambda: notebook_run.gather_params(SingleViewParams, files / "05_multi_view.yaml", {}),
        lambda: SingleViewParams.from_cell({"params_file": "params/demo/05_multi_view.yaml"}),
    ):
        with pytest.raises(
            DreamkitError, match="by its name the parameter file of notebook 05_multi_view, not of 04_single_view"
        ) as caught:
            take()
        assert caught.value.hint.startswith(
            f"Give {files / '04_single_view.yaml'}, or the folder {files}, or run `dreamkit run 05_multi_view"
        )
    shutil.copy(files / "05_multi_view.yaml", folder / "night_05_multi_view.yaml")
    assert SingleViewParams.from_cell({"params_file": "night_05_multi_view.yaml"}).checkpoints == "tiny"


def test_a_run_says_which_values_of_the_file_hold(folder, capsys):
    (folder / "mine.yaml").write_text("num_steps: 20\nfps: 12\n")
    SingleViewParams.from_cell({"params_file": "mine.yaml", "num_steps": 4})
    assert capsys.readouterr().out.splitlines() == [
        f"parameters of {folder / 'mine.yaml'}: fps = 12",
        "this notebook's own, instead of the file's: num_steps = 4",
    ]


def test_file_and_command_line_stand_above_the_notebooks_cells(folder):
    copy = folder / "04_single_view.ipynb"
    shutil.copy(notebook_run.find_notebook("04"), copy)
    changed(copy, "seed = 1 ", "seed = 2 ")
    changed(copy, "fps = 24 ", "fps = 12 ")
    cell = notebook_files.cell_values(copy, SingleViewParams)
    assert cell == {"seed": 2, "fps": 12}
    (folder / "mine.yaml").write_text("fps: 10\nstyles: [Night]\n")
    found = notebook_run.gather_params(SingleViewParams, Path("mine.yaml"), {"styles": ["Rainy"]}, cell)
    assert (found.seed, found.fps, found.styles) == (2, 10, ["Rainy"])
    assert notebook_run._to_inject(copy, found) == {"seed": 2, "fps": 10, "styles": ["Rainy"]}


def test_what_papermill_injected_counts_also_at_its_default(folder):
    book = json.loads(notebook_run.find_notebook("04").read_text())
    injected = {
        "cell_type": "code",
        "metadata": {"tags": ["injected-parameters"]},
        "source": "# Parameters\nseed = 1\n",
    }
    book["cells"].insert(2, injected)
    (folder / "04_single_view.executed.ipynb").write_text(json.dumps(book))
    assert notebook_files.cell_values(folder / "04_single_view.executed.ipynb", SingleViewParams) == {"seed": 1}
    (folder / "bad.ipynb").write_text('{"cells": 3}')
    with pytest.raises(DreamkitError, match="no notebook"):
        notebook_files.cell_values(folder / "bad.ipynb", SingleViewParams)


def test_working_copies_follow_the_shipped_ones_until_they_are_changed(folder, monkeypatch, tmp_path):
    assert notebook_files.make_working_copies(folder) == []
    copy = folder / "my_notebooks" / "04_single_view.ipynb"
    assert notebook_files.working_copy(folder, "04_single_view") is None
    book = json.loads(copy.read_text())
    book["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "run"}]
    copy.write_text(json.dumps(book))
    assert notebook_files.working_copy(folder, "04_single_view") is None  # it was only run
    assert notebook_files.make_working_copies(folder) == []
    assert '"run"' in copy.read_text()
    changed(folder / "my_notebooks" / "05_multi_view.ipynb", "seed = 1 ", "seed = 2 ")
    shipped = folder / "shipped"
    shutil.copytree(shipped_folder("notebooks"), shipped)
    changed(shipped / "04_single_view.ipynb", "denoising steps", "steps of denoising")
    monkeypatch.setattr(notebook_files, "shipped_folder", lambda name: shipped)
    assert notebook_files.make_working_copies(folder) == ["05_multi_view"]
    assert "steps of denoising" in copy.read_text()
    assert notebook_files.working_copy(folder, "05_multi_view") == folder / "my_notebooks" / "05_multi_view.ipynb"


def test_a_run_by_name_says_that_a_working_copy_differs(folder, monkeypatch, capsys):
    notebook_files.make_working_copies(folder)
    copy = folder / "my_notebooks" / "04_single_view.ipynb"
    changed(copy, "seed = 1 ", "seed = 2 ")
    ran = []
    monkeypatch.setattr(notebook_run, "run_notebook", lambda name, p, output: ran.append((name, p.seed)) or copy)
    for given in ("04", str(copy)):
        monkeypatch.setattr(sys, "argv", ["dreamkit", "run", given])
        with pytest.raises(SystemExit):
            main()
    assert ran == [("04", 1), (str(copy), 2)]
    (said,) = capsys.readouterr().err.splitlines()
    assert "your copy differs from it" in said and said.endswith(f"dreamkit run {copy}")


@pytest.mark.slow
def test_an_executed_copy_runs_again_from_where_it_lies(folder, monkeypatch):
    """Its relative workspace is the same folder, whether it is run by its path or by hand in its own folder."""
    (folder / "outputs").mkdir()
    params = notebook_run.gather_params(notebook_files.MODELS["01_download"], None, {"checkpoints": "tiny"})
    kept = notebook_run.run_notebook("01", params)
    assert kept == folder / "outputs" / "notebooks" / "01_download.executed.ipynb"
    monkeypatch.chdir(kept.parent)
    assert home() == folder
    model = notebook_run.params_model(str(kept))
    again = notebook_run.gather_params(model, None, {}, notebook_files.cell_values(kept, model))
    assert again.checkpoints == "tiny"
    assert notebook_run.run_notebook(str(kept), again) == kept
    assert str(folder / "outputs") in kept.read_text()
    assert not (kept.parent / "outputs").exists() and not (folder / "outputs" / "outputs").exists()
