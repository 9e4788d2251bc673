"""Cut what a style contradicts: whole clauses, and phrases with what depends on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dreamkit.captions.conditions import found as terms_in
from dreamkit.captions.lexicon import structures_pattern, users_pattern
from dreamkit.styles.rules.clauses import Part, finite, is_clause, parts
from dreamkit.styles.rules.gate import DANGLING, broken, headless
from dreamkit.styles.rules.plain import inside_sentence, is_plural, named_things
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
_SOME = re.compile(r"(?i)(?:with )?some\b")
_LIST = re.compile(r", (?:and|or) ")
_DEPENDS = re.compile(r"(?i)(?:because|as|while|when|if|since|although|though|after|before|where|that|which|who)\b")
_AND = re.compile(r"(?<=\w),? (?:and|but|while|so|as|where) ")
# What stands before a clause that depends on another, or before its subject.
_LINK = re.compile(
    r"(?i)^(?:(?:and|but|while|where|as|when|with|so|which) |.*\b(?:at|in|on|of|from|behind|along|to) which )*"
    r"(?:(?:on|in|at|through|from|under|behind|beyond|ahead of|along) (?:the|an?|its|this) [\w-]+,? (?!of\b))?"
)
# Subjects that are no road users though they name one, and statements that a plain sentence makes as well.
_NO_ACTOR = re.compile(
    r"(?i)\b(?:\w*lights?|lamps?|glow|beams?|glare|reflections?|shadows?|silhouettes?|outlines?|shapes?|"
    r"visibility|view|which)\b"
)
# A statement that says too little by itself.
_SUNSET = re.compile(r"(?i)\b(?:sunset|sundown)\b(?! (?:sky|light|glow|colou?rs|hues|tones))")
# "suggesting early evening or dawn" behind a sky that was cut.
_HOUR_NAME = r"(?:early |late )?(?:morning|afternoon|evening|dusk|dawn|twilight|night|sunrise|nightfall)"
_GUESSED_HOURS = re.compile(
    r"(?i)\b(?:suggest|indicat|imply|hint)\w*(?: at)?(?: that)?(?: it(?: is|'s| could be| may be| might be))?"
    rf"(?: likely| either)? (?P<hours>{_HOUR_NAME} or {_HOUR_NAME})\b"
)
# "with a few clouds" behind a sky that was cut.
_CLOUDS = re.compile(r"(?i)with (?:only )?(?:a few|some|scattered)(?: \w+){0,2} clouds?\b")
_SKY = re.compile(r"(?i)\bsk(?:y|ies)\b")
_ONLY_DAY = re.compile(
    r"(?i)(?:it|the time(?: of day)?) (?:is|appears to be|seems to be) (?:likely )?(?:the )?day(?:time)?"
)
# No pronoun for a thing: "it is dark".
_EXPLETIVE = r"it(?! (?:is|has|was|can|may|might|appears|seems|looks)\b)"
_THEY, _IT = re.compile(rf"(?i)(?:they|{_EXPLETIVE}|he|she)\b"), re.compile(rf"(?i)\b(?:{_EXPLETIVE}|them)\b")
_REFERS = re.compile(rf"(?i)(?<=\w )(?:them|{_EXPLETIVE})\b")
_VISIBLE = re.compile(r"(?i)\b(?:visible|can be seen|seen)$")
_PRONOUN = re.compile(
    r"(?i)(?:(?:it|they|its|their|he|she)\b|(?:this|these|others|some|both|each)(?= (?:of|is|are|was|were|have|has|can|"
    r"may|with|in|on|at|appear|seem|\w+ing)\b|,|$))(?! (?:is|are) (?:no|several|a few))"
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
        if not self.style.time and self.style.weather not in ("", "clear"):
            sentence = _SUNSET.sub("dusk", sentence)  # at the same hour, without a sun
        other_day = any(map(self._other_day, DAY_PHRASE.finditer(sentence)))
        if not (self.unwanted(sentence) or other_day or self._other_time(sentence) or self._other_hour(sentence)):
            return Cut(sentence)
        gone: list[str] = []
        texts: list[tuple[str, str]] = []
        broken, subject = False, ""
        for group in _groups(parts(sentence)):
            refers = _PRONOUN.match(group[0].text) or _REFERS.search(_joined(group))
            if broken and refers and subject:
                group, refers = _named(group, subject), None
            lost = len(gone)
            text = "" if broken and refers else self._cut_group(group, first, gone)
            if gone and _SOME.match(gone[-1]):
                text = re.sub(r"^others\b", "some", text)
            if not text:
                gone.append(_joined(group))
            else:
                texts.append(("" if broken or not texts else group[0].joint, text))
            subject = self._subject(group)
            broken = not text
            for index in range(lost, len(gone) if not refers else lost):
                saved = "?"
                while saved:
                    saved, gone[index] = self._saved(gone[index], subject)
                    texts += [("", saved)] if saved else []
                    broken = broken or bool(saved)
        whole = ""
        for joint, text in texts:
            whole = f"{whole}{joint}{text}" if joint else f"{whole}{'. ' if whole else ''}{text[0].upper()}{text[1:]}"
        # "The street is wet, likely from rain, and is lit" without its middle.
        whole = re.sub(r"^((?:[\w-]+ ){1,4}(?:is|are) \w+), and (?=(?:is|are) )", r"\1 and ", whole)
        hours = next((m["hours"] for m in map(_GUESSED_HOURS.search, gone) if m), "")
        if hours and not self.style.time and not self.time and not self._bad(hours):
            whole = f"{whole}{'. ' if whole else ''}The time of day is likely {hours}"
        if gone and _ONLY_DAY.fullmatch(whole):
            whole = ""
        return Cut(whole and whole + (sentence[-1] if sentence[-1] in "!?" else "."), tuple(gone))

    def _cut_group(self, group: Sequence[Part], first: bool, gone: list[str]) -> str:
        opening = [part for part in group if part.kind == "opening"]
        main, rest = group[len(opening)], group[len(opening) + 1 :]
        bare = self.soften(main.text, first)
        text, hollow = bare, False
        hours = [term for term, _ in terms_in(main.text) if term.tied_to_time]
        names_hour = not self.style.time and any(term.time != "day" for term in hours)
        about = main.text if names_hour else _joined(group)
        about_time = _ABOUT_TIME.match(main.text) and (
            self.unwanted(about) or self._other_time(main.text) or self._other_hour(main.text)
        )
        if self._bad(bare) or about_time:
            verb = finite(bare)
            subject = bare[: verb.start()] if verb and not about_time else ""
            if not subject or self._bad(subject):
                return ""
            text, hollow = subject.rstrip(), True
        lost: list[str] = []
        split = self._split_words(group)
        before = main.text if hollow else ""  # what was cut right before a part
        for part in rest:
            part_text = self.soften(part.text, first and part.kind == "phrase" and not part.hangs)
            if _SOME.match(before):
                part_text = re.sub(r"(?i)^((?:and |while )?)others\b", r"\1some", part_text)
            if re.match(r"(?i)with\b", before) and re.match(r"(?i)and (?!with)", part_text):
                part_text = "with " + part_text[4:]
            bare_part = clean(part_text)
            empty = part_text != part.text and (
                _EMPTY.match(bare_part) or headless(part.text, bare_part) or broken(bare_part, part.text)
            )
            changed = part.hangs and part_text != part.text and not part.text.lower().startswith("typical")
            if (
                ((part.hangs or (part.joint == " " and part.kind == "phrase")) and before)
                or changed
                or empty
                or part in split
                or self._bad(part_text)
                or (hollow and part.kind != "predicate")
                or (_CLOUDS.match(part.text) and _SKY.search(main.text) and not _SKY.search(text))
                or (LEAD in text and _GUESSED.match(part.text))
            ):
                before = part.text
                # ", and two vans" that ends a list stays when its "with ..." goes.
                match = _WITH_ONLY.search(text) if part.joint == " " else None
                if match and not (match[0].startswith(", and") and part.text.startswith("with ")):
                    lost.append(match["what"])
                    text = text[: match.start()]
                    before = before if match[0].startswith(", and") else "with"
                lost.append(part.text)
                if self.style.time and re.match(r"(?i)(?:due|owing) to|because", part.text) and "visibility" in text:
                    return ""
                continue
            alone = part.kind == "predicate" and (hollow or (before and part.joint == ", "))
            text += f" {part_text}" if alone else f"{part.joint}{part_text}"
            before, hollow = "", False
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
            first_text = ""
            for part in opening:
                soft = self.soften(part.text, first)
                if soft != part.text and (_DEPENDS.match(part.text) or re.match(r"(?i)with\b", part.text)):
                    # "With the sun setting", "After passing through dense fog".
                    lost.append(part.text)
                    first_text += LEAD if first and not first_text else ""
                else:
                    first_text += (part.joint if first_text.strip(LEAD) else "") + soft
            bare_opening = clean(first_text).strip(" ,")
            if first_text and (self._bad(first_text) or not (bare_opening or LEAD in first_text)):
                lost.append(first_text)
            elif first_text:
                text = f"{first_text if bare_opening else LEAD}{main.joint}{text}"
        plain = clean(text)
        if broken(plain, _joined(group)) or self._bad(plain) or self._says_new_time(plain, _joined(group)):
            return ""
        gone += lost
        return text

    def _subject(self, group: Sequence[Part]) -> str:
        """What a pronoun behind a clause stands for, in the words of the style; "" when that is unclear."""
        main = next((part.text for part in group if part.kind == "clause"), "")
        if _PRONOUN.match(main) or not (verb := finite(main)):
            return ""
        name = clean(self.soften(main[: verb.start("verb") if "verb" in verb.groupdict() else verb.start()], False))
        if self._bad(name) or _NO_ACTOR.search(name) or not (users_pattern().search(name) or "road" in name):
            things = [thing for thing in named_things(main) if users_pattern().search(thing)]
            place = structures_pattern().search(main)
            name = things[0] if things else f"the {place.group()}" if place and not place.group().endswith("s") else ""
        return "" if self._bad(name) else name.strip(" ,")

    def _saved(self, text: str, subject: str) -> tuple[str, str]:
        """(a clause about road users within a text that was cut, what else the text has); the clause is "" for none.

        The clause has no full stop; `subject` stands for a pronoun in it.
        """
        things = [thing for thing in named_things(text) if users_pattern().search(thing)]
        pieces: list[str] = []
        for found_parts in map(parts, (text, *_AND.split(text))):
            for part, after in zip(found_parts, [*found_parts[1:], None], strict=True):
                longer = after and after.kind == "phrase" and after.joint == " "
                pieces += [f"{part.text} {after.text}"] if after and longer else []
                pieces.append(part.text)
        for thing in things:
            who = re.search(rf"\b{re.escape(thing)},? (?:that|which|who) [^,;]+", text)
            pieces += [who.group()] if who else []
            if causes := re.search(rf"(?P<all>{re.escape(thing)} to (?P<verb>[a-z]+))\b(?P<rest>[^,;]*)", text):
                verb = causes["verb"] if is_plural(thing) else _third(causes["verb"])
                text = text.replace(causes["all"], f"{thing} {verb}")
                pieces.append(f"{thing} {verb}{causes['rest']}")
        for piece in pieces:
            bare, rest = _LINK.sub("", piece), text.replace(piece, "", 1)
            if len(things) == 1 and (they := _THEY.match(bare)) and things[0] in text.partition(piece)[0]:
                bare, rest = things[0] + bare[they.end() :], rest.replace(things[0], "", 1)
            for thing in things:
                bare = re.sub(rf"^({re.escape(thing)}),? (?:that|which|who) ", r"\1 ", bare)
            clause = clean(self.soften(bare, False)).strip(" ,")
            if _IT.search(clause):
                if not subject:
                    continue
                clause, rest = (
                    _IT.sub(inside_sentence(subject), clause, count=1),
                    re.sub(re.escape(subject), "", rest, count=1, flags=re.I),
                )
            verb = finite(clause)
            head = clause[: verb.end()] if verb else ""
            if (
                is_clause(clause)
                and not _DEPENDS.match(clause)
                and users_pattern().search(head)
                and not _NO_ACTOR.search(head)
                and not (
                    self._bad(clause) or broken(clause, bare) or DANGLING.search(clause) or _VISIBLE.search(clause)
                )
            ):
                return clause[0].upper() + clause[1:], rest
        return "", text

    def _split_words(self, group: Sequence[Part]) -> list[Part]:
        """The phrases that share unwanted words, such as "with the streetlights" and "casting a glow"."""
        text = _joined(group)
        shared, end = [], 0
        for part in group:
            start = text.index(part.text, end)
            end = start + len(part.text)
            if any(m.start() < edge < m.end() for m in self.unwanted(text) for edge in (start, end)):
                shared.append(part)
        return [part for part in shared if part.kind == "phrase"]

    def _bad(self, text: str) -> bool:
        return bool(self.unwanted(clean(text)))

    def _says_new_time(self, text: str, original: str) -> bool:
        """Whether a cut made a statement about the time, as "the sky is dark" of "dark with clouds"."""
        times = {term.time for term, _ in terms_in(text)} - {term.time for term, _ in terms_in(original)}
        return not self.style.time and bool(times - {"", self.time})

    def _other_time(self, text: str) -> bool:
        """Whether a clause about the time of day does not name the time that the style sets."""
        return bool(self.style.time) and bool(_NAMES_TIME.search(text)) and not has_word(self.style, text)


def _groups(found_parts: Sequence[Part]) -> list[list[Part]]:
    """The parts by independent clause, each with its opening, predicates and phrases."""
    groups: list[list[Part]] = []
    for part in found_parts:
        if not groups or (part.kind == "clause" and any(p.kind == "clause" for p in groups[-1])):
            groups.append([])
        groups[-1].append(part)
    return groups


def _third(verb: str) -> str:
    """The third person of a verb."""
    return re.sub(r"(?<=[^aeiou])y$", "ie", verb) + ("es" if re.search(r"(?:s|x|ch|sh|o|[^aeiou]y)$", verb) else "s")


def _named(group: Sequence[Part], subject: str) -> list[Part]:
    """The parts with the subject of the clause before in place of the pronouns that stand for it."""
    subject = inside_sentence(subject)
    named = []
    for part in group:
        text = re.sub(r"(?i)^(?:it|they|he|she)\b", subject, part.text)
        if (its := re.match(r"(?i)(?:its|their|his|her) ", text)) and (verb := finite(text)):
            text = f"the {text[its.end() : verb.start()].strip()} of {subject} {text[verb.start() :]}"
        named.append(replace(part, text=_REFERS.sub(subject, text)))
    return named


def _joined(group: Sequence[Part]) -> str:
    return "".join((part.joint if index else "") + part.text for index, part in enumerate(group))
