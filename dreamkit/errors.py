"""The exception for a mistake of the user, and the text of other exceptions."""

from __future__ import annotations

from collections.abc import Sequence

# What stands before the message and before the hint where the error is printed.
TITLE, ARROW = "DreamkitError: ", "  -> "


class DreamkitError(Exception):
    """An error that the user can mend; it is shown without a traceback.

    Args:
        message: what went wrong, a sentence that names the file or value and what was expected.
        hint: what to do next, a sentence.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

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


def first_line(error: BaseException) -> str:
    """First line of the error's message without a final full stop; the name of its class where it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
