"""`python -m dreamkit.bench.video`: time and memory of whole runs, from mp4 to mp4, with random weights.

The denoisers have the released size. Instead of the released tokenizer, diffusers' AutoencoderKLCosmos of the same
design runs, and instead of T5-11B a small T5 of the same width.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from dreamkit.bench.forward import MODELS, memory_cap, peak_memory, released_files, write_checkpoints
from dreamkit.transfer import folders
from dreamkit.transfer.config import LATENT_CHANNELS, ModelConfig, read_config
from dreamkit.transfer.pipeline import MultiViewPipeline, Progress, SingleViewPipeline
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.workspace.sizes import GIB

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


def print_progress(progress: Progress) -> None:
    """Print one line for a step of a pipeline's call."""
    print(
        f"        {progress.seconds:7.2f} s  window {progress.window + 1}/{progress.windows} "
        f"{progress.stage} {progress.step}/{progress.steps}",
        flush=True,
    )


def run_single(root: Path, work: Path, steps: int, device: torch.device, cap: float | None) -> None:
    """Make one front video, print time and memory; `work` is the folder of the videos, `cap` as for `memory_cap`."""
    from dreamkit.tinyworld.train.bundle import save_text_encoder
    from dreamkit.workspace.video import read_video, write_video

    config = read_config(root / folders.SINGLE_VIEW, MODELS["single"])
    save_text_encoder(root / folders.TEXT_ENCODER, config.denoiser.text_width, 0)
    write_video(work / "hdmap.mp4", condition_frames(config.window_frames, *CONDITION_SIZE, 0.0), CONDITION_FPS)
    with memory_cap(device, cap):
        began = time.perf_counter()
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        pipeline = SingleViewPipeline.from_checkpoints(root, tokenizer=stand_in_tokenizer(config, device, dtype))
        loaded = time.perf_counter()
        hdmap = read_video(work / "hdmap.mp4")
        out = pipeline(PROMPT, {"hdmap": hdmap}, steps=steps, progress=print_progress)
        write_video(work / "front.mp4", out, FPS)
        _report("single", began, loaded, pipeline, work / "front.mp4", device, cap)


def run_multi(root: Path, work: Path, steps: int, device: torch.device, cap: float | None, frames: int) -> None:
    """Make six views from the front video of `run_single` and print their time and memory; arguments as there."""
    from dreamkit.workspace.video import read_video, write_video

    config = read_config(root / folders.MULTI_VIEW, MODELS["multi"])
    for view in range(6):
        write_video(work / f"hdmap_{view}.mp4", condition_frames(frames, *CONDITION_SIZE, view / 6), CONDITION_FPS)
    with memory_cap(device, cap):
        began = time.perf_counter()
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        pipeline = MultiViewPipeline.from_checkpoints(root, tokenizer=stand_in_tokenizer(config, device, dtype))
        loaded = time.perf_counter()
        hdmaps = np.stack([read_video(work / f"hdmap_{view}.mp4") for view in range(6)])
        front = read_video(work / "front.mp4")[:frames]
        out = pipeline([PROMPT] * 6, front, {"hdmap": hdmaps}, steps=steps, progress=print_progress)
        for view, video in enumerate(out):
            write_video(work / f"{view}.mp4", video, FPS)
        _report("multi", began, loaded, pipeline, work / "5.mp4", device, cap)


def _report(
    name: str,
    began: float,
    loaded: float,
    pipeline: SingleViewPipeline | MultiViewPipeline,
    last: Path,
    device: torch.device,
    cap: float | None,
) -> None:
    """Print time and memory of a run, and its last video's shape and mean; `began`, `loaded`: perf_counter times."""
    from dreamkit.workspace.video import read_video

    made = read_video(last)
    info = {key: value for key, value in pipeline.info().items() if key != "peak_gpu_bytes"}
    seconds = time.perf_counter() - loaded
    print(
        f"run     {name}: loaded in {loaded - began:.1f} s, run in {seconds:.1f} s, {peak_memory(device)}, "
        f"cap {cap}, last video {made.shape}, mean {made.mean():.0f}, {info}",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dreamkit.bench.video", description=__doc__)
    parser.add_argument("what", nargs="+", choices=("single", "multi"), help="what to make: front video, six views")
    parser.add_argument("--steps", type=int, default=2, help="solver steps")
    parser.add_argument("--frames", type=int, default=57, help="frames of the six views")
    parser.add_argument("--cap", type=float, default=None, help="limit of GPU memory, in GiB")
    parser.add_argument("--size", choices=("7b", "tiny"), default="7b", help="size of the models")
    parser.add_argument(
        "--checkpoints", type=Path, default=Path("bench_checkpoints"), help="folder of the random checkpoints"
    )
    parser.add_argument("--work", type=Path, default=Path("bench_run"), help="folder of the videos")
    options = parser.parse_args(arguments)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    prefix = "tiny_" if options.size == "tiny" else ""
    wanted = [prefix + what for what in ("single", "multi") if what in options.what]
    missing = [model for model in wanted if not released_files(options.checkpoints, model)["base"].parent.is_dir()]
    write_checkpoints(options.checkpoints, missing, device)
    options.work.mkdir(parents=True, exist_ok=True)
    for what in options.what:
        if what == "single":
            run_single(options.checkpoints, options.work, options.steps, device, options.cap)
        else:
            run_multi(options.checkpoints, options.work, options.steps, device, options.cap, options.frames)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            print(f"        free after: {torch.cuda.mem_get_info(device)[0] / GIB:.1f} GiB", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
