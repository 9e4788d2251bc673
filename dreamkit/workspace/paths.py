"""Paths as users write them, from which folder they start."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError, cut
from dreamkit.workspace.files import nearest, write_text
from dreamkit.workspace.partials import entries

TYPE_TABLE = "object_types.yaml"
LABEL_RECORD = ".cache/labels.json"
MOST_PATH, MOST_PART = 3500, 255  # bytes of a path and of one name in it, of the 4096 and 255 that Linux allows


HOME = "DREAMKIT_HOME"
"""Environment variable of kernels that `dreamkit lab` starts: the folder that it was started in."""
START_FILE = ".dreamkit-start"
"""In a folder of executed notebooks: the folder, relative to it, that `dreamkit run` was started in."""
NOTEBOOK_FOLDERS = ("notebooks", "my_notebooks")


def home(start: Path | None = None) -> Path:
    """The folder that relative paths start from, so that they mean the same files in notebooks and commands.

    JupyterLab starts a kernel in the notebook's folder, `dreamkit run` and papermill in the working folder. For
    executed copies it is the folder that the run was started in (START_FILE); then what `dreamkit lab` was started in
    (HOME); then the working folder, or the one above when that is called `notebooks` or `my_notebooks`.
    """
    folder = (start or Path.cwd()).resolve()
    if (began := _start_of(folder)) is not None:
        return began
    if start is None and (chosen := os.environ.get(HOME)) and Path(chosen).is_dir():
        return Path(chosen)
    return folder.parent if folder.name in NOTEBOOK_FOLDERS else folder


def _start_of(folder: Path) -> Path | None:
    """What START_FILE of a folder names; None without one, or where that is no folder."""
    try:
        file = folder / START_FILE
        if file.is_file() and file.stat().st_size <= MOST_PATH:
            named = (folder / file.read_text(encoding="utf-8").strip()).resolve()
            return named if named.is_dir() else None
    except (OSError, ValueError):  # not readable, or no path
        pass
    return None


def remember_start(folder: Path) -> None:
    """Write START_FILE into a folder of executed notebooks, unless relative paths mean the same there without it."""
    began = home()
    if home(folder) == began:
        return
    with contextlib.suppress(DreamkitError, OSError):  # the copy is complete without it
        write_text(folder / START_FILE, os.path.relpath(began, folder) + "\n")


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


def how_to_draw(video: Path, workspace: Path) -> str:
    """A hint for a missing condition video `<workspace>/<control>/<camera folder>/<clip>_<chunk>.mp4`."""
    hint = f"Draw it with `dreamkit render LABELS -o {workspace}`"
    folder, control = video.parent, video.parents[1]
    if control.is_dir() and not folder.is_dir():
        names = [name for name in entries(control) if (control / name).is_dir()]
        close = nearest(folder.name, names) or ", ".join(names) or "nothing"
        hint += f"; or, as {control} holds {close}, map that name to the view with a camera_table"
    elif close := nearest(video.name, [name for name in entries(folder) if name.endswith(".mp4")], 0.8):
        hint += f", or correct the clip's name: the nearest that exists is {folder / close}"
    return f"{hint}."


def label_record(root: Path) -> Path:
    """The file of a workspace that names the RDS-HQ folder of the last render, as `{"folder": ...}`."""
    return root / LABEL_RECORD


def rig_copy(root: Path) -> Path:
    """The workspace's copy of the rig file that its condition videos were drawn with, where there was one."""
    return root / "rig.yaml"
