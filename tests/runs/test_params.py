import pytest

from dreamkit.errors import DreamkitError
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.notebook import params
from dreamkit.runs.notebook import params_model
from dreamkit.workspace.files import read_yaml


def test_defaults_are_upstreams():
    single, multi = SingleViewParams(), MultiViewParams()
    assert (single.num_steps, single.guidance, single.fps, single.seed) == (35, 5.0, 24, 1)
    assert (multi.num_steps, multi.guidance, multi.num_input_frames, multi.views) == (35, 3.0, 9, 6)
    assert (single.guardrail, single.num_gpus, single.control_weight) == ("none", 1, None)


def test_every_problem_is_told_at_once_with_the_nearest_name():
    values = {"num_step": 3, "guidance": -1, "controls": ["hd_map"], "num_gpus": 0, "guardrail": "fulll", "zzz": 1}
    with pytest.raises(DreamkitError) as caught:
        params.parse_params(SingleViewParams, values, "params/mine.yaml")
    text = str(caught.value)
    for part in (
        "params/mine.yaml: 6 parameters",
        "num_step: not a parameter; did you mean num_steps?",
        "guidance = -1: should be greater than or equal to 0",
        "did you mean 'hdmap'?",
        "num_gpus = 0: should be greater than or equal to 1",
        "guardrail = 'fulll': has the unknown check 'fulll'; did you mean 'full'?",
        "zzz: not a parameter",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_steps", 0),
        ("num_steps", "many"),
        ("seed", -1),
        ("seed", 2**31),
        ("fps", 0),
        ("windows", "some"),
        ("preset", "fastest"),
        ("attention", "flash"),
        ("seed_mode", "x"),
        ("control_weight", -0.5),
        ("control_weight", {"lidar": -1}),
        ("control_weight", {"depth": 1}),
        ("control_weight", "strong"),
        ("chunks", [-1]),
        ("controls", ["hdmap", "hdmap"]),
        ("guidance", float("inf")),
        ("workspace", ""),
        ("device", "gpu"),
    ],
)
def test_bounds(name, value):
    with pytest.raises(DreamkitError, match=name):
        params.parse_params(SingleViewParams, {name: value}, "test")


def test_control_weight_is_a_number_a_map_or_one_each():
    for value in (0.5, "map.pt", {"hdmap": 0.3, "lidar": "lidar.pt"}, None):
        assert params.parse_params(SingleViewParams, {"control_weight": value}, "test").control_weight == value
    assert params.parse_params(SingleViewParams, {"control_weight": "0.5"}, "test").control_weight == 0.5


def test_one_value_stands_for_a_list():
    found = params.parse_params(SingleViewParams, {"styles": "Night", "chunks": 2, "controls": "lidar"}, "test")
    assert (found.styles, found.chunks, found.controls) == (["Night"], [2], ["lidar"])


def test_other_names_are_understood_once():
    assert params.parse_params(SingleViewParams, {"steps": 7}, "test").num_steps == 7
    with pytest.raises(DreamkitError, match="same as num_steps"):
        params.parse_params(SingleViewParams, {"steps": 7, "num_steps": 8}, "test")


def test_single_view_knows_no_multi_view_parameter():
    with pytest.raises(DreamkitError, match="views: not a parameter"):
        params.parse_params(SingleViewParams, {"views": 6}, "test")


def test_attention_names_are_the_engines():
    from typing import get_args

    from dreamkit.transfer.attention import BACKENDS

    assert get_args(SingleViewParams.model_fields["attention"].annotation) == BACKENDS


def test_a_notebooks_variables_become_parameters():
    cell = {"num_steps": 4, "clips": ["a"], "In": [], "_x": 1, "Path": object, "note": "mine"}
    found = SingleViewParams.from_cell(cell)
    assert (found.num_steps, found.clips) == (4, ["a"])
    with pytest.raises(DreamkitError, match="did you mean num_steps"):
        SingleViewParams.from_cell({"num_step": 4})
    with pytest.raises(DreamkitError, match="Did you mean 04_single_view"):
        params_model("04_singleview")


def test_a_cell_gives_what_papermill_injected_and_what_differs():
    cell = {"num_steps": 35, "guidance": 5.0, "seed": 4, "fps": 24}
    given = SingleViewParams.from_cell(cell).model_fields_set
    assert given == {"seed"}
    cell["In"] = ["", "num_steps = 35\nguidance = 5.0", "# Parameters\nguidance = 5.0\nclips = ['a']\n"]
    assert SingleViewParams.from_cell(cell).model_fields_set == {"seed", "guidance"}
    cell["In"] = ["# Parameters\nnot python"]
    assert SingleViewParams.from_cell(cell).model_fields_set == {"seed"}


def test_yaml_is_read_or_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("num_steps: 4\nclips: [a, b]\n")
    assert read_yaml(path, "parameter file") == {"num_steps": 4, "clips": ["a", "b"]}
    path.write_text("num_steps: [4\n")
    with pytest.raises(DreamkitError, match="not valid YAML at line 2"):
        read_yaml(path, "parameter file")
    path.write_text("- a\n")
    with pytest.raises(DreamkitError, match="must be lines of"):
        read_yaml(path, "parameter file")
    with pytest.raises(DreamkitError, match=r"nearest that exists is .*a\.yaml"):
        read_yaml(tmp_path / "b.yaml", "parameter file")
