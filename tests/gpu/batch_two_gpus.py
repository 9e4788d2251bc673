"""`python tests/gpu/batch_two_gpus.py`: units of a batch on a GPU each, side by side, with random weights.

The local engine of `dreamkit batch` places and starts the units. In place of a notebook, for which a machine for
measurements lacks papermill, each unit's process loads a random model once and makes some windows with it. The table
says how often each unit loaded its model, how long the units ran at the same time, how busy each GPU was meanwhile, and
how their pace compares with that of a unit alone. With `--model tiny_single --gpus ""` it runs on the CPU.

It needs PyTorch, NumPy, safetensors and PyYAML, and `nvidia-smi` for the GPUs' use.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))
STYLES = ("Original", "Night", "Rainy", "Snowy", "Foggy")


def make_unit(root: str, key: str) -> None:
    """The process of a unit: load once, make a window for each of its results, write what it did."""
    import torch

    from dreamkit.bench.random_models import RandomStore, compute_settings, on_device, random_files, random_window
    from dreamkit.bench.random_weights import MODELS
    from dreamkit.runs.batch_units import BatchFolder
    from dreamkit.transfer.denoising import denoise_window
    from dreamkit.transfer.model_files import FIRST_WINDOW
    from dreamkit.workspace.files import write_json

    unit = BatchFolder(Path(root)).read_unit(key)
    device = torch.device("cuda", 0) if torch.cuda.is_available() and unit.gpus else torch.device("cpu")
    config, loads = MODELS[unit.params["model"]], []

    class CountingStore(RandomStore):
        """A pipeline's networks, which it asks for at every window, with the number of times that they were loaded."""

        def _load(self, kind):
            loads.append(kind)
            return super()._load(kind)

    times = [time.time()]
    store = CountingStore(random_files(config), compute_settings(config, device, None), offload=False)
    store.get(FIRST_WINDOW)
    window = on_device(random_window(config, unit.params["num_steps"]), device)
    for _ in unit.targets:
        times.append(time.time())
        denoise_window(store.get(FIRST_WINDOW), config, window)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    times.append(time.time())
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else "cpu"
    peak = torch.cuda.max_memory_allocated(device) if cuda else 0
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    write_json(
        BatchFolder(Path(root)).end(key, 1),
        {"gpus": gpus, "device": name, "loads": len(loads), "times": times, "peak_bytes": peak},
    )


def run_units(engine, folder, units) -> tuple[dict[str, dict], list[tuple[float, list[dict]]]]:
    """Run units on an engine; what each wrote, and (time, use of the GPUs) about twice a second."""
    from dreamkit.runs.batch_events import gpu_use

    waiting, running, use = list(units), set(), []
    while waiting or running:
        for unit in [unit for unit in waiting if engine.has_room(unit)]:
            folder.write_unit(unit)
            print(f"{unit.key}: {engine.start(folder, unit, 1)}", flush=True)
            waiting.remove(unit)
            running.add(unit.key)
        for ended in engine.ended():
            running.discard(ended.key)
            if ended.code:
                raise SystemExit(
                    f"{ended.key} ended with {ended.code}:\n{folder.log(ended.key, 1).read_text()[-3000:]}"
                )
        if engine.gpus:
            use.append((time.time(), gpu_use()))
        time.sleep(0.5)
    return {unit.key: json.loads(folder.end(unit.key, 1).read_text()) for unit in units}, use


def table(ends: dict[str, dict], use: list[tuple[float, list[dict]]]) -> list[dict]:
    """A row for each unit: loads, seconds of the load and of a window, use of its GPU while all units make windows."""
    first = max(end["times"][1] for end in ends.values())
    last = min(end["times"][-1] for end in ends.values())
    rows = []
    for key, end in ends.items():
        times = end["times"]
        seconds = [after - before for before, after in itertools.pairwise(times[1:])]
        own = [gpu for at, gpus in use if first <= at <= last for gpu in gpus if str(gpu["index"]) == end["gpus"]]
        seen = [gpu["percent"] for gpu in own if gpu["percent"] is not None]
        rows.append(
            {
                "unit": key,
                "gpus": end["gpus"],
                "device": end["device"],
                "loads": end["loads"],
                "load_seconds": round(times[1] - times[0], 2),
                "seconds_a_window": [round(value, 2) for value in seconds],
                "peak_gib": round(end["peak_bytes"] / 2**30, 1),
                "seconds_together": round(max(0.0, last - first), 1),
                "busy_percent": round(sum(seen) / len(seen)) if seen else None,
            }
        )
    return rows


def main() -> None:
    """Run a unit alone, then one on each GPU side by side, and print both tables as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="single", help="single, multi, tiny_single or tiny_multi")
    parser.add_argument("--gpus", default="0,1", help='as CUDA_VISIBLE_DEVICES has them; "" for two units on the CPU')
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--windows", type=int, default=3, help="windows of a unit, up to five")
    parser.add_argument("--unit", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.unit:
        make_unit(*given.unit)
        return
    from dreamkit.runs import engine_local
    from dreamkit.runs.batch_units import BatchFolder, Target, Unit

    gpus = [name for name in given.gpus.split(",") if name]

    class UnitScript(subprocess.Popen):
        """The unit's process, with this script in place of the batch's worker."""

        def __init__(self, command: list[str], **rest) -> None:
            root, key = command[-3:-1]
            super().__init__([command[0], __file__, "--unit", root, key], **rest)

    engine_local.subprocess.Popen = UnitScript
    with tempfile.TemporaryDirectory() as root:
        folder = BatchFolder(Path(root))
        params = {"model": given.model, "num_steps": given.steps}
        units = [
            Unit(
                *(f"single-1-{number:04d}-0", "single", 1, root, (f"clip_{number}",), params),
                tuple(Target("single", 1, f"clip_{number}", 0, style) for style in STYLES[: given.windows]),
                gpus=1 if gpus else 0,
            )
            for number in range(max(2, len(gpus)))
        ]
        alone = run_units(engine_local.LocalEngine(gpus, 1), folder, units[:1])
        together = run_units(engine_local.LocalEngine(gpus, len(units)), folder, units)
    for name, (ends, use) in (("alone", alone), ("together", together)):
        for row in table(ends, use):
            print(json.dumps({"run": name, **row}), flush=True)
    own = [end["gpus"] for end in together[0].values()]
    if gpus and len(set(own)) != len(own):
        raise SystemExit(f"two units had the same GPU: {own}")
    if any(end["loads"] != 1 for end in together[0].values()):
        raise SystemExit("a unit loaded its model more than once")


if __name__ == "__main__":
    main()
