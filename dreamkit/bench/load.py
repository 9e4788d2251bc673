"""`dreamkit bench load`: time of loading checkpoint files with random weights, once from disk, twice from memory.

`python -m dreamkit.bench.load` runs with the world model's dependencies alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from dreamkit.bench.measure import (
    Row,
    drop_from_cache,
    first_device,
    native_dtype,
    print_machine,
    print_results,
    synchronize,
)
from dreamkit.bench.random_weights import MODELS, released_files, write_checkpoints
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.load import load_network
from dreamkit.workspace.sizes import GIB


def measure_load(root: Path, model: str, device: torch.device) -> list[Row]:
    """Seconds and GB/s of loading a model's base: once cold (file not in the page cache), twice warm."""
    config = MODELS[model]
    path = released_files(root, model)["base"]
    size = path.stat().st_size
    rows = []
    for state in ("cold", "warm", "warm"):
        if state == "cold":
            drop_from_cache(path)
        read_before = _proc_number("/proc/self/io", "read_bytes")
        began = time.perf_counter()
        network, _ = load_network(Denoiser, config.denoiser, path, device, native_dtype(device))
        synchronize(device)
        seconds = time.perf_counter() - began
        rows.append(
            {
                "file": path.name,
                "state": state,
                "gib": round(size / GIB, 2),
                "seconds": round(seconds, 2),
                "gb_per_second": round(size / seconds / 1e9, 2),
                "read_from_disk_gib": round((_proc_number("/proc/self/io", "read_bytes") - read_before) / GIB, 2),
                "host_memory_gib": round(_proc_number("/proc/self/status", "RssAnon") * 1024 / GIB, 2),
            }
        )
        del network
    return rows


def _proc_number(path: str, key: str) -> int:
    """The number after `key:` in a file of /proc; 0 where there is none."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements that the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dreamkit bench load", description=__doc__)
    parser.add_argument("--models", default="single,multi", help=f"comma-separated, out of {', '.join(MODELS)}")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=Path("bench_checkpoints"),
        help="folder of the random checkpoints, written where missing: 15 GiB a model",
    )
    parser.add_argument("--json", type=Path, default=None, help="file to write the rows to")
    options = parser.parse_args(arguments)
    device = first_device()
    print_machine(device)
    models = options.models.split(",")
    missing = [model for model in models if not released_files(options.checkpoints, model)["base"].is_file()]
    write_checkpoints(options.checkpoints, missing, device)
    rows = [row for model in models for row in measure_load(options.checkpoints, model, device)]
    print_results("load", rows, device, options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
