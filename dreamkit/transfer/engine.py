"""Where and how the networks compute, and a denoiser loaded with its control branches."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.attention import choose_attention
from dreamkit.transfer.config import DenoiserConfig, ModelConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.dit import Trunk
from dreamkit.transfer.fp8 import choose_float8, convert_to_float8
from dreamkit.transfer.fused_ops import choose_fused_ops
from dreamkit.transfer.load import LoadReport, load_network
from dreamkit.transfer.memory import free_memory
from dreamkit.transfer.offload import BlockStream
from dreamkit.transfer.parallel import Division, Ranks
from dreamkit.transfer.presets import PRESETS, Preset, find_preset

log = logging.getLogger("dreamkit")

_SMALLEST_GPU_WIDTH = 2048
"""A denoiser this wide is too slow on a CPU; the 7B models have 4096."""
FLOAT8_CAPABILITY = (8, 9)
"""Compute capability of Ada, the first GPUs with float8 matrix products; Hopper has 9.0."""
FREE_FOR_FLOAT8 = 1.1
"""Free memory, in multiples of the loaded weights, for float8 copies beside them (0.4) and a forward (0.7)."""


@dataclass(frozen=True)
class ComputeSettings:
    """Where and how the networks compute.

    Attributes:
        device: one GPU, or the CPU.
        dtype: of weights and activations: bfloat16 on a GPU, float32 on a CPU.
        preset: see `presets.py`.
        attention: wanted attention backend, or `auto`.
        tokens: tokens of self-attention in a window, by which `auto` chooses; 0 where they are not known.
        ranks: this process among those that divide a window, one for each GPU; None for one GPU.
    """

    device: torch.device
    dtype: torch.dtype
    preset: Preset = PRESETS["exact"]
    attention: str = "auto"
    tokens: int = 0
    ranks: Ranks | None = None


def choose_compute(
    device: str | torch.device | None, preset: str, attention: str, config: ModelConfig
) -> ComputeSettings:
    """Choose device and dtype; without a device the first GPU, or the CPU where there is none.

    Raises:
        DreamkitError: an unknown preset; no GPU for a model of the released size; a device that is not there.
    """
    how = find_preset(preset)
    cuda = torch.cuda.is_available()
    chosen = torch.device(device or ("cuda" if cuda else "cpu"))
    if chosen.type == "cuda" and not cuda:
        raise DreamkitError("The device is cuda, but PyTorch sees no GPU here.", "Check the driver with nvidia-smi.")
    if chosen.type == "cpu" and config.denoiser.width >= _SMALLEST_GPU_WIDTH:
        raise DreamkitError(
            "The 7B models need a GPU, and PyTorch sees none here.",
            "Run on a machine with a GPU, or rehearse with the tiny bundle (checkpoints: tiny).",
        )
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", torch.cuda.current_device())
    dtype = torch.bfloat16 if chosen.type == "cuda" else torch.float32
    if how.fp8:
        _check_float8(how, chosen)
    return ComputeSettings(chosen, dtype, how, attention, config.views * math.prod(config.token_grid))


def _check_float8(preset: Preset, device: torch.device) -> None:
    """Raise a DreamkitError where a device has no float8 arithmetic."""
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= FLOAT8_CAPABILITY:
            return
        there = f"{torch.cuda.get_device_name(device)} has {capability[0]}.{capability[1]}"
    else:
        there = f"the device is {device.type}"
    raise DreamkitError(
        f"Preset {preset.name!r} computes in float8, which needs a GPU of compute capability 8.9 (Ada, Hopper) or "
        f"more; {there}.",
        "Use exact.",
    )


@dataclass
class Networks:
    """A base denoiser and its control branches, on one device.

    Attributes:
        base: the denoiser.
        branches: control -> its branch.
        reports: where the tensors of each file came from.
        stream: the blocks that are in host memory, with a preset that bounds GPU memory; else None.
        preset: decides in which arithmetic and how often they are evaluated.
        float8: how float8 is used, for the sidecar; empty without it.
        ranks: as in ComputeSettings.
    """

    base: Denoiser
    branches: dict[str, ControlBranch]
    reports: list[LoadReport]
    stream: BlockStream | None = None
    preset: Preset = PRESETS["exact"]
    float8: dict[str, str] = field(default_factory=dict)
    ranks: Ranks | None = None

    def division(self, guidance: float, shape: tuple[int, ...]) -> Division | None:
        """This process's share of a window; None where one GPU makes it alone.

        Args:
            guidance: 0 for one pass, else two.
            shape: of the latent, (..., height, width).
        """
        config = self.base.config
        if self.ranks is None:
            return None
        grid = shape[-2] // config.patch, shape[-1] // config.patch
        return self.ranks.division(guidance != 0, grid, config.heads)

    def to(self, device: torch.device) -> None:
        """Move all weights."""
        for network in (self.base, *self.branches.values()):
            network.to(device)

    @property
    def trunks(self) -> list[Trunk]:
        """The base's trunk, then the branches'."""
        return [self.base.trunk, *(branch.trunk for branch in self.branches.values())]

    def chosen(self) -> dict[str, str]:
        """Names of the attention backend and of the pointwise kernels that were chosen, and how float8 is used."""
        return {"attention": self.base.trunk.attention.name, "pointwise": self.base.trunk.ops.name, **self.float8}


def load_networks(config: DenoiserConfig, files: Mapping[str, Path], compute: ComputeSettings) -> Networks:
    """Load `files` (`base`, and each control's name) onto the device and choose kernels.

    With a preset that bounds GPU memory the blocks stay in host memory; `Networks.stream` brings them to the device.

    Raises:
        DreamkitError: a file is missing, broken, or of another model; an attention backend that cannot run here.
    """
    base_file, offload = files["base"], compute.preset.memory_gib is not None
    place = {"device": compute.device, "dtype": compute.dtype, "blocks_in_host_memory": offload}
    base, report = load_network(Denoiser, config, base_file, **place)
    branches, reports = {}, [report]
    for name, path in files.items():
        if name == "base":
            continue
        branches[name], report = load_network(ControlBranch, config, path, base=base_file, **place)
        reports.append(report)
        if report.from_base:
            log.info(
                "%s: %d tensors are absent; the base model's are used for them: %s",
                path,
                len(report.from_base),
                ", ".join(report.from_base),
            )
    networks = Networks(base, branches, reports, ranks=compute.ranks)
    if offload:
        # From here on the blocks, which `load_network` left in host memory, are streamed to the device.
        networks.stream = BlockStream(networks.trunks, compute.device)
    choose_kernels(networks, config, compute)
    return networks


def choose_kernels(networks: Networks, config: DenoiserConfig, compute: ComputeSettings) -> None:
    """Set the preset, attention backend, operations between products and place of text; convert to float8 if asked for.

    Raises:
        DreamkitError: an attention backend that cannot run here.
    """
    attention = choose_attention(
        config.heads, config.head_dim, compute.device, compute.dtype, compute.attention, compute.tokens
    )
    ops = choose_fused_ops(compute.device)
    for trunk in networks.trunks:
        trunk.attention, trunk.ops = attention, ops
        # On a GPU the text's keys and values of six views would take 1.5 GiB, and take milliseconds to compute. With
        # streamed blocks, preparing a window would stream every block for its text alone.
        trunk.keep_text = compute.device.type != "cuda" and networks.stream is None
    networks.preset = compute.preset
    if compute.preset.fp8:
        networks.float8 = _convert(networks, config.head_dim, compute.device)


def _convert(networks: Networks, head_dim: int, device: torch.device) -> dict[str, str]:
    """Convert networks to float8; returns what `Networks.float8` has.

    The bfloat16 weights stay beside the float8 ones, for the first and last evaluation of a video, where the memory
    suffices for them and for a forward; else these evaluations use weights computed back from float8.
    """
    parameters = [p for trunk in networks.trunks for p in trunk.parameters()]
    size = sum(p.numel() * p.element_size() for p in parameters)
    keep = free_memory(device) > FREE_FOR_FLOAT8 * size
    ops, attention = choose_float8(head_dim, device)
    convert_to_float8(networks.trunks, ops, attention, keep)
    kept = "bfloat16" if keep else "bfloat16 of float8"
    log.info("Linears and attention run in float8; the first and last evaluation with weights in %s.", kept)
    return {"float8_attention": attention.name if attention else "none", "float8_first_and_last": kept}
