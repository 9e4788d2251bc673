"""The parameter form: fields from the models, checks while typing, the cell that it writes, command and YAML."""

import shlex

import pytest

from dreamkit.errors import DreamkitError
from dreamkit.generate.params import SingleViewParams
from dreamkit.notebook.cell_text import cell_of, literal, with_value
from dreamkit.notebook.form import ParameterForm, as_text, from_text
from dreamkit.runs.notebook import MODELS, gather_params, read_pairs
from dreamkit.workspace.parsing import parse_yaml


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_default_stands_in_its_field_and_comes_back(model):
    form = ParameterForm(model, {})
    assert list(form.fields) and set(form.fields) == set(model.model_fields)
    for name, field in form.fields.items():
        default = model.model_fields[name].default
        if isinstance(field.value, str) and not hasattr(field, "options"):
            assert from_text(model, name, as_text(default)) == default
        else:
            assert field.value == default
    assert form.command() == f"dreamkit run {model.notebook}"


def test_what_is_typed_is_checked_and_becomes_the_notebooks_variable():
    cell = {"num_steps": 35, "styles": []}
    form = ParameterForm(SingleViewParams, cell)
    wrote = []
    form.writer.write = lambda name, value: wrote.append((name, value))
    form.fields["num_steps"].value = "0"
    assert "greater than or equal to 1" in form.notes["num_steps"].value
    form.fields["num_steps"].value = "many"
    assert "dk-fault" in form.notes["num_steps"].value
    form.fields["num_steps"].value = ""
    assert "a value is needed" in form.notes["num_steps"].value
    assert cell["num_steps"] == 35
    form.fields["num_steps"].value = "20"
    assert "dk-fault" not in form.notes["num_steps"].value
    form.fields["styles"].value = "Night, 0001"
    form.fields["control_weight"].value = "{hdmap: 0.3}"
    form.fields["preset"].value = "16gb"
    form.fields["offload"].value = True
    assert cell["styles"] == ["Night", "0001"]
    assert wrote[0] == ("num_steps", 20) and ("offload", True) in wrote
    found = SingleViewParams.from_cell(cell)
    assert (found.num_steps, found.preset, found.control_weight) == (20, "16gb", {"hdmap": 0.3})
    pairs = shlex.split(form.command())[3:]
    assert gather_params(SingleViewParams, None, read_pairs(SingleViewParams, pairs[1::2])) == found
    assert form.command() == (
        "dreamkit run 04_single_view -p 'styles=[Night, \"0001\"]' -p 'control_weight={hdmap: 0.3}' -p num_steps=20"
        " -p preset=16gb -p offload=true"
    )
    form.fields["negative_prompt"].value = "it's a \"C:\\n\" 'quoted' one"
    pairs = shlex.split(form.command())[3:]
    assert read_pairs(SingleViewParams, pairs[1::2])["negative_prompt"] == cell["negative_prompt"]
    form.fields["negative_prompt"].value = ""
    form.fields["num_steps"].value = "35"
    assert "num_steps" not in form.yaml()
    assert parse_yaml(form.yaml(), "it")["styles"] == ["Night", "0001"]


def test_a_parameter_set_fills_the_form():
    form = ParameterForm(SingleViewParams, cell := {})
    form.fields["params_file"].value = "params/nowhere"
    assert "no parameter file" in form.notes["params_file"].value
    form.fields["params_file"].value = "params/demo"
    assert (form.fields["checkpoints"].value, form.fields["num_steps"].value) == ("tiny", "20")
    assert cell == {"params_file": "params/demo"}
    form.fields["styles"].value = "Night"
    assert form.command() == "dreamkit run 04_single_view -f params/demo -p 'styles=[Night]'"
    assert parse_yaml(form.yaml(), "it")["checkpoints"] == "tiny"
    form.fields["num_steps"].value = "35"
    assert "a value equal to the default does not replace it" in form.notes["num_steps"].value


def test_a_cell_that_cannot_be_used_says_so_at_once():
    with pytest.raises(DreamkitError, match="did you mean num_steps"):
        ParameterForm(SingleViewParams, {"num_step": 3})


def test_a_value_is_replaced_and_the_comment_stays():
    source = 'a = "ä"  # one\nlimits = {  # two\n    "x": 1.0,\n}\nb = [1]  # three'
    assert with_value(source, "a", "é\n") == source.replace('"ä"', '"é\\n"')
    assert with_value(source, "limits", {"y": 2}) == 'a = "ä"  # one\nlimits = {"y": 2}\nb = [1]  # three'
    assert with_value(source, "b", None) == source.replace("[1]", "None")
    assert with_value(source, "c", [True]) == source + "\nc = [True]"
    with pytest.raises(SyntaxError):
        with_value("a = ", "a", 1)
    assert literal({"a": [1.5, "x"]}) == '{"a": [1.5, "x"]}'


def test_papermills_cell_is_written_where_it_has_the_parameter():
    own = {"id": "1", "tags": ["parameters"], "source": "seed = 1\nfps = 24"}
    injected = {"id": "2", "tags": ["injected-parameters"], "source": "# Parameters\nseed = 2"}
    assert cell_of([own, injected], "seed") is injected
    assert cell_of([own, injected], "fps") is own
    assert cell_of([own], "new") is own
    assert cell_of([{"id": "3", "tags": [], "source": "seed = 3"}], "seed") is None


def test_the_cell_is_written_as_the_page_has_it():
    said, sent = [], []
    form = ParameterForm(SingleViewParams, {})
    form.writer.say = said.append
    form.writer.send = sent.append
    form.fields["seed"].value = "7"
    assert sent == [{"kind": "read"}]
    cells = [{"id": "a", "tags": ["parameters"], "source": "seed = 3  # seed of the run"}]
    form.writer._answered(None, {"kind": "cells", "cells": cells}, None)
    assert sent[1:] == [
        {"kind": "write", "id": "a", "old": "seed = 3  # seed of the run", "text": "seed = 7  # seed of the run"}
        | {"values": {"seed": 7}}
    ]
    form.writer._answered(None, {"kind": "written", "done": False, "values": {"seed": 7}}, None)
    assert sent[-1] == {"kind": "read"} and form.writer._waiting == {"seed": 7}
    form.writer._answered(None, {"kind": "written", "done": True, "values": {"seed": 7}}, None)
    assert said == ["written into the parameters cell"]
    form.fields["seed"].value = "8"
    form.writer._answered(None, {"kind": "cells", "cells": None}, None)
    assert "dreamkit lab" in said[-1]
