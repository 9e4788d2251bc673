"""`dreamkit bench video`: time and memory of whole runs, from mp4 to mp4, with random weights.

The denoisers have the released size. Instead of the released tokenizer, diffusers' AutoencoderKLCosmos of the same
design runs, and instead of T5-11B a small T5 of the same width. `python -m dreamkit.bench.video` needs no notebook.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from dreamkit.bench.measure import (
    Row,
    first_device,
    free_unused,
    memory_cap,
    native_dtype,
    peak_gib,
    print_machine,
    print_results,
    reset_peak,
)
from dreamkit.bench.random_weights import MODELS, released_files, write_checkpoints
from dreamkit.transfer import folders
from dreamkit.transfer.config import LATENT_CHANNELS, ModelConfig, read_config
from dreamkit.transfer.pipeline import MultiViewPipeline, Progress, SingleViewPipeline
from dreamkit.transfer.tokenizer import Tokenizer

# The size and frame rate of condition videos, and the frame rate of results.
CONDITION_SIZE = (704, 1280)
CONDITION_FPS = 30
FPS = 24
PROMPT = "A car drives on a street."


def stand_in_tokenizer(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Tokenizer:
    """A tokenizer with the released design and size and random weights."""
    from diffusers import AutoencoderKLCosmos  # pyright: ignore[reportMissingImports]  # needed by this bench alone

    torch.manual_seed(0)
    vae = AutoencoderKLCosmos().to(device, dtype).eval().requires_grad_(False)
    ones = torch.ones(1, LATENT_CHANNELS, config.latent_frames, 1, 1, device=device)
    return Tokenizer(vae._encode, lambda z: vae._decode(z).sample, torch.zeros_like(ones), ones, dtype)


def condition_frames(frames: int, height: int, width: int, phase: float) -> np.ndarray:
    """Frames of a condition video, uint8 [T, H, W, 3]: bars that move over black; `phase` shifts them, 0 to 1."""
    video = np.zeros((frames, height, width, 3), np.uint8)
    for t in range(frames):
        for bar in range(6):
            x = int((bar * width / 6 + 4 * t + phase * width) % (width - 40))
            video[t, height // 2 :, x : x + 24] = (98, 183, 249)
    return video


class StageTimes:
    """A listener for a pipeline's call that prints each step and sums the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last: tuple[str, float] | None = None

    def __call__(self, progress: Progress) -> None:
        """Add the time since the report before to that one's stage, and print a line."""
        self.close(progress.seconds)
        self._last = progress.stage, progress.seconds
        print(
            f"        {progress.seconds:7.2f} s  window {progress.window + 1}/{progress.windows} "
            f"{progress.stage} {progress.step}/{progress.steps}",
            flush=True,
        )

    def close(self, seconds: float) -> None:
        """Add the time until `seconds` to the stage of the last report."""
        if self._last is not None:
            stage, since = self._last
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds - since


def run_single(root: Path, work: Path, steps: int, device: torch.device, preset: str, cap: float | None) -> Row:
    """Make one front video; returns its times and memory.

    Args:
        root: folder of the checkpoints.
        work: folder of the videos.
        steps: solver steps.
        device: device to run on.
        preset: name of the preset.
        cap: limit of GPU memory in GiB, or None.
    """
    from dreamkit.tinyworld.train.bundle import save_text_encoder
    from dreamkit.workspace.video import read_video, write_video

    config = read_config(root / folders.SINGLE_VIEW, MODELS["single"])
    save_text_encoder(root / folders.TEXT_ENCODER, config.denoiser.text_width, 0)
    write_video(work / "hdmap.mp4", condition_frames(config.window_frames, *CONDITION_SIZE, 0.0), CONDITION_FPS)
    with memory_cap(device, cap):
        began, stages = time.perf_counter(), StageTimes()
        tokenizer = stand_in_tokenizer(config, device, native_dtype(device))
        pipeline = SingleViewPipeline.from_checkpoints(root, preset=preset, device=device, tokenizer=tokenizer)
        loaded = time.perf_counter()
        reset_peak(device)
        hdmap = read_video(work / "hdmap.mp4")
        out = pipeline(PROMPT, {"hdmap": hdmap}, steps=steps, progress=stages)
        write_video(work / "front.mp4", out, FPS)
        return _row("single", steps, len(out), began, loaded, stages, pipeline, device, cap)


def run_multi(
    root: Path, work: Path, steps: int, device: torch.device, preset: str, cap: float | None, frames: int
) -> Row:
    """Make six views of `frames` frames from the front video of `run_single`; arguments and result as there."""
    from dreamkit.workspace.video import read_video, write_video

    config = read_config(root / folders.MULTI_VIEW, MODELS["multi"])
    for view in range(6):
        write_video(work / f"hdmap_{view}.mp4", condition_frames(frames, *CONDITION_SIZE, view / 6), CONDITION_FPS)
    with memory_cap(device, cap):
        began, stages = time.perf_counter(), StageTimes()
        tokenizer = stand_in_tokenizer(config, device, native_dtype(device))
        pipeline = MultiViewPipeline.from_checkpoints(root, preset=preset, device=device, tokenizer=tokenizer)
        loaded = time.perf_counter()
        reset_peak(device)
        hdmaps = np.stack([read_video(work / f"hdmap_{view}.mp4") for view in range(6)])
        front = read_video(work / "front.mp4")[:frames]
        out = pipeline([PROMPT] * 6, front, {"hdmap": hdmaps}, steps=steps, progress=stages)
        for view, video in enumerate(out):
            write_video(work / f"{view}.mp4", video, FPS)
        return _row("multi", steps, out.shape[1], began, loaded, stages, pipeline, device, cap)


def _row(
    model: str,
    steps: int,
    frames: int,
    began: float,
    loaded: float,
    stages: StageTimes,
    pipeline: SingleViewPipeline | MultiViewPipeline,
    device: torch.device,
    cap: float | None,
) -> Row:
    """The row of a run that ends now; `began` and `loaded` are perf_counter times, `stages` its listener."""
    info = {key: value for key, value in pipeline.info().items() if key not in ("peak_gpu_bytes", "device")}
    return {
        "model": model,
        "steps": steps,
        "frames": frames,
        **info,
        "load_seconds": round(loaded - began, 1),
        "mp4_to_mp4_seconds": round(time.perf_counter() - loaded, 1),
        **{f"{stage}_seconds": round(seconds, 1) for stage, seconds in stages.seconds.items()},
        **peak_gib(device),
        "cap_gib": cap,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dreamkit bench video", description=__doc__)
    parser.add_argument("what", nargs="+", choices=("single", "multi"), help="what to make: front video, six views")
    parser.add_argument("--steps", type=int, default=2, help="solver steps")
    parser.add_argument("--frames", type=int, default=57, help="frames of the six views")
    parser.add_argument("--preset", default="exact", help="name of the preset")
    parser.add_argument("--cap", type=float, default=None, help="limit of GPU memory, in GiB")
    parser.add_argument("--size", choices=("7b", "tiny"), default="7b", help="size of the models")
    parser.add_argument(
        "--checkpoints", type=Path, default=Path("bench_checkpoints"), help="folder of the random checkpoints"
    )
    parser.add_argument("--work", type=Path, default=Path("bench_run"), help="folder of the videos")
    parser.add_argument("--json", type=Path, default=None, help="file to write the rows to")
    options = parser.parse_args(arguments)
    device = first_device()
    print_machine(device)
    prefix = "tiny_" if options.size == "tiny" else ""
    wanted = [prefix + what for what in ("single", "multi") if what in options.what]
    missing = [model for model in wanted if not released_files(options.checkpoints, model)["base"].parent.is_dir()]
    write_checkpoints(options.checkpoints, missing, device)
    options.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for what in options.what:
        settings = (options.checkpoints, options.work, options.steps, device, options.preset, options.cap)
        rows.append(run_single(*settings) if what == "single" else run_multi(*settings, options.frames))
        free_unused(device)
    print_results("video", rows, device, options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
