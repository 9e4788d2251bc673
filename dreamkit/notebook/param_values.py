"""Values of parameters as users write them: other names, parameter files.

A parameter file is YAML, one `name: value` a line. A folder of such files, one for each notebook and named after it,
is a parameter set; `params/demo` and `params/cosmos` come with the package.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamkit.errors import DreamkitError
from dreamkit.notebook.shipped import shipped_folder
from dreamkit.notebook.text_values import as_written
from dreamkit.workspace.files import nearest, read_text, read_yaml
from dreamkit.workspace.parsing import parse_yaml
from dreamkit.workspace.paths import from_home

if TYPE_CHECKING:
    from dreamkit.notebook.params import NotebookParams

# Accepted other names of parameters, most of them from the original scripts.
ALIASES = {
    "steps": "num_steps",
    "controlnet_specs": "spec",
    "checkpoint_dir": "checkpoints",
    "offload_diffusion_transformer": "offload",
}
PARAMS_FILE = "params_file"
"""The parameter that names a parameter file or set."""
PARAMS_VARIABLE = "DREAMKIT_PARAMS"
"""Environment variable of a kernel: the parameter set of notebooks whose cell names none."""
_WHAT = "parameter file"


def given_over(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `given` in their place, under whatever name."""
    names = {ALIASES.get(name, name) for name in given}
    return {name: value for name, value in values.items() if ALIASES.get(name, name) not in names} | dict(given)


def find_params_file(model: type[NotebookParams], given: str | Path) -> Path:
    """The parameter file of a notebook.

    Args:
        model: the notebook's model.
        given: a file, or a folder of files named after the notebooks; where there is no `params/...` below the
            working folder, the one that came with the package is meant.

    Raises:
        DreamkitError: there is none, or the file is named after another notebook.
    """
    path = _there(given)
    if path.is_file():
        _check_name(model, path)
        return path
    if not path.is_dir():
        raise _nothing_at(path)
    file = path / f"{model.notebook}.yaml"
    if file.is_file():
        return file
    there = ", ".join(sorted(one.name for one in path.glob("*.yaml"))) or "none"
    raise DreamkitError(
        f"The folder {path} has no {_WHAT} for notebook {model.notebook}: {file.name} is missing.",
        f"Name the file itself, or add {file.name}. The YAML files there: {there}.",
    )


def _check_name(model: type[NotebookParams], file: Path) -> None:
    """Refuse a file that has exactly the name of another notebook; its parameters may all be valid in this one.

    Raises:
        DreamkitError: it has; the hint names this notebook's file beside it, where there is one.
    """
    if file.stem == model.notebook or not (shipped_folder("notebooks") / f"{file.stem}.ipynb").is_file():
        return
    own = file.with_name(f"{model.notebook}{file.suffix}")
    right = f"Give {own}, or the folder {file.parent}" if own.is_file() else f"Give a file of {model.notebook}"
    raise DreamkitError(
        f"{file} is by its name the parameter file of notebook {file.stem}, not of {model.notebook}.",
        f"{right}, or run `dreamkit run {file.stem} -f {file}`. To use its values here, copy it under another name.",
    )


def find_params_folder(given: str | Path) -> Path:
    """The folder of a parameter set; see `find_params_file`.

    Raises:
        DreamkitError: there is none.
    """
    path = _there(given)
    if path.is_dir():
        return path
    if path.is_file():
        raise DreamkitError(f"{path} is a file; a parameter set is a folder of them.", f"Give {path.parent}.")
    raise _nothing_at(path)


def _there(given: str | Path) -> Path:
    """The path, or where it does not exist and begins with `params/`, that of the package."""
    path, parts = from_home(given), Path(given).parts
    return path if path.exists() or parts[:1] != ("params",) else shipped_folder("params").joinpath(*parts[1:])


def _nothing_at(path: Path) -> DreamkitError:
    sets = ["params/demo", "params/cosmos"]
    close = nearest("/".join(path.parts[-2:]), sets)
    hint = f"Did you mean {close}?" if close else f"The package has {' and '.join(sets)}."
    return DreamkitError(f"There is no {_WHAT} or folder of them at {path}.", hint)


def read_params_file(model: type[NotebookParams], file: Path) -> dict[str, Any]:
    """The values that a file gives; of a file that lists every parameter, those that differ from their defaults.

    Earlier versions of `params/` listed every parameter, and users have copies of them.

    Raises:
        DreamkitError: as `read_yaml`; or the file names another one.
    """
    values = read_yaml(file, _WHAT)
    texts = parse_yaml(read_text(file, _WHAT), f"The {_WHAT} {file}", as_text=True)
    values = as_written(model, values, texts or {}, ALIASES)
    if values.get(PARAMS_FILE):
        raise DreamkitError(
            f"The {_WHAT} {file} names another one, {values[PARAMS_FILE]}.", "Write the parameters into one file."
        )
    fields = model.model_fields
    if not set(values) >= set(fields) - {PARAMS_FILE}:
        return values
    print(
        f"{file} lists every parameter of {model.notebook}, as files of earlier versions did: values that equal their"
        " default count as not given. List only the parameters that you set.",
        file=sys.stderr,
    )
    return {name: value for name, value in values.items() if name not in fields or value != fields[name].default}


def with_params_file(
    model: type[NotebookParams], values: Mapping[str, Any], origins: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Values and their origins, with those of the file that the value `params_file` names below them.

    Raises:
        DreamkitError: as `find_params_file` and `read_params_file`.
    """
    named = values.get(PARAMS_FILE)
    if not named or not isinstance(named, str):
        return dict(values), dict(origins)
    file = find_params_file(model, named)
    below = read_params_file(model, file)
    joined = given_over(below, values)
    return joined, {**{name: str(file) for name in below if name not in values}, **origins}
