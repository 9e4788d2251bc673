"""Checks of a rewritten caption, whether rules or a language model wrote it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dreamkit.captions.conditions import contradictions, read_state
from dreamkit.captions.language import COMMON_WORDS, ESTIMATED_TOKENS, T5_TOKENS, is_english
from dreamkit.styles.rules.scene import is_motor, manoeuvres, road_users
from dreamkit.styles.table import Style

_CHATTER = re.compile(
    r"(?i)</?think>|```|^\s*[*#\-{\[]|\*\*|\b(?:here is|here's|sure[,!]|new caption|rewritten caption|rewrite type|"
    r"as an ai|"
    r"i (?:have|changed|rewrote)|note:|json)\b|\\[nu\"]"
)
_GARBLED = re.compile(
    r"(?i)\b(\w+)\s+\1\b(?<!had had)(?<!that that)|\s[,.;]|,\s*[.;]|\.\."
    r"|\b(?:a|an|the|and|with|of|to)\s*[.,;]"
)


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


def plain_english(text: str) -> str | None:
    """Why a text is not plain English (other script, mark-up, chatter, doubled words); None when it is."""
    words = re.findall(r"[A-Za-z'’-]+", text)
    if not is_english(text):
        return "it is not written in English"
    if chatter := _CHATTER.search(text):
        return f"it holds {chatter.group().strip()!r}, which is no part of a description"
    if garbled := _GARBLED.search(text):
        return f"it is garbled at {garbled.group().strip()!r}"
    if "\n" in text:
        return "it has more than one line"
    if not re.search(r"[.!?][\"”']?$", text.strip()):
        return "it does not end with a full stop"
    if len(words) > 8:
        share = sum(word.lower() in COMMON_WORDS for word in words) / len(words)
        if not 0.12 <= share <= 0.75:
            return "its words do not form English sentences"
        threes = Counter(zip(words, words[1:], words[2:], strict=False))
        if threes.most_common(1)[0][1] > 4:
            return "it repeats itself"
    return None


def check_rewrite(
    original: str, rewrite: str, style: Style, count_tokens: Callable[[str], int] = ESTIMATED_TOKENS
) -> RewriteCheck:
    """Check a rewrite against its caption and style.

    Args:
        original: the caption, in English.
        rewrite: the rewritten caption.
        style: the style that it was rewritten for.
        count_tokens: text -> number of T5 tokens.
    """
    problems: dict[str, str | None] = {
        "road users": _users_problem(original, rewrite),
        "manoeuvres": _manoeuvres_problem(original, rewrite),
        "style words": None,
        "no contradiction": None,
        "length": None,
        "plain English": plain_english(rewrite),
    }
    if not any(re.search(rf"(?i)\b{re.escape(word)}\b", rewrite) for word in style.words):
        problems["style words"] = f"it uses none of the words {', '.join(style.words)}"
    time, weather = style.target(*read_state(original))
    wrong = list(dict.fromkeys(word.lower() for word in contradictions(rewrite, time, weather)))
    if wrong:
        problems["no contradiction"] = f"it still says {', '.join(repr(word) for word in wrong)}"
    tokens = count_tokens(rewrite)
    if tokens > T5_TOKENS:
        problems["length"] = f"it has {tokens} tokens; {T5_TOKENS} is the most"
    return RewriteCheck(
        {name: problem is None for name, problem in problems.items()},
        tuple(problem[0].upper() + problem[1:] + "." for problem in problems.values() if problem),
        tokens,
    )


def _counts(users: tuple[tuple[str, str], ...]) -> dict[str, Counter[str]]:
    kinds: dict[str, Counter[str]] = {}
    for kind, count in users:
        kinds.setdefault(kind, Counter())[count] += 1
    return kinds


def _users_problem(original: str, rewrite: str) -> str | None:
    """Kinds or numbers of road users that differ; further vague mentions ("some cars") of a kind are allowed."""
    before, after = _counts(road_users(original)), _counts(road_users(rewrite))
    motor = any(map(is_motor, before))
    for kind in before.keys() - after.keys():
        vague = kind == "vehicle" and set(before[kind]) <= {"the", "many"}
        # "The vehicle" alone is the ego vehicle.
        if vague and (set(before[kind]) == {"the"} or any(map(is_motor, after))):
            continue
        return f"the {kind} of the caption is missing"
    for kind in after.keys() - before.keys():
        if kind == "vehicle" and motor and not any(count.isdigit() for count in after[kind]):
            continue
        return f"the caption has no {kind}"
    for kind, counts in after.items():
        if kind not in before:
            continue
        for count in {*counts, *before[kind]}:
            if count.isdigit() and counts[count] != before[kind][count]:
                return f"the number of {kind} mentions differs ({count})"
    return None


def _manoeuvres_problem(original: str, rewrite: str) -> str | None:
    before, after = manoeuvres(original), manoeuvres(rewrite)
    if lost := sorted(before - after):
        return f"it no longer says that somebody does this: {', '.join(lost)}"
    if new := sorted(after - before):
        return f"it adds what nobody does: {', '.join(new)}"
    return None
