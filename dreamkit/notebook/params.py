"""What the parameter models of all notebooks share, and how values are checked against one.

A notebook's parameters cell, `params/*.yaml` and the command line all come through `parse`.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from dreamkit.errors import DreamkitError
from dreamkit.workspace.cameras import read_folders
from dreamkit.workspace.files import nearest, read_text
from dreamkit.workspace.workspace import Workspace, from_home

P = TypeVar("P", bound="NotebookParams")
# Names people use for a parameter that is called otherwise here.
ALIASES = {
    "steps": "num_steps",
    "controlnet_specs": "spec",
    "checkpoint_dir": "checkpoints",
    "offload_diffusion_transformer": "offload",
}


class NotebookParams(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    notebook: ClassVar[str]
    needs_workspace: ClassVar[bool] = True

    workspace: str = Field("outputs", min_length=1, description="folder of conditions, captions and results")

    def open_workspace(self) -> Workspace:
        """The workspace these parameters name, with its camera folders where the notebook takes a table of them.

        Raises:
            DreamkitError: the camera table cannot be used; or the notebook works on a folder that is not there.
        """
        table = getattr(self, "camera_table", "")
        workspace = Workspace(self.workspace, read_folders(from_home(table) if table else None))
        if self.needs_workspace:
            workspace.must_exist()
        return workspace

    @classmethod
    def from_cell(cls, namespace: Mapping[str, Any]) -> Self:
        """The parameters of a running notebook, from the variables of its parameters cell: `from_cell(globals())`.

        Given, and so stronger than a control spec, are those that papermill injected and those that differ from their
        default.

        A plain value under a name that is nearly a parameter's counts as a misspelt one: papermill puts parameters it
        does not know into the notebook with no more than a warning.

        Raises:
            DreamkitError: as `parse`.
        """
        plain = (str, int, float, bool, list, dict, type(None))
        values = {
            name: value
            for name, value in namespace.items()
            if type(value) in plain and not name.startswith("_") and name not in ("In", "Out")
        }
        meant = {
            name: value
            for name, value in values.items()
            if name in cls.model_fields or name in ALIASES or nearest(name, cls.model_fields, cutoff=0.8)
        }
        given = without_defaults(cls, meant, keep=_injected(namespace.get("In", ())))
        return parse(cls, given, f"The parameters of notebook {cls.notebook}")


def known_names(names: list[str], choices: Any, what: str) -> list[str]:
    """The names, when all are among the choices.

    Raises:
        ValueError: one is not; names the nearest.
    """
    for name in names:
        if name not in choices:
            close = nearest(name, choices)
            raise ValueError(
                f"unknown {what} {name!r}; " + (f"did you mean {close!r}?" if close else ", ".join(choices))
            )
    return list(dict.fromkeys(names))


def parse(model: type[P], values: Mapping[str, Any], source: str, origins: Mapping[str, str] | None = None) -> P:
    """Check values against a model; every problem in one error.

    Args:
        model: the notebook's.
        values: parameter -> value; names of ALIASES are understood.
        source: where the values come from, for the message.
        origins: name -> where that one comes from, when several sources were joined.

    Raises:
        DreamkitError: unknown names (with the nearest known one) or values outside their bounds.
    """
    known, named, origins = model.model_fields, {}, origins or {}
    problems = []
    for name, value in values.items():
        target = name if name in known else ALIASES.get(name, name)
        if target not in known:
            close = nearest(str(name), [*known, *ALIASES])
            problems.append(f"{_told(name, origins)}: not a parameter" + (f"; did you mean {close}?" if close else ""))
        elif target in named:
            problems.append(f"{_told(name, origins)}: the same as {target}, which is given too")
        else:
            named[target] = value
    parsed = None
    try:
        parsed = model(**named)
    except ValidationError as error:
        for name, lines in _by_name(error).items():
            given = named.get(name, known[name].default)
            problems.append(f"{_told(name, origins)} = {given!r}: {' or '.join(dict.fromkeys(lines))}")
    if problems or parsed is None:
        raise DreamkitError(
            f"{source}: {len(problems)} parameter{'s' if len(problems) > 1 else ''} cannot be used.\n  "
            + "\n  ".join(problems),
            f"The parameters and their bounds: dreamkit run {model.notebook} --show.",
        )
    return parsed


def _told(name: str, origins: Mapping[str, str]) -> str:
    return f"{name} ({origins[name]})" if name in origins else name


def _by_name(error: ValidationError) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for problem in error.errors():
        name, message = str(problem["loc"][0]), problem["msg"]
        lines.setdefault(name, []).append(message.removeprefix("Value error, ").removeprefix("Input "))
    return lines


def without_defaults(
    model: type[NotebookParams], values: Mapping[str, Any], keep: Collection[str] = ()
) -> dict[str, Any]:
    """The values of a place that lists every parameter: those left at their default there were not given."""
    fields = model.model_fields
    return {n: v for n, v in values.items() if n in keep or n not in fields or v != fields[n].default}


def _injected(history: Iterable[Any]) -> set[str]:
    """Names that papermill set, from the cells run so far: its own cell begins with a comment that the others lack."""
    cells = [cell for cell in history if isinstance(cell, str) and cell.startswith("# Parameters\n")]
    try:
        body = ast.parse(cells[-1]).body if cells else []
    except SyntaxError:
        return set()
    return {
        target.id
        for line in body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    }


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of flat `name: value` lines.

    Raises:
        DreamkitError: missing, not YAML (line and column), or not such a table.
    """
    text = read_text(path, "parameter file")
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DreamkitError(
            f"The parameter file {path} is not valid YAML{where}.", "It has one `name: value` a line."
        ) from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise DreamkitError(f"The parameter file {path} is no table of parameters.", "It has one `name: value` a line.")
    return values


def table(model: type[NotebookParams]) -> list[tuple[str, str, str, str]]:
    """Rows of (name, default, bounds, meaning) for every parameter."""
    schema = model.model_json_schema()["properties"]
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    rows = []
    for name, field in model.model_fields.items():
        rules = schema[name]
        bounds = [f"{sign} {rules[key]:.10g}" for key, sign in signs.items() if key in rules]
        bounds += [
            " | ".join(str(choice) for choice in rules.get("enum", [rules["const"]] if "const" in rules else []))
        ]
        rows.append((name, repr(field.default), ", ".join(filter(None, bounds)), field.description or ""))
    return rows
