"""The word lists: better-profanity finds blocked words in a prompt and in its lemmas, then whole words are compared.

Rules: cosmos-transfer1 auxiliary/guardrail/blocklist. The folder `custom` has words and phrases that better-profanity
finds, also with digits or signs for letters; `whitelist` has words that are allowed although it finds them;
`exact_match` has words and phrases that are compared as a whole, from six letters also by similarity. What differs
from upstream is in the README and in tests/guardrail/test_blocklist.py.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from dreamkit.errors import DreamkitError, first_line
from dreamkit.guardrail.choice import BLOCKLIST
from dreamkit.guardrail.model_files import DOWNLOAD, WORD_LISTS, check_files, need_libraries, word_list_folder
from dreamkit.guardrail.plain_text import ascii_of, readable, spellings
from dreamkit.guardrail.verdicts import FAILED, SAFE, UNSAFE, CheckVerdict

SIMILAR_FROM, LETTERS_OFF = 6, 0.4  # upstream's partial match: shortest entry, and letters that may differ
MARK = "\x7f"  # stands for a letter of a blocked word in better-profanity's answer
NEUTRAL = "qqqq"  # stands for an allowed word


def read_words(folder: Path) -> list[str]:
    """The lines of all files in a folder, lower case, without empty ones and repetitions.

    Raises:
        DreamkitError: a file cannot be read.
    """
    lines: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.is_file():
            try:
                lines += path.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise DreamkitError(f"The word list {path} cannot be read: {first_line(error)}.", DOWNLOAD) from error
    words = (re.sub(r"\s+", " ", line).strip().lower() for line in lines)
    return list(dict.fromkeys(word for word in words if word))


class WordLists:
    """The three lists, and the search for their entries.

    Args:
        blocked: entries that better-profanity finds in any spelling it has.
        allowed: single words that are allowed where they are found alone.
        exact: entries that are compared as a whole.
    """

    def __init__(self, blocked: Sequence[str], allowed: Sequence[str], exact: Sequence[str]) -> None:
        from better_profanity.better_profanity import Profanity  # pyright: ignore[reportMissingImports]

        self.allowed, self.exact = frozenset(allowed), list(exact)
        self._finder = Profanity([])
        self._finder.load_censor_words(custom_words=list(blocked), whitelist_words=list(allowed))

    def find(self, text: str) -> str | None:
        """What better-profanity finds in a text, as the text with the found words marked by ****; None for nothing."""
        if not self._censored(text):
            return None
        # Words that are allowed are taken out; they are found alone, so an entry of several words is not hidden.
        words = [NEUTRAL if self._is_allowed(word) else word for word in text.split()]
        found = self._censored(" ".join(words))
        return None if found is None else found.replace(MARK, "*")

    def _is_allowed(self, word: str) -> bool:
        bare = word.strip(string.punctuation).lower()
        return bare in self.allowed and self._censored(f"{word} ") is not None

    def _censored(self, text: str) -> str | None:
        # The space at the end: better-profanity misses a last word of a single letter.
        found = self._finder.censor(f"{text}  {NEUTRAL}", MARK)
        return found.removesuffix(NEUTRAL).strip() if MARK in found else None

    def compare(self, text: str) -> str | None:
        """The first entry of `exact` that is in a text as a whole word or phrase, or similar enough; else None."""
        plain = re.sub(r"\s+", " ", text).strip().lower()
        words = plain.split()
        for entry in self.exact:
            if re.search(rf"\b{re.escape(entry)}\b", plain):
                return entry
            if len(entry) >= SIMILAR_FROM and _is_similar(words, entry):
                return entry
        return None


def _is_similar(words: Sequence[str], entry: str) -> bool:
    """Whether as many neighbouring words as the entry has are as similar to it as LETTERS_OFF allows."""
    count, needed = len(entry.split()), (len(entry) - LETTERS_OFF) / len(entry)
    matcher = SequenceMatcher(b=entry)
    for start in range(len(words) - count + 1):
        part = " ".join(words[start : start + count])
        # Twice the shorter length by both: no ratio is above it, and most words are left out by it.
        if 2 * min(len(part), len(entry)) / (len(part) + len(entry)) < needed:
            continue
        matcher.set_seq1(part)
        if matcher.ratio() >= needed:
            return True
    return False


def load_lemmatizer(nltk_data: Path) -> Callable[[str], str]:
    """A function that returns a text's tokens as lemmas (nouns), joined by spaces; with NLTK's data in a folder.

    NLTK keeps what it has read for the life of the process, so the first folder counts.

    Raises:
        DreamkitError: NLTK's data are missing or damaged. NLTK reads no files that are links.
    """
    try:
        import nltk  # pyright: ignore[reportMissingImports]

        before = list(nltk.data.path)
        nltk.data.path.insert(0, str(nltk_data))
        lemmatize = nltk.WordNetLemmatizer().lemmatize
        try:
            lemmatize(nltk.word_tokenize("Roads.")[0])  # NLTK reads its files at the first call
        finally:
            nltk.data.path[:] = before
    except Exception as error:  # NLTK raises many types here
        fault = next((line.strip() for line in str(error).splitlines() if line.strip(" *")), type(error).__name__)
        raise DreamkitError(f"NLTK's data in {nltk_data} cannot be used: {fault}", DOWNLOAD) from error

    lemma = functools.lru_cache(maxsize=4096)(lemmatize)
    return lambda text: " ".join(lemma(token) for token in nltk.word_tokenize(text))


class BlocklistCheck:
    """The check `blocklist`.

    Args:
        lists: the word lists.
        lemmas: returns a text with its words as lemmas.
    """

    name = BLOCKLIST

    def __init__(self, lists: WordLists, lemmas: Callable[[str], str]) -> None:
        self.lists, self.lemmas = lists, lemmas

    @classmethod
    def load(cls, root: Path) -> BlocklistCheck:
        """The check with the word lists of the checkpoint folder `root`.

        Raises:
            DreamkitError: a library, a list or NLTK's data are missing or cannot be read.
        """
        need_libraries(BLOCKLIST)
        check_files(BLOCKLIST, root)
        folder = word_list_folder(root)
        blocked, exact, allowed = (read_words(folder / name) for name in WORD_LISTS)
        if not blocked or not exact:
            raise DreamkitError(f"The word lists in {folder} are empty.", DOWNLOAD)
        return cls(WordLists(blocked, allowed, exact), load_lemmatizer(folder / "nltk_data"))

    def read(self, texts: Sequence[str]) -> list[CheckVerdict]:
        """See `PromptCheck`. Words in other scripts than Latin cannot be read and block."""
        return [self._read(text) for text in texts]

    def _read(self, text: str) -> CheckVerdict:
        if not text.strip():
            return CheckVerdict(BLOCKLIST, UNSAFE, "the prompt is empty")
        plain, foreign = readable(text)
        # As upstream reads it, and without what hides letters or cuts words and phrases.
        for form in dict.fromkeys([ascii_of(text), plain, *spellings(text)]):
            for part in (form, self.lemmas(form)):
                if marked := self.lists.find(part):
                    return CheckVerdict(
                        BLOCKLIST, UNSAFE, f"it has a blocked word: {_around(marked)}", {"rule": "blocked"}
                    )
            if entry := self.lists.compare(form):
                return CheckVerdict(BLOCKLIST, UNSAFE, f"it has the blocked entry {entry!r}", {"rule": "exact match"})
        if foreign:
            reason = f"the word lists are English, and it has the letters {foreign[:12]}; translate it"
            return CheckVerdict(BLOCKLIST, FAILED, reason, {"rule": "not readable"})
        if not plain.strip():
            return CheckVerdict(BLOCKLIST, UNSAFE, "the prompt has no letters", {"rule": "not readable"})
        return CheckVerdict(BLOCKLIST, SAFE)

    def release(self) -> None:
        """Nothing: the lists are small."""


def _around(marked: str, letters: int = 30) -> str:
    """The first marked word with some letters on both sides, in quotes."""
    at = marked.index("*")
    return repr(marked[max(0, at - letters) : at + letters].strip())
