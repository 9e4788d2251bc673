"""What killed runs left unfinished in a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.locks import LOCKS, remove_unheld
from dreamkit.workspace.partials import entries, remove_abandoned


def remove_leftovers(root: Path, result_folders: Sequence[str], stages: Sequence[str]) -> None:
    """Delete partial files and locks of ended processes below a workspace.

    Args:
        root: the workspace folder.
        result_folders: names of the folders of results, which are looked through themselves.
        stages: those whose folders of single results are looked through as well.
    """
    known = ("captions", "styles", "review", "notebooks", "logs", ".cache", *result_folders)
    folders = [root, *(root / name for name in known)]
    folders += [root / control / name for control in CONTROLS for name in entries(root / control)]
    folders += [root / ".cache" / name for name in entries(root / ".cache")]
    folders += [root / stage / name for stage in stages if stage != "single_view" for name in entries(root / stage)]
    remove_unheld(root / LOCKS)
    remove_abandoned(folder for folder in folders if not folder.is_symlink() or folder.parent == root)
