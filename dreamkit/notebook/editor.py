"""A page for editing many short texts: a list to choose from, a text field, and checks while typing."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dreamkit.errors import DreamkitError


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
    """

    keys: Sequence[tuple[str, str]]
    load: Callable[[str], str]
    check: Callable[[str, str], list[str]]
    save: Callable[[str, str], str]
    count: Callable[[str], int]
    aside: Callable[[str, str], str]


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
        box: the whole page.
    """

    def __init__(self, texts: Texts) -> None:
        import ipywidgets as widgets

        self.texts = texts
        wide = widgets.Layout(width="auto", height="180px")
        self.choice = widgets.Select(
            options=list(texts.keys), layout=widgets.Layout(width="260px", height="340px"), description=""
        )
        self.text = widgets.Textarea(layout=wide, continuous_update=True)
        self.faults = widgets.HTML()
        self.aside = widgets.HTML()
        self.button = widgets.Button(description="Save · 保存", button_style="primary", icon="check")
        self.next = widgets.Button(description="Next · 下一个", icon="arrow-right")
        self.state = widgets.HTML()
        right = widgets.VBox(
            [self.aside, self.text, self.faults, widgets.HBox([self.button, self.next, self.state])],
            layout=widgets.Layout(flex="1 1 0", min_width="0"),
        )
        self.box = widgets.HBox([self.choice, right], layout=widgets.Layout(width="100%"))
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
        """Show the chosen text."""
        self.state.value = ""
        self.text.value = self.texts.load(self._key)
        self._check()

    def _check(self, _: Any = None) -> None:
        """Show what is wrong with the text in the field."""
        text = str(self.text.value)
        faults = self.texts.check(self._key, text)
        self.button.disabled = not text.strip()
        lines = "".join(f"<li>{html.escape(fault)}</li>" for fault in faults)
        tokens = self.texts.count(text) if text.strip() else 0
        self.faults.value = f"<b>{tokens} tokens.</b> " + (
            f"<ul>{lines}</ul>" if lines else "Nothing is wrong with it."
        )
        self.aside.value = self.texts.aside(self._key, text)

    def _save(self, _: Any = None) -> None:
        try:
            self.state.value = html.escape(self.texts.save(self._key, str(self.text.value)))
        except DreamkitError as error:
            self.state.value = f"<b>{html.escape(str(error))}</b>"

    def _choose_next(self, _: Any = None) -> None:
        keys = [key for _, key in self.texts.keys]
        self.choice.value = keys[(keys.index(self._key) + 1) % len(keys)]
