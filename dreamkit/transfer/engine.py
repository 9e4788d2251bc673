"""Where and how the networks compute, and a denoiser loaded with its control branches."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.attention import choose_attention
from dreamkit.transfer.config import DenoiserConfig, ModelConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.dit import Trunk
from dreamkit.transfer.fused_ops import choose_fused_ops
from dreamkit.transfer.load import LoadReport, load_network
from dreamkit.transfer.offload import BlockStream
from dreamkit.transfer.parallel import Division, Ranks
from dreamkit.transfer.presets import PRESETS, Preset, find_preset

log = logging.getLogger("dreamkit")

_SMALLEST_GPU_WIDTH = 2048
"""A denoiser this wide is too slow on a CPU; the 7B models have 4096, the tiny bundle 128."""


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
    return ComputeSettings(chosen, dtype, how, attention, config.views * math.prod(config.token_grid))


@dataclass
class Networks:
    """A base denoiser and its control branches, on one device.

    Attributes:
        base: the denoiser.
        branches: control -> its branch.
        reports: where the tensors of each file came from.
        stream: the blocks that are in host memory, with a preset that bounds GPU memory; else None.
        ranks: as in ComputeSettings.
    """

    base: Denoiser
    branches: dict[str, ControlBranch]
    reports: list[LoadReport]
    stream: BlockStream | None = None
    ranks: Ranks | None = None

    def division(self, guidance: float, width: int) -> Division | None:
        """This process's share of a window; None where one GPU makes it alone.

        Args:
            guidance: 0 for one pass, else two.
            width: of the latent.
        """
        config = self.base.config
        if self.ranks is None:
            return None
        return self.ranks.division(guidance != 0, width // config.patch, config.heads)

    def to(self, device: torch.device) -> None:
        """Move all weights."""
        for network in (self.base, *self.branches.values()):
            network.to(device)

    @property
    def trunks(self) -> list[Trunk]:
        """The base's trunk, then the branches'."""
        return [self.base.trunk, *(branch.trunk for branch in self.branches.values())]

    def chosen(self) -> dict[str, str]:
        """Names of the attention backend and of the pointwise kernels that were chosen."""
        return {"attention": self.base.trunk.attention.name, "pointwise": self.base.trunk.ops.name}


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
        networks.stream = offload_blocks(networks.trunks, compute.device)
    for trunk in networks.trunks:
        # On a GPU the text's keys and values of six views would take 1.5 GiB, and take milliseconds to compute.
        trunk.keep_text = compute.device.type != "cuda" and not offload
    choose_kernels(networks, config, compute)
    return networks


def choose_kernels(networks: Networks, config: DenoiserConfig, compute: ComputeSettings) -> None:
    """Set the attention backend and the operations between products of all trunks.

    Raises:
        DreamkitError: an attention backend that cannot run here.
    """
    attention = choose_attention(
        config.heads, config.head_dim, compute.device, compute.dtype, compute.attention, compute.tokens
    )
    ops = choose_fused_ops(compute.device)
    for trunk in networks.trunks:
        trunk.attention, trunk.ops = attention, ops


def offload_blocks(trunks: Sequence[Trunk], device: torch.device) -> BlockStream:
    """Replace the trunks' blocks, which `load_network` left in host memory, by ones that are streamed to the device."""
    for trunk in trunks:
        trunk.keep_text = False  # else preparing a window would stream every block for its text alone
    return BlockStream(trunks, device)
