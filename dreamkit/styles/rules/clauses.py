"""A sentence parted into independent clauses, further predicates of their subject, and dependent phrases."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from dreamkit.captions.lexicon import alternatives, users_pattern
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


@lru_cache
def _words(key: str, before: str = "") -> re.Pattern[str]:
    """One of the lexicon's lists of clauses as whole words, behind the pattern `before`."""
    return re.compile(rf"(?i){before}(?:{alternatives('clauses', key)})(?![\w-])")


_JOINT = re.compile(r"(?P<mark>[,;:]\s+|\s+[–—-]\s+|\s+)(?:(?P<conj>and|but|while|whereas|so|yet|or|as)\s+)?")
_PREDICATE = re.compile(
    r"(?i)(?:also |still |now |\w+ly |some )?(?:is|are|was|were|has|have|appears?|seems?|can|includes?|features?|"
    r"continues?|comes?|turns?|stops?)\b"
)
# Not an adjective before a noun: ", parked cars, and houses".
_PARTICIPLE = re.compile(
    r"(?i)(?!(?:\w+ly )?(?:morning|evening)\b)(?:\w+ly )?[a-z-]{2,}(?:ing\b|ed\b(?! [\w-]+s\b))"
    r"(?! (?:cars|vehicles|lane|lot|area|street|road|meter|space)s?\b)"
)
_ABSOLUTE = re.compile(r"(?i)(?:the|an?|its|their|several|some)\s(?:[\w-]+\s){0,4}?[\w-]+ing\b")
_ITS = re.compile(r"(?i)(?:its|their|his|her)\s(?:[\w-]+\s){0,4}?[\w-]+ing\b")
_OPENS = re.compile(r"(?i)(?:as|while|when|because|since|although|though|after|before|if)\s")
_SUBORDINATE = re.compile(r"(?i)(?:as|when|where|if|although|since|because|indicating|suggesting|implying|given) ")
_NO_SPLIT_AFTER = re.compile(
    r"(?i)\b(?:the|an?|is|are|was|were|be|been|being|very|its|their|and|or|brightly|dimly|well|both|along|"
    r"together|some|of|to|likely|possibly|probably|presumably|perhaps|mostly|partly|mainly|heavy|white|thick|"
    r"as \w+|even|alive|filled|covered|wet|slick|laden|crowded|bright|dotted|loaded)$"
)
_RELATIVE = re.compile(r"(?i)\b(?:that|which|who|where|whose|when|to)\b")


@lru_cache
def _acts() -> re.Pattern[str]:
    """A verb that no list has, behind a road user: "an officer directs", "workers inspect the"."""
    noun = (
        r"(?!(?:\w*(?:lights?|lamps|windows|roofs|wheels|doors|tracks|marks|lines|ss)|drivers|riders|owners|trailers|"
        r"passengers|workers|walkers|shelters|markers|barriers|mirrors|operators)\b)"
    )
    other = (
        r"(?!(?:\w+(?:s|ed|ing)|near|amid\w*|\w*side|beyond|below|above|beneath|onto|opposite|toward|against|around|"
        r"past)\b)"
    )
    return re.compile(
        rf"(?:{users_pattern().pattern})(?: (?:in|with) (?:an? |"
        rf"the )?[\w-]+(?: [\w-]+)??)?(?: [a-z]+ly)? (?P<verb>(?<!s ){noun}[a-z]{{2,}}s\b(?! (?:is|are|of)\b)"
        rf"|(?<=s ){other}(?!(?:{alternatives('clauses', 'after_noun')})\b)[a-z]{{3,}}(?= (?:the|an?|their|them)\b))",
        re.IGNORECASE,
    )


# What may stand before the subject of a clause: "in the background trees are visible".
_LEADING = re.compile(
    r"(?i)(?:for now|now|then|meanwhile|further ahead|nearby|(?:on|to|in|at|behind|along|near|through) "
    r"(?:the|its|both|an?) (?:left |right |other |far )?(?:side |sides )?(?:of the )?[\w-]+),? (?=\w)"
)


def finite(text: str) -> re.Match[str] | None:
    """The first finite verb of a text, with its position; None without one."""
    plain = without_quotes(text)
    return _words("finite", r"\b").search(plain) or _acts().search(plain)


def is_clause(text: str) -> bool:
    """Whether the text begins with a subject that has a finite verb before the next comma."""
    leading = _LEADING.match(text)
    head = re.split(r"[,;:]", text[leading.end() if leading else 0 :], maxsplit=1)[0]
    if not (_words("subjects").match(head) or users_pattern().match(head)):
        return False
    verb = finite(head)
    return bool(verb and not _RELATIVE.search(head[: verb.start()]))


@lru_cache(maxsize=4096)
def parts(sentence: str) -> tuple[Part, ...]:
    """The parts of a sentence, in order; joints and texts put together are the sentence without its last mark."""
    body = sentence.rstrip(" .!?")
    hidden = without_quotes(body)
    found: list[Part] = []
    kind, joint, start, hangs, clause = "clause", "", 0, False, 0
    for match in _JOINT.finditer(hidden):
        clause = start if kind == "clause" else clause
        step = _step(hidden, start, match, kind, clause)
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
    clauses = [index for index, part in enumerate(found) if index and part.kind in ("clause", "predicate")]
    if clauses and found[clauses[0]].kind == "clause" and (_OPENS.match(found[0].text) or not finite(found[0].text)):
        return [*(replace(part, kind="opening") for part in found[: clauses[0]]), *found[clauses[0] :]]
    return found


def _step(text: str, start: int, match: re.Match[str], kind: str, clause: int) -> tuple[str, bool, bool] | None:
    """(kind, hangs, whether the conjunction belongs to the new part) of the part that begins here; None for none."""
    mark, conj = match["mark"].strip(), (match["conj"] or "").lower()
    before, rest = text[start : match.start()], text[match.end() :]
    if conj == "as":
        rest, conj = text[match.end("mark") :], ""
    hangs = bool(_words("hanging", r"(?:and )?(?:\w+ly )?").match(rest))
    verb_before = finite(text[: match.start()])
    if conj not in ("", "or") or mark in (";", ":"):
        if conj == "and" and not mark and not finite(before) and (kind == "clause" or _SUBORDINATE.match(before)):
            return None  # "a bulldozer and two trucks are working"
        if conj == "and" and not mark and is_clause(rest) and _SUBORDINATE.match(before):
            return "phrase", True, True
        if verb_before and is_clause(rest):
            return "clause", False, False
        if verb_before and conj in ("and", "but") and _PREDICATE.match(rest):
            return "predicate", False, False
    elif mark == "," and not conj and is_clause(rest) and (_OPENS.match(before) or not verb_before):
        return "clause", False, False
    if conj == "while":
        return "phrase", False, True
    if conj in ("and", "or") and kind == "phrase":
        if _PARTICIPLE.match(rest) and hangs:
            return "phrase", True, True
        if mark and (_ABSOLUTE.match(rest) or re.match(r"(?i)(?:others|some)\b", rest)):
            return "phrase", False, True
        return None
    if conj:
        return None
    # "Pedestrians with umbrellas | hurry across": the verb of a subject that has a phrase of its own.
    if (
        kind == "phrase"
        and start
        and mark in ("", ",")
        and not finite(text[clause : match.start()])
        and not _RELATIVE.match(before)
    ):
        verb = _words("finite", r"\b").match(text, match.end())
        one = re.match(r"(?i)(?:and |but )?(?:an?|one|another) ", text[clause:])
        if verb and ", " not in before and not (one and re.match(r"(?:are|were|have)\b", verb.group())):
            return "predicate", False, False
    if mark and _ITS.match(rest):
        return "phrase", False, True
    if mark and (hangs or _words("opening").match(rest) or _PARTICIPLE.match(rest)):
        return "phrase", hangs, True
    joined = _NO_SPLIT_AFTER.search(before) and not rest.lower().startswith("even though")
    if not mark and not joined and _words("inside").match(rest):
        return "phrase", hangs, True
    return None
