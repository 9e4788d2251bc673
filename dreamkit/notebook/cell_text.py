"""The text of a notebook's parameters cell: values as Python literals, and the replacement of one of them."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

PARAMETERS, INJECTED = "parameters", "injected-parameters"
"""Tags of the cell with the parameters and of the one that papermill inserts below it."""


def literal(value: Any) -> str:
    """A plain value as Python text, with double quotes as in the notebooks.

    >>> literal({"hdmap": 0.5, "lidar": "a.pt"}), literal([True, None])
    ('{"hdmap": 0.5, "lidar": "a.pt"}', '[True, None]')
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(one)}" for key, one in value.items()) + "}"
    return repr(value)


def with_value(source: str, name: str, value: Any) -> str:
    """The cell's text with another value of a parameter; its comment stays. A parameter it lacks is added below.

    Raises:
        SyntaxError: the text is not Python.
    """
    places = [
        line.value
        for line in ast.parse(source).body
        if isinstance(line, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in line.targets)
    ]
    if not places:
        return f"{source.rstrip()}\n{name} = {literal(value)}".lstrip()
    place, data = places[-1], source.encode()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    begin = starts[place.lineno - 1] + place.col_offset
    end = starts[(place.end_lineno or place.lineno) - 1] + (place.end_col_offset or 0)
    return (data[:begin] + literal(value).encode() + data[end:]).decode()


def cell_of(cells: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The cell that sets a parameter last: papermill's where it has it, else the parameters cell; None without both.

    Args:
        cells: each with "tags" and "source".
        name: the parameter.
    """
    tagged = [cell for cell in cells if {PARAMETERS, INJECTED} & set(cell["tags"])]
    setting = [cell for cell in tagged if f"\n{name} = " in f"\n{cell['source']}"]
    own = [cell for cell in tagged if PARAMETERS in cell["tags"]]
    return next(reversed(setting or own), None)
