"""Checkpoint files to modules: memory-mapped, `weights_only=True`, every name and shape checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from dreamkit.errors import DreamkitError
from dreamkit.transfer.config import DenoiserConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.device_copy import copy_to_device
from dreamkit.transfer.host_memory import pack_blocks
from dreamkit.transfer.names import released_name
from dreamkit.transfer.tensor_files import load_tensors

Network = TypeVar("Network", Denoiser, ControlBranch)

# Names in the files that are no weights: training's loss weighting, the position counter, Transformer Engine's fp8
# state.
_NOT_WEIGHTS = re.compile(r"logvar\..*|(?:.*\.)?pos_embedder\.seq|.*\._extra_state")
# A control branch is trained as a copy of the base, so its file also has the base's last layer, which it does not use.
_UNUSED_IN_CONTROL = ("final_layer.",)


@dataclass(frozen=True)
class LoadReport:
    """Where the tensors of a loaded network came from.

    Attributes:
        path: the checkpoint file.
        own: number of tensors from that file.
        from_base: released names of the tensors that the file lacks and that were taken from the base's file.
    """

    path: Path
    own: int
    from_base: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a released `.pt` file, memory-mapped, by name without the `net.` prefix.

    The tensors may be in an outer dictionary under `ema` (preferred; its names use `-` for `.`) or `model`. Entries
    that are no weights are left out.

    Raises:
        DreamkitError: no such file, or not a file of tensors.
    """
    if not path.is_file():
        raise DreamkitError(
            f"There is no checkpoint file at {path}{_neighbours(path)}.",
            "Download the model into this folder, or set `checkpoints` to the folder that has it.",
        )
    advice = "The download may have been cut off: compare its size with the published one and fetch it again."
    data = load_tensors(path, f"{path} is not a readable checkpoint", advice, mapped=True)
    if not isinstance(data, Mapping):
        raise DreamkitError(f"{path} holds a {type(data).__name__}, not named tensors.", "Fetch the file again.")
    if isinstance(data.get("ema"), Mapping) and data["ema"]:
        data = {str(name).replace("-", "."): value for name, value in data["ema"].items()}
    elif isinstance(data.get("model"), Mapping):
        data = data["model"]
    names = {str(name).removeprefix("net."): value for name, value in data.items()}
    return {
        name: value
        for name, value in names.items()
        if isinstance(value, torch.Tensor) and not _NOT_WEIGHTS.fullmatch(name)
    }


# The v2w networks are loaded during a pipeline call, which runs in inference mode. Weights must be ordinary tensors:
# the copying threads are not in that mode and cannot write to inference tensors.
@torch.inference_mode(False)
def load_network(
    kind: type[Network],
    config: DenoiserConfig,
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    base: Path | None = None,
    blocks_in_host_memory: bool = False,
) -> tuple[Network, LoadReport]:
    """Build a denoiser or control branch with the weights of a checkpoint file.

    Args:
        kind: `Denoiser` or `ControlBranch`.
        config: sizes of the network, which the file must have too.
        path: released checkpoint file.
        device: device of the weights.
        dtype: dtype of the weights.
        base: for a control branch, the base model's file; a tensor absent from `path` is taken from it.
        blocks_in_host_memory: place the blocks' weights as `offload.BlockStream` needs them, page-locked for a GPU.

    Raises:
        DreamkitError: see `read_checkpoint`; or names or shapes do not fit, or the file is of another kind of model.
    """
    tensors = read_checkpoint(path)
    _check_kind(kind, config, tensors, path)
    with torch.device("meta"):
        network = kind(config)
    lacks = any(released_name(name) not in tensors for name, _ in network.named_parameters())
    stand_ins = read_checkpoint(base) if base is not None and lacks else {}
    taken = load_parameters(network, tensors, str(path), device, dtype, stand_ins, blocks_in_host_memory)
    report = LoadReport(path, len(list(network.parameters())) - len(taken), tuple(taken))
    return network.requires_grad_(False).eval(), report


def load_parameters(
    network: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    label: str,
    device: torch.device,
    dtype: torch.dtype,
    base: Mapping[str, torch.Tensor] | None = None,
    blocks_in_host_memory: bool = False,
) -> list[str]:
    """Replace every parameter by the tensor of its released name.

    Args:
        network: the module to fill; its parameters may be on the meta device.
        tensors: tensors by released name.
        label: the file's name, for messages.
        device: device of the new parameters.
        dtype: dtype of the new parameters.
        base: tensors for the names that `tensors` lacks.
        blocks_in_host_memory: see `load_network`.

    Returns:
        The released names that were taken from `base`, sorted.

    Raises:
        DreamkitError: a name is missing or unexpected, or a shape differs; the message lists them.
    """
    wanted = {released_name(name): (name, parameter) for name, parameter in network.named_parameters()}
    skipped = _UNUSED_IN_CONTROL if isinstance(network, ControlBranch) else ()
    given = {n: t for n, t in tensors.items() if not n.startswith(skipped) and not _NOT_WEIGHTS.fullmatch(n)}
    taken = sorted(name for name in wanted if name not in given and name in (base or {}))
    given.update({name: (base or {})[name] for name in taken})
    missing = sorted(wanted.keys() - given.keys())
    unexpected = sorted(given.keys() - wanted.keys())
    shapes = [
        f"{name} is {list(given[name].shape)}, expected {list(parameter.shape)}"
        for name, (_, parameter) in wanted.items()
        if name in given and given[name].shape != parameter.shape
    ]
    if missing or unexpected or shapes:
        parts = [("missing", missing), ("unexpected", unexpected), ("wrong shape", shapes)]
        listed = "; ".join(f"{len(names)} {what}: {_short(names)}" for what, names in parts if names)
        raise DreamkitError(
            f"{label} does not fit the model: {listed}.",
            "Check that the file is the one its name says (size and checksum), and fetch it again if not.",
        )
    chosen, packed = {wanted[name][0]: given[name] for name in wanted}, {}
    if blocks_in_host_memory:
        packed, chosen = pack_blocks(chosen, dtype, device.type == "cuda")
    for name, tensor in {**packed, **copy_to_device(chosen, device, dtype)}.items():
        set_parameter(network, name, tensor)
    return taken


def set_parameter(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Make `tensor` the parameter of this name, `block.layer.weight` for one of a submodule; it needs no gradient."""
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, nn.Parameter(tensor, requires_grad=False))


def checkpoint_kind(tensors: Mapping[str, torch.Tensor]) -> str:
    """What the tensors are, such as "a single-view base model"; empty when they are of no denoiser."""
    part = "control branch" if "zero_blocks.block0.weight" in tensors else "base model"
    if "view_embeddings.weight" in tensors:
        return f"a multi-view {part}"
    return f"a single-view {part}" if "x_embedder.proj.1.weight" in tensors or part == "control branch" else ""


def _check_kind(kind: type[nn.Module], config: DenoiserConfig, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise DreamkitError unless the tensors are of the kind of model that is to be loaded."""
    found = checkpoint_kind(tensors)
    views = "multi-view" if config.view_table else "single-view"
    expected = f"a {views} {'control branch' if kind is ControlBranch else 'base model'}"
    # A control file may leave out every tensor it shares with the base, its view table too.
    only_own_parts = kind is ControlBranch and "x_embedder.proj.1.weight" not in tensors
    if not found:
        raise DreamkitError(
            f"{path} contains no denoiser (first names: {_short(sorted(tensors))}).",
            f"Put the checkpoint of {expected} in this place.",
        )
    if found != expected and not (only_own_parts and found.endswith("control branch")):
        raise DreamkitError(
            f"{path} holds {found}, where {expected} is expected.",
            "The file is in the wrong folder or has the wrong name: move it, or fetch the right one.",
        )


def _short(names: Sequence[str], most: int = 8) -> str:
    """The first `most` names and the number of the others."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _neighbours(path: Path) -> str:
    """The files in the nearest existing folder above `path`, as text for a message: " (<folder> has: ...)"."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    names = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else []
    return f" ({folder} has: {', '.join(names) or 'nothing'})"
