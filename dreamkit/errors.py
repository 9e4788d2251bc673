"""The exception for a mistake of the user, and the text of other exceptions."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What stands before the message and before the hint where the error is printed.
TITLE, ARROW = "DreamkitError: ", "  -> "
# Messages quote values of files, which may have any length.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MOST_LETTERS, MOST_LINE, MOST_HINT = 8000, 1500, 2000


class DreamkitError(Exception):
    """An error that the user can mend; it is shown without a traceback.

    Args:
        message: what went wrong, a sentence that names the file or value and what was expected.
        hint: what to do next, a sentence.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = printable(cut("\n".join(cut(line, MOST_LINE) for line in message.split("\n")), MOST_LETTERS))
        self.hint = printable(cut(hint, MOST_HINT))
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n{ARROW}{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[DreamkitError], tuple[str, str]]:
        # The default pickles the message alone; an error that comes from a worker process needs its hint too.
        return type(self), (self.message, self.hint)

    def _render_traceback_(self) -> list[str]:
        # IPython prints these lines in place of a traceback. Message and hint are separate entries, so that
        # `from_traceback` can restore the error in another process.
        return [TITLE + self.message, *([ARROW + self.hint] if self.hint else [])]

    @classmethod
    def from_traceback(cls, lines: Sequence[str]) -> DreamkitError | None:
        """The DreamkitError behind a traceback from a kernel; None when another exception was raised.

        Args:
            lines: the entries of the traceback, as the kernel sent them.
        """
        if not lines or not lines[0].startswith(TITLE):
            return None
        return DreamkitError(lines[0].removeprefix(TITLE), lines[1].removeprefix(ARROW) if len(lines) > 1 else "")


class OutOfGpuMemory(DreamkitError):
    """CUDA has no memory left for what a pipeline needs; a preset with less memory may fit."""


class ProcessKilled(DreamkitError):
    """A kernel or worker process was killed, as when the machine runs out of memory; a batch makes another attempt."""


def cut(text: str, most: int) -> str:
    """A text of at most `most` letters; of a longer one the middle is left out, with the number of its letters.

    >>> cut("a" * 90, 60)
    'aaaaaaaaaaaaaaaaa ... (of 90 letters) ... aaaaaaaaaaaaaaaaa'
    """
    if len(text) <= most:
        return text
    note = f" ... (of {len(text)} letters) ... "
    half = max(0, most - len(note)) // 2
    return f"{text[:half]}{note}{text[len(text) - half :]}"


def printable(text: str) -> str:
    """The text with escapes in place of control characters, which a terminal obeys, and of what UTF-8 cannot encode.

    >>> printable("caf\\udce9\\x1b[2J")
    'caf\\\\udce9\\\\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    escaped = "".join(c if c in "\n\t" or not _CONTROL.match(c) else f"\\x{ord(c):02x}" for c in text)
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")


def first_line(error: BaseException) -> str:
    """First line of the error's message without a final full stop; the name of its class where it has no message."""
    return cut((str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". "), 300)
