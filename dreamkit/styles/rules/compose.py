"""Sentences of a style, composed of sky, light, surface and the caption's own objects."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dreamkit.captions.conditions import found, negated
from dreamkit.captions.split import without_quotes
from dreamkit.styles.table import ConditionTexts, Style, has_word

_CHOICE = re.compile(r"\(([^()|]+(?:\|[^()|]*)+)\)")
_ROAD = re.compile(
    r"(?i)\b(?:street|road|highway|freeway|avenue|boulevard|alley|parking lot|roadway|intersection|expressway)\b"
)
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
    "car": r"(?<!parked )(?:moving |passing |oncoming )?cars(?! (?:are |is )?parked)(?!['’])",
    "sidewalk": r"sidewalks?",
    "lane": r"(?:bike |traffic )?lanes(?! of)",
}


@dataclass(frozen=True)
class StyleSentence:
    """A composed sentence.

    Attributes:
        text: the sentence.
        after: a word of the caption's sentence that it belongs behind; "" for the sentence about sky and light.
    """

    text: str
    after: str = ""


def style_sentences(
    style: Style, scene: ConditionTexts | None, caption: str, kept: str, draw: random.Random, most: int
) -> list[StyleSentence]:
    """The style's sentences for a caption: sky and light first, then the road and objects that the caption names.

    Args:
        style: the style.
        scene: the table's texts of its time and weather; None for a style with sentences of its own only.
        caption: the caption.
        kept: what is kept of it; its own terms are not repeated.
        draw: picks the wordings.
        most: number of sentences at most.
    """
    if style.sentences:
        texts = draw.sample(style.sentences, len(style.sentences))
        texts.sort(key=lambda text: not has_word(style, text))
        count = min(most, len(texts), 2)
        return [StyleSentence(_sentence(chosen(text, draw))) for text in texts[: max(1, count)]]
    assert scene is not None
    if scene.details:
        lines = list(draw.choice(scene.details))
        named = without_quotes(caption)
        extras = [text for word, text in scene.extras.items() if re.search(rf"(?i)\b{word}s?\b", named)]
        return [StyleSentence(line) for line in [*lines, *extras[:1]][: max(1, most)]]
    said = _conditions(kept)
    sky = _freshest(scene.sky, said, set(), draw)
    light = _freshest(scene.light, said, _content(sky), draw)
    pair = (sky, light) if draw.random() < 0.7 or not has_word(style, light) else (light, sky)
    joint = draw.choice((", and ", ", while ", ", and ")) if ", and" not in sky else ", while "
    made = [StyleSentence(_sentence(joint.join(pair)))]
    more = _about_things(scene, kept, draw)
    return [*made, *more[: max(0, most - 1)]]


def _about_things(scene: ConditionTexts, kept: str, draw: random.Random) -> list[StyleSentence]:
    """Sentences about the road and about objects, in a drawn order; none about what the text denies."""
    found_here: list[StyleSentence] = []
    plain = without_quotes(kept)
    road = _ROAD.search(plain)
    if scene.surface and not re.search(r"(?i)\b(?:puddles|snow-covered|wet|tire tracks|cleared)\b", plain):
        noun = road.group().lower() if road else "road"
        text = chosen(draw.choice(scene.surface), draw).replace("<road>", f"the {noun}")
        found_here.append(StyleSentence(_sentence(text), noun if road else ""))
    for word, templates in scene.objects.items():
        hits = [
            m
            for m in re.finditer(rf"(?i)\b(?:{_OBJECTS.get(word, word + 's')})\b", plain)
            if not negated(plain, m.start())
        ]
        if hits:
            name = ("parked " if word == "parked car" and "parked" not in hits[0].group().lower() else "") + hits[
                0
            ].group().lower()
            text = chosen(draw.choice(templates), draw).replace("<it>", f"the {name}")
            found_here.append(
                StyleSentence(
                    _sentence(text.replace("<road>", f"the {road.group().lower()}" if road else "the road")),
                    hits[0].group(),
                )
            )
    draw.shuffle(found_here)
    fresh: list[StyleSentence] = []
    for one in found_here:
        about_cars = re.search(r"\b(?:cars|vehicles)\b", one.after)
        begins = {" ".join(other.text.split()[:2]) for other in fresh}
        if " ".join(one.text.split()[:2]) in begins or (
            about_cars and any(re.search(r"\b(?:cars|vehicles)\b", o.after) for o in fresh)
        ):
            continue
        fresh.append(one)
    return fresh


def chosen(template: str, draw: random.Random) -> str:
    """The template with one of the alternatives of each (a|b|c)."""
    while match := _CHOICE.search(template):
        template = template[: match.start()] + draw.choice(match[1].split("|")) + template[match.end() :]
    return " ".join(template.split())


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else text + "."


def _freshest(templates: Sequence[str], said: set[str], near: set[str], draw: random.Random) -> str:
    """One of the templates, filled, that repeats few of the words said before."""
    texts = [chosen(text, draw) for text in draw.sample(templates, min(3, len(templates)))]
    return min(texts, key=lambda text: len(_conditions(text) & said) + len(_content(text) & near))


def _content(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]{4,}", text.lower())} - {
        "with",
        "that",
        "from",
        "where",
        "them",
    }


def _conditions(text: str) -> set[str]:
    return {match.group().lower() for _, match in found(text)}


def lead_of(style: Style, first: str, draw: random.Random) -> str:
    """A phrase that sets the scene, such as "on a rainy day"; preferably one with no word of the sentence."""
    said: Sequence[str] = re.findall(r"[a-z]{3,}", first.lower())
    fresh = [lead for lead in style.leads if not (set(said) - {"the"}) & set(re.findall(r"[a-z]{3,}", lead.lower()))]
    return draw.choice(fresh or list(style.leads)) if style.leads else ""
