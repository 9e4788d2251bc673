"""The sizes and denoiser files of a model in a checkpoint folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, ModelConfig, read_config
from dreamkit.transfer.views import VIEW_IDS

FIRST_WINDOW = "t2w"
"""Networks of the first window, and of all windows where a model has no others."""
LATER_WINDOWS = "v2w"
"""Networks of the later windows, which continue from the last frames of the window before."""


@dataclass(frozen=True)
class ModelFiles:
    """The sizes and files of a model in a checkpoint folder.

    Attributes:
        root: the checkpoint folder, with the tokenizer and the text encoder in their own folders.
        config: the model's sizes.
        denoisers: FIRST_WINDOW, and LATER_WINDOWS where the model has it -> files by role: `base`, and each control's
            name.
    """

    root: Path
    config: ModelConfig
    denoisers: Mapping[str, Mapping[str, Path]]

    @property
    def has_extension(self) -> bool:
        """Whether there are networks for the windows after the first."""
        return LATER_WINDOWS in self.denoisers


def single_view_model(
    root: Path, controls: Sequence[str], control_files: Mapping[str, Path] | None = None
) -> ModelFiles:
    """The single-view model of a checkpoint folder; that the files exist is checked when they are loaded.

    Args:
        root: the checkpoint folder.
        controls: `hdmap`, `lidar` or both.
        control_files: control -> file that replaces the folder's own.

    Raises:
        DreamkitError: no such folder, an unknown control, or a `dreamkit.json` that cannot be read.
    """
    files = folders.single_view_files(root, controls, control_files)
    _check_folder(root)
    return ModelFiles(root, read_config(root / folders.SINGLE_VIEW, COSMOS_7B_SINGLE), {FIRST_WINDOW: files})


def multi_view_model(
    root: Path, controls: Sequence[str], control_files: Mapping[str, Path] | None = None, views: int = 6
) -> ModelFiles:
    """The multi-view model of a checkpoint folder, with its extension where all `v2w` files are there.

    Arguments and errors as for `single_view_model`; `views` is 6, or 5 for a rig without a rear camera.
    """
    if views not in VIEW_IDS:
        raise DreamkitError(
            f"The models make {' or '.join(map(str, sorted(VIEW_IDS)))} views, not {views}.", "Use six views, or five."
        )
    _check_folder(root)
    denoisers = {FIRST_WINDOW: folders.multi_view_files(root, FIRST_WINDOW, controls, control_files)}
    if folders.has_extension(root, controls, control_files):
        denoisers[LATER_WINDOWS] = folders.multi_view_files(root, LATER_WINDOWS, controls, control_files)
    config = replace(read_config(root / folders.MULTI_VIEW, COSMOS_7B_MULTI), views=views)
    return ModelFiles(root, config, denoisers)


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise DreamkitError(
            f"The checkpoint folder {root} is not there.",
            "Set `checkpoints` to the folder of the model files, or to tiny.",
        )
