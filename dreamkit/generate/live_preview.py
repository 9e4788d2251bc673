"""Preview in a notebook while a video is made: one picture, replaced every few steps."""

from __future__ import annotations

import html
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamkit.notebook import progress as notebook_progress
from dreamkit.workspace.cameras import Rig
from dreamkit.workspace.images import data_url, jpeg
from dreamkit.workspace.video import grid, resize

if TYPE_CHECKING:
    from dreamkit.transfer.pipeline import Progress

SHARE = 0.02
"""Most of a run's time that previews may take."""
WIDTH = 720  # pixels of the picture, all columns together


def wanted() -> bool:
    """Whether to show previews: in a notebook with progress bars; elsewhere nothing is decoded."""
    return notebook_progress.in_kernel() and notebook_progress.wants_bar()


class LivePreview:
    """Decodes and shows a frame after steps of a run, throttled to SHARE of the run time.

    After the last step of every window it always shows one.

    Args:
        rig: the views, and the grid that they are shown in.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._due = time.monotonic()
        self._place: Any = None

    def __call__(self, label: str, progress: Progress) -> None:
        """Show a frame of the video `label` if it is time for one."""
        began = time.monotonic()
        if progress.preview_frame is None or (began < self._due and progress.step < progress.steps):
            return
        views_vhwc = progress.preview_frame()
        if views_vhwc is not None:
            self._show(preview_picture(views_vhwc, self.rig), step_label(label, progress))
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


def preview_picture(views_vhwc: np.ndarray, rig: Rig) -> np.ndarray:
    """The views in the rig's grid, uint8 [V, h, w, 3] to [H, W, 3], at most WIDTH wide."""
    _, height, width, _ = views_vhwc.shape
    small = min(width, WIDTH // len(rig.grid[0]))
    small_vthwc = resize(views_vhwc, max(1, round(height * small / width)), small)[:, None]
    return next(grid(small_vthwc, rig))


def step_label(label: str, progress: Progress) -> str:
    """The text below a preview: name of the video, step and window."""
    window = f", window {progress.window + 1} of {progress.windows}" if progress.windows > 1 else ""
    return f"{label} as it stands after step {progress.step} of {progress.steps}{window} · 实时预览"
