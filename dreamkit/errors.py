"""The exception for a mistake of the user, and the text of other exceptions."""

from __future__ import annotations


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
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[DreamkitError], tuple[str, str]]:
        # The default pickles the message alone; an error that comes from a worker process needs its hint too.
        return type(self), (self.message, self.hint)

    def _render_traceback_(self) -> list[str]:
        # IPython calls this instead of formatting a traceback.
        return [f"{type(self).__name__}: {self}"]


def first_line(error: BaseException) -> str:
    """First line of the error's message without a final full stop; the name of its class where it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
