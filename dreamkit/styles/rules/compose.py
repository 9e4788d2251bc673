"""Sentences of a style, composed of sky, light, surface and the caption's own objects."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from dreamkit.captions.conditions import negated, read_state
from dreamkit.captions.lexicon import lexicon, users_pattern, whole_words, word_set
from dreamkit.captions.split import sentences, without_quotes
from dreamkit.styles.table import ConditionTexts, Style, has_word

_CHOICE = re.compile(r"\(([^()|]+(?:\|[^()|]*)+)\)")
_ROAD = re.compile(
    r"(?i)\b(?:street|road|highway|freeway|avenue|boulevard|alley|roadway|expressway)(?! (?:signs?|markings?))\b"
)
# A caption with these has little of its weather: nothing stronger is said of it.
_SLIGHT = re.compile(
    r"(?i)\b(?:slight|light|mild|faint|thin|some|possibl)\w*(?: [\w,]+){0,2} (?:fog|mist|haz|rain|drizzl|snow)"
)
_STRONG = re.compile(r"(?i)\b(?:dense|thick|heavy|swallows|wall|low|poor|reduced|hard|closest|nearest)\b")
# Words that a text may have twice.
_COMMON = word_set("with that from where them into over through across along here there above what which everything")
# A plural noun that the caption speaks of, with its adjectives: "several tall palm trees" -> "tall palm trees".
_MODIFIERS = (
    r"(?:(?:tall|palm|pine|bare|green|white|small|large|old|modern|residential|brick|office|apartment|"
    r"two-story|multi-story|colorful|surrounding|nearby) ){0,3}"
)
_OBJECTS = {
    "tree": rf"{_MODIFIERS}trees",
    "building": rf"{_MODIFIERS}buildings",
    "house": rf"{_MODIFIERS}houses",
    "parked car": r"parked (?:cars|vehicles)|(?:cars|vehicles)(?= (?:are |is )?parked)",
    "moving car": r"(?:moving|passing|oncoming) (?:cars|vehicles)|"
    r"(?:cars|vehicles)(?= (?:are |is )?(?:moving|driving|travell?ing|passing)\b)",
    "car": r"(?<!parked )(?<!moving )(?<!passing )cars(?! (?:are |is )?parked)(?!['’])",
    "sidewalk": r"sidewalks?",
    "lane": r"(?:bike |traffic )?lanes(?! of)",
}


@lru_cache(maxsize=1)
def _topics() -> dict[str, re.Pattern[str]]:
    return {name: whole_words("|".join(says)) for name, says in lexicon()["topics"].items()}


def topics(text: str) -> list[str]:
    """The topics of a text by the lexicon's `topics`, once for each sentence; what it denies is none."""
    return [
        name
        for sentence in sentences(without_quotes(text))
        for name, pattern in _topics().items()
        if any(not negated(sentence, match.start()) for match in pattern.finditer(sentence))
    ]


@dataclass
class _Said:
    """What a rewrite says already, so that nothing is said twice.

    Attributes:
        topics: topic -> number of sentences that have it.
        stems: beginnings of the style's words.
        slight: the caption has little of its weather.
    """

    topics: Counter[str]
    stems: set[str] = field(default_factory=set)
    slight: bool = False

    def fits(self, text: str) -> bool:
        """Whether the text repeats no topic and no word of the style, nor a word of its own."""
        stems, most = _stems(text), lexicon()["topics_twice"]
        return (
            len(stems) == len(set(stems))
            and not self.stems & set(stems)
            and not any(self.topics[topic] > (topic in most) for topic in topics(text))
            and not (self.slight and _STRONG.search(text))
        )

    def add(self, text: str) -> str:
        """Record a text; returns it."""
        self.topics.update(topics(text))
        self.stems.update(_stems(text))
        return text

    def one_of(self, templates: Sequence[str], draw: random.Random, ok: Callable[[str], bool] = bool) -> str:
        """One of the templates with its alternatives chosen that fits and is `ok`, recorded; "" when none does."""
        tried = (chosen(template, draw) for template in draw.sample(templates, len(templates)) * 8)
        return next((self.add(text) for text in tried if self.fits(text) and ok(text)), "")


def _stems(text: str) -> list[str]:
    words = re.findall(r"(?<!<)\b[a-z]{4,}", text.lower())
    return [word.rstrip("s")[:5] for word in words if word not in _COMMON and not re.match("rain|snow|fog", word)]


def style_sentences(
    style: Style,
    scene: ConditionTexts | None,
    caption: str,
    lines: Sequence[str],
    lead: str,
    draw: random.Random,
    most: int,
) -> tuple[list[str], dict[int, str]]:
    """The style's sentences for a caption: about sky and light, and about the road and objects that the caption names.

    Args:
        style: the style.
        scene: the table's texts of its time and weather; None for a style with sentences of its own only.
        caption: the caption.
        lines: what is kept of it, by sentence; its topics are not repeated.
        lead: the phrase that sets the scene in the rewrite, "" for none.
        draw: picks the wordings.
        most: number of sentences at most, 1 or more.

    Returns:
        (sentences for any place, index of a line -> the sentence behind it).
    """
    if style.sentences:
        texts = draw.sample(style.sentences, len(style.sentences))
        texts.sort(key=lambda text: not has_word(style, text))
        return [_sentence(chosen(text, draw)) for text in texts[: min(most, 2)]], {}
    assert scene is not None
    if scene.details:
        told = list(draw.choice(scene.details))
        plain = without_quotes(caption)
        extras = [text for word, text in scene.extras.items() if re.search(rf"(?i)\b{word}s?\b", plain)]
        return [*told, *extras[:1]][:most], {}
    kept = " ".join(lines)
    counts = Counter(topics(kept))
    if not style.weather:
        counts.update({topic: 9 for topic in ("falling", "fog", "snow on the ground", "wet") if counts[topic]})
    if not style.time and not read_state(kept)[0] and (counts["lamps"] or counts["dark"]):
        counts["sky"] += 9  # dusk or dawn, perhaps: the sky of a day would not fit
    said = _Said(counts, slight=bool(_SLIGHT.search(kept)))
    said.add(lead)
    said.topics.subtract(topic for topic in topics(lead) if topic in lexicon()["topics_twice"])
    # Where nothing names the style yet, its first sentence does.
    named = bool(lead) or has_word(style, kept)
    sky = said.one_of(scene.sky, draw, lambda text: named or has_word(style, text)) or said.one_of(scene.sky, draw)
    named = bool(sky or scene.light_alone) and (named or has_word(style, sky))
    light = said.one_of(scene.light, draw, lambda text: named or has_word(style, text))
    joint = ", while " if ", and" in sky or not sky else draw.choice((", and ", ", while ", ", and "))
    both = joint.join(text for text in (sky, light) if text)
    things = _about_things(scene, lines, said, draw)
    return [_sentence(both)] if both else [], dict(list(things.items())[: most - 1])


def _about_things(scene: ConditionTexts, lines: Sequence[str], said: _Said, draw: random.Random) -> dict[int, str]:
    """Sentences about the road and objects by line, in a drawn order; none about what the text denies or lacks."""
    plain = [without_quotes(line) for line in lines]
    road = next((m.group().lower() for m in map(_ROAD.search, plain) if m), "")
    made: dict[int, str] = {}
    for word in draw.sample(["", *scene.objects], len(scene.objects) + 1):
        templates = [one for one in scene.objects.get(word, scene.surface) if road or "<road>" not in one]
        name_is = re.compile(rf"(?i)\b(?:{_OBJECTS.get(word, word + 's')})\b") if word else _ROAD
        hits = [(index, m) for index, line in enumerate(plain) for m in name_is.finditer(line)]
        hits = [(index, m) for index, m in hits if not negated(plain[index], m.start())]
        if "car" in word and any("car" in one for one in made.values()):
            continue
        for index, hit in hits[:3]:
            if index in made or (word == "car" and _NOT_NEAR.search(plain[index])):
                continue
            name = hit.group().lower()
            name = f"parked {name}" if word == "parked car" and "parked" not in name else name

            def filled(text: str, name: str = name) -> str:
                return _sentence(text.replace("<it>", f"the {name}").replace("<road>", f"the {road}"))

            text = said.one_of(templates, draw, lambda one, at=index, fill=filled: has_room(lines, at, fill(one)))
            if text:
                made[index] = filled(text)
                break
    return made


# Cars whose windows are not seen, or that do not drive.
_NOT_NEAR = re.compile(r"(?i)\b(?:distan\w+|background|far|parked)\b")
# A sentence that continues the one before it.
_CONTINUES = re.compile(
    r"(?i)(?:it|they|its|their|these|those|this|he|she|his|her|others?|another|one|some|both|meanwhile|also|"
    r"additionally|similarly|then|as|there (?:is|are) also)\b|(?:(?:on|to|in|at|from) )?the (?:left|right|"
    r"other|opposite|far|near|next|"
    r"background|foreground|middle|cent(?:er|re)|distance|\w+(?:nd|rd|th|first) )"
)


def _subject(sentence: str) -> str:
    words = re.findall(r"[\w'’-]+", sentence.lower())
    return next((word for word in words if word not in ("the", "a", "an", "fresh", "soft", "fine", "steady")), "")


def has_room(lines: Sequence[str], index: int, text: str) -> bool:
    """Whether a sentence of the style may stand behind a line: neighbours neither share its subject nor continue."""
    before = next((line for line in reversed(lines[: index + 1]) if line), "")
    after = next((line for line in lines[index + 1 :] if line), "")
    words = re.findall(r"[\w'’-]+", text.lower())
    subject, following = _subject(text), _subject(after)
    if _CONTINUES.match(after) or (CLOSES.match(before)):
        return False
    # "A truck drives by." and "The truck carries" belong together.
    if (
        re.match(r"(?i)the ", after)
        and users_pattern().match(following)
        and re.search(rf"(?i)\ban? (?:[\w-]+ )?{following}\b", before)
    ):
        return False
    return subject != following and following not in words and _subject(before) not in words


# A last sentence that sums up.
CLOSES = re.compile(
    r"(?i)(?:the )?overall\b|the (?:atmosphere|mood|time of day)\b|the scene (?:is|appears|seems|feels)\b"
)


def chosen(template: str, draw: random.Random) -> str:
    """The template with one of the alternatives of each (a|b|c)."""
    while match := _CHOICE.search(template):
        template = template[: match.start()] + draw.choice(match[1].split("|")) + template[match.end() :]
    return " ".join(template.split())


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else text + "."


_DAY_WORD = re.compile(r"(?i)\b(?:day|daytime|night|nighttime|morning|evening|afternoon|dusk|dawn|twilight|sunset)\b")


# An hour that a caption guesses: a lead with another name of it would say more than is known.
_GUESSED = re.compile(
    r"(?i)\b(?:afternoon|evening|dusk|twilight|sunset|night) or (?:early |late )?\w+|time of day is not\b"
)


def lead_of(style: Style, time: str, kept: str, first: str, draw: random.Random) -> str:
    """A phrase that sets the scene, such as "on a rainy day"; preferably one with no word of the first sentence.

    It names the time of day where nothing that is kept of the caption does.
    """
    said = set(re.findall(r"[a-z]{3,}", first.lower())) - {"the"}
    leads = [lead for lead in style.leads if "{day}" not in lead or not _DAY_WORD.search(first)]
    if time not in ("", "day", style.time):
        told, guessed = read_state(kept)[0] == time, _GUESSED.search(kept)
        leads = [lead for lead in leads if ("{day}" in lead) != told] if guessed or not told else leads
        leads = leads or list(style.leads)
    fresh = [lead for lead in leads if not said & set(re.findall(r"[a-z]{3,}", lead.lower()))]
    return style.at(draw.choice(fresh or leads), time) if leads else ""
