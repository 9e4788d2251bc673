import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from fakes import put_checkpoints, put_clip
from typer.main import get_command
from typer.testing import CliRunner

from dreamkit.cli.app import app, main
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import SingleViewParams
from dreamkit.runs import notebook as notebook_run
from dreamkit.runs.notebook import MODELS
from dreamkit.setup.params import SetupParams
from dreamkit.workspace.files import read_yaml
from dreamkit.workspace.workspace import Workspace

REPO = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPO / "notebooks").glob("*.ipynb"))


def cells(path, kind="code"):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def tagged(path):
    found = [cell for cell in cells(path) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(found) == 1
    return "".join(found[0]["source"])


def literals(source):
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(source).body}


def test_every_model_has_its_notebook_and_yaml():
    assert [path.stem for path in NOTEBOOKS] == sorted(MODELS)
    for kind in ("demo", "cosmos"):
        assert sorted(path.stem for path in (REPO / "params" / kind).glob("*.yaml")) == sorted(MODELS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cell_yaml_and_model_agree(path):
    model = MODELS[path.stem]
    values = literals(tagged(path))
    assert values == {name: field.default for name, field in model.model_fields.items()}
    comments = dict(re.findall(r"^(\w+) = .*?  # (.*)$", tagged(path), re.MULTILINE))
    assert comments == {name: field.description for name, field in model.model_fields.items()}
    for kind in ("demo", "cosmos"):
        file = REPO / "params" / kind / f"{path.stem}.yaml"
        given = read_yaml(file, "parameter file")
        assert set(given) <= set(model.model_fields)
        assert not [name for name, value in given.items() if value == model.model_fields[name].default]
        notebook_run.gather_params(model, file, {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_file_for_the_7b_models_names_what_a_user_sets(path, tmp_path):
    text = (REPO / "params" / "cosmos" / f"{path.stem}.yaml").read_text()
    assert path.stem in text.splitlines()[0]
    assert f"dreamkit run {path.stem} --show" in text
    examples = [line[1:] for line in text.splitlines() if re.match(r"#\w", line)]
    assert len(examples) > 1
    file = tmp_path / path.name
    file.write_text("\n".join(examples))
    given = notebook_run.gather_params(MODELS[path.stem], file, {})
    assert len(given.model_fields_set) == len(examples)
    assert not [name for name in given.model_fields_set if getattr(given, name) == type(given)().model_dump()[name]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_hygiene(path):
    book = json.loads(path.read_text())
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert book["cells"][0]["cell_type"] == "markdown"
    title = book["cells"][0]["source"][0]
    assert title.startswith(f"# {path.stem[:2]} ")
    assert re.search(r" · [\u4e00-\u9fff]+\n$", title)  # and in Chinese
    for word in ("Needs", "Makes", "Takes"):
        assert f"**{word}**" in "".join(book["cells"][0]["source"])
    for cell in cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        source = "".join(cell["source"])
        banned = (ast.For, ast.While, ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.DictComp)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, banned)]
        assert max(len(line) for line in source.splitlines()) <= 92  # what JupyterLab shows at 1280 pixels
        # One line per parameter is what a user edits; every other cell is short.
        assert len(source.splitlines()) <= 10 or source == tagged(path)


def test_every_command_is_there():
    assert {"run", "demo", "doctor", "download", "render", "check"} <= set(get_command(app).commands)


def test_pairs_are_yaml():
    pairs = ["num_steps=20", "clips=[a, b]", "control_weight={hdmap: 0.3}", "spec=", "windows=all"]
    assert notebook_run.read_pairs(SingleViewParams, pairs) == {
        "num_steps": 20,
        "clips": ["a", "b"],
        "control_weight": {"hdmap": 0.3},
        "spec": "",
        "windows": "all",
    }
    for bad in ("num_steps", "=3", "clips=[a"):
        with pytest.raises(DreamkitError, match="not KEY=VALUE"):
            notebook_run.read_pairs(SingleViewParams, [bad])


def test_a_field_declared_as_text_keeps_its_text(tmp_path):
    pairs = ["clips=[0001, 2335_01, 1e3]", "styles=[No, 2026-01-02]", "spec=007", "seed=10", "camera_table=1_0"]
    found = notebook_run.read_pairs(SingleViewParams, pairs)
    assert found["clips"] == ["0001", "2335_01", "1e3"]
    assert found["styles"] == ["No", "2026-01-02"]
    assert (found["spec"], found["seed"], found["camera_table"]) == ("007", 10, "1_0")
    file = tmp_path / "mine.yaml"
    file.write_text("clips: [0001, clip_a]\nstyles: 12\ncontrolnet_specs: 0x10\nnum_steps: 12\n")
    given = notebook_run.gather_params(SingleViewParams, file, {})
    assert (given.clips, given.styles, given.spec, given.num_steps) == (["0001", "clip_a"], ["12"], "0x10", 12)
    with pytest.raises(DreamkitError, match=r"clips \(command line\) = None"):
        notebook_run.gather_params(SingleViewParams, None, notebook_run.read_pairs(SingleViewParams, ["clips=null"]))


def test_problems_name_the_file_or_the_command_line(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("num_step: 3\nguidance: -1\n")
    with pytest.raises(DreamkitError) as caught:
        notebook_run.gather_params(SingleViewParams, file, {"fps": 0, "guidance": -2})
    text = str(caught.value)
    assert f"num_step ({file}): not a parameter; did you mean num_steps?" in text
    assert "guidance (command line) = -2" in text
    assert "fps (command line) = 0" in text


def test_the_command_line_wins_under_any_name(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("num_steps: 3\nseed: 5\n")
    found = notebook_run.gather_params(SingleViewParams, file, {"steps": 20})
    assert (found.num_steps, found.seed) == (20, 5)


def test_a_short_file_gives_what_it_lists_a_full_one_what_differs(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text("guidance: 5.0\n")
    assert notebook_run.gather_params(SingleViewParams, file, {"seed": 1}).model_fields_set == {"guidance", "seed"}
    assert capsys.readouterr().err == ""
    # As `params/` had them before: every parameter, nearly all at their default.
    file.write_text(yaml.safe_dump(SingleViewParams().model_dump() | {"fps": 30}))
    given = notebook_run.gather_params(SingleViewParams, file, {"guidance": 5.0})
    assert given.model_fields_set == {"guidance", "fps"}
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{file} lists every parameter of 04_single_view" in said
    assert "values that equal their default count as not given" in said


def test_what_is_given_goes_into_the_notebook(tmp_path):
    source = notebook_run.find_notebook("04_single_view")
    params = notebook_run.gather_params(SingleViewParams, None, {"guidance": 5.0, "steps": 35})
    assert notebook_run._to_inject(source, params) == {"guidance": 5.0, "num_steps": 35}
    edited = tmp_path / "04_single_view.ipynb"
    edited.write_text(source.read_text().replace("seed = 1 ", "seed = 2 "))
    assert notebook_run._to_inject(edited, params) == {"guidance": 5.0, "num_steps": 35, "seed": 1}


def test_a_misspelt_workspace_is_refused_and_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "captions").mkdir(parents=True)
    for name in ("02_captions", "03_styles", "04_single_view", "05_multi_view", "06_review"):
        for wrong in ("output", "nope"):
            with pytest.raises(DreamkitError, match=r"no workspace folder .*(\n|.)*nearest that exists is .*outputs"):
                notebook_run.run_notebook(
                    name, notebook_run.gather_params(MODELS[name], None, {"workspace": wrong}), tmp_path / "copy.ipynb"
                )
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_show_lists_names_bounds_and_meanings():
    shown = CliRunner().invoke(app, ["run", "05_multi_view", "--show"]).output
    assert "num_input_frames" in shown
    assert "9 | 1" in shown
    assert ">= 1, <= 1000" in shown


def test_a_notebook_that_does_not_exist_names_the_nearest():
    with pytest.raises(DreamkitError, match="Did you mean 04_single_view"):
        notebook_run.find_notebook("04_singel")
    with pytest.raises(DreamkitError, match=r"'0' may be 00_.*, 06_review: write more of the name\."):
        notebook_run.find_notebook("0")
    assert any(notebook_run.find_notebook("04_single_view").samefile(path) for path in NOTEBOOKS)


def test_parameters_are_checked_before_a_kernel_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dreamkit", "run", "04_single_view", "-p", "num_steps=0"])
    with pytest.raises(SystemExit):
        main()
    assert "num_steps (command line) = 0" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder whose checkpoints are not readable, for notebooks run in a real kernel."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]))
    put_checkpoints(tmp_path / "checkpoints")
    return tmp_path


def test_a_users_mistake_ends_in_its_message_and_the_copy_is_kept(folder, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["dreamkit", "run", "04_single_view", "-p", "clips=[nowhere]"])
    put_clip(Workspace(folder / "outputs"))
    with pytest.raises(SystemExit):
        main()
    err = capfd.readouterr().err
    assert "dreamkit: The clip nowhere has no caption" in err
    assert "Traceback" not in err
    copy = json.loads((folder / "outputs" / "notebooks" / "04_single_view.executed.ipynb").read_text())
    assert "nowhere" in json.dumps(copy["cells"])
    assert not (folder / "outputs" / "single_view_spec.json").exists()


def test_plain_papermill_catches_a_misspelt_parameter(folder):
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(notebook_run.find_notebook("04_single_view").resolve()),
        "out.ipynb",
        "-p",
        "num_step",
        "3",
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert run.returncode
    assert "did you mean num_steps?" in run.stderr


def test_a_message_that_contains_the_hints_mark_comes_back_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]))
    source = "from dreamkit.errors import DreamkitError\nraise DreamkitError('One.\\n  -> Two.', 'Three.\\n  -> Four.')"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    book.metadata["language_info"] = {"name": "python"}
    nbformat.write(book, tmp_path / "own.ipynb")
    with pytest.raises(DreamkitError) as caught:
        notebook_run.run_notebook("own.ipynb", SetupParams(), tmp_path / "copy.ipynb")
    assert caught.value.message == "One.\n  -> Two."
    assert caught.value.hint == "Three.\n  -> Four."
    assert "Two." in (tmp_path / "copy.ipynb").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"own.ipynb", "copy.ipynb"}
