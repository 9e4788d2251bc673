"""`python -m dreamkit.bench.scaling`: time and memory of 1, 2 and 4 GPUs that make a window together, random weights.

Every number of GPUs makes the same latent from the same noise, so that the table can say how far they differ from one
GPU. `--videos` also measures whole calls, from frames to frames; instead of the released tokenizer, diffusers'
AutoencoderKLCosmos of the same design runs, and prompts are random embeddings.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.cuda import nccl

from dreamkit.bench.measure import synchronize
from dreamkit.bench.random_models import (
    GUIDANCE,
    on_device,
    random_files,
    random_networks,
    random_pipeline,
    random_window,
)
from dreamkit.bench.random_weights import MODELS
from dreamkit.bench.video import condition_frames, stand_in_tokenizer
from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.denoising import denoise_window
from dreamkit.transfer.engine import Networks
from dreamkit.transfer.parallel import Ranks, divides, split_grid
from dreamkit.transfer.parallel_pipeline import ParallelPipeline
from dreamkit.transfer.pipeline import MultiViewPipeline, Progress, SingleViewPipeline
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.transfer.worker_process import Worker
from dreamkit.transfer.workers import WorkerPool
from dreamkit.workspace.sizes import GIB

UPSTREAM_EVALUATIONS = 36
PROMPT = "A car drives on a street."


@dataclass(frozen=True)
class Denoised:
    """One number of GPUs that made a window's latent.

    Attributes:
        model: key of MODELS.
        gpus: how many.
        parts: parts of the grid of tokens; the rest are the two passes of guidance.
        seconds: of each evaluation (both passes of guidance) after the first.
        peak_bytes: most GPU memory that a worker took after the first evaluation; 0 on a CPU.
        start_seconds: from the start of the workers to a loaded model.
        first_seconds: of the first evaluation, which also compiles.
        error: relative error of the latent against one GPU's; None for that one.
    """

    model: str
    gpus: int
    parts: int
    seconds: tuple[float, ...]
    peak_bytes: int
    start_seconds: float
    first_seconds: float
    error: float | None = None

    @property
    def median(self) -> float:
        """Median seconds of an evaluation."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class MadeVideo:
    """One number of GPUs that made a video from frames, without text encoding and mp4 files.

    Attributes:
        model: key of MODELS.
        gpus: how many.
        evaluations: evaluations of the network, both passes of guidance each.
        stages: seconds of `encode`, `denoise` and `decode`.
        seconds: of the whole call.
        differing: share of the values that differ from one GPU's video, and the largest difference; None for that one.
    """

    model: str
    gpus: int
    evaluations: int
    stages: dict[str, float]
    seconds: float
    differing: tuple[float, int] | None = None

    def with_evaluations(self, evaluations: int) -> float:
        """Seconds of a call with another number of evaluations, computed from the pace of these."""
        return self.seconds + (evaluations - self.evaluations) * self.stages["denoise"] / self.evaluations


def _build_networks(config: ModelConfig, ranks: Ranks, device: torch.device) -> Networks:
    return random_networks(config, device, ranks if ranks.size > 1 else None)


def _denoise(worker: Worker, config: ModelConfig, evaluations: int) -> tuple[list[float], int, torch.Tensor | None]:
    """Seconds of each evaluation, peak memory in bytes, and on the first worker the latent, in host memory."""
    device, cuda, times = worker.device, worker.device.type == "cuda", [time.perf_counter()]

    def on_step(step: int, _: torch.Tensor) -> None:
        synchronize(device)
        times.append(time.perf_counter())
        if cuda and step == 1:
            torch.cuda.reset_peak_memory_stats(device)

    window = on_device(random_window(config, evaluations - 1), device)
    latent = denoise_window(worker.pipeline, config, window, on_step)
    peak = torch.cuda.max_memory_allocated(device) if cuda else 0
    seconds = [after - before for before, after in itertools.pairwise(times)]
    return seconds, peak, latent.cpu() if worker.ranks.rank == 0 else None


def time_denoising(
    model: str, config: ModelConfig, gpus: int, evaluations: int, device: str, alone: torch.Tensor | None
) -> tuple[Denoised, torch.Tensor]:
    """Make a latent with so many GPUs; `alone` is that of one GPU.

    Args:
        model: its name in the table.
        config: its sizes.
        gpus: number of GPUs.
        evaluations: evaluations of the network, 3 or more.
        device: cuda or cpu.
        alone: the latent of one GPU, or None.
    """
    began = time.perf_counter()
    pool = WorkerPool(functools.partial(_build_networks, config), gpus, device)
    try:
        loaded = time.perf_counter() - began
        results = pool.run(_denoise, config, evaluations)
    finally:
        pool.close()
    seconds = [max(step) for step in zip(*(result[0] for result in results), strict=True)]
    latent = results[0][2]
    error = None if alone is None else float((latent - alone).norm() / alone.norm())
    split = split_grid(gpus, True, config.token_grid[1:], config.denoiser.heads)
    parts = split.parts if split else 0
    peak = max(result[1] for result in results)
    return Denoised(model, gpus, parts, tuple(seconds[1:]), peak, loaded, seconds[0], error), latent


@dataclass
class StageClock:
    """Progress listener that adds up the seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    _stage: str = "encode"
    _since: float = field(default_factory=time.perf_counter)

    def __call__(self, progress: Progress | None) -> None:
        """Add the time since the last call to the stage that it began; None ends the last stage."""
        now = time.perf_counter()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = progress.stage if progress else "", now


def time_video(
    model: str,
    config: ModelConfig,
    gpus: int,
    evaluations: int,
    device: str,
    alone: np.ndarray | None,
    tokenizer: Callable[[ModelConfig, torch.device, torch.dtype], Tokenizer] = stand_in_tokenizer,
) -> tuple[MadeVideo, np.ndarray]:
    """Make a video from frames with so many GPUs, after a call of two evaluations.

    Arguments as for `time_denoising`; `alone` is the video of one GPU, `tokenizer` makes a tokenizer.
    """
    kind = MultiViewPipeline if config.views > 1 else SingleViewPipeline
    size = (config.window_frames, config.height, config.width)
    frames = np.stack([condition_frames(*size, view / 6) for view in range(config.views)])
    given: tuple[Any, ...] = (PROMPT, {"hdmap": frames[0]})
    if config.views > 1:
        given = ([PROMPT] * config.views, frames[0], {"hdmap": frames})
    build = functools.partial(random_pipeline, config, tokenizer)
    with ParallelPipeline(kind, random_files(config), gpus, device, build=build) as pipe:
        pipe(*given, steps=1, guidance=GUIDANCE)
        clock, began = StageClock(), time.perf_counter()
        made = pipe(*given, steps=evaluations - 1, guidance=GUIDANCE, progress=clock)
        clock(None)
        seconds = time.perf_counter() - began
    differing = None
    if alone is not None:
        difference = np.abs(made.astype(np.int16) - alone)
        differing = float((difference > 0).mean()), int(difference.max())
    return MadeVideo(model, gpus, evaluations, clock.seconds, seconds, differing), made


def denoising_table(rows: Sequence[Denoised]) -> str:
    """The rows as a table of text; speed is against one GPU of the same model."""
    lines = [f"{'model':12s} {'GPUs':>4s} {'split':>22s} {'s/evaluation':>20s} {'speed':>6s} {'GiB':>6s} {'error':>9s}"]
    alone = {row.model: row.median for row in rows if row.gpus == 1}
    for row in rows:
        speed = f"{alone[row.model] / row.median:.2f}x" if row.model in alone else "-"
        error = "-" if row.error is None else f"{row.error:.1e}"
        split = f"guidance {row.gpus // row.parts} x columns {row.parts}" if row.gpus > 1 else "-"
        spread = f"{row.median:.3f} ({min(row.seconds):.3f}..{max(row.seconds):.3f})"
        memory = row.peak_bytes / GIB
        lines.append(f"{row.model:12s} {row.gpus:4d} {split:>22s} {spread:>20s} {speed:>6s} {memory:6.1f} {error:>9s}")
    return "\n".join(lines)


def video_table(rows: Sequence[MadeVideo]) -> str:
    """The rows as a table of text; the last columns are computed for upstream's 36 evaluations."""
    names = ("encode", "denoise", "decode")
    lines = [f"{'model':12s} GPUs {names[0]:>8s} {names[1]:>9s} {names[2]:>8s} {'whole':>8s} {'of 36':>8s}  speed"]
    alone = {row.model: row.with_evaluations(UPSTREAM_EVALUATIONS) for row in rows if row.gpus == 1}
    for row in rows:
        whole = row.with_evaluations(UPSTREAM_EVALUATIONS)
        stages = [row.stages.get(stage, 0.0) for stage in names]
        speed = f"{alone[row.model] / whole:.2f}x" if row.model in alone else "-"
        numbers = f"{stages[0]:8.2f} {stages[1]:9.2f} {stages[2]:8.2f} {row.seconds:8.2f} {whole:8.1f} {speed:>6s}"
        differing = f", {row.differing[0]:.2%} of values differ by at most {row.differing[1]}" if row.differing else ""
        lines.append(f"{row.model:12s} {row.gpus:4d} {numbers} ({row.evaluations} evaluations{differing})")
    return "\n".join(lines)


def machine(device: str) -> dict[str, Any]:
    """GPU, how many there are, and versions."""
    cuda = device == "cuda"
    return {
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "count": torch.cuda.device_count() if cuda else 0,
        "torch": torch.__version__,
        "nccl": ".".join(map(str, nccl.version())) if cuda else None,
        "preset": "exact",
        "weights": "random",
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements named in the arguments; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dreamkit.bench.scaling", description=__doc__)
    parser.add_argument("--models", default="single,multi", help=f"comma-separated, out of {', '.join(MODELS)}")
    parser.add_argument("--gpus", default="1,2,4", help="comma-separated numbers of GPUs")
    parser.add_argument("--evaluations", type=int, default=6, help="evaluations of the network; the first is dropped")
    parser.add_argument("--videos", action="store_true", help="also measure from frames to frames")
    parser.add_argument("--json", type=Path, default=None, help="file for the numbers")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    print(json.dumps(machine(options.device)), flush=True)
    denoised: list[Denoised] = []
    videos: list[MadeVideo] = []
    for model in options.models.split(","):
        latent = frames = None
        for gpus in map(int, options.gpus.split(",")):
            if not divides(MODELS[model], gpus, guided=True):
                print(f"{model}: {gpus} GPUs do not divide its columns and heads", flush=True)
                continue
            row, made = time_denoising(model, MODELS[model], gpus, options.evaluations, options.device, latent)
            latent = made if gpus == 1 else latent
            denoised.append(row)
            print(denoising_table(denoised), flush=True)
            if options.videos:
                video, shown = time_video(model, MODELS[model], gpus, options.evaluations, options.device, frames)
                frames = shown if gpus == 1 else frames
                videos.append(video)
                print(video_table(videos), flush=True)
    if options.json:
        record = {
            "machine": machine(options.device),
            "denoising": [asdict(row) for row in denoised],
            "videos": [asdict(row) for row in videos],
        }
        options.json.write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
