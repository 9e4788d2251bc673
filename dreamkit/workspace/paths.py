"""Paths as users write them, from which folder they start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError, cut
from dreamkit.workspace.files import nearest
from dreamkit.workspace.partials import entries

TYPE_TABLE = "object_types.yaml"
MOST_PATH, MOST_PART = 3500, 255  # bytes of a path and of one name in it, of the 4096 and 255 that Linux allows


def home(start: Path | None = None) -> Path:
    """The folder that relative paths start from: the working folder, or the one above when that is `notebooks`.

    JupyterLab starts a kernel in the notebook's folder, `dreamkit run` and papermill in the working folder; a relative
    path must be the same file in both.
    """
    folder = (start or Path.cwd()).resolve()
    return folder.parent if folder.name == "notebooks" else folder


def from_home(path: str | Path) -> Path:
    """An absolute path: `~` is expanded, and a relative path starts from `home()`.

    Raises:
        DreamkitError: it has a zero byte or half of a surrogate pair, is too long, or its `~user` is unknown.
    """
    try:
        data = str(path).encode("utf-8", "surrogateescape")
        if b"\x00" in data or len(data) > MOST_PATH or any(len(part) > MOST_PART for part in data.split(b"/")):
            raise ValueError("no system has such a path")
        return home() / Path(path).expanduser()
    except (ValueError, RuntimeError):  # RuntimeError: the home folder of an unknown user
        raise DreamkitError(f"{cut(str(path), 300)!r} is no path of a file or folder.", "Correct the path.") from None


def type_table(root: Path) -> Path:
    """The table in a workspace that says what object types of the user's own are drawn as."""
    return root / TYPE_TABLE


def nearest_workspace(root: Path, folders: Sequence[str]) -> Path | None:
    """The folder that a missing workspace may have meant: of a similar name beside it, or one that has `folders`."""
    folder = root.parent
    beside = [folder / name for name in entries(folder) if (folder / name).is_dir()]
    filled = [entry for entry in beside if any((entry / name).is_dir() for name in folders)]
    close = nearest(root.name, [entry.name for entry in beside if not entry.name.startswith(".")])
    found = folder / close if close else next(iter(filled), None)
    if found is None and not beside:
        found = next((parent for parent in root.parents if parent.is_dir()), None)
    return found


def rig_copy(root: Path) -> Path:
    """The workspace's copy of the rig file that its condition videos were drawn with, where there was one."""
    return root / "rig.yaml"
