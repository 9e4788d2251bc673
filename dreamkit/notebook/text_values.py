"""Parameters declared as text, whose values YAML, papermill or Python read as something else.

YAML reads the clip names 0001 and 2335_01 as the numbers 1 and 233501, the style No as false and 2024-01-15 as a date;
papermill and Python read digits with underscores as one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dreamkit.workspace.workspace import Workspace, from_home

if TYPE_CHECKING:
    from collections.abc import Callable

LOST_TEXT = (
    'this must be text, and without quotes it was read as something else: write "0001" with quotes, or give it by'
    " papermill's option -r, or by `dreamkit run`, which keep the text"
)
ESCAPED = "a backslash in double quotes begins an escape: write C:/data or 'C:\\data'"
LONGEST_VALUE = 200
"""Most letters of a value in a message."""


def is_text(field: FieldInfo) -> bool:
    """Whether a parameter is declared as a text or a list of texts."""
    return field.annotation in (str, list[str])


def not_text(value: Any) -> bool:
    """Whether a value, or a part of a list, is a number, a truth value or a date."""
    parts = value if isinstance(value, list) else [value]
    return any(part is not None and not isinstance(part, str | list | dict) for part in parts)


def shorten(text: str) -> str:
    """The text, cut in the middle to LONGEST_VALUE letters."""
    half = LONGEST_VALUE // 2 - 3
    return text if len(text) <= LONGEST_VALUE else f"{text[:half]} ... {text[-half:]}"


def as_written(
    model: type[BaseModel], values: Mapping[str, Any], texts: Mapping[str, Any], aliases: Mapping[str, str]
) -> dict[str, Any]:
    """The values, but those of fields declared as text as the user wrote them.

    Args:
        model: the notebook's model.
        values: parameter -> value, as YAML reads it.
        texts: the same, as YAML's BaseLoader reads it, which leaves every scalar a text.
        aliases: other names of parameters.
    """
    fields = model.model_fields
    kept = dict(values)
    for name, value in values.items():
        field = fields.get(name) or fields.get(aliases.get(name, ""))
        if field is None or not is_text(field):
            continue
        text = texts.get(name, value)  # a merged name (`<<`) has no text of its own
        if not isinstance(value, list):
            kept[name] = _scalar(value, text)
        elif isinstance(text, list) and len(text) == len(value):
            kept[name] = [_scalar(*pair) for pair in zip(value, text, strict=True)]
    return kept


def _scalar(value: Any, text: Any) -> Any:
    """The text of a value that YAML takes for a number, a truth value or a date; else the value."""
    if value is None:
        return "" if text == "" else None
    return value if isinstance(value, str | list | dict) else text


def restore_texts(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a running notebook, where a text that was read as a number is found again by its name on disk.

    Digits and underscores are lost before a notebook sees a parameter that papermill injected without quotes. If
    exactly one clip of the workspace (for `clips`), or one entry of the working folder (for other parameters), would be
    read as that value, its name is used; else the value stays and is refused later.
    """
    kept = dict(values)
    for name in sorted(values, key=lambda n: n != "workspace"):  # the workspace first, whose clips are looked up
        field, value = model.model_fields.get(name), values[name]
        if field is None or not is_text(field) or not not_text(value):
            continue
        names = _clip_names(kept.get("workspace", "outputs")) if name == "clips" else _entries(Path())
        if isinstance(value, list):
            kept[name] = [_only_match(part, names) for part in value]
        else:
            kept[name] = _only_match(value, names)
    return kept


def _clip_names(workspace: Any) -> list[str]:
    if not isinstance(workspace, str):
        return []
    folder = from_home(workspace)
    return sorted(Workspace(folder).known_clips()) if folder.is_dir() else []


def _entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _only_match(value: Any, names: Iterable[str]) -> Any:
    """The only name that is read as `value`; the value where there is none or several, or where it is a text."""
    if isinstance(value, str | list | dict) or value is None:
        return value
    found = [name for name in names if any(_same(value, other) for other in _readings(name))]
    return found[0] if len(found) == 1 else value


def _readings(text: str) -> list[Any]:
    """What YAML, and what papermill and Python, read from an unquoted text."""
    readings: list[Any] = []
    readers: tuple[Callable[[str], Any], ...] = (yaml.safe_load, int, float)
    for read in readers:
        try:
            readings.append(read(text))
        except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            continue
    return readings


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
