"""Front video and six views of every clip and style (notebooks 04 and 05).

May import download, captions, review, transfer, rds, notebook, guardrail, workspace. Begin with `run`; then `plan`,
`jobs`, `outputs`. Control specs are in `specs`; weight maps are applied in `dreamkit.transfer.weight_maps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dreamkit.generate.run import multi_view, single_view

__all__ = ["multi_view", "single_view"]


def __getattr__(name: str) -> Any:
    """Import `single_view` and `multi_view` on first use: parameters are read without PyTorch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dreamkit.generate import run

    return getattr(run, name)
