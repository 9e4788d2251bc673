"""Options that several commands share, and options of earlier versions that are still understood."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

FILE: Path | None = typer.Option(None, "--file", "-f", help="YAML file of the notebook's parameters.")
PARAMETER: list[str] = typer.Option(
    [], "--parameter", "-p", metavar="KEY=VALUE", help="A parameter of the notebook; replaces the file's. Repeatable."
)

RIG: Path | None = typer.Option(
    None,
    "--rig",
    help="Rig file of cameras with other names, from `dreamkit rig propose`; auto: drafted here and printed.",
)
AS_MODEL: str | None = typer.Option(
    None, "--as-model", help="With --rig, ftheta: draw every camera through its view's own lens; own: its own lens."
)
CAPTION: str = typer.Option("", "--caption", help="Caption of every clip that has none: what the front camera sees.")


def from_old_options(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Parameter -> value of the options of an earlier version that were given; prints their new spelling to stderr.

    Args:
        command: the command, for the message.
        options: parameter -> value; None or an empty list where the option was not given.
    """
    given = {name: value for name, value in options.items() if value is not None and value != []}
    if given:
        pairs = " ".join(f"-p {shlex.quote(f'{name}={_as_yaml(value)}')}" for name, value in given.items())
        print(f"old spelling, still understood; the new one is: dreamkit {command} {pairs}", file=sys.stderr)
    return given


def _as_yaml(value: Any) -> str:
    """A value as it is written after `-p KEY=`."""
    if isinstance(value, list):
        return f"[{', '.join(_as_yaml(part) for part in value)}]"
    return value if isinstance(value, str) else json.dumps(value)
