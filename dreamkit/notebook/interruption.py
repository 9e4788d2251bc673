"""What a notebook shows when its cell is interrupted: one sentence on what is kept and how to go on."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from dreamkit.errors import ARROW, DreamkitError
from dreamkit.notebook.progress import in_kernel

KERNEL_LINE = (
    "[__import__('logging').getLogger(name).addFilter(lambda record: not ("
    "'KeyboardInterrupt caught in kernel' in record.getMessage()"
    " or record.exc_info and type(record.exc_info[1]).__name__ == 'ZMQError'))"
    " for name in ('IPKernelApp', 'tornado.general')]"
)
"""A line for a kernel's start, which leaves records of its end out of its log.

jupyter_client interrupts every kernel before it shuts it down, which ipykernel logs as an error where the last message
is not quite done; and a kernel that is shut down in the middle of a cell, or while a thread still prints, finds its
sockets closed.
"""


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


def on_idle_interrupt(action: Callable[[], None]) -> bool:
    """Call a function when the kernel is interrupted while no cell runs, where the signal is otherwise ignored.

    Must be called while a cell runs: ipykernel puts `saved_sigint_handler` back when the cell ends.

    Args:
        action: the function; one given earlier is replaced.

    Returns:
        Whether the kernel takes it: False outside of a kernel, and in one without that attribute.
    """
    kernel = getattr(sys.modules["IPython"].get_ipython(), "kernel", None) if in_kernel() else None
    if kernel is None or not hasattr(kernel, "saved_sigint_handler"):
        return False
    kernel.saved_sigint_handler = lambda *_: action()
    return True
