"""The table of styles: eight built-in ones; a user's YAML file adds styles or replaces them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from dreamkit.captions.files import ORIGINAL
from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_names import check_name
from dreamkit.workspace.files import nearest, read_yaml

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

    def target(self, time: str, weather: str) -> tuple[str, str]:
        """The (time, weather) of the rewrite of a caption that states this time and weather ("" for none)."""
        if not self.time:
            time = self.keeps.get(time, next(iter(self.keeps.values()), "day"))
        if not self.weather:
            weather = self.keeps.get(weather, next(iter(self.keeps.values()), "clear"))
        return self.time or time, self.weather or weather

    def noun_for(self, time: str) -> str:
        """The words that complete "It is ..." at this time."""
        return self.noun.replace("{day}", _DAY_WORDS.get(time, "day"))


@dataclass(frozen=True)
class ConditionTexts:
    """The sentences with which the rules describe one (time, weather); an entry of `scenes` in styles.yaml.

    Attributes:
        details: sets of sentences; a rewrite gets one of the sets.
        extras: word -> a further sentence for captions that have the word.
        clause: the weather and light in one clause, for the side and rear views.
    """

    details: tuple[tuple[str, ...], ...] = ()
    extras: dict[str, str] = field(default_factory=dict)
    clause: str = ""


@dataclass(frozen=True)
class StyleTable:
    """The styles, Original first, and the texts of each (time, weather).

    Attributes:
        styles: name -> style, in order.
        scenes: "time weather" -> texts.
    """

    styles: dict[str, Style]
    scenes: dict[str, ConditionTexts]

    def scene(self, time: str, weather: str) -> ConditionTexts:
        """The texts of this time and weather, else those of this weather by day.

        Raises:
            DreamkitError: the table has neither.
        """
        for key in (f"{time} {weather}", f"day {weather}"):
            if key in self.scenes:
                return self.scenes[key]
        raise DreamkitError(
            f"The style table has no scene {time + ' ' + weather!r}.", "Add it under `scenes`, with its details."
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
            instruction, changes nothing, or leads to a (time, weather) that is not under `scenes`.
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
        if not scene.details:
            raise _wrong(where, f"scenes.{name}.details", "it must hold at least one set of sentences")
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
    "str": ("a text", lambda value: isinstance(value, str)),
    "dict[str, str]": (
        "texts by name",
        lambda value: isinstance(value, dict) and _is_texts([*value, *value.values()]),
    ),
    "tuple[str, ...]": ("a list of texts", _is_texts),
    "tuple[tuple[str, ...], ...]": (
        "a list of lists of texts",
        lambda value: isinstance(value, list) and all(map(_is_texts, value)),
    ),
}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _wrong(where: str, place: str, fault: str, close: str | None = None) -> DreamkitError:
    hint = f"Did you mean {close!r}?" if close else "See dreamkit/styles/styles.yaml for every key."
    return DreamkitError(f"The style table {where} is wrong at {place}: {fault}.", hint)


def _refuse_incomplete(style: Style, table: StyleTable, where: str) -> None:
    if style.name == ORIGINAL:
        raise DreamkitError(f"The style table {where} defines {ORIGINAL}.", "Original is the caption itself.")
    if not style.time and not style.weather:
        raise DreamkitError(f"The style {style.name!r} in {where} changes nothing.", "Give it a time or a weather.")
    for key in ("words", "leads", "instruction"):
        if not getattr(style, key):
            raise DreamkitError(f"The style {style.name!r} in {where} has no {key}.", f"Add `{key}` to it.")
    for kept in [*style.keeps, ""]:
        table.scene(*style.target("" if style.time else kept, "" if style.weather else kept))
