"""Work on a board's videos in a thread, so that the board stays usable; its progress line says how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dreamkit.errors import DreamkitError, first_line
from dreamkit.notebook.interruption import on_idle_interrupt
from dreamkit.notebook.progress import clock
from dreamkit.review.session import Review

log = logging.getLogger(__name__)


class BackgroundWork:
    """Steps over a board's videos in one thread, in their order; the user can stop them.

    Args:
        review: the board, whose progress line is written.
        steps: functions with an argument `progress`, a bar such as tqdm; they end when it yields no more.
        at_end: called in the thread after the last step; returns the sentence for the progress line.
    """

    def __init__(self, review: Review, steps: list[Callable[..., None]], at_end: Callable[[], str]) -> None:
        self.review = review
        self.steps = steps
        self.at_end = at_end
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="review", daemon=True)
        if review.work is not None:  # the cell is run again: the earlier thread ends after its present video
            review.work.stopped.set()
            review.work.wait()
        review.work = self
        review.board.on_stop = self.stop

    @property
    def running(self) -> bool:
        """Whether the thread has begun and not ended."""
        return self.thread.is_alive()

    def start(self) -> None:
        """Begin; an interrupt of the idle kernel (the button ■) then stops it."""
        on_idle_interrupt(self.stop)
        self.thread.start()

    def stop(self) -> None:
        """End after the present video; nothing where it has ended already."""
        if self.running and not self.stopped.is_set():
            self.stopped.set()
            self._say("Stopping after the present video.")

    def wait(self, seconds: float | None = None) -> None:
        """Return when the thread has ended, or after some seconds."""
        self.thread.join(seconds)

    def progress(self, videos: Iterable[Any], desc: str = "", **_: Any) -> Iterator[Any]:
        """The videos one by one, as tqdm does; a line on the board says how many are done and the time left."""
        listed, began = list(videos), time.monotonic()
        for done, video in enumerate(listed):
            if self.stopped.is_set():
                return
            left = f", about {clock((time.monotonic() - began) / done * (len(listed) - done))} left" if done else ""
            self._say(f"{desc}: {done} of {len(listed)} videos{left}", done, len(listed))
            yield video

    def _say(self, text: str, done: int = 0, total: int = 0) -> None:
        with self.review.changing:
            self.review.board.progress = {"done": done, "total": total, "text": text}

    def _run(self) -> None:
        try:
            for step in self.steps:
                step(progress=self.progress)
            self.review.refresh()
            text = self.at_end()
        except DreamkitError as error:
            text = str(error)
        except Exception as error:  # a thread's own traceback would be lost
            log.exception("measuring stopped")
            text = f"The measuring stopped: {type(error).__name__}: {first_line(error)}."
        self._say(text)
