"""`python -m dreamkit.bench.startup`: seconds from the start of the process to the first denoising step, by stage.

The checkpoints have the released size and random weights; the first run writes them. What is left out: the text
encoder, which a second run of the same prompts does not load, the tokenizer, and reading condition videos.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dreamkit.bench.measure import drop_from_cache, first_device, machine, synchronize
from dreamkit.bench.random_weights import MODELS, released_files, write_checkpoints
from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.engine import choose_compute
from dreamkit.transfer.model_files import FIRST_WINDOW, ModelFiles, multi_view_model, single_view_model
from dreamkit.transfer.network_store import NetworkStore
from dreamkit.transfer.presets import PRESETS
from dreamkit.transfer.views import VIEW_IDS, condition_mask
from dreamkit.workspace.files import fingerprint, write_json


def seconds_since_start() -> float:
    """Seconds since this process was started."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


@dataclass
class Stages:
    """Stages of a start, each with its seconds.

    Attributes:
        seconds: stage -> seconds.
        total: since the process started.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    total: float = 0.0

    def done(self, stage: str) -> None:
        """Record that a stage has ended now; what follows belongs to the next."""
        now = seconds_since_start()
        self.seconds[stage], self.total = round(now - self.total, 3), now
        print(f"{stage:34s} {self.seconds[stage]:8.2f} s   {now:8.2f} s since the start", flush=True)


def random_window(config: ModelConfig, device: torch.device) -> Window:
    """A window of one step without guidance, of random noise, text and condition."""
    shape = (1, *config.latent_shape)
    generator = torch.Generator(device).manual_seed(2)
    denoiser = config.denoiser
    text = torch.randn(config.views, denoiser.text_tokens, denoiser.text_width, device=device, generator=generator)
    noise, hint = (torch.randn(shape, device=device, generator=generator) for _ in range(2))
    given = None
    if config.views > 1:
        given = condition_mask(config.views, config.latent_frames, 0, device), torch.zeros_like(noise)
    ids = VIEW_IDS.get(config.views, (0,))
    return Window(
        text, text, {"hdmap": hint}, {"hdmap": 0.5}, noise, 1, 0.0, 24.0, config.window_frames, given, view_ids=ids
    )


def measure_start(model: ModelFiles, preset: str, cold: bool) -> Stages:
    """The stages from this process's start to the second denoising step.

    Args:
        model: the model to load.
        preset: name of the preset.
        cold: drop the checkpoint files from the page cache first.
    """
    stages = Stages()
    files = list(model.denoisers[FIRST_WINDOW].values())
    for path in files if cold else ():
        drop_from_cache(path)
    stages.done("python, torch, dreamkit")
    compute = choose_compute(None, preset, "auto", model.config)
    if compute.device.type == "cuda":
        torch.zeros(1, device=compute.device)
    stages.done("CUDA")
    for path in files:
        fingerprint(path)
    stages.done("checksums of the denoiser's files")
    store = NetworkStore(model, compute, offload=False)
    store.get(FIRST_WINDOW)
    synchronize(compute.device)
    stages.done("denoiser loaded")

    def on_step(step: int, _: torch.Tensor) -> None:
        synchronize(compute.device)
        stages.done("first step" if step == 1 else "second step")

    window = random_window(model.config, compute.device)
    store.run(FIRST_WINDOW, lambda networks: denoise_window(networks, model.config, window, on_step))
    return stages


def main(arguments: list[str] | None = None) -> int:
    """Measure one start, as the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dreamkit.bench.startup", description=__doc__)
    parser.add_argument("--model", default="single", choices=tuple(MODELS), help="the model to start")
    parser.add_argument("--preset", default="exact", choices=tuple(PRESETS), help="how it runs")
    parser.add_argument("--cold", action="store_true", help="the checkpoint files are not in the page cache")
    parser.add_argument("--json", type=Path, default=None, help="file to write the stages to")
    parser.add_argument(
        "--checkpoints", type=Path, default=Path("bench_checkpoints"), help="folder of the random checkpoints"
    )
    options = parser.parse_args(arguments)
    multi = MODELS[options.model].views > 1
    find = multi_view_model if multi else single_view_model
    if not released_files(options.checkpoints, options.model)["base"].is_file():
        write_checkpoints(options.checkpoints, [options.model], first_device())
        print("the checkpoints are written: run the command again to measure a start", flush=True)
        return 0
    stages = measure_start(find(options.checkpoints, ["hdmap"]), options.preset, options.cold)
    about = machine(first_device())
    print(f"{options.model}, preset {options.preset}, {'cold' if options.cold else 'warm'} files, {about}", flush=True)
    if options.json is not None:
        write_json(options.json, {"machine": about, "preset": options.preset, "seconds": stages.seconds})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
