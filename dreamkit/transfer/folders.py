"""Where the files of each model lie under `checkpoints/`, in NVIDIA's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.workspace.controls import CONTROLS

SINGLE_VIEW = "nvidia/Cosmos-Transfer1-7B-Sample-AV"
MULTI_VIEW = "nvidia/Cosmos-Transfer1-7B-Sample-AV-Single2MultiView"
TOKENIZER = "nvidia/Cosmos-Tokenize1-CV8x8x8-720p"
TEXT_ENCODER = "google-t5/t5-11b"
TINY_FOLDER = Path(__file__).parents[1] / "tiny"
"""The tiny bundle that ships with the kit."""
TOKENIZER_FILES = ("encoder.jit", "decoder.jit", "mean_std.pt")


def single_view_files(
    checkpoints: Path, controls: Sequence[str], control_files: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """Files of the single-view model by role: `base`, and each control's name."""
    folder = checkpoints / SINGLE_VIEW
    own = control_files or {}
    return {"base": folder / "base_model.pt", **{c: own.get(c, folder / f"{c}_control.pt") for c in check(controls)}}


def multi_view_files(
    checkpoints: Path, kind: str, controls: Sequence[str], control_files: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """Files of the multi-view model by role; `kind` is `t2w` (first window) or `v2w` (extension windows).

    A control file of the user's own stands for the kind that its name begins with (`t2w_` where it says neither); for
    the other kind the file beside it is meant whose name begins so, never a released one.
    """
    folder = checkpoints / MULTI_VIEW

    def control(name: str) -> Path:
        default = folder / f"{kind}_{name}_control.pt"
        own = (control_files or {}).get(name)
        if own is None:
            return default
        if own.name.startswith(f"{kind}_") or (not own.name.startswith(("t2w_", "v2w_")) and kind == "t2w"):
            return own
        return own.with_name(f"{kind}_" + own.name.removeprefix("t2w_").removeprefix("v2w_"))

    return {"base": folder / f"{kind}_base_model.pt", **{c: control(c) for c in check(controls)}}


def has_extension(checkpoints: Path, controls: Sequence[str], control_files: Mapping[str, Path] | None = None) -> bool:
    """Whether the `v2w` files are all there, so that videos can go on after the first window."""
    return all(path.is_file() for path in multi_view_files(checkpoints, "v2w", controls, control_files).values())


def check(controls: Sequence[str]) -> Sequence[str]:
    """The controls, if all are known."""
    for name in controls:
        if name not in CONTROLS:
            raise DreamkitError(f"unknown control {name!r}; known: {', '.join(CONTROLS)}", "Use hdmap, lidar, or both.")
    return controls
