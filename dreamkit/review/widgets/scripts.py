"""The JavaScript of the widgets."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def page_script(name: str) -> str:
    """The ES module of a widget: `shared.js`, then the file of that name.

    A widget's module cannot import a neighbouring file, so the two are joined. anywidget's hot reload, which watches a
    single file, does not work with a joined text: restart the kernel after a change.
    """
    return (FOLDER / "shared.js").read_text(encoding="utf-8") + (FOLDER / name).read_text(encoding="utf-8")
