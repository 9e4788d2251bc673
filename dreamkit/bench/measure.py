"""What all measurements of the world model share: machine and versions, memory, a cap of it, tables and JSON files."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import dreamkit
from dreamkit.workspace.files import write_json
from dreamkit.workspace.sizes import GIB

Row = Mapping[str, Any]


def first_device() -> torch.device:
    """The first GPU, or the CPU where there is none."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def native_dtype(device: torch.device) -> torch.dtype:
    """Dtype in which the networks run there: bfloat16 on a GPU, float32 on a CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def machine(device: torch.device) -> dict[str, Any]:
    """Device, host and versions, as they stand in a measurement's JSON file."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else "CPU",
        "device_gib": round(torch.cuda.get_device_properties(device).total_memory / GIB, 1) if cuda else None,
        "host": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "dreamkit": dreamkit.__version__,
        "weights": "random",
    }


def print_machine(device: torch.device) -> None:
    """Print `machine` on one line."""
    facts = machine(device)
    print(", ".join(f"{name} {value}" for name, value in facts.items() if value is not None), flush=True)


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; its columns are the keys, in the order of their first use."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[name.replace("_", " ") for name in columns]]
    cells += [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
    lines = [
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    """A value as text: numbers of three digits behind the point at most, nothing for None."""
    if value is None:
        return ""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) and abs(value) >= 0.001 else str(value)


def print_results(
    name: str, rows: Sequence[Row], device: torch.device, path: Path | None, **further: Sequence[Row]
) -> None:
    """Print the tables of a measurement; with `path` also write a JSON file: name, machine and all rows.

    Raises:
        DreamkitError: the file cannot be written.
    """
    tables = {"rows": rows, **{key: value for key, value in further.items() if value}}
    print("\n\n".join(table(value) for value in tables.values()), flush=True)
    if path is not None:
        lists = {key: [dict(row) for row in value] for key, value in tables.items()}
        write_json(path, {"bench": name, "machine": machine(device), **lists})


def timed(run: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Seconds of each of `repeats` calls, until the GPU has finished."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return times


def drop_from_cache(path: Path) -> None:
    """Drop a file from the system's page cache, so that it is read from disk the next time."""
    os.sync()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def synchronize(device: torch.device) -> None:
    """Wait until the GPU has finished; does nothing for a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak(device: torch.device) -> None:
    """Start a new measurement of peak memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> dict[str, float]:
    """Peak GPU memory since the last reset, allocated and reserved; on a CPU the peak host memory of the process."""
    if device.type != "cuda":
        return {"host_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}
    allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    return {"allocated_gib": round(allocated / GIB, 2), "reserved_gib": round(reserved / GIB, 2)}


def free_unused(device: torch.device) -> None:
    """Give memory that PyTorch holds unused back to the GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextlib.contextmanager
def memory_cap(device: torch.device, gib: float | None) -> Iterator[None]:
    """Limit this process to `gib` of GPU memory during the block, as on a smaller GPU; None sets no limit."""
    if gib is None or device.type != "cuda":
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
