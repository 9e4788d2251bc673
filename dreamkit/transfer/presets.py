"""Presets: named choices between speed, GPU memory and equality with the released models' arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from dreamkit.errors import DreamkitError
from dreamkit.transfer.step_cache import COMPUTED_OF_36


@dataclass(frozen=True)
class Preset:
    """One way to run the networks.

    Attributes:
        name: as in the parameter `preset` and in the sidecar.
        about: what it is, in one line.
        fp8: linears and attention in float8 where the arithmetic stands it, see `fp8.py`.
        computed: the evaluations of 36 that are computed, others being extrapolated, see `step_cache.py`; None for all.
        memory_gib: GPU memory that a run may take, in GiB; None for all that is there.
    """

    name: str
    about: str
    fp8: bool = False
    computed: tuple[int, ...] | None = None
    memory_gib: float | None = None


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("exact", "the arithmetic of the released models: bfloat16 on a GPU as upstream, float32 on a CPU"),
        Preset("fp8", "exact with most linears and attention in float8; Ada, Hopper or newer", fp8=True),
        Preset("fast", "fp8 with about half of the evaluations extrapolated", fp8=True, computed=COMPUTED_OF_36),
        Preset("24gb", "exact within 24 GiB of GPU memory", memory_gib=24),
        Preset("16gb", "exact within 16 GiB of GPU memory", memory_gib=16),
        Preset("12gb", "exact within 12 GiB of GPU memory", memory_gib=12),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        DreamkitError: an unknown name.
    """
    if name not in PRESETS:
        raise DreamkitError(f"There is no preset {name!r}, only {', '.join(PRESETS)}.", "Use exact.")
    return PRESETS[name]
