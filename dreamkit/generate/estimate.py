"""Estimate of a run's time and GPU memory from earlier results with the same preset, device and model size."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dreamkit.captions import files as caption_files
from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate.model_settings import with_model_settings
from dreamkit.generate.params import MultiViewParams, Params
from dreamkit.generate.plan import control_spec
from dreamkit.generate.spec_params import apply_scalars
from dreamkit.notebook.progress import clock
from dreamkit.transfer import folders, memory_needs
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, read_config
from dreamkit.transfer.windows import front_windows, multi_view_starts
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.sizes import GIB
from dreamkit.workspace.video import probe
from dreamkit.workspace.workspace import Chunk, Workspace


@dataclass(frozen=True)
class Estimate:
    """Time and memory that a run needs.

    Attributes:
        videos: number of results requested, those already made included.
        windows: windows that they are made in, one after another.
        evaluations: model evaluations per window.
        seconds: for all videos, or None without earlier results.
        from_runs: number of earlier results.
        peak_bytes: their peak GPU memory; without any, the measured peak of a 7B forward; 0: unknown.
        device: GPU's name, or cpu.
        free_bytes: free GPU memory now; 0 without a GPU.
    """

    videos: int
    windows: int
    evaluations: int
    seconds: float | None
    from_runs: int
    peak_bytes: int
    device: str
    free_bytes: int

    def __str__(self) -> str:
        windows = f"{self.windows} window{'s' * (self.windows != 1)} of {self.evaluations} evaluations"
        lines = [f"at most {self.videos} to make on {self.device}, {windows}"]
        if self.seconds is None:
            lines.append("  time: no earlier result of this preset and device here; known after the first step")
        else:
            lines.append(f"  time: about {clock(self.seconds)}, as {self.from_runs} earlier results here took")
        if self.free_bytes:
            whose = "at the peak of those" if self.from_runs else "measured on an H100 for a forward"
            need = f"{self.peak_bytes / GIB:.1f} GiB {whose}" if self.peak_bytes else "need not known yet"
            lines.append(f"  GPU memory: {need}, {self.free_bytes / GIB:.1f} GiB free now")
            if self.peak_bytes > self.free_bytes:
                lines.append("  that is more than is free: set a smaller preset, or end what else uses the GPU")
        return "\n".join(lines)


def estimate(ws: Workspace, p: Params) -> Estimate:
    """Estimate a run from captions, sidecars and the GPU; no model is loaded."""
    with contextlib.suppress(DreamkitError):  # the stage reports it
        p = with_model_settings(apply_scalars(p, control_spec(ws, p)))
    device, free = _device(p.device)
    records = [record for record in ws.sidecars(p.stage) if _comparable(record, p, device)]
    plan = _window_counter(p)
    paces = [
        record["seconds"]
        / (record["steps"] + 1)
        / plan(record.get("frames", 1), record.get("num_input_frames", 9), record.get("windows", "all"))
        for record in records
    ]
    counts, evaluations = _windows(ws, p, plan), p.num_steps + 1
    seconds = sum(counts) * evaluations * statistics.median(paces) if paces else None
    peak = max((record["pipeline"].get("peak_gpu_bytes", 0) for record in records), default=0)
    if not records and free and p.checkpoints != checkpoints.TINY:
        peak = round(memory_needs.need(p.stage, len(p.controls)).forward)
    return Estimate(len(counts), sum(counts), evaluations, seconds, len(records), peak, device, free)


def _device(asked: str) -> tuple[str, int]:
    import torch

    if asked == "cpu" or not torch.cuda.is_available():
        return "cpu", 0
    try:
        return torch.cuda.get_device_name(asked or None), torch.cuda.mem_get_info(asked or None)[0]
    except (RuntimeError, ValueError, AssertionError):  # no such device: the stage reports it
        return asked, 0


def _comparable(record: dict[str, Any], p: Params, device: str) -> bool:
    """Whether a result is comparable to this run: same preset, device, number of GPUs and model size."""
    pipeline = record.get("pipeline")
    if not isinstance(pipeline, dict) or not isinstance(record.get("steps"), int) or not record.get("seconds"):
        return False
    small = record.get("size", {}).get("height", 0) < 300  # the tiny bundle; the 7B models make 576 and 704 rows
    return (
        pipeline.get("device") == device
        and pipeline.get("num_gpus", 1) == p.num_gpus
        and record.get("preset") == p.preset
        and small == (p.checkpoints == checkpoints.TINY)
    )


def _window_counter(p: Params) -> Callable[[int, int, str], int]:
    """The number of windows of a result, from its frames, those that a window takes over, and the kind of its windows.

    The kind is a value of the parameter `windows`; six views have one kind only.
    """
    multi = isinstance(p, MultiViewParams)
    folder, config = (folders.MULTI_VIEW, COSMOS_7B_MULTI) if multi else (folders.SINGLE_VIEW, COSMOS_7B_SINGLE)
    with contextlib.suppress(DreamkitError):  # the stage reports it
        config = read_config(checkpoints.folder(p.checkpoints) / folder, config)
    length = config.window_frames
    if multi:
        return lambda frames, given, kind: len(multi_view_starts(frames, length, given))
    return lambda frames, given, kind: len(front_windows(frames, length, kind).starts)


def _windows(ws: Workspace, p: Params, count: Callable[[int, int, str], int]) -> list[int]:
    """Windows of every result: of clips whose captions can be read, times chunks, times styles."""
    counts: list[int] = []
    for clip in p.clips or ws.clips():
        try:
            styles = len(p.styles) or len(caption_files.read_captions(ws.captions, clip))
        except DreamkitError:
            continue  # the stage reports it
        for chunk in [Chunk(clip, index) for index in p.chunks] or ws.chunks(clip) or [Chunk(clip)]:
            counts += [_windows_of(ws, p, chunk, count)] * styles
    return counts


def _windows_of(ws: Workspace, p: Params, chunk: Chunk, count: Callable[[int, int, str], int]) -> int:
    """Windows of a chunk's result by the length of its front condition video; 1 where that cannot be read."""
    multi = isinstance(p, MultiViewParams)
    kind = getattr(p, "windows", "first")
    if not multi and kind == "first":
        return 1
    for control in p.controls or CONTROLS:
        try:
            frames = probe(ws.condition(control, SIX_VIEWS.front, chunk)).frames
        except DreamkitError:
            continue  # the stage reports it, or another control is used
        return count(min(frames, p.frames or frames), p.num_input_frames if multi else 1, kind)
    return 1
