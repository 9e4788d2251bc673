"""Folders that come with the package beside its code: the notebooks, and the parameter files."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import dreamkit
from dreamkit.errors import DreamkitError

REPOSITORY = Path(dreamkit.__file__).resolve().parents[1]
_MARKS = {"notebooks": "00_setup.ipynb", "params": "demo/04_single_view.yaml"}
"""A file of each folder, by which the folder is found."""


def shipped_folder(name: str) -> Path:
    """The folder "notebooks" or "params": of the clone, else of the installation (`share/dreamkit/` of its prefix).

    Raises:
        DreamkitError: neither has it.
    """
    folder = REPOSITORY / name
    if (folder / _MARKS[name]).is_file():
        return folder
    for file in _installed_files():
        if file.as_posix().endswith(f"share/dreamkit/{name}/{_MARKS[name]}"):
            return Path(str(file.locate())).resolve().parents[_MARKS[name].count("/")]
    raise DreamkitError(
        f"The {name} that belong to dreamkit are not at {folder}.",
        "Install dreamkit again: pip install -e . in a clone of the repository, or its wheel.",
    )


def _installed_files() -> list[metadata.PackagePath]:
    try:
        return metadata.files("dreamkit") or []
    except metadata.PackageNotFoundError:
        return []
