"""Prompts as plain ASCII text, for the word lists: hidden characters are taken out, accents too."""

from __future__ import annotations

import re
import unicodedata

# Latin letters that Unicode does not decompose into a letter and an accent.
_LATIN = str.maketrans(
    {
        **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"},
        **{"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ł": "l", "Ł": "L", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h"},
        **{"‘": "'", "’": "'", "“": '"', "”": '"'},
    }
)
_INVISIBLE = ("Cf", "Cc", "Mn", "Me", "Co")  # format and control characters, accents, private use


def readable(text: str) -> tuple[str, str]:
    """A text in ASCII, and the letters and digits of it that have no ASCII form, each once.

    Compatibility forms (fullwidth, ligatures, mathematical alphabets) become plain letters; accents, zero-width and
    other invisible characters disappear; white space and signs become spaces.
    """
    spaced = re.sub(r"\s", " ", text)
    letters = [letter for letter in unicodedata.normalize("NFKD", spaced.translate(_LATIN)) if not _is_hidden(letter)]
    plain = unicodedata.normalize("NFKD", "".join(letters).translate(_LATIN))
    foreign = dict.fromkeys(letter for letter in plain if not letter.isascii() and letter.isalnum())
    return re.sub(r"[^\x00-\x7f]+", " ", plain), "".join(foreign)


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in _INVISIBLE or unicodedata.name(letter, "").endswith("FILLER")


def ascii_of(text: str) -> str:
    """A text as upstream's blocklist reads it: every run of other characters is one space."""
    return re.sub(r"[^\x00-\x7f]+", " ", text)
