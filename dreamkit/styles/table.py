"""The table of styles: eight come with the kit, a YAML file adds or replaces some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dreamkit.captions import ORIGINAL
from dreamkit.errors import DreamkitError
from dreamkit.files import nearest, read_text
from dreamkit.workspace import check_name

BUILT_IN = Path(__file__).with_name("styles.yaml")
_DAY_WORDS = {"morning": "morning", "dusk": "evening", "golden": "evening", "night": "night"}


class Style(BaseModel):
    """One style: what it changes, what it keeps, and its words; see styles.yaml for every key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    time: str = ""
    weather: str = ""
    keeps: dict[str, str] = Field(default_factory=dict)
    words: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    adjective: str = ""
    noun: str = ""
    instruction: str = ""

    def target(self, time: str, weather: str) -> tuple[str, str]:
        """The (time, weather) that a caption of the given one becomes; "" where the caption says nothing."""
        if not self.time:
            time = self.keeps.get(time, next(iter(self.keeps.values()), "day"))
        if not self.weather:
            weather = self.keeps.get(weather, next(iter(self.keeps.values()), "clear"))
        return self.time or time, self.weather or weather

    def noun_for(self, time: str) -> str:
        """The words after "It is" for a scene of this time."""
        return self.noun.replace("{day}", _DAY_WORDS.get(time, "day"))


class Scene(BaseModel):
    """What the rules say in one (time, weather)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    details: tuple[tuple[str, ...], ...] = Field(min_length=1)
    extras: dict[str, str] = Field(default_factory=dict)
    clause: str = ""


class StyleTable(BaseModel):
    """All styles in their order, Original first, and the scenes they lead to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    styles: dict[str, Style]
    scenes: dict[str, Scene]

    def scene(self, time: str, weather: str) -> Scene:
        """The scene of this time and weather, else the one of this weather by day.

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
            DreamkitError: there is none; names the nearest.
        """
        if name in self.styles:
            return self.styles[name]
        close = nearest(name, self.styles)
        hint = f"Did you mean {close!r}?" if close else f"The styles are {', '.join(self.styles)}."
        raise DreamkitError(f"There is no style {name!r}.", hint)

    def choose(self, names: Sequence[str] = ()) -> tuple[Style, ...]:
        """The styles of these names without Original, in the table's order; all of them when none is named."""
        asked = {self.style(name).name for name in names} if names else set(self.styles)
        return tuple(style for style in self.styles.values() if style.name in asked and style.name != ORIGINAL)


def load_styles(path: Path | None = None) -> StyleTable:
    """The built-in table, with a user's YAML table laid over it when given.

    Raises:
        DreamkitError: the table is missing, not YAML, has an unknown key, a style without words, leads or instruction,
            one that changes nothing, or one that leads to a scene nobody described.
    """
    built_in = _built_in()
    if path is None:
        return built_in
    text = read_text(path, "style table")
    try:
        rows = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DreamkitError(f"The style table {path} is not valid YAML{where}.") from None
    mine = _table(rows, str(path))
    table = StyleTable(styles={**built_in.styles, **mine.styles}, scenes={**built_in.scenes, **mine.scenes})
    for style in mine.styles.values():
        _refuse_incomplete(style, table, str(path))
    return table


@lru_cache(maxsize=1)
def _built_in() -> StyleTable:
    return _table(yaml.safe_load(BUILT_IN.read_text(encoding="utf-8")), BUILT_IN.name)


def _table(rows: Any, where: str) -> StyleTable:
    if not isinstance(rows, Mapping) or not isinstance(rows.get("styles"), Mapping):
        raise DreamkitError(f"The style table {where} must have a part `styles`.", "See dreamkit/styles/styles.yaml.")
    for name, style in rows["styles"].items():
        if not isinstance(name, str) or not isinstance(style, Mapping):
            raise DreamkitError(f"The style {name!r} in {where} must be a name with keys below it.")
        check_name(name, "style")
    styles = {name: {"name": name, **style} for name, style in rows["styles"].items()}
    try:
        return StyleTable.model_validate({**rows, "styles": styles, "scenes": rows.get("scenes") or {}})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = [*Style.model_fields, *Scene.model_fields]
        close = nearest(str(first["loc"][-1]), known) if first["type"] == "extra_forbidden" else None
        hint = f"Did you mean {close!r}?" if close else "See dreamkit/styles/styles.yaml for every key."
        raise DreamkitError(f"The style table {where} is wrong at {place}: {first['msg']}.", hint) from None


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
