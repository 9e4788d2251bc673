"""What a notebook shows when its cell is interrupted: one sentence on what is kept and how to go on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from dreamkit.errors import ARROW, DreamkitError
from dreamkit.notebook.progress import in_kernel


class Interrupted(DreamkitError):
    """A cell that was interrupted, by the button ■ or by SIGINT."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted. {self.message}", f"{ARROW}{self.hint}"]


@contextlib.contextmanager
def interruptible(kept: Callable[[], str]) -> Iterator[None]:
    """In a notebook's kernel, raise `Interrupted` in place of KeyboardInterrupt; elsewhere that stays as it is.

    Args:
        kept: returns a sentence on what is kept, called when the block is interrupted.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not in_kernel():
            raise
        raise Interrupted(kept(), "Run this cell again to go on from there.") from None
