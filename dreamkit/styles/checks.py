"""What every rewrite must pass, whoever wrote it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dreamkit.captions.conditions import contradictions, read_state
from dreamkit.errors import DreamkitError
from dreamkit.styles.rules.scene import is_motor, manoeuvres, road_users
from dreamkit.styles.table import Style

# The text encoder reads this many tokens and drops the rest.
T5_TOKENS = 512
_COMMON = frozenset(
    [
        "the",
        "a",
        "an",
        "and",
        "or",
        "of",
        "in",
        "on",
        "at",
        "to",
        "is",
        "are",
        "was",
        "were",
        "it",
        "its",
        "with",
        "as",
        "by",
        "for",
        "from",
        "that",
        "this",
        "there",
        "be",
        "has",
        "have",
        "not",
        "while",
        "where",
        "which",
        "their",
        "them",
        "two",
        "one",
        "some",
        "several",
        "into",
        "through",
        "along",
        "under",
        "over",
        "no",
        "other",
        "his",
        "her",
        "but",
        "up",
        "down",
    ]
)
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
class Verdict:
    """What the checks say of one rewrite.

    Attributes:
        checks: check -> passed.
        reasons: one sentence for each check that failed, as a model can be told it.
        tokens: T5 tokens, or the estimate where no tokenizer was given.
    """

    checks: dict[str, bool]
    reasons: tuple[str, ...]
    tokens: int

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not self.reasons


def estimated_tokens(text: str) -> int:
    """An estimate of T5 tokens without its tokenizer: four for three words, one per punctuation mark, and the end."""
    words, marks = len(re.findall(r"[^\W_]+", text)), len(re.findall(r"[^\w\s]", text))
    return -(-4 * words // 3) + marks + 1


def token_counter(tokenizer: Path | None) -> Callable[[str], int]:
    """Counts T5 tokens with the tokenizer in this folder (google-t5/t5-11b), or estimates without one.

    Raises:
        DreamkitError: the folder holds no tokenizer.
    """
    if tokenizer is None:
        return estimated_tokens
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    except (OSError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise DreamkitError(
            f"{tokenizer} holds no readable T5 tokenizer: {line}", "Leave it out to estimate."
        ) from None
    return lambda text: len(loaded(text).input_ids)


def is_english(text: str) -> bool:
    """Whether the letters are Latin ones; the rules know no other language and the text encoder hardly any."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < "\u0250" for letter in letters) > 0.9 * len(letters)


def language_problem(text: str) -> str | None:
    """What makes a caption one that the rules cannot read: another script, or hardly an English word in it."""
    words = re.findall(r"[^\W\d_]+", text)
    if not is_english(text):
        chinese = any("\u4e00" <= letter <= "\u9fff" for letter in text)
        return "is written in Chinese" if chinese else "is not written in English"
    if len(words) > 8 and sum(word.lower() in _COMMON for word in words) < 0.1 * len(words):
        return "does not read as English"
    return None


def plain_english(text: str) -> str | None:
    """What makes the text no plain English, or None: other scripts, mark-up, chatter, doubled words, letter salad."""
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
        share = sum(word.lower() in _COMMON for word in words) / len(words)
        if not 0.12 <= share <= 0.75:
            return "its words do not form English sentences"
        threes = Counter(zip(words, words[1:], words[2:], strict=False))
        if threes.most_common(1)[0][1] > 4:
            return "it repeats itself"
    return None


def check_rewrite(
    original: str, rewrite: str, style: Style, count_tokens: Callable[[str], int] = estimated_tokens
) -> Verdict:
    """Check one rewrite against its caption and style.

    Args:
        original: the caption, English.
        rewrite: the same scene in the style.
        style: the style.
        count_tokens: T5 tokens of a text.
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
    return Verdict(
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
    """Same kinds; per kind the same numbers. Further vague mentions of known kinds are no new road users."""
    before, after = _counts(road_users(original)), _counts(road_users(rewrite))
    motor = any(map(is_motor, before))
    for kind in before.keys() - after.keys():
        vague = kind == "vehicle" and set(before[kind]) <= {"the", "many"}
        # "The vehicle" alone is the one that carries the camera.
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
