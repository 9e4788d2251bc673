"""What a text says about time, weather and light by word family, and which of it cannot be true together."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from dreamkit.captions.split import sentences, without_quotes

CHECK_WORDS = Path(__file__).with_name("check_words.yaml")
_NO = re.compile(r"(?i)\b(?:no|not|without|nor|neither|never|free of|absence of|lack of|hardly|isn't|aren't|nothing)\b")
_NO_ENDS = re.compile(
    r"(?i)[.;:]|,\s+\w+ing\b|\b(?:is|are|was|were|but|while|with|and(?! no\b)|only|yet|has|have|due|because)\b"
)
_UNSURE = re.compile(
    r"(?i)\b(?:or|possibl[ey]|perhaps|might|may|either|suggest\w*|likely|recent\w*|after|earlier|from|"
    r"transition\w*|between|stopped|ended)\b"
)


@lru_cache(maxsize=1)
def check_words() -> dict[str, Any]:
    """The word lists of check_words.yaml."""
    return yaml.safe_load(CHECK_WORDS.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _families() -> dict[str, re.Pattern[str]]:
    return {name: re.compile(rf"(?i)\b(?:{'|'.join(words)})\b") for name, words in check_words()["families"].items()}


@lru_cache(maxsize=1)
def _names() -> re.Pattern[str]:
    return re.compile(rf"(?i)\b(?:{'|'.join(check_words()['names'])})\b")


def hidden_names(text: str) -> str:
    """The text with quotations and names such as "traffic light" replaced by underscores, same length."""
    return _names().sub(lambda match: "_" * len(match.group()), without_quotes(text))


@lru_cache(maxsize=4096)
def said(sentence: str) -> tuple[tuple[str, str, bool, bool], ...]:
    """(family, words, denied, unsure) of every word about time, weather or light in a sentence."""
    plain = hidden_names(sentence)
    # A hostile caption may be one word, thousands of times: places are looked up, not searched again for each.
    stops = [*(match.start() for match in _NO_ENDS.finditer(plain)), len(plain)]
    negations = list(_NO.finditer(plain))
    starts = [match.start() for match in negations]
    ends = [stops[bisect_left(stops, match.end())] for match in negations]
    found = []
    for family, pattern in _families().items():
        for match in pattern.finditer(plain):
            before = bisect_right(starts, match.start())
            no = before > 0 and match.start() < ends[before - 1]  # of the negations before it the last reaches furthest
            around = plain[max(0, match.start() - 28) : match.end() + 22]
            found.append((family, match.group().strip(), no, bool(_UNSURE.search(around))))
    return tuple(found)


def opposites(text: str) -> list[str]:
    """Pairs of statements about time and weather that exclude each other, such as "'sunny' and 'heavy rain'".

    Only plain statements count: no guesses, no alternatives, nothing denied. A denied family excludes the
    same one stated.
    """
    sure: dict[str, str] = {}
    denied: dict[str, str] = {}
    for sentence in sentences(text):
        for family, words, no, unsure in said(sentence):
            if no:
                denied.setdefault(family, words)
            elif not unsure:
                sure.setdefault(family, words)
    found = [
        f"{sure[family]!r} and {sure[other]!r}"
        for family, others in check_words()["opposites"]
        for other in others
        if family in sure and other in sure
    ]
    return found + [
        f"'no {words}' and {sure[family]!r}"
        for family, words in denied.items()
        if family in sure and family in ("rain", "snow", "fog", "overcast")
    ]
