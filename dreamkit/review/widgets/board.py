"""The board's widget: clips down, styles across, with states and scores; `board.js` is the page's side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from dreamkit.errors import DreamkitError
from dreamkit.review.measures import definitions as measures


class Board(anywidget.AnyWidget):
    """Clips down, styles across; see `board.js` for the page's side.

    Args:
        pictures: gives the JPEG thumbnail of a key; raises DreamkitError when it cannot.
        on_open: called with the key of a video that the user opens.
    """

    _esm = Path(__file__).parent / "board.js"
    _css = Path(__file__).parent / "review.css"
    items = traitlets.List().tag(sync=True)
    measures = traitlets.List().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)
    opened = traitlets.Unicode().tag(sync=True)
    first = traitlets.Dict().tag(sync=True)

    def __init__(self, pictures: Callable[[str], bytes], on_open: Callable[[str], None]) -> None:
        kept = [{"key": m.key, "label": m.label, "good": m.good, "meaning": m.meaning} for m in measures.MEASURES]
        super().__init__(measures=kept)
        self.pictures = pictures
        self.on_open = on_open
        self.order: list[str] = []
        self.on_msg(self._received)

    def _received(self, _: Any, content: Any, __: Any) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "open":
            try:
                self.on_open(str(content.get("key")))
            except DreamkitError as error:
                self.notice = str(error)
        elif kind == "order":
            self.order = [str(key) for key in content.get("keys", [])]
        elif kind == "thumbnails":
            keys = [str(key) for key in content.get("keys", [])]
            data = [self.picture(key) for key in keys]
            self.send({"type": "thumbnails", "keys": keys, "good": [bool(each) for each in data]}, data)

    def picture(self, key: str) -> bytes:
        """JPEG thumbnail of a video; empty when there is none."""
        try:
            return self.pictures(key)
        except (DreamkitError, OSError):
            return b""
