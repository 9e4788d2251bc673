"""Whether a text is English, and how many tokens it has for the text encoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from dreamkit.errors import DreamkitError

# The text encoder reads this many tokens and drops the rest.
T5_TOKENS = 512


COMMON_WORDS = frozenset(
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
    if len(words) > 8 and sum(word.lower() in COMMON_WORDS for word in words) < 0.1 * len(words):
        return "does not read as English"
    return None
