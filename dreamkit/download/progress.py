"""How far reading or fetching files has come: a bar where a person watches, a line now and then in a log."""

from __future__ import annotations

import logging
import time
from typing import Any

from dreamkit.notebook.progress import clock, wants_bar

log = logging.getLogger(__name__)
LINE_EVERY = 15.0  # seconds
LEAST = 2**28  # bytes below which nothing is drawn: it is over before it is read


def amount(size: float) -> str:
    """Bytes as people write them.

    >>> amount(1_400_000_000)
    '1.4 GB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


class Meter:
    """Counts bytes.

    Args:
        label: what is done to them.
        total: how many there will be; may grow.
    """

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done = label, total, 0
        self._began = self._said = time.monotonic()
        self._first: int | None = None
        self._bar: Any = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def grow(self, size: int) -> None:
        """More is to come."""
        self.total += size

    def add(self, size: int) -> None:
        """So much more is done."""
        self.to(self.done + size)

    def to(self, done: int) -> None:
        """So much is done in all."""
        if self._first is None:
            self._first = done  # what an earlier run left tells nothing about the speed
        self.done = done
        if self.total < LEAST:
            return
        if wants_bar():
            self._draw()
        elif time.monotonic() - self._said > LINE_EVERY:
            self._said = time.monotonic()
            log.info("%s: %s", self.label, self.told())

    def told(self) -> str:
        """In words: how much of how much, how fast, how long still."""
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
