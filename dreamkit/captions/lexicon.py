"""The word lists of lexicon.yaml, and regular expressions made from them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

LEXICON = Path(__file__).with_name("lexicon.yaml")


@lru_cache(maxsize=1)
def lexicon() -> dict[str, Any]:
    """The whole table; see lexicon.yaml."""
    return yaml.safe_load(LEXICON.read_text(encoding="utf-8"))


def word_set(words: str) -> frozenset[str]:
    """The words of a space-separated list."""
    return frozenset(words.split())


def alternatives(*path: str) -> str:
    """The entries below these keys as one alternation `a|b|c`, without parentheses."""
    node: Any = lexicon()
    for key in path:
        node = node[key]
    return "|".join(node)


def whole_words(alternation: str, after: str = "") -> re.Pattern[str]:
    """A pattern that matches the alternatives as whole words in any letter case, followed by the pattern `after`."""
    return re.compile(rf"\b(?:{alternation})\b{after}", re.IGNORECASE)


def plural(noun: str) -> str:
    """The plural of a road user's name."""
    irregular = lexicon()["irregular_plurals"]
    head, _, last = noun.rpartition(" ")
    if last in irregular:
        last = irregular[last]
    elif re.search(r"(?:s|x|ch|sh)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last) and "-" not in last:
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head} {last}".strip()


@lru_cache(maxsize=1)
def users_pattern() -> re.Pattern[str]:
    """Matches names of road users, longer ones first; names of places such as "bus stop" do not match."""
    nouns = lexicon()["road_users"]
    names = "|".join(sorted(map(re.escape, {*nouns, *map(plural, nouns)}), key=len, reverse=True))
    return whole_words(names, rf"(?! of\b)(?![ -](?:{alternatives('not_a_user')})\b)(?![-'’]?\w)")


@lru_cache(maxsize=1)
def structures_pattern() -> re.Pattern[str]:
    """Matches names of buildings, nature, signs and lanes."""
    return whole_words(alternatives("structures"), r"(?![-'’]\w)(?<!signs(?= of ))(?<!sign(?= of ))")
