"""The time of each attention backend for a shape on this GPU, measured once and kept in the user's cache folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.torchscript import cache_folder
from dreamkit.workspace.files import write_json

if TYPE_CHECKING:
    from dreamkit.transfer.attention import Attention

log = logging.getLogger("dreamkit")

CACHE_FILE = "attention.json"
RUNS = 3

Times = Mapping[str, float]  # backend -> milliseconds


def timing_key(shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype, versions: str = "") -> str:
    """What a timing depends on: card, versions, dtype, and the shape (tokens, heads, head_dim)."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    cudnn = torch.backends.cudnn.version() if device.type == "cuda" else None
    words = [card, f"torch {torch.__version__}", f"cudnn {cudnn}", versions, str(dtype), "x".join(map(str, shape))]
    return ", ".join(word for word in words if word)


def remembered_times(key: str, names: list[str]) -> Times | None:
    """All times of an earlier run; None where one of `names` has none, or the file is unreadable."""
    times = _read().get(key)
    if not isinstance(times, dict) or not all(isinstance(value, int | float) for value in times.values()):
        return None
    return times if all(name in times for name in names) else None


def remember_times(key: str, times: Times) -> None:
    """Add times to the cache file; a file that cannot be written is reported in the log and has no other effect.

    Of two processes that write at once, the later one's times are kept: the other's are measured again.
    """
    try:
        write_json(cache_folder() / CACHE_FILE, {**_read(), key: dict(times)})
    except DreamkitError as error:
        log.info("The times of attention backends are not remembered: %s", error)


def _read() -> dict[str, object]:
    """The cache file's entries; none where it is missing or broken."""
    try:
        data = json.loads((cache_folder() / CACHE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


@torch.inference_mode()
def time_backends(
    backends: Sequence[Attention], shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype
) -> Times:
    """Milliseconds of self-attention by each backend, the fastest of RUNS after a first one.

    Args:
        backends: to be timed.
        shape: tokens, heads, head_dim.
        device: a CUDA device.
        dtype: of q, k and v.

    Raises:
        torch.cuda.OutOfMemoryError: three inputs and an output of this shape do not fit.
    """
    generator = torch.Generator(device).manual_seed(0)

    q, k, v = (torch.randn(1, *shape, device=device, dtype=dtype, generator=generator) for _ in range(3))
    times = {}
    for attention in backends:
        attention(q, k, v)
        runs = []
        for _ in range(RUNS):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            attention(q, k, v)
            end.record()
            torch.cuda.synchronize(device)
            runs.append(begin.elapsed_time(end))
        times[attention.name] = round(min(runs), 3)
    return times
