"""Progress in bytes: a bar in a notebook or terminal, else a log line every 15 seconds."""

from __future__ import annotations

import logging
import time
from typing import Any

from dreamkit.notebook.progress import clock, wants_bar

log = logging.getLogger(__name__)
LINE_SECONDS = 15.0
"""Time between two log lines."""
LEAST_BYTES = 2**28
"""Size below which no progress is shown, because reading or fetching takes too little time."""


def amount(size: float) -> str:
    """A number of bytes in a readable unit.

    >>> amount(1_400_000_000)
    '1.4 GB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the loop returns at its last unit")


class Meter:
    """Counts bytes and shows the progress.

    Args:
        label: what is done with the bytes, for the bar or the log line.
        total: number of bytes expected.
    """

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done = label, total, 0
        self._began = self._logged = time.monotonic()
        self._first: int | None = None
        self._bar: Any = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def add_total(self, size: int) -> None:
        """Increase the total."""
        self.total += size

    def add(self, size: int) -> None:
        """Add bytes."""
        self.set_done(self.done + size)

    def set_done(self, done: int) -> None:
        """Set the number of bytes done."""
        if self._first is None:
            self._first = done  # bytes of an earlier run do not count for the speed
        self.done = done
        if self.total < LEAST_BYTES:
            return
        if wants_bar():
            self._draw()
        elif time.monotonic() - self._logged > LINE_SECONDS:
            self._logged = time.monotonic()
            log.info("%s: %s", self.label, self.summary())

    def summary(self) -> str:
        """Bytes done and in all, speed and time left, as text."""
        seconds = max(1e-9, time.monotonic() - self._began)
        speed = max(0, self.done - (self._first or 0)) / seconds
        left = f", {clock((self.total - self.done) / speed)} left" if speed else ""
        return f"{amount(self.done)} of {amount(self.total)}, {amount(speed)}/s{left}"

    def _draw(self) -> None:
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self.total, desc=self.label, unit="B", unit_scale=True)
        self._bar.total = self.total
        self._bar.update(self.done - self._bar.n)
