"""The one exception a user should ever meet."""

from __future__ import annotations


class DreamkitError(Exception):
    """A mistake that the user can mend.

    Args:
        message: what went wrong, naming the file or the value and what was expected.
        hint: what to do next, as one sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[DreamkitError], tuple[str, str]]:
        # The default pickles args only; worker processes must not lose the hint.
        return type(self), (self.message, self.hint)

    def _render_traceback_(self) -> list[str]:
        # What IPython prints for it: a notebook shows the message, no stack.
        return [f"{type(self).__name__}: {self}"]
