"""GPU memory that the 7B models need: measured with one control, computed for further controls."""

from __future__ import annotations

from dataclasses import dataclass

from dreamkit.workspace.sizes import GIB


@dataclass(frozen=True)
class Need:
    """GPU memory of a stage, in bytes.

    Attributes:
        forward: peak of one forward pass; with less, the stage cannot run.
        run: least memory in which a whole video was made.
    """

    forward: float
    run: float


# Measured on an H200 with the HDMap control, one window, preset exact: the README's table "On a GPU".
MEASURED = {"single_view": Need(20.7 * GIB, 24.0 * GIB), "multi_view": Need(25.6 * GIB, 26.1 * GIB)}


def need(stage: str, controls: int) -> Need:
    """Memory of stage "single_view" or "multi_view" with this number of controls; below 1 it counts as 1."""
    more = branch_bytes(stage) * (controls - 1) if controls > 1 else 0
    return Need(MEASURED[stage].forward + more, MEASURED[stage].run + more)


def branch_bytes(stage: str) -> int:
    """Bytes of the weights of a stage's 7B control branch in bf16, computed from its shapes."""
    import torch

    from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE
    from dreamkit.transfer.control import ControlBranch

    config = COSMOS_7B_SINGLE if stage == "single_view" else COSMOS_7B_MULTI
    with torch.device("meta"):
        branch = ControlBranch(config.denoiser)
    return 2 * sum(parameter.numel() for parameter in branch.parameters())
