"""HTML of the review: Jinja templates of this folder, filled with autoescape."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def fill_template(name: str, /, **values: Any) -> str:
    """The HTML of a template of this folder; all values are escaped."""
    return _environment().get_template(name).render(values)
