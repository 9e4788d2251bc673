"""Memory and time of two windows at full size with random weights: separate, and denoised together.

`python -m dreamkit.bench.long_memory` runs with torch, numpy, safetensors and transformers alone.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dreamkit.bench.measure import (
    first_device,
    free_unused,
    machine,
    peak_gib,
    reset_peak,
    synchronize,
    table,
)
from dreamkit.bench.random_models import on_device, random_networks, random_window
from dreamkit.bench.random_weights import MODELS
from dreamkit.transfer.denoising import denoise_window
from dreamkit.transfer.joined import JoinedLatents, denoise_joined, joined_noise
from dreamkit.transfer.sampling import seeded_noise
from dreamkit.transfer.windows import joined_starts
from dreamkit.workspace.files import write_json


@torch.inference_mode()
def measure_two_windows(model: str, steps: int) -> list[dict[str, Any]]:
    """Rows for one window, in which kernels are chosen and compiled, two separate windows and two joined ones."""
    config, device = MODELS[model], first_device()
    networks = random_networks(config, device, None)
    window, shape = on_device(random_window(config, steps), device), (1, *config.latent_shape)
    starts = joined_starts(2 * config.latent_frames - 4, config.latent_frames)
    layout = JoinedLatents(tuple(starts), config.latent_frames)
    noise = joined_noise(layout, lambda index: seeded_noise(shape, index, device))
    windows = [
        replace(window, noise=layout.cut(noise, index), hints={"hdmap": window.hints["hdmap"].roll(index, 2)})
        for index in range(len(starts))
    ]
    runs = {
        "one window, the first run": lambda: denoise_window(networks, config, windows[0]),
        "separate windows": lambda: [denoise_window(networks, config, one) for one in windows],
        "joined windows": lambda: denoise_joined(networks, config, windows, layout, noise),
    }
    rows = []
    for name, run in runs.items():
        free_unused(device)
        reset_peak(device)
        began = time.perf_counter()
        run()
        synchronize(device)
        count = 1 if name.startswith("one") else len(windows)
        seconds = time.perf_counter() - began
        rows.append(
            {
                "way": name,
                "windows": count,
                "evaluations": count * (steps + 1),
                "seconds": round(seconds, 3),
                "seconds_an_evaluation": round(seconds / count / (steps + 1), 4),
                **peak_gib(device),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table; returns exit code 0."""
    found = argparse.ArgumentParser(prog="python -m dreamkit.bench.long_memory", description=__doc__)
    found.add_argument("--model", default="single", choices=("single", "tiny_single"))
    found.add_argument("--steps", type=int, default=3, help="sampling steps")
    found.add_argument("--json", type=Path, help="file of the results")
    asked = found.parse_args(arguments)
    rows = measure_two_windows(asked.model, asked.steps)
    print(table(rows))
    if asked.json:
        write_json(asked.json, {"bench": "long_memory", "machine": machine(first_device()), "rows": rows})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
