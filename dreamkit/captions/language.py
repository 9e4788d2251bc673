"""Checks of a text's language, and its number of tokens for the T5 text encoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dreamkit.captions.lexicon import word_set
from dreamkit.errors import DreamkitError

# The T5 text encoder reads this many tokens of a caption and drops the rest.
T5_TOKENS = 512
COMMON_WORDS = word_set(
    "the a an and or of in on at to is are was were it its with as by for from that this there be has have not while "
    "where which their them two one some several into through along under over no other his her but up down"
)


@dataclass(frozen=True)
class TokenCounter:
    """Counts the T5 tokens of a text when called with it.

    Attributes:
        count: text -> number of tokens.
        exact: True when the text encoder's tokenizer counts, False for an estimate.
    """

    count: Callable[[str], int]
    exact: bool

    def __call__(self, text: str) -> int:
        """The number of tokens of a text."""
        return self.count(text)


def _estimated_tokens(text: str) -> int:
    """Four tokens for three words, one for each punctuation mark, and the end token."""
    words, marks = len(re.findall(r"[^\W_]+", text)), len(re.findall(r"[^\w\s]", text))
    return -(-4 * words // 3) + marks + 1


ESTIMATED_TOKENS = TokenCounter(_estimated_tokens, exact=False)


def token_counter(tokenizer: Path | None) -> TokenCounter:
    """A counter with the tokenizer in this folder (google-t5/t5-11b); the estimate when None.

    Raises:
        DreamkitError: the folder has no tokenizer that can be loaded.
    """
    if tokenizer is None:
        return ESTIMATED_TOKENS
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DreamkitError(
            f"The folder {tokenizer} has no readable T5 tokenizer: {str(error).splitlines()[0].rstrip('.')}.",
            "Leave the tokenizer out to have tokens estimated.",
        ) from None
    return TokenCounter(lambda text: len(loaded(text).input_ids), exact=True)


def is_english(text: str) -> bool:
    """Whether more than 90 % of the letters are Latin."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < "\u0250" for letter in letters) > 0.9 * len(letters)


def language_problem(text: str) -> str | None:
    """Why a caption is not English, as the end of a sentence about it ("is written in Chinese"); None when it is."""
    words = re.findall(r"[^\W\d_]+", text)
    if not is_english(text):
        chinese = any("\u4e00" <= letter <= "\u9fff" for letter in text)
        return "is written in Chinese" if chinese else "is not written in English"
    if len(words) > 8 and sum(word.lower() in COMMON_WORDS for word in words) < 0.1 * len(words):
        return "does not read as English"
    return None
