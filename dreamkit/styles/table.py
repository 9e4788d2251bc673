"""The table of styles: eight built-in ones; a user's YAML file adds styles or replaces them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from dreamkit.captions.files import ORIGINAL
from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_names import check_name
from dreamkit.workspace.files import nearest, read_yaml

log = logging.getLogger(__name__)
BUILT_IN = Path(__file__).with_name("styles.yaml")
_DAY_WORDS = {"morning": "morning", "dusk": "evening", "golden": "evening", "night": "night"}


@dataclass(frozen=True)
class Style:
    """A style: the time and weather that it sets, and its words; styles.yaml describes every field."""

    name: str
    time: str = ""
    weather: str = ""
    keeps: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    adjective: str = ""
    noun: str = ""
    instruction: str = ""
    description: str = ""
    sentences: tuple[str, ...] = ()

    @property
    def changes_state(self) -> bool:
        """Whether the style sets a time or a weather."""
        return bool(self.time or self.weather)

    @property
    def request(self) -> str:
        """The style in the request to a language model."""
        return self.instruction or self.description or self.name

    def target(self, time: str, weather: str) -> tuple[str, str]:
        """The (time, weather) of the rewrite of a caption that states these; "" is unknown and stays so."""
        if not self.changes_state:
            return time, weather
        if time and not self.time:
            time = self.keeps.get(time, next(iter(self.keeps.values()), "day"))
        if weather and not self.weather:
            weather = self.keeps.get(weather, next(iter(self.keeps.values()), "clear"))
        return self.time or time, self.weather or weather

    def at(self, text: str, time: str) -> str:
        """A text of the style at this time: {day} becomes morning, day, evening or night."""
        return text.replace("{day}", _DAY_WORDS.get(time, "day"))


@dataclass(frozen=True)
class ConditionTexts:
    """The sentences with which the rules describe one (time, weather); an entry of `scenes` in styles.yaml.

    Attributes:
        details: sets of sentences; a rewrite gets one of the sets.
        extras: word -> a further sentence for captions that have the word.
        clause: the weather and light in one clause, for the side and rear views.
        sky: clauses about the sky.
        light: clauses about the light.
        surface: sentences about the road.
        objects: word -> sentences about what a caption names by this word.
        light_alone: a clause of `light` says enough without one of `sky`.
    """

    details: tuple[tuple[str, ...], ...] = ()
    extras: dict[str, str] = field(default_factory=dict)
    clause: str = ""
    sky: tuple[str, ...] = ()
    light: tuple[str, ...] = ()
    surface: tuple[str, ...] = ()
    objects: dict[str, tuple[str, ...]] = field(default_factory=dict)
    light_alone: bool = False


@dataclass(frozen=True)
class StyleTable:
    """The styles, Original first, and the texts of each (time, weather).

    Attributes:
        styles: name -> style, in order.
        scenes: "time weather" -> texts.
    """

    styles: dict[str, Style]
    scenes: dict[str, ConditionTexts]

    def scene_name(self, time: str, weather: str) -> str:
        """The scene of this time and weather in `scenes`, or else that of the weather by day."""
        exact = f"{time or 'day'} {weather or 'clear'}"
        return exact if exact in self.scenes else f"day {weather or 'clear'}"

    def scene(self, time: str, weather: str) -> ConditionTexts:
        """The texts of this time and weather with those of the weather and of the time alone; an unknown time is day.

        Raises:
            DreamkitError: the table has none for this weather, by this time or by day.
        """
        key = self.scene_name(time, weather)
        if key not in self.scenes:
            raise DreamkitError(
                f"The style table has no scene {time + ' ' + weather!r}.",
                "Add it under `scenes`, with its `sky` and `light`.",
            )
        own, shared = self.scenes[key], [self.scenes.get(f"* {weather}"), self.scenes.get(f"{time} *")]
        return replace(
            own,
            surface=own.surface or next((more.surface for more in shared if more and more.surface), ()),
            objects=own.objects or next((more.objects for more in shared if more and more.objects), {}),
            light_alone=any(texts.light_alone for texts in (own, *shared) if texts),
        )

    def style(self, name: str) -> Style:
        """The style of that name.

        Raises:
            DreamkitError: there is none; the hint names the nearest.
        """
        if name in self.styles:
            return self.styles[name]
        close = nearest(name, self.styles)
        hint = f"Did you mean {close!r}?" if close else f"The styles are {', '.join(self.styles)}."
        raise DreamkitError(f"There is no style {name!r}.", hint)

    def choose(self, names: Sequence[str] = ()) -> tuple[Style, ...]:
        """The styles of these names, in the table's order and without Original; all when `names` is empty.

        Raises:
            DreamkitError: a name is not in the table.
        """
        chosen = {self.style(name).name for name in names} if names else set(self.styles)
        return tuple(style for style in self.styles.values() if style.name in chosen and style.name != ORIGINAL)


def load_styles(path: Path | None = None) -> StyleTable:
    """The built-in table, with the styles of a user's YAML file added or replaced when `path` is given.

    Raises:
        DreamkitError: the file is missing, is not YAML or has an unknown key; or a style lacks words, leads or
            description, changes nothing, or leads to a (time, weather) that is not under `scenes`.
    """
    built_in = _built_in()
    if path is None:
        return built_in
    mine = _table(read_yaml(path, "style table"), str(path))
    table = StyleTable(styles={**built_in.styles, **mine.styles}, scenes={**built_in.scenes, **mine.scenes})
    for style in mine.styles.values():
        _refuse_incomplete(style, table, str(path))
    return table


@lru_cache(maxsize=1)
def _built_in() -> StyleTable:
    return _table(read_yaml(BUILT_IN, "style table"), BUILT_IN.name)


def _table(rows: Mapping[str, Any], where: str) -> StyleTable:
    if not isinstance(rows.get("styles"), Mapping):
        raise DreamkitError(f"The style table {where} must have a part `styles`.", "See dreamkit/styles/styles.yaml.")
    for name, style in rows["styles"].items():
        if not isinstance(name, str) or not isinstance(style, Mapping):
            raise DreamkitError(
                f"The style {name!r} in {where} must be a name with keys below it.", "See dreamkit/styles/styles.yaml."
            )
        check_name(name, "style")
    if stray := [str(key) for key in rows if key not in ("styles", "scenes")]:
        raise _wrong(where, stray[0], "there is no such key", nearest(stray[0], ["styles", "scenes"]))
    scenes = rows.get("scenes") or {}
    if not isinstance(scenes, Mapping):
        raise _wrong(where, "scenes", "it must hold scenes by name")
    table = StyleTable(
        {
            name: _read_row(Style, {"name": name, **row}, where, f"styles.{name}")
            for name, row in rows["styles"].items()
        },
        {str(name): _read_row(ConditionTexts, row, where, f"scenes.{name}") for name, row in scenes.items()},
    )
    for name, scene in table.scenes.items():
        if not (scene.details or (scene.sky and scene.light) or scene.surface or scene.objects):
            raise _wrong(
                where, f"scenes.{name}.details", "it must hold at least one set of sentences, or `sky` and `light`"
            )
    return table


def _read_row(kind: type, row: Any, where: str, place: str) -> Any:
    """A Style or ConditionTexts from a mapping in the YAML file."""
    if not isinstance(row, Mapping):
        raise _wrong(where, place, "it must be keys and values")
    forms = {each.name: str(each.type) for each in fields(kind)}
    values = {}
    for key, value in row.items():
        if key not in forms:
            raise _wrong(where, f"{place}.{key}", "there is no such key", nearest(str(key), forms))
        says, fits = _FORMS[forms[key]]
        if not fits(value):
            raise _wrong(where, f"{place}.{key}", f"it must be {says}")
        values[key] = _frozen(value)
    return kind(**values)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


_FORMS = {
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "dict[str, str]": (
        "texts by name",
        lambda value: isinstance(value, dict) and _is_texts([*value, *value.values()]),
    ),
    "tuple[str, ...]": ("a list of texts", _is_texts),
    "dict[str, tuple[str, ...]]": (
        "lists of texts by name",
        lambda value: isinstance(value, dict) and _is_texts([*value]) and all(map(_is_texts, value.values())),
    ),
    "tuple[tuple[str, ...], ...]": (
        "a list of lists of texts",
        lambda value: isinstance(value, list) and all(map(_is_texts, value)),
    ),
}


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(one) for key, one in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _wrong(where: str, place: str, fault: str, close: str | None = None) -> DreamkitError:
    hint = f"Did you mean {close!r}?" if close else "See dreamkit/styles/styles.yaml for every key."
    return DreamkitError(f"The style table {where} is wrong at {place}: {fault}.", hint)


def _refuse_incomplete(style: Style, table: StyleTable, where: str) -> None:
    if style.name == ORIGINAL:
        raise DreamkitError(f"The style table {where} defines {ORIGINAL}.", "Original is the caption itself.")
    if not style.request or style.request == style.name:
        raise DreamkitError(f"The style {style.name!r} in {where} has no description.", "Add `description` to it.")
    if not style.words:
        raise DreamkitError(f"The style {style.name!r} in {where} has no words.", "Add `words` to it.")
    if not style.sentences and not style.changes_state:
        raise DreamkitError(
            f"The style {style.name!r} in {where} changes nothing.", "Give it `sentences`, or a `time` or `weather`."
        )
    if style.sentences and not any(has_word(style, sentence) for sentence in style.sentences):
        raise DreamkitError(
            f"No sentence of the style {style.name!r} in {where} has one of its words.",
            f"Write one with {' or '.join(style.words)} in it.",
        )
    if not style.sentences:
        for kept in [*style.keeps, ""]:
            time, weather = style.target("" if style.time else kept, "" if style.weather else kept)
            table.scene(time, weather)
            if time and table.scene_name(time, weather) != (exact := f"{time} {weather or 'clear'}"):
                log.warning(
                    "the style %r in %s has no scene %r: that of the day is used; add it under `scenes`",
                    style.name,
                    where,
                    exact,
                )


def has_word(style: Style, text: str) -> bool:
    """Whether the text has one of the style's words."""
    return any(re.search(rf"(?i)\b{re.escape(word)}\b", text) for word in style.words)
