"""A look at the video in the making: one still in a notebook's page, drawn anew in its place every few steps."""

from __future__ import annotations

import html
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamkit.notebook import progress
from dreamkit.workspace.cameras import Rig
from dreamkit.workspace.images import data_url, jpeg
from dreamkit.workspace.video import grid, resize

if TYPE_CHECKING:
    from dreamkit.transfer.pipeline import Progress

SHARE = 0.02
"""The most of a run's time that looking may take."""
WIDTH = 720  # pixels of the picture, all columns together


def wanted() -> bool:
    """Whether a person watches in a notebook; elsewhere, and with progress as lines, nothing is decoded or drawn."""
    return progress.in_kernel() and progress.wants_bar()


class LiveStill:
    """Called after every step of a run; decodes and shows a still when the time that the last one took is earned again.

    The last step of every window is always shown, so that what stays in the page is the end.

    Args:
        rig: the views, and the grid that they are shown in.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._due = time.monotonic()
        self._place: Any = None

    def __call__(self, label: str, told: Progress) -> None:
        """Take one report of the pipeline about the video of that name."""
        began = time.monotonic()
        if told.still is None or (began < self._due and told.step < told.steps):
            return
        views_vhwc = told.still()
        if views_vhwc is not None:
            self._show(picture(views_vhwc, self.rig), caption(label, told))
        now = time.monotonic()
        self._due = now + (now - began) / SHARE

    def _show(self, picture_hwc: np.ndarray, text: str) -> None:
        from IPython.display import HTML, display

        height, width = picture_hwc.shape[:2]
        page = HTML(
            f'<figure style="margin:0"><img src="{data_url(jpeg(picture_hwc))}" width="{width}" height="{height}"'
            f' alt="" style="max-width:100%;height:auto"><figcaption>{html.escape(text)}</figcaption></figure>'
        )
        if self._place is None:
            self._place = display(page, display_id=True)
        else:
            self._place.update(page)


def picture(views_vhwc: np.ndarray, rig: Rig) -> np.ndarray:
    """The views in the rig's grid, uint8 [V, h, w, 3] to [H, W, 3], WIDTH wide or as wide as they are."""
    _, height, width, _ = views_vhwc.shape
    small = min(width, WIDTH // len(rig.grid[0]))
    small_vthwc = resize(views_vhwc, max(1, round(height * small / width)), small)[:, None]
    return next(grid(small_vthwc, rig))


def caption(label: str, told: Progress) -> str:
    """Which video, and how far it is."""
    window = f", window {told.window + 1} of {told.windows}" if told.windows > 1 else ""
    return f"{label} as it stands after step {told.step} of {told.steps}{window} · 实时预览"
