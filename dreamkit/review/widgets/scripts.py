"""The JavaScript of the widgets."""

from __future__ import annotations

import json
from pathlib import Path

from dreamkit.notebook.restarted import RESTARTED

FOLDER = Path(__file__).parent


def page_script(*names: str) -> str:
    """The ES module of a widget: the sentence RESTARTED as a constant, `shared.js`, then the files of those names.

    A widget's module cannot import a neighbouring file, so they are joined. anywidget's hot reload, which watches a
    single file, does not work with a joined text: restart the kernel after a change.
    """
    files = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("shared.js", *names))
    return f"const RESTARTED = {json.dumps(RESTARTED, ensure_ascii=False)};\n{files}"
