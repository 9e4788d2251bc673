"""The rule-based rewriter of captions: no model, no download, the same result for the same seed."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dreamkit.captions.camera_sentence import part_camera_sentence
from dreamkit.captions.conditions import ENCLOSED, read_state
from dreamkit.captions.split import sentences, without_quotes
from dreamkit.styles.rules.clauses import finite
from dreamkit.styles.rules.compose import StyleSentence, has_room, lead_of, style_sentences
from dreamkit.styles.rules.cutting import Cut, Cutter
from dreamkit.styles.rules.plain import new_names, plain_sentence
from dreamkit.styles.rules.recolour import recoloured
from dreamkit.styles.rules.softening import ADJECTIVE, LEAD, article, clean, with_article
from dreamkit.styles.table import Style, StyleTable, has_word, load_styles

_FILM = re.compile(
    r"(?:in )?(?:the|this|a)\s+(?:\w+\s+){0,2}?(?:video|clip|footage|scene|image|recording|camera|sequence|view|"
    r"dashcam)\b",
    re.IGNORECASE,
)
# First words that become lower case when something is put in front of the sentence.
_OPENS = re.compile(
    r"(?:An?|The|Two|Three|Four|Five|Six|Several|Many|Some|There|Traffic|Cars|Vehicles|Heavy|Light|Our|We|One|Both"
    r"|Pedestrians|This|Children|People|Trees|Rows)\b"
)
_QUOTED = re.compile(r"[\"“](?P<text>[^\"“”]*[.!?])[\"”]")


def stable_seed(*parts: object) -> int:
    """A 64-bit number from the parts, the same in every process and on every machine (unlike `hash`)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


@dataclass
class _Line:
    """A sentence of the rewrite.

    Attributes:
        text: the sentence, "" for none.
        weather_place: it stands in place of one about weather that was cut.
    """

    text: str
    weather_place: bool = False


@dataclass(frozen=True)
class RuleRewriter:
    """Rewrites captions by rules.

    Clauses about time, weather, light, sky, road surface and shadow that contradict the style are cut; road users,
    structures, counts and manoeuvres are kept; sentences of the style are added. The camera's sentence stays.

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
        caption = one_line(caption)
        if quoted := _QUOTED.fullmatch(caption):
            caption = quoted["text"]
        camera, scene_text = part_camera_sentence(caption)
        text = self._rewrite_scene(scene_text, style, seed, length)
        text = f"{camera} {text}".strip()
        return recoloured(text, stable_seed(seed, style.name, caption, "colour")) if self.recolour else text

    def _rewrite_scene(self, caption: str, style: Style, seed: int, length: int) -> str:
        table = self.table or load_styles()
        draw = random.Random(stable_seed(seed, style.name, caption))
        source = read_state(caption)
        time, weather = style.target(*source)
        enclosed = ENCLOSED.search(without_quotes(caption))
        cutter = Cutter(style, time, weather, was=source[0], lamps_stay=bool(enclosed))
        found = sentences(caption)
        cuts = [cutter.cut(sentence, index == 0) for index, sentence in enumerate(found)]
        bare = [clean(cut.text) for cut in cuts]
        lead = "" if enclosed else lead_of(style, time, " ".join(bare), (bare or [""])[0], draw)
        lines, has_lead = _kept_lines(cuts, found, cutter, lead, draw)
        kept = " ".join(line.text for line in lines)
        changed = (bool(style.time) and source[0] != time) or (bool(style.weather) and source[1] != weather)
        first = next((index for index, line in enumerate(lines) if line.text), None)
        # "during twilight" needs no second phrase about the time.
        stated = read_state(lines[first].text) if first is not None else ("", "")
        needs_lead = bool(lead) and not has_lead and (changed or not has_word(style, kept))
        if first is not None and needs_lead and not (style.time and stated[0]) and (changed or not any(stated)):
            led = lines[first].text if has_word(style, lines[first].text) else _led(lines[first].text, lead, style)
            has_lead = led != lines[first].text
            lines[first].text = led
        scene = None if style.sentences else table.scene(time, weather)
        texts = [line.text for line in lines]
        if enclosed and scene:
            made = [StyleSentence(f"Outside the {enclosed['place'] or 'tunnel'}, {scene.clause}.")]
        else:
            made = style_sentences(style, scene, caption, texts, lead if has_lead else "", draw, length)
        if (
            not changed
            and style.changes_state
            and has_word(style, kept)
            and not any(line.weather_place for line in lines)
        ):
            made = [one for one in made if one.behind is not None]
        if not length:
            made = [] if has_word(style, " ".join(texts)) else made[:1]
        result = _placed(lines, made, draw)
        if lead and not has_word(style, " ".join(result)):
            result.insert(1, f"The scene is set {lead}.")
        return " ".join(result)


def _kept_lines(
    cuts: Sequence[Cut], found: Sequence[str], cutter: Cutter, lead: str, draw: random.Random
) -> tuple[list[_Line], bool]:
    """The kept sentences with plain ones for what was cut, and whether one of them holds the lead."""
    texts = [
        _filled(cut.text, lead if index == 0 or "set" + LEAD in cut.text else "", cutter.style)
        for index, cut in enumerate(cuts)
    ]
    has_lead = any(
        text != old and has_word(cutter.style, text) and not has_word(cutter.style, old)
        for text, old in zip(texts, found, strict=True)
    )
    lines: list[_Line] = []

    def soften(thing: str) -> str:
        bare = clean(cutter.soften(thing, False)).strip(" ,.")
        return "" if cutter.unwanted(bare) else bare

    told = ""
    for index, (text, cut) in enumerate(zip(texts, cuts, strict=True)):
        if text:
            lines.append(_Line(text))
        others = " ".join([*texts, told])
        names = new_names(cut.gone, others, soften)
        if names and _ENUMERATES.fullmatch(text):
            # "The scene includes a road, several cars and a bus."
            lines[-1].text = f"{', '.join([text[:-1], *names[:-1]])} and {names[-1]}."
            told += lines[-1].text
            names = []
        if plain := plain_sentence(names, others, draw.randrange(2)):
            lines.append(_Line(plain))
            told += plain
        if not text and not plain and index:
            lines.append(_Line("", weather_place=True))
    return lines, has_lead


_ENUMERATES = re.compile(r"(?:The (?:scene|video)|It)(?: also)? (?:includes?|features?|shows?) [^,.;]+\.")


def _filled(text: str, lead: str, style: Style) -> str:
    """The sentence with the style's words in place of the marks."""
    if ADJECTIVE in text and style.adjective and lead:
        head, tail = text.split(ADJECTIVE, 1)
        text = f"{with_article(head, style.adjective)}{tail.replace(LEAD, '')}"
    elif LEAD in text and lead:
        head, tail = text.split(LEAD, 1)
        start = not head.strip()
        said = lead[0].upper() + lead[1:] if start else f" {lead}"
        text = (
            head.rstrip()
            + said
            + ("," if start and not tail.startswith((",", ".")) else "")
            + (tail if tail[:1] in " ,.;" else f" {tail}")
        )
        if start and (match := re.match(r"[^,]*,\s*", text)):
            rest = text[match.end() :]
            text = match.group() + (rest[0].lower() + rest[1:] if _OPENS.match(rest) else rest)
    text = clean(text)
    return text[:1].upper() + text[1:]


_JOINED = re.compile(r"(?i)\b(?:while|as|that|which|where|when|who|is|are|seen from)\b")


def _led(first: str, lead: str, style: Style) -> str:
    """The first sentence with the lead in it or before it; unchanged where neither is possible."""
    if not _FILM.match(first):
        return f"{lead[0].upper()}{lead[1:]}, {first[0].lower()}{first[1:]}" if _OPENS.match(first) else first
    simple = re.match(r"(?P<head>[^,;\"]*?)(?P<tail>(?:,? with|,? where| featuring| showing)\b.*)?\.$", first)
    if not simple or _JOINED.search(simple["head"]) or finite(simple["head"].partition(" and ")[2]):
        return first
    head, tail = simple["head"], simple["tail"] or ""
    place = re.search(r"\b(an?) (?=(?:[\w-]+ )?[\w-]+$)(?!busy|quiet|calm|narrow|wide|bustling|typical)", head)
    if (
        tail.startswith(" with ")
        and style.time in ("", "day")
        and place
        and not re.search("morning|evening|night", lead)
    ):
        # "a foggy road with three lanes", not "a road in the fog with three lanes".
        return f"{head[: place.start()]}{article(style.adjective)} {style.adjective} {head[place.end() :]}{tail}."
    if re.match(r",? with (?:[\w-]+ )*?(?:lanes?|lane markings)\b(?!.*\band\b)", tail):
        return f"{head}{tail} {lead}."
    day = re.search(
        r" (?:(?:early|late) )?(?:during|at|in|on|around) (?:[\w-]+ ){0,6}?(?:day|daytime|night|nighttime|dusk|dawn|"
        r"twilight|evening|morning|afternoon|sunset|hours|hour)$",
        head,
    )
    if day:
        return f"{head[: day.start()]} {lead}{head[day.start() :]}{tail}."
    return f"{head} {lead}{tail}."


def _placed(lines: list[_Line], made: Sequence[StyleSentence], draw: random.Random) -> list[str]:
    """The kept sentences with the style's own, each behind the sentence that it belongs to."""
    texts = [line.text for line in lines]
    behind = {one.behind: one.text for one in made if one.behind is not None}
    for one in made:
        if one.behind is not None:
            continue
        weather = [index for index, line in enumerate(lines) if line.weather_place]
        if weather and (weather[-1] < len(texts) - 1 or draw.random() < 0.5):
            draw.shuffle(weather)
        else:
            weather = []
        full = {index: f"{text} {behind.get(index, '')}".strip() for index, text in enumerate(texts)}
        spots = [index for index in [*weather, *range(len(texts))] if index not in behind]
        spot = next((index for index in spots if has_room(list(full.values()), index, one.text)), None)
        if spot is None:
            spot = next(iter(spots), 0)
        if spot is not None:
            behind[spot] = f"{behind.get(spot, '')} {one.text}".strip()
    result = [text for index, line in enumerate(texts or [""]) for text in (line, behind.get(index, ""))]
    return [text if text[-1:] in '.!?"”' else text + "." for text in result if text]


def one_line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())
