"""Time of the 7B models on an H100 and size of their videos, for an estimate where no earlier result is at hand."""

from __future__ import annotations

from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import Params
from dreamkit.notebook.progress import clock
from dreamkit.transfer import folders

FORWARD_SECONDS = {
    "single_view": {"exact": 3.97, "fp8": 2.7, "fast": 1.28, "24gb": 4.02, "16gb": 4.04, "12gb": 4.03},
    "multi_view": {"exact": 12.7, "fp8": 8.43, "fast": 3.83, "16gb": 12.84, "12gb": 12.87},
}
"""Seconds of one forward of one window by stage and preset, on an H100 80GB with random weights of the released sizes.

Source: README, "On a GPU" and "Presets". `fast` is 92 s a window (six views: 276 s, computed from its evaluations) over
36 evaluations of two forwards each. `fp8` is of an H200, where `exact` takes 4.02 s and 12.7 s.
An evaluation with guidance is two forwards: 7.7 s and 24.2 s were measured.
"""
SPEEDUP = {1: 1.0, 2: 1.94, 4: 3.75}
"""Measured in single view by the number of GPUs of one host."""

FRAME_BYTES = {"single_view": 15_800, "multi_view": 2 * 6 * 13_500}
"""Bytes of a frame of a result, encoded as `workspace.video` does.

Measured on the one video of Sample-AV that NVIDIA published, 121 frames of 704x1280 (cosmos-transfer1,
`assets/sample_av_multi_control_output.mp4`): 1.91 MB, and 1.64 MB when made 576x1024, the size of the six views. Of six
views no result is published: each is taken to be as large as that one, and their grid as all together (six real videos
of 57 frames: 4.17 MB to 4.14 MB). The published file was compressed before, which takes away detail: the same frames
compressed once more at 1.0 to 1.2 MB came out 9 to 15 % smaller. So these are least figures.
"""


def reference_seconds(p: Params, windows: int) -> float | None:
    """Seconds that the windows of a run take on H100s; None for another model, preset or number of GPUs than measured.

    Args:
        p: parameters, with the spec's and the model's own settings.
        windows: of all results to make; each takes `num_steps` + 1 evaluations.
    """
    forward, faster = FORWARD_SECONDS[p.stage].get(p.preset), SPEEDUP.get(p.num_gpus)
    if forward is None or faster is None or not _is_released(p):
        return None
    return windows * (p.num_steps + 1) * forward * (2 if p.guidance else 1) / faster


def reference_bytes(p: Params, frames: int) -> int | None:
    """Bytes of results of the 7B models, see FRAME_BYTES; None for another model.

    Args:
        p: parameters of the run.
        frames: of all results to make together, of one view each.
    """
    return frames * FRAME_BYTES[p.stage] if _is_released(p) else None


def _is_released(p: Params) -> bool:
    """Whether the checkpoint folder holds the 7B models, or is not there yet."""
    folder = checkpoints.FOLDERS[p.stage]
    if p.checkpoints == checkpoints.TINY:
        return False
    try:
        return folders.model_name(checkpoints.folder(p.checkpoints), folder) is not None
    except DreamkitError:  # the files are yet to be downloaded
        return True


def gpu_hours(seconds: float, gpus: int) -> str:
    """GPU hours as text.

    >>> gpu_hours(3600, 4)
    '4.00 GPU hours'
    """
    return f"{seconds * max(1, gpus) / 3600:.2f} GPU hours"


def on_reference(seconds: float, gpus: int) -> str:
    """A phrase on the time that H100s take.

    >>> on_reference(3600, 1)
    'an H100 80GB: about 1:00:00, 1.00 GPU hours, by its measured forwards'
    """
    card = "an H100 80GB" if gpus == 1 else f"{gpus} H100 80GB"
    return f"{card}: about {clock(seconds)}, {gpu_hours(seconds, gpus)}, by its measured forwards"
