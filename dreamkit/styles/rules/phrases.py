"""Remove words about time and weather from an English sentence so that the rest is still a sentence.

No parser and no model: prepositional phrases, participles, adjectives and clauses are found by their words, small parts
before large ones. Every removal leaves a mark in the text, so that commas, articles and capitals next to it can be
corrected without changes elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from dreamkit.captions.conditions import Term, found, negated
from dreamkit.captions.lexicon import word_set
from dreamkit.captions.split import without_quotes
from dreamkit.styles.rules.grammar import ADJECTIVE, CUT, NOUN, SLOT, grammar
from dreamkit.styles.rules.scene import holds_scene, manoeuvres, structures_pattern, users_pattern
from dreamkit.styles.rules.sentences import is_plural, object_phrases

# "in the rain" states the condition of the scene, "with the rain" does not.
_STATE_IN = word_set("in on at during under beneath through amid amidst by before after")


@dataclass
class Cutter:
    """Removes words that contradict a style from sentences.

    Attributes:
        unwanted: (term, whether it is negated) -> whether it must be removed.
        about_sky: whether to remove all sentences about sky and light, because the style adds its own.
        rescued: road users and structures of sentences that were removed.
    """

    unwanted: Callable[[Term, bool], bool]
    about_sky: bool
    rescued: list[str] = field(default_factory=list)

    def wrong(self, text: str) -> list[re.Match[str]]:
        """The matches of unwanted terms, in order of position."""
        return [match for term, match in found(text) if self.unwanted(term, negated(text, match.start()))]

    def cut(self, sentence: str, keep: bool = False) -> str:
        """The sentence without unwanted words, with marks where they were; "" when nothing worth keeping is left.

        Args:
            sentence: one sentence with its full stop.
            keep: keep the sentence even if it names no road user or structure, as the first of a caption.
        """
        drops = self.about_sky and grammar().subject.match(sentence)
        if not self.wrong(sentence) and not drops:
            return sentence
        if not keep and not holds_scene(sentence):
            return ""
        text = self._replace(grammar().gear, self._it_is(sentence), lambda _: CUT)
        if self.wrong(text):
            text = re.sub(r"(?i)\b(?:barely|hardly|scarcely|faintly)\s+(?=visible\b)", CUT, text)
        text = self._sky_first(text)
        text = self._asides(text)
        text = self._vanishing(text)
        text = self._participles(text)
        text = self._predicates(text)
        text = self._prepositions(text)
        text = self._attributes(text)
        text = self._clauses(text)
        if not text.strip(" ." + CUT + SLOT) or self.wrong(text):
            self.rescued += object_phrases(sentence)
            return ""
        return text

    def bare(self, name: str) -> str:
        """A noun phrase without unwanted adjectives and participles, with marks where they were."""
        return self._attributes(self._participles(name + " "))

    def _it_is(self, text: str) -> str:
        match = grammar().it_is.search(text)
        if match and self.wrong(match["what"]) and not holds_scene(match["what"]):
            return text[: match.start("what")] + NOUN + text[match.end("what") :]
        return text

    def _sky_first(self, text: str) -> str:
        """Remove a first clause about sky, light or weather: "As the sun sets behind the hills, ..."."""
        parts = re.split(grammar().boundary, text, maxsplit=1)
        opening = re.match(r"(?i)(?:as|while|when|after|before|because|since)\s", text)
        clause = text.split(",", 1)[0] if opening and "," in text else parts[0].rstrip(" .,;")
        bad = self.wrong(clause) or (self.about_sky and grammar().subject.match(clause))
        about = grammar().opening.match(clause) if opening else grammar().weather_does.match(clause)
        if not bad or not about or (users_pattern().search(clause) and opening):
            return text
        self.rescued += object_phrases(clause)
        rest = text[len(clause) :]
        if opening:
            return SLOT + rest
        while (
            rest
            and (first := next(grammar().boundary.finditer(rest, 1), None))
            and not holds_scene(rest[: first.start()])
        ):
            rest = rest[first.start() :]
        alone = _stand_alone(rest.strip(" ,;—–.")) if holds_scene(rest) else ""
        if not alone:
            self.rescued += object_phrases(rest)
        return f"{alone}." if alone else ""

    def _asides(self, text: str) -> str:
        """Remove whole asides such as ", leaving one side of the street in shade"."""
        text = self._replace(grammar().aside, text, lambda _: CUT)
        # "whose roof is covered with snow" is removed as a whole.
        owned = re.search(r"(?i),?\s+whose\b[^,.;]*", text)
        if owned and self.wrong(owned.group()) and not users_pattern().search(owned.group()):
            text = text[: owned.start()] + CUT + text[owned.end() :]
        return text

    def _vanishing(self, text: str) -> str:
        """Replace verbs of vanishing: "The towers disappear into the haze" -> "The towers are visible"."""

        def mark(match: re.Match[str]) -> str | None:
            return f" {'is' if match['verb'].lower().endswith('s') else 'are'} visible{CUT}"

        return self._replace(grammar().vanishing, text, mark)

    def _replace(self, pattern: re.Pattern[str], text: str, mark: Callable[[re.Match[str]], str | None]) -> str:
        """Replace each match with an unwanted term and nothing to keep by `mark(match)`; None leaves it."""
        start = 0
        while match := pattern.search(text, start):
            inner = match.group().strip(" ,")
            # Whether a term is negated depends on the words before the match, so the whole text is searched.
            hit = any(match.start() <= m.start() and m.end() <= match.end() for m in self.wrong(text))
            if not hit or holds_scene(inner) or (new := mark(match)) is None:
                start = match.start() + max(1, len(match.group()) - len(match.group().lstrip(" ,")) + 1)
                continue
            text = text[: match.start()] + new + text[match.end() :]
            start = match.start() + len(new)
        return text

    def _participles(self, text: str) -> str:
        def mark(match: re.Match[str]) -> str | None:
            if not match["be"]:
                return CUT
            subject = re.split(r"[.,;]| and | as | while ", text[: match.start()])[-1]
            if not holds_scene(subject):
                return None
            rest = text[match.end() :]
            if re.match(r"\s+and\s+(?=\w+(?:ed|ing)\b)", rest):
                return f" {match['be'].strip()} {CUT}"
            verb = "are" if match["be"].strip() in ("are", "were", "appear", "remain", "stand", "lie") else "is"
            return f" {verb} visible{CUT}"

        text = self._replace(grammar().participial, text, mark)
        return re.sub(rf"(\b(?:is|are) ){CUT}\s+and\s+", rf"\1{CUT}", text)

    def _predicates(self, text: str) -> str:
        """Remove adjectives: "is wet and lined with trees" -> "is lined with trees"; "is wet" -> "is visible"."""
        start = 0
        while be := grammar().predicate.search(text, start):
            start = be.end()
            chain = grammar().chain.match(text[be.end() :])
            if not chain or not self._hit(text, be.start(), be.end() + chain.end("first")):
                continue
            end = be.end() + chain.end()
            subject = re.split(r"[.,;]| and | as | while |\x00", text[: be.start()])[-1]
            if re.match(r"(?i)(?:(?:is|are|has|have|\w+s)\b)", text[end:]) and chain["joint"].strip():
                continue
            if chain["joint"].strip() and re.match(r"(?i)(?:(?:the|a|an|there|it|two|several)\b)", text[end:]):
                if holds_scene(subject):
                    text = f"{text[: be.end()]}visible{CUT}{text[be.end() + chain.end('first') :]}"
                continue
            if chain["joint"].strip():
                text = text[: be.end()] + CUT + text[end:]
                start = be.start()
            elif holds_scene(subject):
                text = f"{text[: be.end()]}visible{CUT}{text[end:]}"
        return text

    def _hit(self, text: str, start: int, end: int) -> bool:
        return any(start <= match.start() < end for match in self.wrong(text))

    def _prepositions(self, text: str) -> str:
        def mark(match: re.Match[str]) -> str | None:
            if match["prep"].lower() in ("of", "to") and not match["comma"].strip():
                # "a layer of snow", "changes to rain": the word before would be left alone.
                return None
            if match["right"] and grammar().direction.search(text[: match.start("right")]):
                return match["comma"] + match["right"] + self._slot(match)
            comma = ", " if match["comma"].startswith(",") and text[match.end() : match.end() + 1] != "," else ""
            if match["comma"].startswith(",") and re.match(r"\s*[.;!?]", text[match.end() :]):
                comma = ""
            if not text[: match.start()].strip(" ," + CUT):
                return SLOT + (CUT if text[match.end() : match.end() + 1] in (",", "") else "")
            return comma + self._slot(match, bool(comma)) + (" " if comma else "")

        return self._replace(grammar().prepositional, text, mark)

    @staticmethod
    def _slot(match: re.Match[str], apart: bool = False) -> str:
        """The mark for a removed phrase: SLOT, which the style's words can fill, if it stated time or weather."""
        states = grammar().time_or_weather.search(match.group()) and (apart or match["prep"].lower() in _STATE_IN)
        return SLOT if states else CUT

    def _attributes(self, text: str) -> str:
        first = True

        def mark(match: re.Match[str]) -> str | None:
            nonlocal first
            if match["and"]:
                return CUT
            after = text[match.end() :]
            if first and grammar().whole_scene.search(match.group()) and grammar().place_follows.match(after):
                first = False
                return ADJECTIVE
            return CUT

        return self._replace(grammar().attribute, text, mark)

    def _clauses(self, text: str) -> str:
        """Remove clauses that still have unwanted terms and name nothing to keep."""
        ending = text.rstrip()[-1:] if text.rstrip()[-1:] in ".!?" else ""
        body = text.rstrip().removesuffix(ending) if ending else text
        ends = [match.start() for match in grammar().boundary.finditer(without_quotes(body)) if match.start()]
        chunks = [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]
        kept: list[str] = []
        opener = ""
        removed_before = lost_main = False
        for index, chunk in enumerate(chunks):
            plain = chunk.strip(" ,;—–" + CUT + SLOT)
            scene = holds_scene(chunk)
            bad = bool(self.wrong(chunk)) or bool(self.about_sky and grammar().subject.match(plain) and not scene)
            dangling = removed_before and not scene and not re.match(r"(?i)(?:it|there|they|he|she)\b", plain)
            if (bad and not scene) or dangling:
                lost_main = lost_main or index == 0 or (lost_main and not kept)
                if not removed_before:
                    word = re.match(r"(?i)[\s,;—–]*(with|as|while)\b", chunk)
                    opener = word[1] if word else ""
                removed_before = True
                continue
            if (
                removed_before
                and opener
                and re.match(r"(?i)\W*and (?!\w+s\b)", chunk)
                and opener.lower() == "with"
                and kept
            ):
                chunk = re.sub(r"(?i)^\W*and", " with", chunk, count=1)
            elif removed_before and kept:
                chunk = CUT + chunk
            removed_before = False
            kept.append(chunk)
        if not kept:
            return ""
        # If the main clause is clean, a later one is removed even if it names a building, which `rescued` then lists.
        clean = bool(kept) and not self.wrong(kept[0]) and not lost_main
        for index in range(1, len(kept)) if clean else ():
            goes = re.match(r"(?i)\W*,|\s*(?:as|while|with|which|where)\b", kept[index]) and self.wrong(kept[index])
            if goes and not users_pattern().search(kept[index]) and not manoeuvres(kept[index]):
                self.rescued += object_phrases(kept[index])
                kept[index] = CUT
        result = "".join(kept)
        if lost_main:
            result = _stand_alone(result)
        if removed_before:
            result += CUT
        return result.rstrip(" ,;") + ending if result else ""


_SUBJECT_WORD = re.compile(
    r"(?:only |nearly |about |at least )?(?:the|an?|its|their|his|her|there|it|they|this|these|one|two|three|four|five"
    r"|six|seven|eight|nine|ten|many|several|few|some|most|both|each|every|all|no|\d+)\b",
    re.IGNORECASE,
)


def _begins_with_thing(text: str) -> bool:
    """Whether a road user or structure stands before any preposition or function word: "long guardrails run"."""
    thing = min(
        (m.start() for m in (users_pattern().search(text), structures_pattern().search(text)) if m), default=len(text)
    )
    before = text[:thing].lower().split()
    return thing < len(text) and len(before) <= 3 and not grammar().stop & set(before)


def _stand_alone(text: str) -> str:
    """A subordinate clause turned into a main clause, "" when that is not possible."""
    text = text.strip(" ,;—–" + CUT)
    joined = re.match(r"(?i)(?:and|but|so)\b", text)
    text = re.sub(r"(?i)^(?:and|but|so|while|as|where|when|though|although|because|since)\s+", "", text)
    if match := re.match(r"(?i)^with\s+", text):
        rest = text[match.end() :]
        first = re.split(r"[,;]| and ", rest)[0]
        return f"There {'are' if is_plural(first) or ' and ' in rest else 'is'} {rest}"
    if joined and not _SUBJECT_WORD.match(text) and not _begins_with_thing(text):
        return ""
    if re.match(r"(?i)^(?:\w+ing|which|that|in|on|at|by|under|to|visible|narrow|or)\b", text) and not re.match(
        r"(?i)^(?:in|on|at|to)\b.*,", text
    ):
        return ""
    return text
