"""Where a run says what it does: a log file, the cell or terminal, and a bar per video with the time left."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dreamkit.transfer.pipeline import Progress

log = logging.getLogger(__name__)
PACKAGE = "dreamkit"
MODE = "DREAMKIT_PROGRESS"
"""Environment variable: "lines" prints a line per step, "bar" draws a bar; left out, a bar where a person watches."""


def wants_bar() -> bool:
    """A person watches: a notebook's kernel or a terminal, unless MODE says otherwise."""
    if mode := os.environ.get(MODE):
        return mode == "bar"
    return in_kernel() or sys.stderr.isatty()


def in_kernel() -> bool:
    """Whether this is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class _Console(logging.Handler):
    """Prints through today's sys.stdout, which a notebook or a test may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record; the lines of single steps only where no bar stands for them."""
        if getattr(record, "step", False) and wants_bar():
            return
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        print(prefix + record.getMessage(), flush=True)


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Send what the package logs to the console and, with times, to the end of a file.

    A file that cannot be written is said so once; a run does not fail for its log.
    """
    logger = logging.getLogger(PACKAGE)
    handlers: list[logging.Handler] = [_Console()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
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


def shortened(label: str, most: int = 22) -> str:
    """A long name with its middle left out, so that a bar keeps its place beside it.

    >>> shortened("2d23a1f4-c269-46aa-8e7d-1bb595d1e421_Golden hour", 21)
    '2d23a1f4-c…olden hour'
    """
    half = (most - 1) // 2
    return label if len(label) <= most else f"{label[:half]}…{label[-half:]}"


class Watch:
    """Listens to a pipeline over all videos of a run: a log line and a bar step per denoising step, with the time left.

    Args:
        videos: how many videos the run makes.
        look: called with the video's name and every report, after the log and the bar.
    """

    def __init__(self, videos: int, look: Callable[[str, Progress], None] | None = None) -> None:
        self.videos = videos
        self.look = look
        self.finished = 0
        self.label = ""
        self._video_seconds: list[float] = []
        self._bar: Any = None

    @contextlib.contextmanager
    def video(self, label: str) -> Iterator[Watch]:
        """One video, from its first stage to its last."""
        self.label = label
        self._began = time.monotonic()
        self._last = self._began
        self._denoising = 0.0
        self._done = 0
        self._stage = ""
        try:
            yield self
            self.finished += 1
            self._video_seconds.append(time.monotonic() - self._began)
        finally:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def __call__(self, progress: Progress) -> None:
        """Take one report of the pipeline."""
        now = time.monotonic()
        if progress.stage != self._stage and progress.stage != "denoise":
            log.info("%s: %s", self.label, progress.stage, extra={"step": True})
        self._stage = progress.stage
        if progress.stage != "denoise" or progress.step == 0:
            self._last = now
            return
        total = progress.steps * progress.windows
        self._done += 1
        self._denoising += now - self._last
        self._last = now
        pace = self._denoising / self._done
        left = pace * max(0, total - self._done)
        whole = sum(self._video_seconds) / len(self._video_seconds) if self._video_seconds else now - self._began + left
        run_left = left + whole * (self.videos - self.finished - 1)
        log.info(
            "%s: step %d/%d, window %d/%d, %.2f s a step, %s left for this video, %s for the run (video %d of %d)",
            self.label,
            progress.step,
            progress.steps,
            progress.window + 1,
            progress.windows,
            pace,
            clock(left),
            clock(run_left),
            self.finished + 1,
            self.videos,
            extra={"step": True},
        )
        self._advance(total, run_left)
        if self.look is not None:
            self.look(self.label, progress)
            self._last = time.monotonic()  # the next step's pace is the model's own

    def _advance(self, total: int, run_left: float) -> None:
        if not wants_bar():
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            desc = f"{shortened(self.label)} ({self.finished + 1}/{self.videos})"
            self._bar = tqdm(total=total, desc=desc, unit="step")
        self._bar.set_postfix_str(f"run {clock(run_left)} left", refresh=False)
        self._bar.update(1)
