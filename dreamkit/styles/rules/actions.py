"""What road users do in weather or darkness, told without the weather: "navigating the road", "emerges"."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from dreamkit.captions.lexicon import alternatives, users_pattern

# "emerges from the fog", "looms out of the dark", "disappears into the mist".
_MOVES_OUT = re.compile(
    r"(?i)\b(?P<verb>(?:(?P<gone>disappear|vanish|fad)|emerg|appear|loom|com|driv|mov|rid|walk|head|travel|"
    r"roll|creep|turn|step)"
    r"(?:e?(?P<s>s|ing|)))(?: out)?\s*$"
)
# "the outlines of three buses can be made out": the buses are seen.
_SHAPES = re.compile(
    r"(?i)(?:(?:only|just) )?(?:the |an? )?(?:\w+ )?(?:outlines?|silhouettes?|shapes?|reflections?|forms?|"
    r"\w*lights|shadows?) of "
    r"(?P<what>[^,.;]*?) (?:can|could|is|are) (?:\w+ )?(?:be )?(?:\w+ )?(?:visible|seen|made out|discernible)\b"
)
_FAINTLY = re.compile(
    r"(?i)\b(?:barely|hardly|scarcely|faintly|dimly|only just) (?=(?:be )?(?:visible|seen|discernible|made out))"
)


@lru_cache(maxsize=1)
def _copes() -> re.Pattern[str]:
    """A road user's way through weather: "navigating through the wet conditions"."""
    return re.compile(
        r"(?i)\b(?P<verb>(?:navigat|negotiat)(?:e|es|ed|ing))(?: (?:through|in|along|on))?"
        rf"(?P<noun> (?:[\w-]+,? ){{0,4}}?(?:{alternatives('clauses', 'heads')}))(?=[.,;]|$| (?:and|while|as|with)\b)"
    )


def plain_actions(text: str, unwanted: Callable[[str], object]) -> str:
    """The text with plain actions and views for those that a contradiction is part of.

    Args:
        text: a part of a sentence.
        unwanted: text -> its words that contradict the style, false for none.
    """
    if (copes := _copes().search(text)) and unwanted(copes["noun"]):
        text = f"{text[: copes.end('verb')]} the road{text[copes.end() :]}"
    return _FAINTLY.sub("", _SHAPES.sub(_seen_itself, text)) if unwanted(text) else text


def without_origin(before: str, preposition: str) -> str:
    """What stands before a phrase such as "from the fog", if a road user moves out of it or into it; "" otherwise."""
    moves = _MOVES_OUT.search(before)
    if preposition not in ("of", "from", "into") or not moves or not users_pattern().search(before):
        return ""
    away = {"": "move away", "s": "moves away"}.get(moves["s"], "moving away")
    return before[: moves.start()] + (away if moves["gone"] else moves["verb"])


def _seen_itself(match: re.Match[str]) -> str:
    what = match["what"] if users_pattern().search(match["what"]) else ""
    return f"{what} can be seen" if what else match.group()
