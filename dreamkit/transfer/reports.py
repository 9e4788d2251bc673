"""Progress of a pipeline's call: the record passed to the listener, and the object that calls it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

CallStage = Literal["text", "encode", "denoise", "decode"]

PreviewFrame = Callable[[], "np.ndarray | None"]
"""Decodes one frame per view of a step's estimate, uint8 [V, H, W, 3]; None where the GPU has too little memory."""


@dataclass(frozen=True)
class Progress:
    """Progress of one pipeline call.

    Attributes:
        stage: the present stage.
        step: steps of the stage that are done, in this window.
        steps: steps of the stage.
        window: number of the window, from 0.
        windows: windows of the video.
        seconds: since the call began.
        preview_frame: after a step of denoising, a function that decodes a frame of its estimate.
    """

    stage: CallStage
    step: int
    steps: int
    window: int
    windows: int
    seconds: float
    preview_frame: PreviewFrame | None = None


Listener = Callable[[Progress], None]


class Reporter:
    """Calls a listener with the progress of one call of a pipeline; without a listener it does nothing.

    Attributes:
        listener: called with each Progress; None for none.
        windows: windows of the video.
        window: number of the window that is being made.
    """

    def __init__(self, listener: Listener | None, windows: int) -> None:
        self.listener, self.windows, self.window, self._began = listener, windows, 0, time.perf_counter()

    def __call__(self, stage: CallStage, step: int, steps: int, preview_frame: PreviewFrame | None = None) -> None:
        """Report that `step` of `steps` of a stage are done."""
        if self.listener is not None:
            seconds = time.perf_counter() - self._began
            self.listener(Progress(stage, step, steps, self.window, self.windows, seconds, preview_frame))
