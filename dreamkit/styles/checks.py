"""Checks of a rewritten caption, whether rules or a language model wrote it.

The word lists and the way of reading are the checks' own (captions/check_words.yaml): the rules cannot pass by
their own mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dreamkit.captions.camera_sentence import part_camera_sentence
from dreamkit.captions.language import ESTIMATED_TOKENS, T5_TOKENS
from dreamkit.captions.split import sentences
from dreamkit.captions.text_check import lacks_verb, repeated_sentence, text_fault
from dreamkit.captions.word_check import check_words, opposites, said
from dreamkit.styles.found_again import acts_fault, stems_of, users_fault, words_fault
from dreamkit.styles.table import Style, StyleTable, has_word, load_styles

_NIGHT, _WET = frozenset({"night", "dark", "lamps", "dusk"}), frozenset({"wet", "rain gear", "bad weather"})
# What a caption must say of time or weather so that a rewrite may say this where its style sets none.
_TIMES = {
    "night": _NIGHT,
    "dark": _NIGHT,
    "morning": frozenset({"morning", "sun"}),
    "dusk": _NIGHT | {"day", "sun"},
}
_WEATHERS = {weather: _WET | {weather} for weather in ("rain", "snow", "fog")}


@dataclass(frozen=True)
class RewriteCheck:
    """Results of the checks of one rewrite.

    Attributes:
        checks: name of the check -> passed.
        reasons: one sentence for each failed check, worded so that a language model can correct it.
        tokens: number of T5 tokens, counted or estimated.
    """

    checks: dict[str, bool]
    reasons: tuple[str, ...]
    tokens: int

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not self.reasons


def check_rewrite(
    original: str,
    rewrite: str,
    style: Style,
    count_tokens: Callable[[str], int] = ESTIMATED_TOKENS,
    table: StyleTable | None = None,
    strict: bool = False,
    recolour: bool = False,
) -> RewriteCheck:
    """Check a rewrite against its caption and style.

    Args:
        original: the caption, in English.
        rewrite: the rewritten caption.
        style: the style that it was rewritten for.
        count_tokens: text -> number of T5 tokens.
        table: the styles, whose sentences may be used; the built-in ones when None.
        strict: every word that is not about time, weather or light must stay as it is, as the rules leave it.
        recolour: vehicles may have other colours.
    """
    camera, before = part_camera_sentence(original)
    after = rewrite.strip().removeprefix(camera).strip()
    words = stems_of(_style_texts(style, table or load_styles()))
    tokens = count_tokens(rewrite)
    camera_moved = camera and (not rewrite.strip().startswith(camera) or camera in after)
    problems: dict[str, str | None] = {
        "road users": users_fault(before, after, recolour),
        "manoeuvres": acts_fault(before, after),
        "style words": None if has_word(style, after) else f"it uses none of the words {', '.join(style.words)}",
        "no contradiction": _contradiction(before, after, style),
        "length": f"it has {tokens} tokens; {T5_TOKENS} is the most" if tokens > T5_TOKENS else None,
        "plain English": _broken_sentence(before, after),
        "same details": None if recolour else words_fault(before, after, words, strict),
        "camera": f"it must begin with {camera!r}, once" if camera_moved else None,
    }
    return RewriteCheck(
        {name: problem is None for name, problem in problems.items()},
        tuple(problem[0].upper() + problem[1:] + "." for problem in problems.values() if problem),
        tokens,
    )


def _contradiction(before: str, after: str, style: Style) -> str | None:
    """What the rewrite says against its style, or about a time or weather that neither style nor caption has."""
    names = check_words()
    forbidden = {*names["not_at"].get(style.time, ()), *names["not_in"].get(style.weather, ())}
    own = {family for text in (*style.words, *style.leads, style.noun) for family, _, _, _ in said(f"{text}.")}
    source = {family for sentence in sentences(before) for family, _, denied, _ in said(sentence) if not denied}
    unset = {**({} if style.time else _TIMES), **({} if style.weather else _WEATHERS)}
    if (style.time == "morning" and source & {"rain", "fog", "snow", "wet"}) or re.search(
        r"(?i)\b(?:tunnel|garage|underpass)\b", before
    ):
        forbidden.discard("lamps")
    for family, words, denied, _ in (one for sentence in sentences(after) for one in said(sentence)):
        if denied and family in own - {"shadow"} and style.changes_state:
            return f"it denies {words.lower()!r}, which the style has"
        if denied or family in own:
            continue
        if family in forbidden:
            return f"it still says {words.lower()!r}"
        if family in unset and not unset[family] & source:
            return f"it says {words.lower()!r}, but the caption has another time of day or other weather"
    if style.changes_state and (pairs := [pair for pair in opposites(after) if pair not in opposites(before)]):
        return f"it says {pairs[0]}, which cannot be true together"
    return None


def _broken_sentence(before: str, after: str) -> str | None:
    """A fault of the text, or a sentence of the rewrite that cannot stand by itself."""
    if fault := text_fault(after):
        return f"it {fault}" if not text_fault(before) or "garbled" not in fault else None
    if (twice := repeated_sentence(after)) and not repeated_sentence(before):
        return f"it says twice: {twice[:60]!r}"
    own = set(sentences(before))
    for sentence in sentences(after):
        if any(one[1:-1] in sentence for one in own):
            continue
        if sentence[0].islower():
            return f"a sentence begins in the middle: {sentence[:40]!r}"
        if lacks_verb(sentence) and not any(map(lacks_verb, own)):
            return f"a sentence has no verb: {sentence[:60]!r}"
    return None


def _style_texts(style: Style, table: StyleTable) -> list[str]:
    """Every text that the style may use."""
    texts = [*style.words, *style.leads, style.adjective, style.noun, style.request, *style.sentences]
    for key, scene in table.scenes.items():
        time, _, weather = key.partition(" ")
        if time == style.time or weather == style.weather or not (style.time and style.weather):
            lists = [*scene.details, scene.sky, scene.light, scene.surface, *scene.objects.values()]
            texts += [*(text for one in lists for text in one), *scene.extras.values(), scene.clause]
    return [*texts, "evening morning day"]
