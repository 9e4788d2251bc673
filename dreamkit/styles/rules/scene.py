"""What a style must not change in a caption: road users with their counts, structures, manoeuvres."""

from __future__ import annotations

import re
from functools import lru_cache

from dreamkit.captions.lexicon import alternatives, lexicon, whole_words, word_set
from dreamkit.captions.split import sentences, without_quotes


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
def _kinds() -> dict[str, str]:
    """Name of a road user, singular or plural -> its kind."""
    rows = lexicon()["road_users"].items()
    return {name: kind for kind, nouns in rows for noun in nouns for name in (noun, plural(noun))}


@lru_cache(maxsize=1)
def _plurals() -> frozenset[str]:
    return frozenset(plural(noun) for nouns in lexicon()["road_users"].values() for noun in nouns)


@lru_cache(maxsize=1)
def users_pattern() -> re.Pattern[str]:
    """Matches names of road users, longer ones first; names of places such as "bus stop" do not match."""
    names = "|".join(sorted(map(re.escape, _kinds()), key=len, reverse=True))
    return whole_words(names, rf"(?! of\b)(?![ -](?:{alternatives('not_a_user')})\b)(?![-'’]?\w)")


@lru_cache(maxsize=1)
def structures_pattern() -> re.Pattern[str]:
    """Matches names of buildings, nature, signs and lanes."""
    return whole_words(alternatives("structures"), r"(?![-'’]\w)(?<!signs(?= of ))(?<!sign(?= of ))")


@lru_cache(maxsize=1)
def _manoeuvre_patterns() -> dict[str, re.Pattern[str]]:
    rows = lexicon()["manoeuvres"].items()
    return {name: re.compile(rf"\b(?:{'|'.join(said)})", re.IGNORECASE) for name, said in rows}


_COUNTED = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: number for number, word in enumerate(_COUNTED.split())} | {"dozen": 12, "pair": 2}
_MANY = word_set(
    "several many multiple some few numerous various more other occasional most dozens couple handful both"
)
_DEFINITE = word_set("the this that these those its their his her each every")
_SINGLE = word_set("a an one another single lone solitary")
_BREAKS = word_set(
    "and or with in on at to from by as while is are was were has have behind past for near along through across"
)
# "a quiet residential street": a place with an indefinite article or a number is new.
NEW_PLACE = re.compile(
    r"\b(?:an?|two|three|four|five|six|multi\w*)(?:[ -](?!(?:as|and|with|on|at|in|of)\b)[\w'-]+){0,4}[ -]"
    r"(?:lanes?|road|street|highway|avenue|boulevard|freeway|motorway|expressway|alley|town|city|neighbou?rhood|area"
    r"|district|village|curve|bend|hill|downgrade|route|roadway|path|square|plaza)\b",
    re.IGNORECASE,
)


def _count(before: str, noun: str) -> str:
    """The count before a road user's name: a number, "many", or "the" after a definite article."""
    words = re.findall(r"[\w'-]+", before.lower())[-6:]
    for word in reversed(words):
        if word in _NUMBERS and word not in _SINGLE:
            return str(_NUMBERS[word])
        if word.isdigit():
            return word
        if word in _MANY:
            return "many"
        if word in _SINGLE:
            return "1"
        if word in _DEFINITE:
            return "the"
        if word in _BREAKS:
            break
    return "many" if noun.lower() in _plurals() else "1"


def road_users(text: str) -> tuple[tuple[str, str], ...]:
    """The mentions of road users as (kind, count), sorted; the count is a number, "many", or "the".

    "the" is a mention with a definite article; it repeats an earlier one and is left out, unless the kind has no other
    mention.
    """
    mentions = [mention for sentence in sentences(text) for mention in _mentions(sentence)]
    counted = [mention for mention in mentions if mention[1] != "the"]
    known = {kind for kind, _ in counted}
    return tuple(sorted([*counted, *{mention for mention in mentions if mention[0] not in known}]))


@lru_cache(maxsize=8192)
def _mentions(sentence: str) -> tuple[tuple[str, str], ...]:
    """Every mention of a road user in a sentence as (kind, count)."""
    plain = without_quotes(sentence)
    found = []
    for match in users_pattern().finditer(plain):
        clause = re.split(r"[.,;:]", plain[: match.start()])[-1]
        found.append((_kinds()[match.group().lower()], _count(clause, match.group())))
    return tuple(found)


def manoeuvres(text: str) -> frozenset[str]:
    """The names of the manoeuvres in a text."""
    return frozenset().union(*map(_manoeuvres, sentences(text)))


@lru_cache(maxsize=8192)
def _manoeuvres(sentence: str) -> frozenset[str]:
    plain = without_quotes(sentence)
    return frozenset(name for name, pattern in _manoeuvre_patterns().items() if pattern.search(plain))
