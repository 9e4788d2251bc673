"""The rule-based rewriter of captions: no model, no download, the same result for the same seed."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dreamkit.captions.conditions import ENCLOSED, Term, found, of_lamps, read_state
from dreamkit.captions.split import sentences, without_quotes
from dreamkit.styles.rules.grammar import ADJECTIVE, CUT, NOUN, SLOT
from dreamkit.styles.rules.phrases import Cutter
from dreamkit.styles.rules.recolour import recoloured
from dreamkit.styles.rules.scene import NEW_PLACE, manoeuvres, structures_pattern, users_pattern
from dreamkit.styles.rules.sentences import is_plural, tidy
from dreamkit.styles.table import ConditionTexts, Style, StyleTable, load_styles

_OF_FILM = re.compile(
    r"(?:the|this|a|in this|in the)\s+(?:\w+\s+){0,2}?"
    r"(?:video|clip|footage|scene|image|recording|camera|sequence|view|dashcam)\b",
    re.IGNORECASE,
)
# First words that become lower case when something is put in front of the sentence.
_OPENS = re.compile(
    r"(?:An?|The|Two|Three|Four|Five|Six|Several|Many|Some|There|Traffic|Cars|Vehicles|Heavy|Light|Our|We|One|Both"
    r"|Pedestrians|On|At|In|This|Children|People|Trees|Rows)\b"
)


def stable_seed(*parts: object) -> int:
    """A 64-bit number from the parts, the same in every process and on every machine (unlike `hash`)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


@dataclass(frozen=True)
class RuleRewriter:
    """Rewrites captions by rules.

    Statements about time, weather, light, sky, road surface and shadow that contradict the style are removed; road
    users, structures, counts and manoeuvres are kept; the style's own words are added.

    Attributes:
        table: the styles; the built-in ones when None.
        recolour: change the colours of vehicles, see `recoloured`.
    """

    table: StyleTable | None = None
    recolour: bool = False

    name = "rules"
    model = ""

    def rewrite(self, caption: str, style: Style, seed: int = 0, length: int = 3) -> str:
        """Rewrite a caption into a style.

        Args:
            caption: English text.
            style: the style.
            seed: seed of the choice among the table's phrases, together with the caption and the style's name.
            length: number of sentences about the style at most, 0 to 3.

        Returns:
            One line of text.
        """
        table = self.table or load_styles()
        caption = one_line(caption)
        draw = random.Random(stable_seed(seed, style.name, caption))
        source = read_state(caption)
        time, weather = style.target(*source)
        scene = table.scene(time, weather)
        changed = (bool(style.time) and source[0] != time) or (bool(style.weather) and source[1] != weather)
        kept_time = source[0] if source[0] == time or not style.time else ""

        def unwanted(term: Term, denied: bool) -> bool:
            if denied:
                return changed
            return not term.allows(time, weather)

        cutter = Cutter(unwanted, about_sky=changed)
        lead = draw.choice(_fresh(style.leads, sentences(caption)[0]))
        enclosed = ENCLOSED.search(without_quotes(caption))
        lines: list[str] = []
        place: int | None = None
        leads_given = 0
        for index, sentence in enumerate(sentences(caption)):
            before = len(cutter.rescued)
            # Lamps light a tunnel at any time.
            lamps = enclosed and _lamps_only(sentence, cutter)
            cut = sentence if lamps else cutter.cut(sentence, keep=index == 0)
            if not cut and place is None and index:
                place = len(lines)
            if cut:
                filled, used = _fill(cut, "" if index or leads_given or enclosed else lead, style, time)
                leads_given += used
                lines.append(cut if filled == sentence else tidy(filled))
            if len(cutter.rescued) > before:
                lines += _shown(
                    cutter, cutter.rescued[before:], lines, dim=time == "night" or weather in ("fog", "snow", "rain")
                )
        details = _details(scene, draw, caption, " ".join(lines), enclosed)
        stated = not changed and _says(style, " ".join(lines))
        if lines and not leads_given and not enclosed and not stated and not _says(style, lines[0]):
            led = _lead(lines, lead, draw)
            place = place + len(led) - len(lines) if place is not None else None
            lines = led
        if changed or not _says(style, " ".join(lines)) or not source[0] + source[1]:
            at = max(place or len(lines), 1) if lines else 0
            if _says(style, " ".join(lines)) and not length:
                details = []
            lines[at:at] = details[: max(length, 1)]
        elif kept_time and not lines:
            lines = details
        lines = _needed(lines)
        text = " ".join(line if line[-1:] in '.!?"”' else line + "." for line in lines if line)
        return recoloured(text, stable_seed(seed, style.name, caption, "colour")) if self.recolour else text


def _details(
    scene: ConditionTexts, draw: random.Random, caption: str, kept: str, enclosed: re.Match[str] | None
) -> list[str]:
    """The sentences of the style: the set that repeats the fewest terms of the kept text, and at most one extra."""
    sets = draw.sample(scene.details, len(scene.details))
    said = _conditions(kept)
    details = min(sets, key=lambda lines: len(said & _conditions(" ".join(lines))))
    if enclosed:
        return [f"Outside the {enclosed['place'] or 'tunnel'}, {scene.clause}."]
    named = without_quotes(caption)
    extras = [sentence for word, sentence in scene.extras.items() if re.search(rf"(?i)\b{word}s?\b", named)]
    return [*details, *extras[:1]]


def _conditions(text: str) -> set[str]:
    return {match.group().lower() for _, match in found(text)}


def one_line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())


def _lamps_only(sentence: str, cutter: Cutter) -> bool:
    return all(of_lamps(term) for term, match in found(sentence) if cutter.unwanted(term, False))


def _fill(text: str, lead: str, style: Style, time: str) -> tuple[str, int]:
    """Fill the marks with the style's words; returns the text and the number of filled marks."""
    used = 0
    if NOUN in text:
        text = text.replace(NOUN, style.noun_for(time) or style.name.lower(), 1)
        used = 1
    if ADJECTIVE in text:
        adjective = f"{CUT}{style.adjective} " if style.adjective and not used and lead else CUT
        used = 1 if adjective != CUT else used
        text = text.replace(ADJECTIVE, adjective, 1)
    text = re.sub(rf"\b(lies|lie|sits)\s*(?={SLOT})", lambda m: "is shown" if m[1][-1] == "s" else "are shown", text)
    if SLOT in text and lead and not used:
        at_start = not text[: text.index(SLOT)].strip(" ," + CUT)
        phrase = lead[0].upper() + lead[1:] if at_start else f" {lead}"
        rest = text[text.index(SLOT) + 1 :]
        if at_start and not rest.startswith((",", CUT + ",")):
            phrase += ", "
        text = text.replace(SLOT, phrase, 1)
        if at_start:
            text = text.replace(CUT + ",", ",", 1)
        used = 1
    for mark in (SLOT, ADJECTIVE, NOUN):
        text = text.replace(mark, CUT)
    return text, used


def _says(style: Style, text: str) -> bool:
    return any(re.search(rf"(?i)\b{re.escape(word)}\b", text) for word in (*style.words, *style.leads))


def _fresh(leads: Sequence[str], first: str) -> list[str]:
    """The leads that share no word with the first sentence; all of them when each does."""
    said = set(re.findall(r"[a-z]{3,}", first.lower())) - {"the"}
    return [lead for lead in leads if not said & set(re.findall(r"[a-z]{3,}", lead.lower()))] or list(leads)


def _lead(lines: list[str], lead: str, draw: random.Random) -> list[str]:
    """The lines with the style's lead before or after the first sentence, or in a sentence of its own."""
    first = lines[0]
    if _OPENS.match(first) and not _OF_FILM.match(first) and not re.match(r"(?i)(?:on|at|in|during|as|while)\b", first):
        return [f"{lead[0].upper()}{lead[1:]}, {first[0].lower()}{first[1:]}", *lines[1:]]
    if _OF_FILM.match(first) and not re.search(r"(?i)[,;\"]|\b(?:while|as|that|which|where|and|when|who)\b", first):
        return [f"{first.rstrip('.')} {lead}.", *lines[1:]]
    sentence = draw.choice(["The scene is set {}.", "The scene takes place {}."]).format(lead)
    return [first, sentence, *lines[1:]]


def _shown(cutter: Cutter, rescued: list[str], lines: list[str], dim: bool) -> list[str]:
    """A sentence that names the road users and structures of removed sentences; [] when others name them."""
    kept = " ".join(lines).lower()
    names = []
    for thing in rescued:
        bare = tidy(cutter.bare(thing)).strip(" .,")
        nouns = [
            match.group().lower()
            for pattern in (users_pattern(), structures_pattern(), NEW_PLACE)
            for match in pattern.finditer(bare)
        ]
        if not nouns or cutter.wrong(bare):
            continue
        known = all(re.search(rf"\b{re.escape(noun.removesuffix('s'))}", kept) for noun in nouns)
        if users_pattern().search(bare):
            # A road user is known only if its article is definite and it does nothing new: "the parked cars".
            known = known and bool(re.match(r"(?i)the\b", bare)) and manoeuvres(bare) <= manoeuvres(kept)
        if known:
            continue
        name = bare if bare[1:2].isupper() else bare[0].lower() + bare[1:]
        if name not in names:
            names.append(name)
    if not names:
        return []
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    verb = "are" if len(names) > 1 or is_plural(names[0]) else "is"
    seen = "can be made out" if dim else f"{verb} visible"
    return [f"{listed[0].upper()}{listed[1:]} {seen}."]


_ONLY_SEEN = re.compile(r"(?i)^The (?P<what>[\w-]+) (?:can be made out|is visible|are visible)\.$")


def _needed(lines: list[str]) -> list[str]:
    """The lines without sentences such as "The buildings are visible." when another line names the buildings."""
    kept = []
    for index, line in enumerate(lines):
        seen = _ONLY_SEEN.match(line)
        others = " ".join(lines[:index] + lines[index + 1 :])
        if (
            seen
            and not users_pattern().search(line)
            and re.search(rf"(?i)\b{re.escape(seen['what'].removesuffix('s'))}", others)
        ):
            continue
        kept.append(line)
    return kept
