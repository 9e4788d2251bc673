"""GPU memory that the 7B models need: measured with one control, computed for further controls and offloaded blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dreamkit.transfer.presets import PRESETS
from dreamkit.workspace.sizes import GIB

if TYPE_CHECKING:
    from dreamkit.transfer.config import ModelConfig

# A card sold as having 16 GiB may report this share less.
CARD_TOLERANCE = 0.04
# Of a preset's memory, what the CUDA context and the allocator's unused pieces take.
CONTEXT_BYTES = round(0.7 * GIB)
SLACK_BYTES = round(1.5 * GIB)
# Tensors [tokens, width] that are alive at once in self-attention of a branch's block: the base's tokens, the branch's
# before and after the positions are added, their norm, q, k, v, attention's output before and after its linear, and
# one more that was measured.
LIVE_TENSORS = 10


@dataclass(frozen=True)
class Need:
    """GPU memory of a stage, in bytes.

    Attributes:
        forward: peak of one forward pass; with less, the stage cannot run.
        run: least memory in which a whole video was made.
    """

    forward: float
    run: float


# Measured on an H100 with the HDMap control, one window, preset exact (README, "On a GPU"). A whole run of six
# views held 23.8 GiB of tensors, and the CUDA context takes the rest.
MEASURED = {"single_view": Need(20.1 * GIB, 24.0 * GIB), "multi_view": Need(23.4 * GIB, 24.6 * GIB)}
# The smallest preset, in GiB, with which a forward was measured.
SMALLEST_PRESET = {"single_view": 12, "multi_view": 12}


def need(stage: str, controls: int) -> Need:
    """Memory of stage "single_view" or "multi_view" with this number of controls; below 1 it counts as 1."""
    more = branch_bytes(stage) * (controls - 1) if controls > 1 else 0
    return Need(MEASURED[stage].forward + more, MEASURED[stage].run + more)


def fitting_preset(stage: str, controls: int, memory: float) -> str | None:
    """The preset that suits a GPU of `memory` bytes: exact where it fits whole, else the largest that does, or None."""
    if memory >= need(stage, controls).run:
        return "exact"
    gib = memory / GIB / (1 - CARD_TOLERANCE)
    fitting = [
        preset
        for preset in PRESETS.values()
        if preset.memory_gib and SMALLEST_PRESET[stage] <= preset.memory_gib <= gib
    ]
    return max(fitting, key=lambda preset: preset.memory_gib or 0).name if fitting else None


def branch_bytes(stage: str) -> int:
    """Bytes of the weights of a stage's 7B control branch in bf16, computed from its shapes."""
    from dreamkit.transfer.control import ControlBranch

    return _weight_bytes(ControlBranch, stage)


def host_bytes(stage: str, controls: int) -> int:
    """Bytes of host memory that a stage's weights take with a preset that bounds GPU memory, for one window."""
    from dreamkit.transfer.denoiser import Denoiser

    return _weight_bytes(Denoiser, stage) + max(1, controls) * branch_bytes(stage)


def _weight_bytes(kind: Any, stage: str) -> int:
    """Bytes in bf16 of a stage's 7B network, computed from its shapes; `kind` is Denoiser or ControlBranch."""
    import torch

    from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE

    config = COSMOS_7B_SINGLE if stage == "single_view" else COSMOS_7B_MULTI
    with torch.device("meta"):
        network = kind(config.denoiser)
    return 2 * sum(parameter.numel() for parameter in network.parameters())


def activation_bytes(config: ModelConfig, branches: int, element_size: int = 2) -> int:
    """Bytes that a forward takes beside the weights: the tokens, and what a trunk prepares once for a window."""
    denoiser = config.denoiser
    frames, height, width = config.token_grid
    tokens_of_view = frames * height * width
    tokens = config.views * tokens_of_view
    positions = tokens_of_view * denoiser.width * element_size
    rope = 2 * tokens * denoiser.head_dim * 4
    return LIVE_TENSORS * tokens * denoiser.width * element_size + (1 + branches) * (positions + rope)


def resident_blocks(budget: float, held: int, activations: int, block: int, buffers: int) -> int:
    """Number of blocks whose weights can stay on the GPU within a budget, at least 0.

    Args:
        budget: GPU memory that a run may take, in bytes.
        held: bytes that stay allocated beside the blocks.
        activations: see `activation_bytes`.
        block: bytes of one block.
        buffers: blocks for which the GPU has buffers in any case.
    """
    left = budget - CONTEXT_BYTES - SLACK_BYTES - held - activations - buffers * block
    return max(0, int(left // block))
