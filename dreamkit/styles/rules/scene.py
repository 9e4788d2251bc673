"""What a style must not change in a caption: road users, structures, places."""

from __future__ import annotations

import re
from functools import lru_cache

from dreamkit.captions.lexicon import alternatives, lexicon, whole_words


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
