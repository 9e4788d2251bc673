"""A widget without a look of its own that writes values into the parameters cell of its notebook, and copies text.

The page is `cell_writer.js`. It reads the cells when it is asked to, so what the user typed there is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget

from dreamkit.notebook.cell_text import cell_of, with_value


class CellWriter(anywidget.AnyWidget):
    """Writes parameters into the notebook.

    Args:
        say: called with a sentence on what was done.
    """

    _esm = Path(__file__).parent / "cell_writer.js"

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self.say = say
        self._waiting: dict[str, Any] = {}
        self.on_msg(self._answered)

    def write(self, name: str, value: Any) -> None:
        """Write a parameter's value into the cell that sets it."""
        self._waiting[name] = value
        self.send({"kind": "read"})

    def copy_text(self, text: str) -> None:
        """Put a text on the clipboard."""
        self.send({"kind": "copy", "text": text})

    def _answered(self, _: Any, message: dict[str, Any], __: Any) -> None:
        if message.get("kind") == "copied":
            self.say("copied" if message.get("done") else "mark the text below to copy it")
            return
        if message.get("kind") == "written":
            if message.get("done"):
                self.say("written into the parameters cell")
            else:  # the cell changed in the meantime, perhaps by the value typed before
                self._waiting = {**message["values"], **self._waiting}
                self.send({"kind": "read"})
            return
        cells = message.get("cells")
        waiting, self._waiting = self._waiting, {}
        if waiting and not cells:
            self.say(
                "used by the next cells, but not written into the parameters cell: that works in the page of"
                " <code>dreamkit lab</code>"
            )
            return
        before = {cell["id"]: cell["source"] for cell in cells or []}
        values: dict[str, dict[str, Any]] = {}
        for name, value in waiting.items():
            if (cell := cell_of(cells or [], name)) is None:
                continue
            try:
                cell["source"] = with_value(cell["source"], name, value)
                values.setdefault(cell["id"], {})[name] = value
            except SyntaxError:
                self.say("the parameters cell has a fault, and is not written")
                return
        for cell in cells or []:
            if given := values.get(cell["id"]):
                old = before[cell["id"]]
                self.send({"kind": "write", "id": cell["id"], "old": old, "text": cell["source"], "values": given})
