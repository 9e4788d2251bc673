"""The rule-based rewriter of captions: no model, no download, the same result for the same seed."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dreamkit.captions.camera_sentence import part_camera_sentence
from dreamkit.captions.conditions import ENCLOSED, read_state
from dreamkit.captions.lexicon import users_pattern
from dreamkit.captions.split import sentences, without_quotes
from dreamkit.styles.rules.clauses import finite
from dreamkit.styles.rules.compose import has_room, lead_of, style_sentences
from dreamkit.styles.rules.cutting import Cut, Cutter
from dreamkit.styles.rules.plain import PLACE, new_names, plain_sentence
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
    r"|Pedestrians|Despite|As|While|When|Although|This|Children|People|Trees|Rows)\b"
)
_QUOTED = re.compile(r"[\"“](?P<text>[^\"“”]*[.!?])[\"”]")


def stable_seed(*parts: object) -> int:
    """A 64-bit number from the parts, the same in every process and on every machine (unlike `hash`)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


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
            length: number of sentences about the style at most, 1 to 3.

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
        changed = (bool(style.time) and source[0] != time) or (bool(style.weather) and source[1] != weather)
        enclosed = ENCLOSED.search(without_quotes(caption))
        cutter = Cutter(style, time, weather, was=source[0], lamps_stay=bool(enclosed))
        found = sentences(caption)
        cuts = [cutter.cut(sentence, index == 0) for index, sentence in enumerate(found)]
        bare = [clean(cut.text) for cut in cuts]
        lead = "" if enclosed else lead_of(style, time, " ".join(bare), (bare or [""])[0], draw)
        lines, has_lead = _kept_lines(cuts, found, cutter, lead, draw)
        named = has_word(style, " ".join(lines))
        first = next((index for index, line in enumerate(lines) if line), None)
        if first is not None and lead and not has_lead and (changed or not named):
            stated = read_state(lines[first])
            # "during twilight" needs no second phrase about the time.
            if not (style.time and stated[0]) and (changed or not any(stated)) and not has_word(style, lines[first]):
                led = _led(lines[first], lead, style)
                has_lead, lines[first] = led != lines[first], led
        scene = None if style.sentences else table.scene(time, weather)
        if enclosed and scene:
            made, behind = [f"Outside the {enclosed['place']}, {scene.clause}."], {}
        else:
            told = lead if has_lead and lead in " ".join(lines) else ""  # the adjective may stand instead
            made, behind = style_sentences(style, scene, caption, lines, told, draw, length)
        if not changed and style.changes_state and named and all(lines):
            made = []
        result = _placed(lines, made, behind, draw)
        if lead and not has_word(style, " ".join(result)):
            result.insert(1, f"The scene is set {lead}.")
        return " ".join(result)


def _kept_lines(
    cuts: Sequence[Cut], found: Sequence[str], cutter: Cutter, lead: str, draw: random.Random
) -> tuple[list[str], bool]:
    """The kept sentences with plain ones for what was cut, and whether one of them holds the lead.

    A line is "" where a sentence about time or weather was cut and nothing stands for it.
    """
    style = cutter.style
    texts = [
        _filled(cut.text, lead if index == 0 or "set" + LEAD in cut.text else "", style)
        for index, cut in enumerate(cuts)
    ]
    has_lead = any(has_word(style, text) and not has_word(style, old) for text, old in zip(texts, found, strict=True))
    lines: list[str] = []

    def soften(thing: str) -> str:
        bare = clean(cutter.soften(thing, False)).strip(" ,.")
        if cutter.unwanted(bare) and users_pattern().search(bare):
            det, _, rest = bare.partition(" ")
            rest = " ".join(word for word in rest.split() if not cutter.unwanted(f"{word}."))
            bare = f"{article(rest, det) if det.lower() in ('a', 'an') else det} {rest}"
        return "" if cutter.unwanted(bare) else bare

    told = ""
    for index, (text, cut) in enumerate(zip(texts, cuts, strict=True)):
        frame = "" if text or index else _frame(found[0], soften)
        others = " ".join([*texts, told, frame])
        names = new_names(cut.gone, others, soften)
        if names and _ENUMERATES.fullmatch(text):
            # "The scene includes a road, several cars and a bus."
            text = f"{', '.join([text[:-1], *names[:-1]])} and {names[-1]}."
            told += text
            names = []
        plain = plain_sentence(names, others, draw.randrange(2))
        told += plain
        if frame:
            has_lead, text = bool(lead), f"{frame} {lead}".strip() + "."
        lines += [line for line in (text, plain) if line] or [""] * bool(index)
    return lines, has_lead


def _frame(first: str, soften: Callable[[str], str]) -> str:
    """A plain beginning where the first sentence goes, such as "The video shows a drive along a city street"."""
    place = PLACE.search(first)
    name = soften(place.group()) if place and _FILM.match(first) else ""
    return name and f"The video shows {'a drive along ' if re.search('(?i)driv(?:e|ing)', first) else ''}{name}"


_ENUMERATES = re.compile(r"(?:The (?:scene|video)|It)(?: also)? (?:includes?|features?|shows?) [^,.;]+\.")


def _filled(text: str, lead: str, style: Style) -> str:
    """The sentence with the style's words in place of the marks."""
    if ADJECTIVE in text and style.adjective and lead and style.adjective not in text:
        head, tail = text.split(ADJECTIVE, 1)
        text = f"{with_article(head, style.adjective)}{tail.replace(LEAD, '')}"
    elif LEAD in text and lead:
        head, tail = text.split(LEAD, 1)
        if head.strip():
            text = f"{head.rstrip()} {lead}{'' if tail[:1] in ' ,.;' else ' '}{tail}"
        else:
            rest = tail.lstrip(" ,")
            text = _before(lead, rest) if rest.strip(".!?") else lead + rest
    text = clean(text)
    return text[:1].upper() + text[1:]


def _before(lead: str, text: str) -> str:
    """The text with the lead before it, such as "On a rainy day, two cars wait."."""
    return f"{lead[0].upper()}{lead[1:]}, {text[0].lower() if _OPENS.match(text) else text[0]}{text[1:]}"


# The place that a first sentence is about, with more behind it: "a parking lot filled with cars".
_SCENE = re.compile(
    r"(?i)\b(?:street|road|highway|avenue|boulevard|freeway|alley|intersection|neighbou?rhood|area|parking lot|scene)"
    r"(?= (?:filled|lined|surrounded|crowded|bordered|flanked|with|featuring|containing)\b)"
)
_JOINED = re.compile(r"(?i)\b(?:while|as|that|which|where|when|who|is|are|seen from)\b")


def _led(first: str, lead: str, style: Style) -> str:
    """The first sentence with the lead in it or before it; unchanged where neither is possible."""
    if not _FILM.match(first):
        return _before(lead, first) if _OPENS.match(first) else first
    simple = re.match(r"(?P<head>[^,;\"]*?)(?P<tail>(?:(?<!ed),? with|,? where| featuring| showing)\b.*)?\.$", first)
    if not simple or _JOINED.search(simple["head"]) or finite(simple["head"].partition(" and ")[2]):
        return first
    head, tail = simple["head"], simple["tail"] or ""
    early = _SCENE.search(head)
    if early and len(head[early.end() :].split()) > 3:
        return f"{head[: early.end()]} {lead}{head[early.end() :]}{tail}."
    place = re.search(
        r"\b(an?) (?=(?:[\w-]+ )?[\w-]+$)(?!busy|quiet|calm|narrow|wide|bustling|typical|wet|dark|dry)", head
    )
    if (
        tail.startswith(" with ")
        and style.time in ("", "day")
        and place
        and not users_pattern().search(head[place.start() :])
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


def _placed(lines: Sequence[str], made: Sequence[str], behind: dict[int, str], draw: random.Random) -> list[str]:
    """The kept sentences with those of the style behind a line, and its others where they have room."""
    for text in made:
        cut = [index for index, line in enumerate(lines) if not line]
        if cut and (cut[-1] < len(lines) - 1 or draw.random() < 0.5):
            draw.shuffle(cut)
        else:
            cut = []
        full = [f"{line} {behind.get(index, '')}".strip() for index, line in enumerate(lines)]
        spots = [index for index in [*cut, *range(len(lines))] if index not in behind] or [0]
        spot = next((index for index in spots if has_room(full, index, text)), spots[0])
        behind[spot] = f"{behind.get(spot, '')} {text}".strip()
    result = [text for index, line in enumerate(lines or [""]) for text in (line, behind.get(index, ""))]
    return [text if text[-1:] in '.!?"”' else text + "." for text in result if text]


def one_line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())
