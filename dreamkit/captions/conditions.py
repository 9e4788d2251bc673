"""Words of a caption about time, weather, light, sky, road surface and shadow, and the states that each fits.

A state is a pair (time, weather), such as ("night", "rain"). The lexicon lists the states that a term fits; in any
other state the term is a contradiction. The rewriting rules remove contradictions, the checks report them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dreamkit.captions.lexicon import alternatives, lexicon, whole_words
from dreamkit.captions.split import sentences


@dataclass(frozen=True)
class Term:
    """An entry of the lexicon's `terms`.

    Attributes:
        name: its key in the lexicon.
        pattern: what it matches in a caption.
        fits: alternatives (times, weathers) that it fits; an empty set means any.
        time: the time that it states, "" for none.
        weather: the weather that it states, "" for none.
    """

    name: str
    pattern: re.Pattern[str]
    fits: tuple[tuple[frozenset[str], frozenset[str]], ...]
    time: str = ""
    weather: str = ""

    def allows(self, time: str, weather: str) -> bool:
        """Whether the term fits this time and weather."""
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
    """One pair per entry: "night dusk / *" -> ({night, dusk}, {})."""
    pairs = [entry.split("/") for entry in fits]
    return tuple((frozenset(a.split()) - {"*"}, frozenset(b.split()) - {"*"}) for a, b in pairs)


@lru_cache(maxsize=1)
def _harmless() -> re.Pattern[str]:
    """Expressions that resemble weather or light but are neither ("traffic light"), and quotations."""
    return re.compile(rf"\b(?:{alternatives('harmless')})\b|\"[^\"]*\"|“[^”]*”", re.IGNORECASE)


@lru_cache(maxsize=4096)
def masked(text: str) -> str:
    """The text with harmless expressions and quotations replaced by underscores, same length."""
    return _harmless().sub(lambda match: "_" * len(match.group()), text)


@lru_cache(maxsize=8192)
def found(text: str) -> tuple[tuple[Term, re.Match[str]], ...]:
    """Every term in the text with its match, in order of position; harmless expressions and quotations are ignored."""
    hidden = masked(text)
    hits = [(term, match) for term in terms() for match in term.pattern.finditer(hidden)]
    # "clouds" within "a few scattered clouds" is part of that longer term.
    inner = _within_others({match.span() for _, match in hits})
    generic = lexicon()["generic"]
    whole = [h for h in hits if h[0].name not in generic or h[1].span() not in inner]
    return tuple(sorted(whole, key=lambda hit: hit[1].start()))


def _within_others(spans: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The spans (start, end) that lie within another one."""
    inner, last = set(), -1
    # The longer one first where two begin together, so that whatever reaches as far as one before lies within it.
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if end <= last:
            inner.add((start, end))
        last = max(last, end)
    return inner


_NEGATION = re.compile(r"(?i)\b(?:no|without|hardly any|neither|nor|not|free of|absence of)(?: \w+){0,2} ?(?:of )?$")


def negated(text: str, start: int) -> bool:
    """Whether a negation stands before position `start`: "no hard shadows", "no signs of rain"."""
    return bool(_NEGATION.search(text[max(0, start - 40) : start]))


ENCLOSED = re.compile(
    r"(?i)\b(?:in(?:side)?|through|within|enters?|entering|along|down)\s+(?:a|an|the|this)\s+(?:[\w-]+,?\s+(?:and\s+)?){0,4}"
    r"(?P<place>tunnel|underpass|parking garage|garage|car park|parking structure)\b"
)


def _by_sentence(text: str) -> Iterator[tuple[str, Term, re.Match[str]]]:
    """Every term with its sentence. By sentence, because rewrites share most of them and `found` caches."""
    for sentence in sentences(text):
        for term, match in found(sentence):
            yield sentence, term, match


def of_lamps(term: Term) -> bool:
    """Whether the term is about lamps, which light a tunnel or a garage at any time."""
    return term.name in lexicon()["lamps"]


def contradictions(text: str, time: str, weather: str) -> list[str]:
    """The words of the text that do not fit this time and weather.

    A negated term ("no rain") contradicts the state that it states. Terms about lamps are allowed in a tunnel or a
    garage at any time.
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
    """The (time, weather) that a caption states, each "" for none; the most frequent, then the first one."""
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
    # Golden light by day is the golden hour; clouds in the rain are still rain.
    if times.keys() >= {"day", "golden"}:
        times.pop("day")
    if len(weathers) > 1:
        for weaker in ("cloudy", "clear"):
            if len(weathers) > 1:
                weathers.pop(weaker, None)
    time = max(times, key=times.__getitem__, default="")
    weather = max(weathers, key=weathers.__getitem__, default="")
    return time, weather
