"""Networks and checkpoint files of the released sizes with random weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from dreamkit.bench.measure import free_unused
from dreamkit.transfer import folders
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, TINY_MULTI, TINY_SINGLE, save_config
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.workspace.sizes import GIB

Module = TypeVar("Module", bound=nn.Module)
MODELS = {
    "single": COSMOS_7B_SINGLE,
    "multi": COSMOS_7B_MULTI,
    "tiny_single": TINY_SINGLE,
    "tiny_multi": TINY_MULTI,
}


def random_network(
    kind: type[Module], config: object, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> Module:
    """A network with random weights, none of them zero; `kind` is Denoiser, ControlBranch or Block."""
    from dreamkit.tinyworld.train.bundle import fill_random

    with torch.device("meta"):
        network = kind(config)
    network = (
        network.to_empty(device=device).to(dtype)
        if dtype == torch.float32
        else network.to(dtype).to_empty(device=device)
    )
    fill_random(network, torch.Generator(device).manual_seed(seed))
    return network.requires_grad_(False).eval()


def released_files(root: Path, model: str, kind: str = "t2w") -> dict[str, Path]:
    """Files of a model of MODELS by role, `base` and `hdmap`; `kind` is `t2w` or `v2w` (six views only)."""
    if MODELS[model].views > 1:
        return folders.multi_view_files(root, kind, ("hdmap",))
    return folders.single_view_files(root, ("hdmap",))


def write_checkpoints(root: Path, models: list[str], device: torch.device) -> None:
    """Write checkpoints with random weights in the released form; `v2w` files are links to the `t2w` files."""
    from dreamkit.tinyworld.train.bundle import released_tensors

    for model in models:
        config, files = MODELS[model], released_files(root, model)
        later = released_files(root, model, "v2w")
        files["base"].parent.mkdir(parents=True, exist_ok=True)
        save_config(config, files["base"].parent)
        for role, path in files.items():
            kind = Denoiser if role == "base" else ControlBranch
            began = time.perf_counter()
            torch.save(released_tensors(random_network(kind, config.denoiser, device, torch.bfloat16)), path)
            if later[role] != path:
                later[role].symlink_to(path.name)
            print(
                f"wrote   {path.name:22s} {path.stat().st_size / GIB:.2f} GiB in {time.perf_counter() - began:.1f} s",
                flush=True,
            )
    free_unused(device)
