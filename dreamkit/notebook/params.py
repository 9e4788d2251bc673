"""The base model of all notebooks' parameters, and the check of given values against a model.

Values from a notebook's parameters cell, from a YAML file and from the command line are all checked by `parse_params`.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dreamkit.errors import DreamkitError
from dreamkit.notebook.param_values import (
    ALIASES,
    PARAMS_FILE,
    PARAMS_VARIABLE,
    find_params_file,
    find_params_folder,
    read_params_file,
    with_params_file,
)
from dreamkit.notebook.text_values import ESCAPED, LOST_TEXT, is_text, not_text, restore_texts, shorten
from dreamkit.workspace.cameras import read_folders
from dreamkit.workspace.files import nearest
from dreamkit.workspace.workspace import Workspace, from_home

if TYPE_CHECKING:
    from typing_extensions import Self

P = TypeVar("P", bound="NotebookParams")
MOST_PROBLEMS = 50
"""Of one error; a search for the nearest name takes time."""
# Types of variables in a notebook's namespace that can be parameters.
_PLAIN_TYPES = (str, int, float, bool, list, dict, type(None))


class NotebookParams(BaseModel):
    """The parameters that every notebook has; each room's `params.py` derives its notebook's model from it.

    `model_fields_set` holds the parameters that the user gave. They take precedence over a control spec, also where
    they equal their default.

    Attributes:
        notebook: name of the notebook, without folder and suffix.
        needs_workspace: whether the workspace folder has to exist before the notebook runs.
        front: the parameters that most users set; a form shows them first.
        params_file: a parameter file, or a folder of them, whose values hold where none is given here.
        workspace: the workspace folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    notebook: ClassVar[str]
    needs_workspace: ClassVar[bool] = True
    front: ClassVar[tuple[str, ...]] = ("params_file", "workspace", "checkpoints", "clips", "styles")

    params_file: str = Field(default="", description="file of parameters, or a folder of them, such as params/demo")
    workspace: str = Field(default="outputs", min_length=1, description="folder of conditions, captions and results")

    def open_workspace(self) -> Workspace:
        """The workspace, with the camera folders of `camera_table` where the notebook has that parameter.

        Raises:
            DreamkitError: the camera table is invalid, or the folder does not exist and the notebook needs it.
        """
        table = getattr(self, "camera_table", "")
        workspace = Workspace(self.workspace, read_folders(from_home(table) if table else None))
        if self.needs_workspace:
            workspace.must_exist()
        workspace.remove_abandoned()
        return workspace

    @classmethod
    def from_cell(cls, namespace: Mapping[str, Any], report: bool = True) -> Self:
        """The parameters of a running notebook: `from_cell(globals())`.

        A parameters cell lists every parameter, so a parameter counts as given when papermill injected it or when it
        differs from its default. Papermill only warns of parameters that a notebook does not have; therefore a variable
        whose name is close to a parameter's is refused as a misspelt one.

        Args:
            namespace: the notebook's global variables.
            report: print which values a parameter file gives.

        Raises:
            DreamkitError: as `parse_params`.
        """
        injected = _injected_names(namespace.get("In", ()))
        given = {
            name: value
            for name, value in namespace.items()
            if type(value) in _PLAIN_TYPES
            and not name.startswith("_")
            and name not in ("In", "Out")
            and cls._is_meant(name)
            and (name in injected or cls._differs(name, value))
        }
        if not given.get(PARAMS_FILE) and (chosen := cls._chosen_set()):
            given[PARAMS_FILE] = chosen
        parsed = parse_params(cls, restore_texts(cls, given), f"The parameters of notebook {cls.notebook}")
        if parsed.params_file and report:
            file = find_params_file(cls, parsed.params_file)
            names = [ALIASES.get(name, name) for name in read_params_file(cls, file)]
            replaced = {ALIASES.get(name, name) for name in given}
            lines = {f"parameters of {file}": [name for name in names if name not in replaced]}
            lines["this notebook's own, instead of the file's"] = [name for name in names if name in replaced]
            for words, some in lines.items():
                if some:
                    print(f"{words}:", ", ".join(f"{name} = {getattr(parsed, name)!r}" for name in some))
        return parsed

    @classmethod
    def _chosen_set(cls) -> str:
        """The parameter set that `dreamkit lab --params` was started with, where it has a file for this notebook."""
        chosen = os.environ.get(PARAMS_VARIABLE, "")
        return chosen if chosen and (find_params_folder(chosen) / f"{cls.notebook}.yaml").is_file() else ""

    @classmethod
    def _is_meant(cls, name: str) -> bool:
        """Whether a variable is a parameter, or a misspelt one."""
        return name in cls.model_fields or name in ALIASES or nearest(name, cls.model_fields, cutoff=0.8) is not None

    @classmethod
    def _differs(cls, name: str, value: Any) -> bool:
        """Whether a variable of the parameters cell was changed from the default."""
        return name not in cls.model_fields or value != cls.model_fields[name].default


def known_names(names: list[str], choices: Collection[str], what: str) -> list[str]:
    """The names without repetitions; for pydantic validators.

    Args:
        names: the names to check.
        choices: the allowed names.
        what: what a name stands for, for the message.

    Raises:
        ValueError: a name is not among the choices; the message has the nearest one.
    """
    for name in names:
        if name not in choices:
            close = nearest(name, choices)
            raise ValueError(
                f"unknown {what} {name!r}; " + (f"did you mean {close!r}?" if close else ", ".join(choices))
            )
    return list(dict.fromkeys(names))


def parse_params(model: type[P], values: Mapping[str, Any], source: str, origins: Mapping[str, str] | None = None) -> P:
    """Check values against a model and report every problem in one error.

    Args:
        model: the notebook's model.
        values: parameter -> value; the names in ALIASES are accepted. The values of `params_file` are read from there.
        source: where the values come from, for the message.
        origins: name -> where this value comes from, when several sources were joined.

    Raises:
        DreamkitError: unknown names (with the nearest known one) or values outside their bounds.
    """
    values, origins = with_params_file(model, values, origins or {})
    known, named = model.model_fields, {}
    problems = []
    for name, value in values.items():
        target = name if name in known else ALIASES.get(name, name)
        if target not in known and len(problems) >= MOST_PROBLEMS:
            continue
        if target not in known:
            close = nearest(str(name), [*known, *ALIASES])
            problems.append(f"{_label(name, origins)}: not a parameter" + (f"; did you mean {close}?" if close else ""))
        elif target in named:
            problems.append(f"{_label(name, origins)}: the same as {target}, which is given too")
        else:
            named[target] = value
    problems += [f"{_label(name, origins)}: {ESCAPED}" for name, value in named.items() if _is_escaped_path(value)]
    parsed = None
    try:
        parsed = model(**named)
    except ValidationError as error:
        for name, lines in _messages_by_name(error).items():
            given = shorten(repr(named.get(name, known[name].default)))
            if is_text(known[name]) and name in named and not_text(named[name]):
                lines = [LOST_TEXT]
            problems.append(f"{_label(name, origins)} = {given}: {' or '.join(dict.fromkeys(lines))}")
    if problems or parsed is None:
        raise DreamkitError(
            f"{source}: {len(problems)} parameter{'s' if len(problems) > 1 else ''} cannot be used.\n  "
            + "\n  ".join(problems),
            f"Run `dreamkit run {model.notebook} --show` for all parameters and their bounds.",
        )
    return parsed


def _is_escaped_path(value: Any) -> bool:
    """Whether a text begins like a Windows path and holds what a backslash escape makes, such as a tab."""
    return isinstance(value, str) and bool(re.match(r"[A-Za-z]:[^\r\n]*[\a\b\t\n\v\f\r\x1b]", value))


def value_problems(model: type[NotebookParams], values: Mapping[str, Any]) -> dict[str, str]:
    """Parameter -> what is wrong with its value; values must have names of parameters."""
    try:
        model(**values)
    except ValidationError as error:
        return {name: " or ".join(dict.fromkeys(lines)) for name, lines in _messages_by_name(error).items()}
    return {}


def _label(name: str, origins: Mapping[str, str]) -> str:
    """The parameter's name, with the place that its value comes from where known."""
    return f"{name} ({origins[name]})" if name in origins else name


def _messages_by_name(error: ValidationError) -> dict[str, list[str]]:
    """Parameter -> pydantic's messages on its value."""
    lines: dict[str, list[str]] = {}
    for problem in error.errors():
        name, message = str(problem["loc"][0]), problem["msg"]
        lines.setdefault(name, []).append(message.removeprefix("Value error, ").removeprefix("Input "))
    return lines


def _injected_names(history: Iterable[Any]) -> set[str]:
    """Names that papermill set, from the sources of the cells run so far.

    The cell that papermill inserts begins with a comment that no cell of these notebooks has.
    """
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


def params_table(model: type[NotebookParams]) -> list[tuple[str, str, str, str]]:
    """Rows of (name, default, bounds, meaning) for every parameter."""
    schema = model.model_json_schema()["properties"]
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    rows = []
    for name, field in model.model_fields.items():
        rules = schema[name]
        bounds = [f"{sign} {rules[key]:.10g}" for key, sign in signs.items() if key in rules]
        choices = rules.get("enum", [rules["const"]] if "const" in rules else [])
        bounds.append(" | ".join(str(choice) for choice in choices))
        rows.append((name, repr(field.default), ", ".join(filter(None, bounds)), field.description or ""))
    return rows
