"""The JavaScript of the widgets."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def page_script(*names: str) -> str:
    """The ES module of a widget: `shared.js`, then the files of those names.

    A widget's module cannot import a neighbouring file, so they are joined. anywidget's hot reload, which watches a
    single file, does not work with a joined text: restart the kernel after a change.
    """
    return "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("shared.js", *names))
