"""Estimate of a run's time and GPU memory from earlier results with the same preset, device and model size."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from dreamkit.captions import files as caption_files
from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import Params
from dreamkit.notebook.progress import clock
from dreamkit.transfer import memory_needs
from dreamkit.workspace.sizes import GIB
from dreamkit.workspace.workspace import Workspace


@dataclass(frozen=True)
class Estimate:
    """Time and memory that a run needs.

    Attributes:
        videos: number of results requested, those already made included.
        evaluations: model evaluations per window of a video.
        seconds: for all videos, or None without earlier results.
        from_runs: number of earlier results.
        peak_bytes: their peak GPU memory; without any, the measured peak of a 7B forward; 0: unknown.
        device: GPU's name, or cpu.
        free_bytes: free GPU memory now; 0 without a GPU.
    """

    videos: int
    evaluations: int
    seconds: float | None
    from_runs: int
    peak_bytes: int
    device: str
    free_bytes: int

    def __str__(self) -> str:
        lines = [f"at most {self.videos} to make on {self.device}, {self.evaluations} evaluations a window"]
        if self.seconds is None:
            lines.append("  time: no earlier result of this preset and device here; known after the first step")
        else:
            lines.append(f"  time: about {clock(self.seconds)}, as {self.from_runs} earlier results here took")
        if self.free_bytes:
            whose = "at the peak of those" if self.from_runs else "measured on an H200 for a forward"
            need = f"{self.peak_bytes / GIB:.1f} GiB {whose}" if self.peak_bytes else "need not known yet"
            lines.append(f"  GPU memory: {need}, {self.free_bytes / GIB:.1f} GiB free now")
            if self.peak_bytes > self.free_bytes:
                lines.append("  that is more than is free: set offload to true, or end what else uses the GPU")
        return "\n".join(lines)


def estimate(ws: Workspace, p: Params) -> Estimate:
    """Estimate a run from captions, sidecars and the GPU; no model is loaded."""
    device, free = _device(p.device)
    records = [record for record in ws.sidecars(p.stage) if _comparable(record, p, device)]
    paces = [record["seconds"] / (record["steps"] + 1) for record in records]
    videos, evaluations = _videos(ws, p), p.num_steps + 1
    seconds = videos * evaluations * statistics.median(paces) if paces else None
    peak = max((record["pipeline"].get("peak_gpu_bytes", 0) for record in records), default=0)
    if not records and free and p.checkpoints != checkpoints.TINY:
        peak = round(memory_needs.need(p.stage, len(p.controls)).forward)
    return Estimate(videos, evaluations, seconds, len(records), peak, device, free)


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


def _videos(ws: Workspace, p: Params) -> int:
    """Number of clips times chunks times styles, of clips whose captions can be read."""
    total = 0
    for clip in p.clips or ws.clips():
        try:
            styles = len(p.styles) or len(caption_files.read_captions(ws.captions, clip))
        except DreamkitError:
            continue  # the stage reports it
        total += styles * (len(p.chunks) or len(ws.chunks(clip)) or 1)
    return total
