"""Cut what a style contradicts: whole clauses, and phrases with what depends on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dreamkit.captions.conditions import found as terms_in
from dreamkit.styles.rules.clauses import Part, finite, parts
from dreamkit.styles.rules.softening import DAY_PHRASE, LEAD, Softener, clean
from dreamkit.styles.table import has_word

_ABOUT_TIME = re.compile(
    r"(?i)^(?:and |while )?(?:the )?(?:time of (?:the )?day|time|lighting(?: conditions)?|light|it)\b(?! (?:pole|rail))"
)
_NAMES_TIME = re.compile(r"(?i)\btime of (?:the )?day\b|^(?:the )?light(?:ing)? (?:suggests|indicates)")
# What a time was guessed from, behind a phrase about that time.
_GUESSED = re.compile(r"(?i)(?:given|judging|based on|as (?:is )?(?:indicated|evidenced|suggested|seen))\b")
_EMPTY = re.compile(
    r"(?i)^\W*(?:(?:and|with|likely|possibly|probably|perhaps|presumably|due to|some|while|as|but|under|in|all|"
    r"visible|present|their|the|(?:tail|head|street) ?lights)\W*)*$"
)
# ", with the streetlights" before "casting a glow" that was cut.
_WITH_ONLY = re.compile(
    r", (?:(?:with|and) |(?=(?:its|their) ))(?P<what>(?:(?!\w+ing\b|is\b|are\b|some\b)[\w'’-]+(?: |$))+)$"
)
_LIST = re.compile(r", (?:and|or) ")
_PRONOUN = re.compile(
    r"(?i)(?:it|they|its|their|he|she|this|these|others|some|both|each)\b(?! (?:is|are) (?:no|several|a few))"
)
_DANGLING = re.compile(
    r"(?i)\b(?:is|are|was|were|be|being|appears?|seems?|looks?|remains?)\s*(?:[.,;]|$|and (?:the|there|it)\b|"
    r"(?:possibly|likely|probably|perhaps) (?:due|from|because|after|as)\b|due\b|with\b|as\b|\w+ing (?:an?|the) "
    r"\w+ effect)"
    r"|\b(?:the|an?|its|their|of|in|on|at|under|by|from|with|without|and|or|but|while|as|during|into|through|"
    r"along|between|to|very|some of)\s*(?:[.,;:]|$)"
    r"|\b(?:cut|cutting|piercing|shining|casting|creating|reflecting|illuminating|providing|lighting|glowing)\s*(?:[.,;]|$)"
    r"|\b(?:the|an?)\s+(?:and|or|is|are|was|with|in|on|at|by|from|of|to|as|the|an?)\b|,\s*,|\b(?:and|"
    r"or)\s+(?:and|or|but|is|with)\b"
    r"|\b(?:in|on|at|under|by|from|with|during)\s+(?:in|on|at|under|by|from|with|during|and|or|is|"
    r"are)\b(?!\s+(?:front|top|the far))"
    r"|\b(?:is|are) (?:illuminated|lit|covered|surrounded|obscured|bathed|lined|characterized|set|filled|"
    r"evidenced|indicated)\s*(?:[.,;]|$)|^\s*[,;]|\b(?:due|owing|thanks) (?:to )?(?:[.,;]|$)"
)


@dataclass(frozen=True)
class Cut:
    """What is left of a sentence.

    Attributes:
        text: the sentence with marks, "" when nothing is left.
        gone: the texts that were cut and may name road users and structures.
    """

    text: str
    gone: tuple[str, ...] = ()


@dataclass
class Cutter(Softener):
    """Cuts what contradicts a style; the attributes are those of `Softener`."""

    def cut(self, sentence: str, first: bool) -> Cut:
        """Cut a sentence; marks are set only in the caption's first one."""
        if not self.unwanted(sentence) and not self._names_other_day(sentence) and not self._other_time(sentence):
            return Cut(sentence)
        gone: list[str] = []
        texts: list[tuple[str, str]] = []
        broken = False
        for group in _groups(parts(sentence)):
            refers = _PRONOUN.match(group[0].text) or re.search(
                r"(?i)\b(?:them|(?:past|behind|near|of|on|in|to|around) it)\b", _joined(group)
            )
            text = "" if broken and refers else self._cut_group(group, first, gone)
            if gone and re.match(r"(?i)(?:with )?some\b", gone[-1]):
                text = re.sub(r"^others\b", "some", text)
            if not text:
                gone.append(_joined(group))
            else:
                texts.append(("" if broken or not texts else group[0].joint, text))
            broken = not text
        whole = ""
        for joint, text in texts:
            whole = f"{whole}{joint}{text}" if joint else f"{whole}{'. ' if whole else ''}{text[0].upper()}{text[1:]}"
        # "The street is wet, likely from rain, and is lit" without its middle.
        whole = re.sub(r"^((?:[\w-]+ ){1,4}(?:is|are) \w+), and (?=(?:is|are) )", r"\1 and ", whole)
        return Cut(whole and whole + (sentence[-1] if sentence[-1] in "!?" else "."), tuple(gone))

    def _cut_group(self, group: Sequence[Part], first: bool, gone: list[str]) -> str:
        opening = [part for part in group if part.kind == "opening"]
        main, rest = group[len(opening)], group[len(opening) + 1 :]
        bare = self.soften(main.text, first)
        text, hollow = bare, False
        about_time = _ABOUT_TIME.match(main.text) and (self.unwanted(_joined(group)) or self._other_time(main.text))
        if self._bad(bare) or about_time:
            verb = finite(bare)
            subject = bare[: verb.start()] if verb and not about_time else ""
            if not subject or self._bad(subject):
                return ""
            text, hollow = subject.rstrip(), True
        lost, dropped, some, after_with = [], hollow, False, False
        split = self._split_words(group)
        for part in rest:
            part_text = self.soften(part.text, first and part.kind == "phrase" and not part.hangs)
            part_text = (
                re.sub(r"(?i)^((?:and |while )?)others\b", lambda m: (m[1] or "") + "some", part_text)
                if some
                else part_text
            )
            if after_with and re.match(r"(?i)and (?!with)", part_text):
                part_text = "with " + part_text[4:]
            some = after_with = False
            with_gone = False
            empty = part_text != part.text and (
                _EMPTY.match(clean(part_text)) or _headless(part.text, clean(part_text))
            )
            changed = part.hangs and part_text != part.text and not part.text.lower().startswith("typical")
            if (
                ((part.hangs or part.joint == " ") and dropped)
                or changed
                or empty
                or part in split
                or self._bad(part_text)
                or (hollow and part.kind != "predicate")
                or (LEAD in text and _GUESSED.match(part.text))
            ):
                match = _WITH_ONLY.search(text)
                # ", and two vans" that ends a list stays when its "with ..." goes.
                if (
                    part.joint == " "
                    and match
                    and (not match[0].startswith(", and") or not part.text.startswith("with "))
                ):
                    lost.append(match["what"])
                    text, with_gone = text[: match.start()], not match.group().startswith(", and")
                lost.append(part.text)
                if self.style.time and re.match(r"(?i)(?:due|owing) to|because", part.text) and "visibility" in text:
                    return ""
                dropped, some = True, bool(re.match(r"(?i)(?:with )?some\b", part.text))
                after_with = with_gone or bool(re.match(r"(?i)with\b", part.text))
                continue
            dropped = False
            if part.kind == "predicate" and hollow:
                text, hollow = f"{text} {part_text}", False
            else:
                text += f"{part.joint}{part_text}"
        if hollow:
            return ""
        # "parked cars, houses with windows" whose last member is gone.
        if (
            lost
            and not re.search(r",? (?:and|or) ", text.rpartition(", ")[2])
            and _LIST.search(main.text)
            and not _LIST.search(text)
        ):
            text = re.sub(r", (?=(?!with|which|some|where|while|who)[^,]*$)(?!\w+ing\b)", " and ", text)
        if opening:
            first_text = "".join(f"{part.joint}{self.soften(part.text, first)}" for part in opening)
            bare_opening = clean(first_text).strip(" ,")
            if self._bad(first_text) or not (bare_opening or LEAD in first_text):
                lost.append(first_text)
            else:
                text = f"{first_text}{main.joint}{text}"
        plain = clean(text)
        if _broken(plain, _joined(group)) or self._bad(plain) or self._says_new_time(plain, _joined(group)):
            return ""
        gone += lost
        return text

    def _split_words(self, group: Sequence[Part]) -> list[Part]:
        """The phrases that share unwanted words, such as "with the streetlights" and "casting a glow"."""
        spans = [m.span() for m in self.unwanted(_joined(group))]
        shared, start = [], 0
        for index, part in enumerate(group):
            start += len(part.joint) if index else 0
            end = start + len(part.text)
            if any((a < end and b > end) or (a < start and b > start) for a, b in spans) and part.kind == "phrase":
                shared.append(part)
            start = end
        return shared

    def _bad(self, text: str) -> bool:
        return bool(self.unwanted(clean(text)))

    def _says_new_time(self, text: str, original: str) -> bool:
        """Whether a cut made a statement about the time, as "the sky is dark" of "dark with clouds"."""
        times = {term.time for term, _ in terms_in(text)} - {term.time for term, _ in terms_in(original)}
        return not self.style.time and bool(times - {"", self.time})

    def _other_time(self, text: str) -> bool:
        """Whether a clause about the time of day does not name the time that the style sets."""
        return bool(self.style.time) and bool(_NAMES_TIME.search(text)) and not has_word(self.style, text)

    def _names_other_day(self, text: str) -> bool:
        return any(self._other_day(match) is not None for match in DAY_PHRASE.finditer(text))


def _headless(before: str, after: str) -> bool:
    """Whether a cut took the head of a phrase: "with raindrops on the windshield" became "on the windshield"."""
    return before.split()[0] != after.split()[0] and bool(
        re.match(r"(?i)(?:on|in|at|of|from|to|by|along|near|across|over)\b", after)
    )


def _broken(text: str, original: str) -> bool:
    """Whether a cut left a dangling word that the original has not, or took the verb."""
    dangling = [m.group().strip() for m in _DANGLING.finditer(text)]
    more = len(dangling) > len(_DANGLING.findall(original))
    return (
        more or any(found_one not in original for found_one in dangling) or bool(finite(original) and not finite(text))
    )


def _groups(found_parts: Sequence[Part]) -> list[list[Part]]:
    """The parts by independent clause, each with its opening, predicates and phrases."""
    groups: list[list[Part]] = []
    for part in found_parts:
        if not groups or (part.kind == "clause" and any(p.kind == "clause" for p in groups[-1])):
            groups.append([])
        groups[-1].append(part)
    return groups


def _joined(group: Sequence[Part]) -> str:
    return "".join((part.joint if index else "") + part.text for index, part in enumerate(group))
