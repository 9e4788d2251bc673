"""The words a caption uses for time, weather, light, sky, surface and shadow, and the states in which each may stand.

A state is a pair (time, weather). Every term lists the states it fits; in any other state it contradicts the scene.
The rules use the table to find what must go, the checks use it to find what must not be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dreamkit.captions.lexicon import alternatives, lexicon, whole_words
from dreamkit.captions.split import sentences

TIMES = ("morning", "day", "golden", "dusk", "night")
WEATHERS = ("clear", "cloudy", "rain", "snow", "fog")


@dataclass(frozen=True)
class Term:
    """A pattern, the times and weathers it fits, and what it says about the state when it is found.

    `fits` is a tuple of alternatives (times, weathers); an empty set means any.
    """

    name: str
    pattern: re.Pattern[str]
    fits: tuple[tuple[frozenset[str], frozenset[str]], ...]
    time: str = ""
    weather: str = ""

    def allows(self, time: str, weather: str) -> bool:
        """Whether the term may stand in a scene of this time and weather."""
        return any((not t or time in t) and (not w or weather in w) for t, w in self.fits)


@lru_cache(maxsize=1)
def terms() -> tuple[Term, ...]:
    """Every term of the lexicon."""
    return tuple(
        Term(
            name, whole_words("|".join(row["says"])), _states(row["fits"]), row.get("time", ""), row.get("weather", "")
        )
        for name, row in lexicon()["terms"].items()
    )


def _states(fits: list[str]) -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    """ "night dusk / *" -> ({night, dusk}, {}), one pair per entry."""
    pairs = [entry.split("/") for entry in fits]
    return tuple((frozenset(a.split()) - {"*"}, frozenset(b.split()) - {"*"}) for a, b in pairs)


@lru_cache(maxsize=1)
def _harmless() -> re.Pattern[str]:
    """What looks like weather or light and is not, and whatever stands in quotation marks."""
    return re.compile(rf"\b(?:{alternatives('harmless')})\b|\"[^\"]*\"|“[^”]*”", re.IGNORECASE)


@lru_cache(maxsize=4096)
def masked(text: str) -> str:
    """The text with harmless expressions and quotations blanked out, same length."""
    return _harmless().sub(lambda match: "_" * len(match.group()), text)


@lru_cache(maxsize=8192)
def found(text: str) -> tuple[tuple[Term, re.Match[str]], ...]:
    """Every term in the text, in order of place; harmless expressions and quotations do not count."""
    hidden = masked(text)
    hits = [(term, match) for term in terms() for match in term.pattern.finditer(hidden)]
    # "a few scattered clouds" is not "clouds": what lies within a longer term is part of it.
    spans = {match.span() for _, match in hits}
    generic = lexicon()["generic"]
    whole = [h for h in hits if h[0].name not in generic or not any(_within(h[1].span(), span) for span in spans)]
    return tuple(sorted(whole, key=lambda hit: hit[1].start()))


def _within(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


_NEGATION = re.compile(r"(?i)\b(?:no|without|hardly any|neither|nor|not|free of|absence of)(?: \w+){0,2} ?(?:of )?$")


def negated(text: str, start: int) -> bool:
    """Whether what begins at `start` is denied: "no hard shadows", "no signs of rain"."""
    return bool(_NEGATION.search(text[max(0, start - 40) : start]))


ENCLOSED = re.compile(
    r"(?i)\b(?:in(?:side)?|through|within|enters?|entering|along|down)\s+(?:a|an|the|this)\s+(?:[\w-]+,?\s+(?:and\s+)?){0,4}"
    r"(?P<place>tunnel|underpass|parking garage|garage|car park|parking structure)\b"
)


def _by_sentence(text: str) -> Iterator[tuple[str, Term, re.Match[str]]]:
    """Every term with its sentence. Rewrites share most sentences, and those are looked up, not searched again."""
    for sentence in sentences(text):
        for term, match in found(sentence):
            yield sentence, term, match


def of_lamps(term: Term) -> bool:
    """Whether the term speaks of lamps; they light a tunnel or a garage at every hour."""
    return term.name in lexicon()["lamps"]


def contradictions(text: str, time: str, weather: str) -> list[str]:
    """The words of the text that do not fit a scene of this time and weather.

    A denied word contradicts exactly where the style asserts it. Lamps light a tunnel or a garage at every hour.
    """
    wrong = []
    enclosed = ENCLOSED.search(text)
    for sentence, term, match in _by_sentence(text):
        if enclosed and of_lamps(term):
            continue
        if negated(sentence, match.start()):
            if (term.time or term.weather) and term.time in ("", time) and term.weather in ("", weather):
                wrong.append(f"no {match.group()}")
        elif not term.allows(time, weather):
            wrong.append(match.group())
    return wrong


def read_state(text: str) -> tuple[str, str]:
    """The time and weather a caption tells, each "" where it says nothing; the most frequent wins, then the first."""
    times: dict[str, int] = {}
    weathers: dict[str, int] = {}
    hits = list(_by_sentence(text))
    for sentence, term, match in hits:
        if negated(sentence, match.start()):
            continue
        if term.time:
            times[term.time] = times.get(term.time, 0) + 1
        if term.weather:
            weathers[term.weather] = weathers.get(term.weather, 0) + 1
    if any(term.name == "past rain" for _, term, _ in hits):
        weathers.pop("rain", None)
    # Night with its sunset or its evening is still night; clouds in the rain are still rain.
    if times.keys() >= {"day", "golden"}:
        times.pop("day")
    if len(weathers) > 1:
        for weaker in ("cloudy", "clear"):
            if len(weathers) > 1:
                weathers.pop(weaker, None)
    time = max(times, key=times.__getitem__, default="")
    weather = max(weathers, key=weathers.__getitem__, default="")
    return time, weather
