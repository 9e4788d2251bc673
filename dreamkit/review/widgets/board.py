"""The board: one row a clip, one column a style, with states and measures. The page is `board.js`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import traitlets

from dreamkit.errors import DreamkitError
from dreamkit.review import verdicts
from dreamkit.review.measures.definitions import MEASURES
from dreamkit.review.widgets.scripts import FOLDER, page_script
from dreamkit.review.widgets.traits import BoardItem, BoardMeasure, BoardProgress, check_trait


class Board(anywidget.AnyWidget):
    """The widget that lists the videos, one row a clip and one column a style.

    Args:
        pictures: returns the JPEG thumbnail of a key; raises DreamkitError where there is none.
        on_open: called with the key of the video that the user opens.
        on_verdicts: called with (keys, state, reasons) for one verdict on several videos; may raise DreamkitError.
        on_stop: called when the user stops the measuring.

    Attributes:
        items: the cells, see `traits.BoardItem`.
        measures: the measures to sort by, see `traits.BoardMeasure`.
        notice: a sentence above the table.
        progress: of the measuring, see `traits.BoardProgress`; {} without one.
        reasons: key -> meaning of the reasons for a verdict.
        opened: key of the video in the player; empty at first.
        first: key -> JPEG thumbnail, for the cells that are visible at first.
        order: keys in the order of the page.
    """

    _esm = page_script("board.js")
    _css = FOLDER / "review.css"
    items = traitlets.List().tag(sync=True)
    measures = traitlets.List().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    reasons = traitlets.Dict().tag(sync=True)
    opened = traitlets.Unicode().tag(sync=True)
    first = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        pictures: Callable[[str], bytes],
        on_open: Callable[[str], None],
        on_verdicts: Callable[[Sequence[str], str, Sequence[str]], None] | None = None,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        shown = [{"key": m.key, "label": m.label, "good": m.good, "meaning": m.meaning} for m in MEASURES]
        super().__init__(measures=shown, reasons=verdicts.REASONS)
        self.pictures = pictures
        self.on_open = on_open
        self.on_verdicts = on_verdicts
        self.on_stop = on_stop
        self.order: list[str] = []
        self.on_msg(self._on_message)

    @traitlets.validate("items")
    def _check_items(self, proposal: Any) -> Any:
        return check_trait("Board", "items", list[BoardItem], proposal["value"])

    @traitlets.validate("measures")
    def _check_measures(self, proposal: Any) -> Any:
        return check_trait("Board", "measures", list[BoardMeasure], proposal["value"])

    @traitlets.validate("progress")
    def _check_progress(self, proposal: Any) -> Any:
        value = proposal["value"]
        return check_trait("Board", "progress", BoardProgress, value) if value else value

    @traitlets.validate("reasons")
    def _check_reasons(self, proposal: Any) -> Any:
        return check_trait("Board", "reasons", dict[str, str], proposal["value"])

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
        try:
            if kind == "open":
                self.on_open(str(content.get("key")))
            elif kind == "verdicts" and self.on_verdicts:
                self.on_verdicts([str(key) for key in content["keys"]], str(content["state"]), list(content["reasons"]))
            elif kind == "stop" and self.on_stop:
                self.on_stop()
        except DreamkitError as error:
            self.notice = str(error)
        except (KeyError, TypeError) as error:
            self.notice = f"A request of the page failed: {error}."
        if kind == "order":
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
