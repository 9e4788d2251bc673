"""The word lists of lexicon.yaml, and regular expressions made from them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

LEXICON = Path(__file__).with_name("lexicon.yaml")


@lru_cache(maxsize=1)
def lexicon() -> dict[str, Any]:
    """The whole table; see lexicon.yaml."""
    return yaml.safe_load(LEXICON.read_text(encoding="utf-8"))


def word_set(words: str) -> frozenset[str]:
    """The words of a space-separated list."""
    return frozenset(words.split())


def alternatives(*path: str) -> str:
    """The entries below these keys as one alternation `a|b|c`, without parentheses."""
    node: Any = lexicon()
    for key in path:
        node = node[key]
    return "|".join(node)


def whole_words(alternation: str, after: str = "") -> re.Pattern[str]:
    """A pattern that matches the alternatives as whole words in any letter case, followed by the pattern `after`."""
    return re.compile(rf"\b(?:{alternation})\b{after}", re.IGNORECASE)
