"""A page to edit many short texts: choose one, type, see what is wrong while typing, save."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dreamkit.errors import DreamkitError


@dataclass(frozen=True)
class Texts:
    """What is edited.

    Attributes:
        keys: (label, key) of each text.
        load: key -> text.
        check: key, text -> what is wrong, one sentence each.
        save: key, text -> what to tell; raises DreamkitError.
        count: T5 tokens of a text.
        aside: key, text -> HTML beside it, such as a picture or the changes.
    """

    keys: Sequence[tuple[str, str]]
    load: Callable[[str], str]
    check: Callable[[str, str], list[str]]
    save: Callable[[str, str], str]
    count: Callable[[str], int]
    aside: Callable[[str, str], str]


class Editor:
    """The page. Its widgets are attributes, so that a test or a script can drive it as a hand does."""

    def __init__(self, texts: Texts) -> None:
        import ipywidgets as widgets

        self.texts = texts
        wide = widgets.Layout(width="auto", height="180px")
        self.choice = widgets.Select(
            options=list(texts.keys), layout=widgets.Layout(width="260px", height="340px"), description=""
        )
        self.text = widgets.Textarea(layout=wide, continuous_update=True)
        self.told = widgets.HTML()
        self.aside = widgets.HTML()
        self.button = widgets.Button(description="Save · 保存", button_style="primary", icon="check")
        self.next = widgets.Button(description="Next · 下一个", icon="arrow-right")
        self.state = widgets.HTML()
        right = widgets.VBox(
            [self.aside, self.text, self.told, widgets.HBox([self.button, self.next, self.state])],
            layout=widgets.Layout(flex="1 1 0", min_width="0"),
        )
        self.box = widgets.HBox([self.choice, right], layout=widgets.Layout(width="100%"))
        self.choice.observe(self._show, "value")
        self.text.observe(self._typed, "value")
        self.button.on_click(self._save)
        self.next.on_click(self._go_on)
        if texts.keys:
            self._show()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)

    def _show(self, _: Any = None) -> None:
        self.state.value = ""
        self.text.value = self.texts.load(self.choice.value)
        self._typed()

    def _typed(self, _: Any = None) -> None:
        key, text = self.choice.value, self.text.value
        faults = self.texts.check(key, text)
        self.button.disabled = not text.strip()
        lines = "".join(f"<li>{html.escape(fault)}</li>" for fault in faults)
        tokens = self.texts.count(text) if text.strip() else 0
        self.told.value = f"<b>{tokens} tokens.</b> " + (f"<ul>{lines}</ul>" if lines else "Nothing is wrong with it.")
        self.aside.value = self.texts.aside(key, text)

    def _save(self, _: Any = None) -> None:
        try:
            self.state.value = html.escape(self.texts.save(self.choice.value, self.text.value))
        except DreamkitError as error:
            self.state.value = f"<b>{html.escape(str(error))}</b>"

    def _go_on(self, _: Any = None) -> None:
        place = [key for _, key in self.texts.keys].index(self.choice.value)
        self.choice.value = self.texts.keys[(place + 1) % len(self.texts.keys)][1]
