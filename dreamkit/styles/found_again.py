"""What a rewrite must share with its caption: road users with counts and colours, sides, manoeuvres, other words."""

from __future__ import annotations

import re
from functools import lru_cache

from dreamkit.captions.lexicon import word_set
from dreamkit.captions.split import sentences
from dreamkit.captions.word_check import check_words, hidden_names, said

_WORD = re.compile(r"[A-Za-z][\w'’-]*|\d+")
_SKIPPED = word_set(
    "the a an and or of in on at to is are was were be been being it its with as by for from that this there has "
    "have had not no while where which who their them they "
    "one some several many multiple various numerous few other others into through along both also can could "
    "seen visible appears appear appearing seems seem likely only each "
    "such than then so if but overall atmosphere scene scenes video depicts depict captures capture shows show "
    "footage clip image environment setting set time day weather "
    "conditions typical during indicating suggesting creating creates create due more most very relatively quite "
    "all any either"
)
_LIGHT_OR_SKY = re.compile(
    r"(?i)\b(?:sky|skies|weather|light(?:ing|s)?|headlights?|streetlights?|visibility|atmosphere|shade|time of day|"
    r"glow\w*)\b"
)
_MOTOR = {"car", "suv", "van", "truck", "bus", "vehicle", "ambulance", "motorcycle", "machine"}
_VAGUE = {"several", "many", "multiple", "various", "numerous", "some", "few", "lots", "couple"}


@lru_cache(maxsize=1)
def _kinds() -> dict[str, str]:
    return {
        name: kind
        for kind, names in check_words()["users"].items()
        for noun in names
        for name in (noun, noun + "s", noun + "es")
    }


@lru_cache(maxsize=1)
def _acts() -> dict[str, re.Pattern[str]]:
    return {name: re.compile(rf"(?i)\b(?:{pattern})") for name, pattern in check_words()["acts"].items()}


@lru_cache(maxsize=1)
def _events() -> re.Pattern[str]:
    return re.compile(rf"(?i)\b(?:{'|'.join(check_words()['events'])})\b")


def stem(word: str) -> str:
    """The word in lower case without its commonest endings."""
    low = re.sub(r"['’]s?$", "", word.lower())
    for ending in ("ing", "edly", "ed", "ies", "es", "s", "ly"):
        if low.endswith(ending) and len(low) - len(ending) >= 3:
            low = low[: -len(ending)] + ("y" if ending == "ies" else "")
            break
    low = low[:-1] if len(low) > 3 and low[-1] == low[-2] else low
    return low[:-1] if len(low) > 3 and low[-1] == "e" else low


def touched(sentence: str) -> bool:
    """Whether a sentence says anything about time, weather or light, so that a style may change it."""
    return bool(said(sentence) or _LIGHT_OR_SKY.search(sentence))


@lru_cache(maxsize=4096)
def mentions(sentence: str) -> tuple[tuple[str, str, str], ...]:
    """(kind, count, colour) of each road user in a sentence; the count is a number or "", the colour one or ""."""
    plain = re.findall(r"[A-Za-z][\w'’-]*|\d+|,", hidden_names(sentence))
    colours, numbers = set(check_words()["colours"]), check_words()["numbers"]
    found = []
    for index, word in enumerate(plain):
        kind = _kinds().get(word.lower())
        following = plain[index + 1].lower() if index + 1 < len(plain) else ""
        if not kind or re.fullmatch(
            r"(?:head|tail)?lights?|lanes?|stops?|park(?:s|ing)|crossing|shelter|station|signs?|lamps?|rails?|"
            r"paths?|dealership|wash|traffic",
            following,
        ):
            continue
        count = colour = ""
        for before in reversed(plain[max(0, index - 4) : index]):
            low = before.lower()
            if before == "," or low in ("and", "or", "of", "with", "by", "in", "on", "at", "is", "are", "as"):
                break
            colour = colour or (low if low in colours else "")
            if low in numbers or low.isdigit():
                count = numbers.get(low, low)
                break
            if low in ("the", "a", "an", *_VAGUE):
                break
        found.append((kind, count, colour))
    return tuple(found)


def users_fault(original: str, rewrite: str, recolour: bool = False) -> str | None:
    """Road users that are lost, new, or differ in number or colour."""
    before = [(one, touched(s)) for s in sentences(original) for one in mentions(s)]
    after = [one for s in sentences(rewrite) for one in mentions(s)]
    kinds_before, kinds_after = {kind for (kind, _, _), _ in before}, {kind for kind, _, _ in after}
    for kind in sorted(kinds_before - kinds_after):
        if kind == "vehicle" and (kinds_after & _MOTOR or all(free for (k, _, _), free in before if k == kind)):
            continue
        return f"the {kind} of the caption is missing"
    for kind in sorted(kinds_after - kinds_before):
        if (kind == "vehicle" and kinds_before & _MOTOR) or (kind == "car" and "vehicle" in kinds_before):
            continue
        return f"the caption has no {kind}"
    for index, name in ((1, "number"), (2, "colour")):
        had = {(one[0], one[index]) for one, _ in before if one[index] not in ("", "1")}
        has = {(one[0], one[index]) for one in after if one[index] not in ("", "1")}
        if had != has and not (name == "colour" and recolour):
            kind, differs = min(had ^ has)
            return f"the {name} of {kind} differs ({differs})"
    return None


def acts_fault(original: str, rewrite: str) -> str | None:
    """Manoeuvres, sides and events that are lost or new."""
    plain, other = hidden_names(original), hidden_names(rewrite)
    kept = " ".join(hidden_names(s) for s in sentences(original) if not touched(s))
    if lost := sorted(name for name, p in _acts().items() if p.search(kept) and not p.search(other)):
        return f"it no longer says that somebody does this: {', '.join(lost)}"
    # Only road users act: "the sky turns" is no manoeuvre.
    after_users = " ".join(_behind_users(sentence) for sentence in sentences(rewrite))
    if new := sorted(name for name, p in _acts().items() if p.search(after_users) and not p.search(plain)):
        return f"it adds what nobody does: {', '.join(new)}"
    if event := next((m for m in _events().finditer(other) if m.group().lower() not in plain.lower()), None):
        return f"it adds {event.group()!r}, which the caption does not have"
    for side in ("left", "right"):
        most, least, now = (len(re.findall(rf"(?i)\b{side}\b", text)) for text in (plain, kept, other))
        if not least <= now <= most:
            return f"the sides differ: {side} is lost or new"
    return None


def _behind_users(sentence: str) -> str:
    plain = hidden_names(sentence)
    first = next((m for m in _WORD.finditer(plain) if m.group().lower() in _kinds()), None)
    return plain[first.end() :] if first else ""


def words_fault(original: str, rewrite: str, style_words: frozenset[str], strict: bool) -> str | None:
    """Words of untouched sentences that are lost, or new words that neither the style nor a description of it explains.

    Args:
        original: the caption.
        rewrite: the rewrite.
        style_words: stems of the style's own words and sentences.
        strict: every word must be found again and explained; else a quarter of a sentence may be worded differently.
    """
    here = {stem(word) for word in _WORD.findall(rewrite)}
    for sentence in sentences(original):
        wanted = {stem(word): word for word in _telling(sentence)}
        lost = [word for one, word in wanted.items() if one not in here]
        if lost and not touched(sentence) and (strict or len(lost) > 0.34 * len(wanted)):
            return f"it leaves out {', '.join(map(repr, lost[:4]))} of {sentence[:50]!r}"
    known = {stem(word) for word in _WORD.findall(original)} | style_words | _free()
    for sentence in sentences(rewrite):
        new = [word for word in _telling(sentence) if stem(word) not in known]
        things = [word for word in new if word.lower() in _things()]
        about_style = touched(sentence) and any(stem(word) in style_words for word in _WORD.findall(sentence))
        if things or (new and (strict or len(new) > (7 if about_style else 2))):
            return f"it adds {', '.join(repr(word) for word in (things or new)[:4])}, which the caption does not have"
    return None


def _telling(sentence: str) -> list[str]:
    """The words of a sentence without names and words that every description has."""
    return [word for word in _WORD.findall(hidden_names(sentence)) if word.lower() not in _SKIPPED]


@lru_cache(maxsize=1)
def _things() -> frozenset[str]:
    """Road users but for "vehicle", structures and colours."""
    words = check_words()
    structures = [form for name in words["structures"] for form in (name, f"{name}s")]
    return frozenset([*(one for one, kind in _kinds().items() if kind != "vehicle"), *structures, *words["colours"]])


@lru_cache(maxsize=1)
def _free() -> frozenset[str]:
    return frozenset(stem(word) for word in [*check_words()["free"].split(), *_SKIPPED])


def stems_of(texts: list[str]) -> frozenset[str]:
    """The stems of all words in the texts."""
    return frozenset(stem(word) for text in texts for word in _WORD.findall(text))
