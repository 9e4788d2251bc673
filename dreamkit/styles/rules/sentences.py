"""Noun phrases of a sentence, and corrections after words were removed from it."""

from __future__ import annotations

import re

from dreamkit.captions.lexicon import word_set
from dreamkit.captions.split import without_quotes
from dreamkit.styles.rules.grammar import ADJECTIVE, CUT, NOUN, SLOT, grammar
from dreamkit.styles.rules.scene import NEW_PLACE, structures_pattern, users_pattern


def is_plural(phrase: str) -> bool:
    """Whether a noun phrase is plural."""
    head = (
        re.split(
            r"\s(?:of the|of a|in|on|at|along|near|beside|behind|across|with|from|parked|waiting|that|which|ahead)\b",
            f" {phrase}",
        )[0]
        .strip()
        .lower()
    )
    if re.match(r"(?:an?|one|another|each|every)\s(?!(?:few|couple|number|pair|row|line|series|handful)\b)", head):
        return False
    if re.search(
        r"\b(?:people|men|women|children|two|three|four|five|six|several|many|few|some|multiple|rows|police)\b", head
    ):
        return True
    return bool(re.search(r"(?<![su])s$", head)) and not head.endswith("bus")


_DETERMINERS = word_set("the a an two three four five six several many some few its")
# What may follow a road user's name and belong to it: "parked along the curb", "on the left side", "ahead".
_TRAILING = re.compile(
    r"(?:\s+(?:parked|waiting|standing|driving|moving|walking|crossing|riding|stopped|lined up|turning|heading)"
    r"(?:\s+\w+ly)?)?"
    r"(?:\s+(?:along|on|at|in|near|beside|behind|across|by|to|of|ahead|around|between)\s+(?:the|a|an|both|its|each)\s+"
    r"(?:(?:left|right|opposite|other|near|far|same|inner|outer)\s+)?[\w-]+(?=[\s.,;]|$)"
    r"|\s+(?:ahead|in front|behind)\b)?",
    re.IGNORECASE,
)


def object_phrases(sentence: str) -> list[str]:
    """The noun phrases of the road users and structures in a sentence, with the words that belong to them."""
    plain = without_quotes(sentence)
    places: list[tuple[int, int]] = []
    for match in sorted(
        [*users_pattern().finditer(plain), *structures_pattern().finditer(plain), *NEW_PLACE.finditer(plain)],
        key=re.Match.start,
    ):
        start, end = match.span()
        if re.search(r"(?i)\bego[ -]$", plain[:start]):
            continue
        if places and start < places[-1][1]:
            continue
        user = users_pattern().match(plain, start)
        while after := re.match(r"[ -](?=\w)", plain[end:]):
            more = structures_pattern().match(plain, end + after.end()) or users_pattern().match(
                plain, end + after.end()
            )
            if not more:
                break
            end = more.end()
        for word in reversed(list(re.finditer(r"[\w'’-]+,?\s+|[^\w\s]\s*", plain[: match.start()]))):
            token = word.group().strip(" ,").lower()
            if (
                not token
                or not re.match(r"[\w'’-]+$", token)
                or token in grammar().stop
                or grammar().light_verb.match(token)
                or word.group().rstrip().endswith(",")
            ):
                break
            start = word.start()
            if token in _DETERMINERS:
                break
        trailing = _TRAILING.match(plain[end:]) if user else None
        end += trailing.end() if trailing else 0
        if places and start < places[-1][1]:
            continue
        places.append((start, end))
    return [sentence[a:b].strip(" ,.") for a, b in places]


def tidy(text: str) -> str:
    """The text without marks; articles, commas and spaces next to them are corrected."""
    text = re.sub(f"[{SLOT}{ADJECTIVE}{NOUN}]", CUT, text)
    text = re.sub(
        rf"\b(a|an)(\s+)[{CUT}\s]*{CUT}\s*(\w[\w-]*)",
        lambda m: f"{article(m[3], m[1])} {m[3]}",
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(rf"[{CUT}]+", CUT, text)
    text = re.sub(rf"\s*{CUT}\s*([.,;:!?])", r"\1", text)
    text = re.sub(rf"^[\s,;{CUT}]+", "", text)
    text = text.replace(CUT, " ")
    text = re.sub(r"\s+([.,;:!?])", r"\1", text)
    text = re.sub(r",(?:\s*,)+", ",", text)
    text = re.sub(r",\s*([.;:!?])", r"\1", text)
    text = re.sub(r"\s{2,}", " ", text).strip()
    text = re.sub(r"(?i),\s*(?:some|many|most|others|a few)\s*([.;])", r"\1", text)
    text = re.sub(r"(?i)\b(and|or|with|but|as|while)\s*([.;])", r"\2", text)
    text = re.sub(r"(?i)\b(and|or|with) (?:and|or)\b", r"\1", text)
    return text[:1].upper() + text[1:]


def article(word: str, like: str = "a") -> str:
    """The article "a" or "an" for a word, capitalised as `like` is."""
    vowel = bool(re.match(r"(?i)[aeiou]|hour|suv\b|hono|mph\b", word)) and not re.match(
        r"(?i)uni|use|u-|one\b|one-|euro|usu", word
    )
    form = "an" if vowel else "a"
    return form.capitalize() if like[0].isupper() else form
