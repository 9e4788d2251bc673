"""Log lines of a run, in a file and in the cell or terminal; whether progress is a bar or lines; times as text."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from dreamkit.errors import printable
from dreamkit.workspace.partials import NO_LINKS

PACKAGE = "dreamkit"
MODE = "DREAMKIT_PROGRESS"
"""Environment variable: "lines" prints a line per step, "bar" draws a bar; unset: a bar in a notebook or terminal."""


def wants_bar() -> bool:
    """Whether progress is drawn as a bar: in a notebook's kernel or a terminal, unless MODE is set."""
    if mode := os.environ.get(MODE):
        return mode == "bar"
    return in_kernel() or sys.stderr.isatty()


def in_kernel() -> bool:
    """Whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def interactive() -> bool:
    """Whether a person sits before this kernel: a notebook that is not run headless. Only then widgets work."""
    return in_kernel() and wants_bar()


class _Console(logging.Handler):
    """Prints to the current `sys.stdout`, which a notebook or a test may have replaced since the start."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record; a record of a single step only where there is no bar."""
        if getattr(record, "step", False) and wants_bar():
            return
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or its file's disk is full
            print(printable(prefix + record.getMessage()), flush=True)


class _LogFile(logging.FileHandler):
    """Appends to the log file; where that fails, as on a full disk, one warning is printed and the run goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._failed = False

    def _open(self) -> TextIO:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_LINKS, 0o666)
        return os.fdopen(handle, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:
        """Print the first failure."""
        if not self._failed:
            self._failed = True
            error = sys.exc_info()[1]
            reason = getattr(error, "strerror", None) or error
            print(f"warning: the log {self.baseFilename} is not complete: {reason}", file=sys.stderr)

    def close(self) -> None:
        """Close the file, also where its last lines cannot be written."""
        try:
            super().close()
        except OSError:
            self.handleError(logging.makeLogRecord({}))


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Print what the package logs, and append it with times to a file.

    A file that cannot be written is one warning; the run goes on without it.

    Args:
        path: the log file.
    """
    logger = logging.getLogger(PACKAGE)
    handlers: list[logging.Handler] = [_Console()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(path))
        handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    except OSError as error:
        print(f"warning: no log file: {error}", file=sys.stderr)
    before = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:30 or 3:02:11.

    >>> clock(3723)
    '1:02:03'
    """
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural for all but one.

    >>> counted(1, "clip"), counted(3, "clip")
    ('1 clip', '3 clips')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def shortened(label: str, most: int = 22) -> str:
    """A name of at most `most` letters, the middle of a longer one left out, so that a bar has room beside it.

    >>> shortened("2d23a1f4-c269-46aa-8e7d-1bb595d1e421_Golden hour", 21)
    '2d23a1f4-c…olden hour'
    """
    half = (most - 1) // 2
    return label if len(label) <= most else f"{label[:half]}…{label[-half:]}"
