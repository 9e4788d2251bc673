"""Plain sentences for the road users and structures of clauses that were cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from dreamkit.captions.conditions import negated
from dreamkit.captions.lexicon import structures_pattern, users_pattern, word_set
from dreamkit.captions.split import without_quotes
from dreamkit.styles.rules.clauses import finite

_INDEFINITE = word_set(
    "a an one two three four five six seven eight nine ten several many few some multiple various numerous"
)
_DEFINITE = word_set("the its their his her this these")
_STOP = word_set(
    "either and or but as while with without in on at to from by of for along through near behind beside into onto "
    "over under between that which who where when is are "
    "was were has have can be been there it they not no any only also with's including capturing showing "
    "revealing illuminating reflecting casting creating "
    "highlighting making giving visible seen some's suggesting indicating then allowing causing forcing "
    "letting requiring leading helping"
)
_TRAILING = re.compile(
    r"(?:\s+(?:parked|stopped|lined up|(?!(?:morning|evening|during|including|glowing|shining|reflecting|illuminating|"
    r"casting|creating|building|indicating|making|suggesting)\b)[a-z]{2,}ing(?= (?:at|on|in|to|from|by|along|"
    r"across|behind|near|down|through|toward|the|slowly|left|right|ahead|straight)\b|[.,;]|$))\b"
    r"(?:\s+(?:slowly|by|left|right|straight|past|ahead|carefully|cautiously)\b)?)?"
    r"(?:\s+(?:the (?:street|road|intersection|camera|vehicle))(?=[\s.,;]|$))?"
    r"(?:\s+(?:along|on|at|in|near|beside|behind|across|to|ahead of|around|between|down|through|toward|towards|"
    r"from)\s+(?:the|a|an|both|its|each|either)\s+(?:(?:middle|center|centre|front|end|corner|left|right|"
    r"opposite|other|near|far|same|inner|outer|side|sides|"
    r"edge|of|the|dark|wet|busy|slick|icy|narrow|main|rural|rainy|snowy|foggy|slippery|shiny|quiet|"
    r"empty|red|blue|white|black|"
    r"yellow|green|orange|gray|grey|bright|silver|brown|pink|reflective|long|heavy)\s+){0,4}"
    r"(?!(?:can|could|is|are|was|were|has|have|and|or|that|which|who|while|as|with)\b)[\w-]+"
    r"(?:\s(?:stops?|lights?|signals?|signs?|crossing|lot|station|shelter|lanes?|lines?))?(?=[\s.,;]|$)"
    r"|\s+(?:ahead|in front|behind)\b)?",
    re.IGNORECASE,
)


# "a quiet residential street": with an indefinite article a place is new.
PLACE = re.compile(
    r"(?i)\ban?(?:[ -](?!(?:as|and|with|on|at|in|of)\b)[\w'-]+){0,4}[ -]"
    r"(?:lanes?|road|street|highway|avenue|boulevard|freeway|motorway|expressway|alley|town|city|neighbou?rhood|"
    r"district|village|downgrade|route|roadway|square|plaza)\b"
)
# Structures that are told though their article is definite: "the pine trees".
_ADORNED = re.compile(r"(?i)the (?!surrounding|nearby|adjacent)[\w-]+ (?:trees|buildings|houses|hills)$")
_MOTOR = re.compile(r"\b(?:cars?|vans?|trucks?|suvs?|bus(?:es)?|sedans?|vehicles?|traffic(?! (?:light|sign|cone)))\b")


_LAMPS = re.compile(r"['’]|[ -](?:head|tail|street)?lights?\b")
_LAMP_POSTS = re.compile(r"(?i)(?:street ?(?:light|lamp)s?|lamp ?posts?)$")
_OPENINGS = re.compile(r"(?i)(?:windows?|lanes?|(?:lane )?markings)$")
_NOT_TOLD = re.compile(r"(?i)\b(?:ego|own|camera)[ -]$|\b(?:glimpses? of|for) (?:(?:the|both|any) )?(?:\w+ )?$")


def named_things(text: str) -> list[str]:
    """The noun phrases of the road users and structures in a text that it does not deny, with what belongs to them."""
    plain = without_quotes(text)
    found: list[tuple[int, int]] = []
    places = [place for place in PLACE.finditer(plain) if not finite(place.group())]
    hits = [*users_pattern().finditer(plain), *structures_pattern().finditer(plain), *places[:1]]
    for match in sorted(hits, key=re.Match.start):
        start, end = match.span()
        if (
            (found and start < found[-1][1])
            or negated(plain, start)
            or _LAMPS.match(plain, end)
            or _OPENINGS.match(match.group())
            or (_LAMP_POSTS.match(match.group()) and not re.search(r"(?i)\bshadows? of\b", plain))
            or (_NOT_TOLD.search(plain[:start]) and not re.match(r" (?:[a-z]+ing|that|which|who)\b", plain[end:]))
        ):
            continue
        while after := re.match(r"[ -](?=\w)", plain[end:]):
            more = structures_pattern().match(plain, end + after.end()) or users_pattern().match(
                plain, end + after.end()
            )
            if not more:
                break
            end = more.end()
        begin, determiner = _beginning(plain, start)
        if re.match(r"(?i)an?\b", match.group()):
            begin, determiner = start, "a"
        if not determiner and not re.search(
            r"(?i)s$|people$|men$|children$|traffic$|vegetation$|greenery$|grass$", plain[start:end]
        ):
            continue
        if users_pattern().match(plain, start):
            trailing = _TRAILING.match(plain[end:])
            # "shadows of the trees and people on the ground": it is the shadows that lie there.
            end += trailing.end() if trailing and not re.search(r"\b(?:shadows|reflections) of\b", plain[:start]) else 0
        elif determiner in _DEFINITE and not _ADORNED.match(plain[begin:end]):
            if not re.fullmatch(r"(?i)trees|houses", match.group()):
                continue
            begin = start
        if not found or begin >= found[-1][1]:
            found.append((begin, end))
    return [text[a:b].strip(" ,.") for a, b in found]


# "parked and passing cars"
_COUPLED = re.compile(r"(?i)\b(?:parked|moving|passing|oncoming|stopped|waiting|approaching) $")


def _beginning(plain: str, start: int) -> tuple[int, str]:
    """Where the noun phrase of the noun at `start` begins, and its determiner or ""."""
    begin = start
    for word in reversed(list(re.finditer(r"[\w'’-]+(?P<gap>,?\s+)", plain[:start]))):
        token = word.group().strip(" ,").lower()
        if token == "and" and _COUPLED.search(plain[: word.start()]):
            begin = word.start()
            continue
        if word.end() != begin or token in _STOP or "," in word["gap"] or finite(token):
            break
        begin = word.start()
        if token in _INDEFINITE or token in _DEFINITE:
            return begin - 2 * plain[:begin].lower().endswith("a "), token
    return begin, ""


def inside_sentence(name: str) -> str:
    """A noun phrase as it stands inside a sentence: "a truck", but "SUVs"."""
    return name if name[1:2].isupper() else name[0].lower() + name[1:]


def is_plural(phrase: str) -> bool:
    """Whether a noun phrase is plural."""
    noun = next((m for p in (users_pattern(), structures_pattern()) if (m := p.search(phrase))), None)
    phrase = phrase[: noun.end()] if noun else phrase
    phrase = re.sub(r"(?i)\b(?:parked|waiting|surrounding|neighbou?ring|stopped) ", "", phrase)
    head = re.split(
        r"\s(?:of the|of a|in|on|at|along|near|beside|behind|across|with|from|parked|waiting|that|which|ahead|"
        r"\w+ing|down|to|through)\b", " " + re.sub(r"(?i)^(?:oncoming|passing|approaching|moving) ", "", phrase)
    )[0].strip().lower()  # fmt: skip
    if re.match(
        r"(?:an?|one|another|each|every)\s(?!(?:few|couple|number|pair|row|line|series|handful|group|lot|variety)\b)",
        head,
    ):
        return False
    return bool(
        re.search(
            r"\b(?:people|men|women|children|two|three|four|five|six|several|many|few|some|multiple|various|numerous|"
            r"rows|police)\b|(?<![su])s$",
            head,
        )
    )


def new_names(gone: Sequence[str], kept: str, soften: Callable[[str], str]) -> list[str]:
    """The road users and structures that were cut and that the kept text does not name.

    Args:
        gone: the texts that were cut.
        kept: all that is kept of the caption.
        soften: a noun phrase without its words about time and weather; "" when they cannot be left out.
    """
    names: list[str] = []
    for thing in (thing for text in gone for thing in named_things(text)):
        name = soften(thing)
        if not name or _known(name, kept + " " + " ".join(names)):
            continue
        names.append(inside_sentence(name))
    return names


def plain_sentence(names: Sequence[str], kept: str, choice: int) -> str:
    """A sentence that names road users and structures, in one of two wordings; "" when there are none."""
    if not names:
        return ""
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    verb = "are" if len(names) > 1 or is_plural(names[0]) else "is"
    said = (f"{verb} visible", "can be seen")[choice % 2]
    road = _ROAD.search(kept)
    if (
        road
        and not any(map(PLACE.search, names))
        and not re.search(r"(?i)\b(?:on|in|at|along|near|behind|by|across|to|down|ahead)\b", listed)
    ):
        vehicles = all(_MOTOR.search(name.lower()) for name in names)
        said += f" {'on' if vehicles else 'along'} the {road.group().lower()}"
    return f"{listed[0].upper()}{listed[1:]} {said}."


_ROAD = re.compile(r"(?i)\b(?:street|road|highway|freeway|avenue|boulevard)\b(?! signs?)")
_GREEN = re.compile(r"(?i)\b(?:greenery|vegetation|foliage)$")
_QUARTER = re.compile(r"(?i)\b(?:neighbou?rhood|district|town|city|village)$")
_OWN_CAR = r"\b(?:camera|ego|own) (?:car|vehicle)\b[^.,]*"
_MOVES = re.compile(r"(?i)\b(?:passing|moving|oncoming|approaching)\b")
_MOVING = re.compile(r"(?i)\b(?:pass|mov|driv|travel|approach|oncoming|in motion|flow)\w*")


def _known(name: str, kept: str) -> bool:
    """Whether the kept text names the thing already: the same noun, and nothing new about it."""
    nouns = [m.group().lower() for p in (users_pattern(), structures_pattern()) for m in p.finditer(name)]
    nouns = nouns or [re.findall(r"[\w-]+", match.group().lower())[-1] for match in PLACE.finditer(name)]
    low = re.sub(rf"\b(?:vehicle|car) (?=(?:head)?lights)|{_OWN_CAR}", "", kept.lower()).replace(
        "traffic lights", "traffic lights, traffic signals"
    )
    if _MOVES.match(name) and not _MOVING.search(
        re.sub(rf"(?i)\b(?:drive|driving)(?= (?:through|scene|along|down|on|in)\b)|{_OWN_CAR}", "", kept)
    ):
        return False
    if re.fullmatch(r"(?:the |its |other )?(?:\w+ )?(?:vehicles?|traffic)", name.lower()) and _MOTOR.search(low):
        return True
    if name.lower() == "people" and "pedestrian" in low:
        return True
    if _GREEN.search(name) and re.search(r"\b(?:trees|bush|grass|plants|vegetation|greenery)", low):
        return True
    if (
        not users_pattern().search(name)
        and _QUARTER.search(name)
        and re.search(r"\b(?:street|road|area|neighbou?rhood)", low)
    ):
        return True
    if not all(re.search(rf"\b{re.escape(noun.removesuffix('s'))}", low) for noun in nouns):
        return False
    if not users_pattern().search(name):
        return True
    extra = set(re.findall(r"[a-z]+", name.lower())) - set(re.findall(r"[a-z]+", low))
    if re.match(r"(?i)(?:the|its|their|other)\b", name) or name.lower() in nouns:
        # "the cars turning left" when the caption has cars that wait tells something new.
        return not any(re.search(r"(?:ing|ed|left|right)$", word) for word in extra)
    # "a few cars" when the caption names several cars is nothing new; "a red car" is.
    vague = re.match(r"(?i)(?:a few|several|some|many|multiple|various|numerous|other|passing|moving|oncoming)\b", name)
    return bool(vague) and not extra
