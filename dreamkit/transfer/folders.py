"""Paths of the models' files under `checkpoints/`, in NVIDIA's layout, and the tokenizer's published checksums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.workspace.controls import CONTROLS

SINGLE_VIEW = "nvidia/Cosmos-Transfer1-7B-Sample-AV"
MULTI_VIEW = "nvidia/Cosmos-Transfer1-7B-Sample-AV-Single2MultiView"
TOKENIZER = "nvidia/Cosmos-Tokenize1-CV8x8x8-720p"
TEXT_ENCODER = "google-t5/t5-11b"
# The tokenizer's files: encoder, decoder, and the mean and standard deviation of its latents.
ENCODER_FILE = "encoder.jit"
DECODER_FILE = "decoder.jit"
STATISTICS_FILE = "mean_std.pt"
TOKENIZER_FILES = (ENCODER_FILE, DECODER_FILE, STATISTICS_FILE)
# Published MD5 sums of the tokenizer's TorchScript files, from cosmos-transfer1 scripts/download_checkpoints.py.
TOKENIZER_MD5 = {
    ENCODER_FILE: "f5834d03645c379bc0f8ad14b9bc0299",
    DECODER_FILE: "ff21a63ed817ffdbe4b6841111ec79a8",
    "autoencoder.jit": "7f658580d5cf617ee1a1da85b1f51f0d",
}
# The tiny bundle, which is part of the package.
TINY_FOLDER = Path(__file__).parents[1] / "tiny"
TINY_NAME = "dreamkit-tiny"
# The text encoder's folder also has weights for other frameworks, under other suffixes.
TEXT_ENCODER_SUFFIXES = (".json", ".model", ".bin", ".safetensors")


def model_name(root: Path, folder: str) -> str | None:
    """Name of the model that lies in a checkpoint folder, for a result's sidecar.

    Args:
        root: the checkpoint folder.
        folder: SINGLE_VIEW or MULTI_VIEW.

    Returns:
        TINY_NAME for the package's own bundle, the released model's name for a folder without `dreamkit.json`, which
        bundles of dreamkit have; None for another bundle.
    """
    if root == TINY_FOLDER:
        return TINY_NAME
    return None if (root / folder / "dreamkit.json").is_file() else folder.rpartition("/")[2]


def single_view_files(
    checkpoints: Path, controls: Sequence[str], control_files: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """Files of the single-view model by role: `base`, and the name of each control.

    Args:
        checkpoints: the root of all models.
        controls: names out of CONTROLS.
        control_files: the user's own files by control, instead of the released ones.

    Raises:
        DreamkitError: an unknown control.
    """
    folder = checkpoints / SINGLE_VIEW
    own = control_files or {}
    branches = {name: own.get(name, folder / f"{name}_control.pt") for name in known_controls(controls)}
    return {"base": folder / "base_model.pt", **branches}


def multi_view_files(
    checkpoints: Path, kind: str, controls: Sequence[str], control_files: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """Files of the multi-view model by role; see `single_view_files`.

    A user's control file is used for the kind that its name has as prefix (`t2w_` or `v2w_`; `t2w` without a prefix).
    For the other kind the file beside it with the other prefix is used, never the released one.

    Args:
        checkpoints: the root of all models.
        kind: `t2w` (first window) or `v2w` (extension windows).
        controls: names out of CONTROLS.
        control_files: the user's own files by control.

    Raises:
        DreamkitError: an unknown control.
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

    return {"base": folder / f"{kind}_base_model.pt", **{name: control(name) for name in known_controls(controls)}}


def has_extension(checkpoints: Path, controls: Sequence[str], control_files: Mapping[str, Path] | None = None) -> bool:
    """Whether all `v2w` files exist, so that videos can be longer than one window."""
    return all(path.is_file() for path in multi_view_files(checkpoints, "v2w", controls, control_files).values())


def known_controls(controls: Sequence[str]) -> Sequence[str]:
    """The controls as given.

    Raises:
        DreamkitError: one is not among CONTROLS.
    """
    for name in controls:
        if name not in CONTROLS:
            raise DreamkitError(f"There is no control {name!r}.", f"Use one or more of {', '.join(CONTROLS)}.")
    return controls
