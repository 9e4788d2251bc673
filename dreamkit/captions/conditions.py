"""Words of a caption about time, weather, light, sky, road surface and shadow, and the states that each fits.

A state is a pair (time, weather), such as ("night", "rain"). The lexicon lists the states that a term fits; in any
other state the term is a contradiction. The rewriting rules remove contradictions.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

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
        """Whether the term fits this time and weather; an empty one is unknown, and every term fits it."""
        return any((not t or not time or time in t) and (not w or not weather or weather in w) for t, w in self.fits)

    @property
    def tied_to_time(self) -> bool:
        """Whether the term fits some times of day only."""
        return all(t for t, _ in self.fits)

    @property
    def tied_to_weather(self) -> bool:
        """Whether the term fits some weathers only."""
        return all(w for _, w in self.fits)


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
    whole: list[tuple[Term, re.Match[str]]] = []
    last, span, inside = -1, (0, 0), False
    # The longer one first where two begin together, so that whatever ends no later than one before lies within it.
    for term, match in sorted(hits, key=lambda hit: (hit[1].start(), -hit[1].end())):
        if match.span() != span:
            span, inside = match.span(), match.end() <= last
            last = max(last, match.end())
        # "clouds" within "a few scattered clouds" is part of that longer term.
        if not (inside and term.name in lexicon()["generic"]):
            whole.append((term, match))
    return tuple(whole)


_NEGATION = re.compile(
    r"(?i)\b(?:no|without|hardly any|neither|nor|not|never|free of|free from|absence of|lack of|lacking|devoid "
    r"of|isn't|aren't)"
    r"(?:,? (?!(?:is|are|was|were|but|while|with|and|as|has|have|which|only|that|due)\b)[\w'’-]+){0,9},? ?$"
)
_DENIED_AFTER = re.compile(r"(?i)^(?: \w+){0,2} (?:is|are) (?:not|absent|no longer|nowhere)\b")


def negated(text: str, start: int, end: int | None = None) -> bool:
    """Whether what stands at `start` (to `end`) is denied: "no signs of rain or snow", "rain is not visible"."""
    before, own = text[max(0, start - 110) : start], text[start:end]
    denied_here = end is not None and ("is not " in own or "are not " in own or _DENIED_AFTER.search(text[end:]))
    return bool(denied_here or _NEGATION.search(before))


ENCLOSED = re.compile(
    r"(?i)\b(?:in(?:side)?|through|within|enters?|entering|along|down|shows?|depicts?|captures?|"
    r"features?)\s+(?:a|an|the|this)\s+(?:[\w-]+,?\s+(?:and\s+)?){0,4}"
    r"(?P<place>tunnel|underpass|parking garage|garage|car park|parking structure)\b(?! (?:entrance|exit))"
)


def of_lamps(term: Term) -> bool:
    """Whether the term is about lamps, which light a tunnel or a garage at any time."""
    return term.name in lexicon()["lamps"]


_ALTERNATIVE = re.compile(r"(?i)^(?: [\w-]+){0,2}(?: hours)?,? (?:or|to|and) (?:[\w-]+ ){0,3}$")
_GUESS = re.compile(
    r"(?i)(?:chance of|possible|possibly|perhaps|recent or ongoing|may have|might have|approaching|impending|looming|"
    r"coming|imminent)(?: \w+){0,2} $"
)


def read_state(text: str) -> tuple[str, str]:
    """The (time, weather) that a caption states, each "" for none or for statements that disagree.

    Alternatives ("late afternoon or early evening") and guesses ("possible rain") count only where nothing else is
    said.
    """
    times: Counter[str] = Counter()
    weathers: Counter[str] = Counter()
    maybe: Counter[str] = Counter()
    names: set[str] = set()
    for sentence in sentences(text):
        hits = [(term, match) for term, match in found(sentence) if not negated(sentence, match.start(), match.end())]
        names |= {term.name for term, match in hits if not _GUESS.search(sentence[: match.start()])}
        timed = [(term, match) for term, match in hits if term.time]
        unsure = {
            match
            for (term, first), (other, second) in pairwise(timed)
            if term.time != other.time and _ALTERNATIVE.match(sentence[first.end() : second.start()])
            for match in (first, second)
        }
        for term, match in timed:
            (maybe if match in unsure else times)[term.time] += 1
        weathers.update(t.weather for t, m in hits if t.weather and not _GUESS.search(sentence[: m.start()]))
    # A wet road alone does not mean that it rains, nor umbrellas under clouds.
    signs = names & {"rain gear", "wet"}
    dry = weathers["clear"] or signs == {"wet"}
    if "rain" not in names and (
        dry or (len(signs) < 2 and (names & {"past rain", "maybe rain"} or weathers["cloudy"]))
    ):
        weathers.pop("rain", None)
    return _time(times, maybe), _weather(weathers)


def _time(times: Counter[str], maybe: Counter[str]) -> str:
    if not times:
        if maybe.keys() == {"dusk", "night"}:
            return "night"
        if maybe.keys() == {"day", "dusk"}:
            return "dusk"  # late afternoon or early evening
        return next(iter(maybe)) if len(maybe) == 1 else ""
    if times.keys() >= {"day", "golden"}:
        times.pop("day")  # golden light by day is the golden hour
    ranked = times.most_common(2)
    tie = len(ranked) > 1 and ranked[0][1] == ranked[1][1]
    return "" if tie and times.keys() >= {"day", "night"} else ranked[0][0]


def _weather(weathers: Counter[str]) -> str:
    falling = {weather: count for weather, count in weathers.items() if weather not in ("clear", "cloudy")}
    if not falling:
        return "clear" if weathers["clear"] else "cloudy" if weathers["cloudy"] else ""
    # Clouds in the rain are still rain, and mist in the rain is rain.
    return max(falling, key=lambda weather: (falling[weather], weather != "fog"))
