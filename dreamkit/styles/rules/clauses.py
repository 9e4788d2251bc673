"""A sentence parted into independent clauses, further predicates of their subject, and dependent phrases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from dreamkit.captions.lexicon import alternatives
from dreamkit.captions.split import without_quotes


@dataclass(frozen=True)
class Part:
    """A part of a sentence.

    Attributes:
        kind: "clause" has a subject and a verb; "predicate" has the verb only and shares the subject of the clause
            before it; "phrase" depends on that clause; "opening" is a phrase before the clause that it belongs to.
        joint: what joins it to the part before: ", ", " ", ", and ".
        text: its words, without the joint.
        hangs: it explains the part right before it ("indicating ...") and goes with it.
    """

    kind: Literal["clause", "predicate", "phrase", "opening"]
    joint: str
    text: str
    hangs: bool = False


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    def words(key: str, before: str = r"\b", after: str = r"(?![\w-])") -> re.Pattern[str]:
        return re.compile(rf"(?i){before}(?:{alternatives('clauses', key)}){after}")

    return {
        "finite": words("finite"),
        "subject": words("subjects", ""),
        "hanging": words("hanging", r"(?:and )?(?:\w+ly )?"),
        "opening": words("opening", ""),
        "inside": words("inside", "", r"(?![\w-])"),
    }


_JOINT = re.compile(r"(?P<mark>[,;:]\s+|\s+[–—-]\s+|\s+)(?:(?P<conj>and|but|while|whereas|so|yet|or|as)\s+)?")
_PREDICATE = re.compile(
    r"(?i)(?:also |still |now |\w+ly |some )?(?:is|are|was|were|has|have|appears?|seems?|can|includes?|features?|"
    r"continues?|comes?|turns?|stops?)\b"
)
_PARTICIPLE = re.compile(
    r"(?i)(?:\w+ly )?[a-z-]{2,}(?:ing|ed)\b(?! (?:cars|vehicles|lane|lot|area|area|street|road|meter|space)s?\b)"
)
_ABSOLUTE = re.compile(r"(?i)(?:the|an?|its|their|several|some)\s(?:[\w-]+\s){0,4}?[\w-]+ing\b")
_OPENS = re.compile(r"(?i)(?:as|while|when|because|since|although|though|after|before|if)\s")
_SUBORDINATE = re.compile(r"(?i)(?:as|since|because|indicating|suggesting|implying|given) ")
_NO_SPLIT_AFTER = re.compile(
    r"(?i)\b(?:the|an?|is|are|was|were|be|been|being|very|its|their|and|or|brightly|dimly|well|both|along|"
    r"together|some|of|to|likely|possibly|probably|presumably|perhaps|mostly|partly|mainly|heavy|white|thick|"
    r"alive|filled|covered|wet|slick|laden|crowded|bright|dotted|loaded)$"
)
_RELATIVE = re.compile(r"(?i)\b(?:that|which|who|where|whose|when|to)\b")


def finite(text: str) -> re.Match[str] | None:
    """The first finite verb of a text, with its position; None without one."""
    return _patterns()["finite"].search(without_quotes(text))


def is_clause(text: str) -> bool:
    """Whether the text begins with a subject that has a finite verb before the next comma."""
    head = re.split(r"[,;:]", text, maxsplit=1)[0]
    if not _patterns()["subject"].match(head):
        return False
    verb = finite(head)
    return bool(verb and not _RELATIVE.search(head[: verb.start()]))


@lru_cache(maxsize=4096)
def parts(sentence: str) -> tuple[Part, ...]:
    """The parts of a sentence, in order; joints and texts put together are the sentence without its last mark."""
    body = sentence.rstrip(" .!?")
    hidden = without_quotes(body)
    found: list[Part] = []
    kind, joint, start, hangs = "clause", "", 0, False
    for match in _JOINT.finditer(hidden):
        step = _step(hidden, start, match, kind)
        if step is None:
            continue
        found.append(Part(kind, joint, body[start : match.start()], hangs))  # pyright: ignore[reportArgumentType]
        kind, hangs, keep_conjunction = step
        joint_end = match.end("mark") if keep_conjunction else match.end()
        joint, start = body[match.start() : joint_end], joint_end
    found.append(Part(kind, joint, body[start:], hangs))  # pyright: ignore[reportArgumentType]
    return tuple(_openings(found))


def _openings(found: list[Part]) -> list[Part]:
    """The first part becomes an opening when it has no verb of its own and a clause follows."""
    if len(found) > 1 and any(part.kind == "clause" for part in found[1:]):
        first = found[0]
        if _OPENS.match(first.text) or not finite(first.text):
            index = next(i for i, part in enumerate(found) if i and part.kind == "clause")
            return [
                *(Part("opening", part.joint, part.text, part.hangs) for part in found[:index]),
                *found[index:],
            ]
    return found


def _step(text: str, start: int, match: re.Match[str], kind: str) -> tuple[str, bool, bool] | None:
    """(kind, hangs, whether the conjunction belongs to the new part) of the part that begins here; None for none."""
    mark, conj = match["mark"].strip(), (match["conj"] or "").lower()
    before, rest = text[start : match.start()], text[match.end() :]
    p = _patterns()
    if conj == "as":
        rest, conj = text[match.end("mark") :], ""
    if conj or mark:
        clause = is_clause(rest)
        if conj in ("and", "but", "while", "whereas", "so", "yet") or mark in (";", ":"):
            if conj == "and" and not mark and clause and kind == "phrase" and _SUBORDINATE.match(before):
                return "phrase", True, True
            if clause and finite(text[: match.start()]):
                return "clause", False, False
            if conj in ("and", "but") and _PREDICATE.match(rest) and finite(text[: match.start()]):
                return "predicate", False, False
        elif mark == "," and clause and (_OPENS.match(before) or not finite(text[: match.start()])) and not conj:
            return "clause", False, False
    if conj == "while":
        return "phrase", False, True
    if conj in ("and", "or") and kind == "phrase":
        if _PARTICIPLE.match(rest) and p["hanging"].match(rest):
            return "phrase", True, True
        if mark and (_ABSOLUTE.match(rest) or re.match(r"(?i)(?:others|some)\b", rest)):
            return "phrase", False, True
        return None
    if conj:
        return None
    hangs = bool(p["hanging"].match(rest))
    if mark and re.match(r"(?i)(?:its|their|his|her)\s", rest) and _ABSOLUTE.match(rest):
        return "phrase", False, True
    if mark and (hangs or p["opening"].match(rest) or (_PARTICIPLE.match(rest) and not _in_list(rest))):
        return "phrase", hangs, True
    if not mark and p["inside"].match(rest) and not _NO_SPLIT_AFTER.search(before):
        return "phrase", hangs, True
    return None


def _in_list(rest: str) -> bool:
    """Whether a participle after a comma is an adjective in a list: ", parked cars, and houses"."""
    first = re.match(r"(?i)(?:\w+ly )?[\w-]+ (?P<noun>[\w-]+)", rest)
    return bool(first and re.search(r"(?i)(?:ed|parked)$", rest.split()[0]) and re.search(r"s$", first["noun"]))
