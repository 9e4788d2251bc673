"""GPU memory that the language models for rewriting need, and the check that a model fits."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from dreamkit.download.catalogue import STYLES_MODEL
from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import read_json
from dreamkit.workspace.sizes import GIB

DEFAULT_MODEL = STYLES_MODEL


@dataclass(frozen=True)
class ModelSize:
    """The sizes from which a model's GPU memory is computed.

    Attributes:
        name: hub name or folder.
        parameters: number of weights, two bytes each.
        layers: number of layers with a key-value cache.
        kv_heads: key-value heads per layer.
        head: channels of a head, two bytes each.
    """

    name: str
    parameters: float
    layers: int
    kv_heads: int
    head: int = 128

    def needs(self, context: int) -> int:
        """Bytes for weights, the cache of four requests of `context` tokens, and 2 GiB for activations and graphs."""
        cache = 2 * self.layers * self.kv_heads * self.head * 2 * context
        return int(2 * self.parameters + 4 * cache + 2 * GIB)


# From the models' cards and config.json on the hub.
QWEN3 = (
    ModelSize(DEFAULT_MODEL, 14.8e9, 40, 8),
    ModelSize("Qwen/Qwen3-8B", 8.2e9, 36, 8),
    ModelSize("Qwen/Qwen3-4B", 4.0e9, 36, 8),
    ModelSize("Qwen/Qwen3-1.7B", 1.7e9, 28, 8),
    ModelSize("Qwen/Qwen3-0.6B", 0.6e9, 28, 8),
)


def model_size(model: str) -> ModelSize | None:
    """The size of a known model, or of a model folder by its config.json and safetensors files; None when unknown."""
    for known in QWEN3:
        if known.name == model:
            return known
    folder = Path(model)
    if not (folder / "config.json").is_file():
        return None
    config = read_json(folder / "config.json", "model config")
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    try:
        heads = config["num_attention_heads"]
        head = config.get("head_dim") or config["hidden_size"] // heads
        return ModelSize(
            model, weights / 2, config["num_hidden_layers"], config.get("num_key_value_heads", heads), head
        )
    except KeyError:
        return None


def gpu_memory() -> tuple[int, int] | None:
    """(free, total) bytes of the first GPU, None without one; from nvidia-smi, which needs no CUDA context here."""
    command = ["nvidia-smi", "--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
        free, total = (int(part) * 2**20 for part in lines[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return free, total


def refuse_too_large(model: str, share: float, context: int, memory: tuple[int, int] | None) -> None:
    """Check that a model fits into a share of the GPU's memory; unknown models pass.

    Args:
        model: hub name or folder.
        share: part of the GPU's total memory that vLLM may take, 0 to 1.
        context: tokens of a request at most.
        memory: (free, total) bytes; with None every model passes.

    Raises:
        DreamkitError: the model is too large; the hint names the largest one that fits.
    """
    size = model_size(model)
    if memory is None or size is None:
        return
    free, total = memory
    room = min(free, int(share * total))
    if size.needs(context) <= room:
        return
    fitting = next((other.name for other in QWEN3 if other.needs(context) <= room), None)
    hint = f"{fitting} would fit; choose it as the model." if fitting else "Use the built-in rules, or another GPU."
    raise DreamkitError(
        f"The model {model} needs about {size.needs(context) / GIB:.0f} GiB of GPU memory; "
        f"{room / GIB:.0f} GiB may be used here ({free / GIB:.0f} GiB free of {total / GIB:.0f}, share {share:g}).",
        hint,
    )
