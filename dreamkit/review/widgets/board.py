"""The board: one row a clip, one column a style, with states and measures. The page is `board.js`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from dreamkit.errors import DreamkitError
from dreamkit.review.measures.definitions import MEASURES
from dreamkit.review.widgets.scripts import FOLDER, page_script
from dreamkit.review.widgets.traits import BoardItem, BoardMeasure, check_trait


class Board(anywidget.AnyWidget):
    """The widget that lists the videos, one row a clip and one column a style.

    Args:
        pictures: returns the JPEG thumbnail of a key; raises DreamkitError where there is none.
        on_open: called with the key of the video that the user opens.

    Attributes:
        items: the cells, see `traits.BoardItem`.
        measures: the measures to sort by, see `traits.BoardMeasure`.
        notice: a sentence above the table.
        opened: key of the video in the player; empty at first.
        first: key -> JPEG thumbnail, for the cells that are visible at first.
        order: keys in the order of the page.
    """

    _esm = page_script("board.js")
    _css = FOLDER / "review.css"
    items = traitlets.List().tag(sync=True)
    measures = traitlets.List().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)
    opened = traitlets.Unicode().tag(sync=True)
    first = traitlets.Dict().tag(sync=True)

    def __init__(self, pictures: Callable[[str], bytes], on_open: Callable[[str], None]) -> None:
        shown = [{"key": m.key, "label": m.label, "good": m.good, "meaning": m.meaning} for m in MEASURES]
        super().__init__(measures=shown)
        self.pictures = pictures
        self.on_open = on_open
        self.order: list[str] = []
        self.on_msg(self._on_message)

    @traitlets.validate("items")
    def _check_items(self, proposal: Any) -> Any:
        return check_trait("Board", "items", list[BoardItem], proposal["value"])

    @traitlets.validate("measures")
    def _check_measures(self, proposal: Any) -> Any:
        return check_trait("Board", "measures", list[BoardMeasure], proposal["value"])

    @traitlets.validate("first")
    def _check_first(self, proposal: Any) -> Any:
        return check_trait("Board", "first", dict[str, bytes], proposal["value"])

    @traitlets.validate("opened")
    def _check_opened(self, proposal: Any) -> Any:
        key = proposal["value"]
        if key and key not in {item["key"] for item in self.items}:
            raise traitlets.TraitError(f"Board.opened: there is no item with the key {key!r}.")
        return key

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
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
