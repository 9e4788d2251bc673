"""A page for editing many short texts: a list to choose from, a text field, and checks while typing."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget

from dreamkit.errors import DreamkitError
from dreamkit.notebook.restarted import restarted_style
from dreamkit.workspace.files import read_json, write_json

DRAFT = "✎"
"""Mark of a text that was typed and not saved."""
KEEP_SECONDS = 1.0
"""Between two writes of the drafts while typing."""


class SaveKey(anywidget.AnyWidget):
    """Calls a function when Ctrl-S is pressed inside the editor around it."""

    _esm = Path(__file__).parent / "save_key.js"

    def __init__(self, save: Callable[[], None]) -> None:
        super().__init__()
        self.on_msg(lambda *_: save())


@dataclass(frozen=True)
class Texts:
    """The texts of an Editor, and the functions that load, check and save them.

    Attributes:
        keys: (label, key) of each text.
        load: key -> text.
        check: key, text -> what is wrong, one sentence each.
        save: key, text -> message of success; raises DreamkitError.
        count: number of T5 tokens of a text.
        aside: key, text -> HTML shown above it, such as a picture or the changes.
        drafts: file that keeps texts that were typed and not saved; None keeps them as long as the page is there.
        legend: what the marks before the names mean.
    """

    keys: Sequence[tuple[str, str]]
    load: Callable[[str], str]
    check: Callable[[str, str], list[str]]
    save: Callable[[str, str], str]
    count: Callable[[str], int]
    aside: Callable[[str, str], str]
    drafts: Path | None = None
    legend: str = ""


class Editor:
    """The page, as ipywidgets; it is displayed when it is the last value of a cell.

    Attributes:
        texts: the texts.
        choice: the list of texts.
        text: the text field.
        faults: number of tokens and what is wrong with the text.
        aside: the HTML above the text field.
        button: saves the text.
        next: chooses the next text.
        state: message of the last save.
        unsaved: key -> text that was typed and not saved.
        box: the whole page.
    """

    def __init__(self, texts: Texts) -> None:
        import ipywidgets as widgets

        self.texts = texts
        self.unsaved = _read_drafts(texts)
        self._filling, self._kept = False, 0.0
        self._due: asyncio.TimerHandle | None = None  # the next write of the drafts
        wide = widgets.Layout(width="auto", height="180px")
        self.choice = widgets.Select(
            options=self._options(), layout=widgets.Layout(width="260px", height="340px"), description=""
        )
        self.text = widgets.Textarea(layout=wide, continuous_update=True)
        self.faults = widgets.HTML()
        self.aside = widgets.HTML()
        whole = widgets.Layout(flex="0 0 auto")  # a long message beside them does not narrow the buttons
        self.button = widgets.Button(description="Save · 保存", button_style="primary", icon="check", layout=whole)
        self.next = widgets.Button(description="Next · 下一个", icon="arrow-right", layout=whole)
        self.state = widgets.HTML()
        self.key = SaveKey(self._save)
        right = widgets.VBox(
            [self.aside, self.text, self.faults, widgets.HBox([self.button, self.next, self.state])],
            layout=widgets.Layout(flex="1 1 0", min_width="0"),
        )
        legend = f"{texts.legend}<br>" if texts.legend else ""
        style = f"<style>{restarted_style('dk-editor')}</style>"
        marks = widgets.HTML(f"{style}{legend}{DRAFT} typed and not saved · 未保存<br>Ctrl-S saves · 保存")
        left = widgets.VBox([self.choice, marks])
        self.box = widgets.HBox([left, right, self.key], layout=widgets.Layout(width="100%"))
        self.box.add_class("dk-editor")
        self.choice.observe(self._show, "value")
        self.text.observe(self._check, "value")
        self.button.on_click(self._save)
        self.next.on_click(self._choose_next)
        if texts.keys:
            self._show()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)

    @property
    def _key(self) -> str:
        """Key of the chosen text."""
        return str(self.choice.value)

    def _show(self, _: Any = None) -> None:
        """Show the chosen text, or what was typed there and not saved."""
        if self._filling:
            return
        self._keep_drafts()
        self.state.value = "a draft that is not saved" if self._key in self.unsaved else ""
        self._filling = True
        self.text.value = self.unsaved.get(self._key, self.texts.load(self._key))
        self._filling = False
        self._check()

    def _check(self, _: Any = None) -> None:
        """Show what is wrong with the text in the field."""
        if self._filling:
            return
        text = str(self.text.value)
        self._note_draft(text)
        faults = self.texts.check(self._key, text)
        self.button.disabled = not text.strip()
        lines = "".join(f"<li>{html.escape(fault)}</li>" for fault in faults)
        tokens = self.texts.count(text) if text.strip() else 0
        self.faults.value = f"<b>{tokens} tokens.</b> " + (
            f"<ul>{lines}</ul>" if lines else "Nothing is wrong with it."
        )
        self.aside.value = self.texts.aside(self._key, text)

    def _save(self, _: Any = None) -> None:
        if not str(self.text.value).strip():
            return
        try:
            self.state.value = html.escape(self.texts.save(self._key, str(self.text.value)))
        except DreamkitError as error:
            self.state.value = f"<b>{html.escape(str(error))}</b>"
            return
        if self.unsaved.pop(self._key, None) is not None:
            self._mark()
        self._keep_drafts()

    def _note_draft(self, text: str) -> None:
        """Keep a text that differs from the saved one; its name in the list has a mark."""
        marked = self._key in self.unsaved
        if text != self.texts.load(self._key):
            self.unsaved[self._key] = text
        else:
            self.unsaved.pop(self._key, None)
        if marked != (self._key in self.unsaved):
            self._mark()
            self._keep_drafts()
        else:
            self._keep_soon()

    def _options(self) -> list[tuple[str, str]]:
        return [(f"{DRAFT} {label}" if key in self.unsaved else label, key) for label, key in self.texts.keys]

    def _mark(self) -> None:
        """Show the marks of drafts in the list."""
        chosen, self._filling = self.choice.value, True
        self.choice.options = self._options()
        self.choice.value = chosen
        self._filling = False

    def _keep_soon(self) -> None:
        """Write the drafts, at most every KEEP_SECONDS, so that the letters typed last are written too."""
        if self._due is not None:
            return
        wait = self._kept + KEEP_SECONDS - time.monotonic()
        try:
            loop = asyncio.get_running_loop()  # of the kernel
        except RuntimeError:
            wait = 0.0
        if wait > 0:
            self._due = loop.call_later(wait, self._keep_drafts)
        else:
            self._keep_drafts()

    def _keep_drafts(self) -> None:
        """Write the drafts to their file, or delete it when there are none."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._kept = time.monotonic()
        if self.texts.drafts is None:
            return
        try:
            if self.unsaved:
                write_json(self.texts.drafts, self.unsaved)
            else:
                self.texts.drafts.unlink(missing_ok=True)
        except (DreamkitError, OSError) as error:
            self.state.value = f"<b>drafts are not kept: {html.escape(str(error))}</b>"

    def _choose_next(self, _: Any = None) -> None:
        keys = [key for _, key in self.texts.keys]
        self.choice.value = keys[(keys.index(self._key) + 1) % len(keys)]


def _read_drafts(texts: Texts) -> dict[str, str]:
    """The kept drafts of keys that are still there."""
    keys = {key for _, key in texts.keys}
    try:
        found = read_json(texts.drafts, "file of drafts") if texts.drafts and texts.drafts.is_file() else {}
    except DreamkitError:  # damaged; the texts themselves are whole
        return {}
    return {key: text for key, text in found.items() if key in keys and isinstance(text, str)}
