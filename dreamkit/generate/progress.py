"""The progress of a run: a log line and a bar step per denoising step, with the time left."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from dreamkit.notebook.progress import clock, shortened, wants_bar
from dreamkit.transfer.pipeline import Progress

log = logging.getLogger(__name__)
LAST_STEPS = 8
"""Steps whose mean time is the pace, so that it follows a machine that becomes slower or faster."""


class RunProgress:
    """Progress callback of a pipeline for all videos of a run: logs each denoising step and advances a bar.

    Args:
        videos: how many videos the run makes.
        preview: called with the video's name and the progress after every denoising step.
    """

    def __init__(self, videos: int, preview: Callable[[str, Progress], None] | None = None) -> None:
        self.videos = videos
        self.preview = preview
        self.finished = 0
        self.label = ""
        self._other_seconds = 0.0  # of finished videos, outside their denoising steps
        self._paces: deque[float] = deque(maxlen=LAST_STEPS)
        self._bar: Any = None

    @contextlib.contextmanager
    def video(self, label: str) -> Iterator[RunProgress]:
        """Context of one video: resets its counters, and closes its bar at the end."""
        self.label = label
        self._began = time.monotonic()
        self._last = self._began
        self._denoising = 0.0
        self._done = 0
        self._stage = ""
        try:
            yield self
            self.finished += 1
            self._other_seconds += max(0.0, time.monotonic() - self._began - self._denoising)
        finally:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def __call__(self, progress: Progress) -> None:
        """Log a report of the pipeline and advance the bar."""
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
        self._paces.append(now - self._last)
        self._last = now
        pace = sum(self._paces) / len(self._paces)
        other = self._other_seconds / self.finished if self.finished else now - self._began - self._denoising
        left = pace * max(0, total - self._done) + (pace * total + other) * (self.videos - self.finished - 1)
        log.info(
            "%s: step %d/%d, window %d/%d, %.2f s a step, %s left (video %d of %d)",
            self.label,
            progress.step,
            progress.steps,
            progress.window + 1,
            progress.windows,
            pace,
            clock(left),
            self.finished + 1,
            self.videos,
            extra={"step": True},
        )
        self._advance(total, left)
        if self.preview is not None:
            self.preview(self.label, progress)
            self._last = time.monotonic()  # the time of the preview is not the model's

    def _advance(self, total: int, left: float) -> None:
        if not wants_bar():
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            desc = f"{shortened(self.label)} ({self.finished + 1}/{self.videos})"
            # Without tqdm's own time left, which is that of this video alone.
            form = "{l_bar}{bar}| {n_fmt}/{total_fmt} steps, {rate_fmt}{postfix}"
            self._bar = tqdm(total=total, desc=desc, unit="step", bar_format=form)
        self._bar.set_postfix_str(f"{clock(left)} left", refresh=False)
        self._bar.update(1)
