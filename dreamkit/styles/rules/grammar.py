"""Regular expressions for parts of an English sentence about time and weather, built from lexicon.yaml."""

from __future__ import annotations

import re
from functools import lru_cache
from types import SimpleNamespace

from dreamkit.captions.lexicon import alternatives, lexicon

# Marks in the text where something was removed.
CUT = "\x00"  # anything but the next three
SLOT = "\x01"  # a phrase such as "at night"
ADJECTIVE = "\x02"  # an adjective such as "sunny"
NOUN = "\x03"  # what followed "It is"


def _of(name: str) -> str:
    return alternatives("grammar", name)


@lru_cache(maxsize=1)
def grammar() -> SimpleNamespace:
    """All patterns by name; every one ignores letter case. `stop` is a set of words that begin no noun phrase.

    prepositional   "under a clear sky", "in the middle of the night"; groups comma, right, prep
    direction       ends before a "right" that is a direction: "curves to the", "turns sharply"
    participial     "covered with snow", "are lit by lamps"; groups comma, be
    gear            "with umbrellas", "with their headlights on"
    predicate       "is", "looks" and the like, before an adjective; group be
    attribute       "sunny, wet " before a noun; group and
    whole_scene     an adjective that can describe a whole scene: "sunny", "night"
    place_follows   a place or time of day after an adjective: "street", "morning"
    time_or_weather a noun for time or weather: "night", "fog"
    chain           an adjective after "is", and what joins the next one; groups first, joint
    aside           ", leaving the street in shade"
    vanishing       "disappear into the fog"; group verb
    weather_does    a subject such as "Thick fog" at a sentence's beginning
    opening         "As the sun sets" at a sentence's beginning
    it_is           "It is a sunny day"; groups it, what
    subject         "The sky", "the lighting" at a clause's beginning
    boundary        where a clause may end
    light_verb      a verb for an effect of light or weather: "illuminates"
    """
    prepositions, heads = _of("prepositions"), _of("condition_nouns")
    functions = f"{prepositions}|{_of('function_words')}"
    after = rf"(?=[{CUT}{SLOT}]|\s*(?:[.,;:!?)—–]|$)|\s(?:{prepositions}|{_of('after_noun')})\b)"
    two_before_head = rf"(?=(?:[\w'’-]+\s+){{1,2}}(?:{heads})\b)"
    modifiers = rf"(?:(?!(?:{functions})\b)[\w'’-]+,?\s+(?:and\s+{two_before_head})?){{0,4}}?"
    article = r"(?:(?:the|a|an|some|its|both|what looks like|what appears to be)\s+)?"
    part = rf"(?:(?:very )?(?:{_of('part_of')}) of (?:the\s+|a\s+|an\s+)?)?"
    phrase = rf"{article}{part}{modifiers}(?:{heads})\b(?!['’-]\w){after}"
    hanging = rf"(?:\s+(?:{_of('hangs_on')})\b(?:(?! and | as | while )[^,.;])*)?"
    more = rf"\s*,?\s+(?:and|or|to)\s+{phrase}|\s+of\s+{phrase}|\s+(?:overhead|above|ahead|outside)(?=[.,;]|$)"
    tail = rf"(?:{more})*{hanging}"
    adverb = rf"(?:(?:{_of('adverbs')})[ ,]+)*"
    adjective = rf"{adverb}(?:{_of('adjectives')})"
    noun_follows = rf"(?!(?:{functions}|makes?|gives?|casts?|falls?)\b)(?=[\w\"“'’-])"
    effects = _of("effects")
    patterns = {
        "prepositional": rf"(?P<comma>,?\s*)(?<![\w-])(?:(?:just|shortly|late|early|(?P<right>right)|only|sometime) )?"
        rf"(?P<prep>{prepositions})\s+{phrase}{tail}",
        "direction": rf"\b(?:{_of('before_right')})\s+$",
        "participial": r"(?P<comma>,?\s*)\b(?P<be>(?:is|are|was|were|appears?|remains?|stands?|lies?)\s+)?"
        rf"(?:(?:\w+ly|half|all|still)\s+)?(?:{_of('participles')})(?:\s+(?:up|over|out))?"
        rf"\s+(?:only\s+)?(?:in|by|with|from|under|against)\s+{phrase}{tail}",
        "gear": r",?\s+(?:(?:some|many|most|both|all)\s+)?(?:of\s+them\s+)?"
        r"(?:with|under|holding|carrying|using|beneath|and)\s+"
        r"(?:(?:an?|their|his|her|its|both|open|colorful|colourful|black|red|yellow|large|all|fog)\s+)*"
        r"(?:umbrellas?|raincoats?|(?:head ?lights|headlamps|lights)\s+(?:(?:switched|turned)\s+)?on"
        r"|(?:windshield\s+)?wipers(?:\s+(?:on|running|going|moving))?)\b",
        "predicate": r"(?P<be>\b(?:is|are|was|were|appears?|looks?|remains?|seems?|feels?)(?:\s+to\s+be)?)\s+",
        "chain": rf"(?P<first>{adjective})"
        r"(?P<joint>,\s+and\s+|\s+and\s+|,\s+(?=[\w-]+(?:,|\s+and\b))|(?=\s*[.,;]|$))",
        "attribute": rf"(?:(?P<and>(?:,|\s+and|,\s+and)\s+){adjective}(?=\s+{noun_follows})"
        rf"|\b{adjective}(?:(?:,\s+|\s+and\s+|,\s+and\s+|\s+){adjective})*(?:\s+and|,)?\s+{noun_follows})",
        "whole_scene": _of("whole_scene"),
        "place_follows": rf"[\s{CUT}]*(?:[\w-]+\s+){{0,2}}(?:{_of('places')})\b",
        "time_or_weather": rf"\b(?:{_of('time_and_weather')})\b",
        "aside": rf",?\s+(?:{effects}|(?<=,\s)which)\b(?:(?!\s(?:as|while|and)\s)[^,.;])*"
        r"(?=[,.;]|\s(?:as|while|and)\s)",
        "vanishing": rf"\s+(?P<verb>{_of('vanishing')})\s+(?:as\s+(?:\w+\s+)?silhouettes\s+)?(?:up\s+|out\s+)?"
        rf"(?:into|in|from|of|through|against|within)\s+{phrase}{tail}",
        "weather_does": rf"^\W*(?:the |an? )?(?:(?!(?:{prepositions}|and|is|are)\b)[\w'’-]+,?\s+(?:and\s+)?){{0,3}}?"
        rf"(?:{_of('weather_subjects')})\b"
        r"(?!-| (?:poles?|posts?|fixtures?|traffic|trucks?|rail|turns|is (?:red|green)))",
        "opening": r"^(?:as|while|when|after|before|because|since)\s+(?:(?:the|a)\s+)?(?:[\w-]+\s+){0,3}?"
        rf"(?:{_of('opening_subjects')})\b",
        "it_is": r"\b(?P<it>it\s+is|it['’]s|it\s+(?:appears|seems)\s+to\s+be|this\s+is)\s+"
        rf"(?P<what>(?:either\s+)?{phrase}(?:\s+or\s+{phrase})?"
        rf"|(?:{adverb}(?:{_of('raining')})(?:\s+(?:outside|heavily|lightly|steadily|hard|gently))*))",
        "subject": r"^\W*(?:(?:and|but|with|while|as|where) )?(?:overall, )?"
        r"(?:the |an? |there (?:is|are) (?:no )?(?:an? )?|its )?"
        rf"(?:(?:overall|ambient|natural|artificial|current|general) )?(?:{_of('sky_subjects')})\b",
        "boundary": rf"(?:\s*[;—–]\s*|,\s+|\s+)(?=(?:{_of('clause_openers')}|{effects})\b)|\s*[;—–]\s*|,\s+",
        "light_verb": rf"(?:{_of('light_verbs')})(?:e|s|es|ed|ing|ting|ning)?$",
    }
    compiled = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()}
    stop = {*lexicon()["grammar"]["prepositions"], *lexicon()["grammar"]["function_words"]}
    return SimpleNamespace(stop=stop - {"the", "a", "an", "its", "their", "his", "her", "this", "these"}, **compiled)
