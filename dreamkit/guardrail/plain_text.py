"""Prompts as plain ASCII text, for the word lists: hidden characters are taken out, accents too."""

from __future__ import annotations

import re
import unicodedata

# Latin letters that Unicode does not decompose into a letter and an accent.
_LATIN = str.maketrans(
    {
        **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"},
        **{"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ł": "l", "Ł": "L", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h"},
        # Letters that flags are made of, and tags, which are letters that are not shown.
        **{chr(0x1F1E6 + index): letter for index, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")},
        **{chr(0xE0000 + code): chr(code) for code in range(0x20, 0x7F)},
        **{"‘": "'", "’": "'", "“": '"', "”": '"'},
    }
)
_SPELLED = r"(?<!\w)\w(?:[\W_]+\w(?!\w)){2,}"  # three or more single letters with signs or gaps between them
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


def spellings(text: str) -> list[str]:
    """Other ways to read a prompt that has signs or gaps inside words or listed phrases, in ASCII.

    Every gap is one space; pictures are left out, or all signs between letters are gaps; single letters with anything
    between them are one word, also without an "a" or "I" in front of it.
    """
    plain = readable(text)[0]
    without = "".join(letter for letter in text.translate(_LATIN) if unicodedata.category(letter) != "So")
    spaced = re.sub(r"(?<=\w)[^\w\s']+(?=\w)|_+", " ", readable(re.sub(r"[\x00-\x1f\x7f]", " ", text))[0])
    alone = re.sub(rf"(?<!\w)[aAiI]\W+(?={_SPELLED})", "", plain)
    spelled = [re.sub(_SPELLED, lambda run: re.sub(r"[\W_]", "", run[0]), form) for form in (plain, alone)]
    return [" ".join(form.split()) for form in (plain, readable(without)[0], spaced, *spelled)]
