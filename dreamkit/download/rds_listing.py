"""The files of some clips of the RDS-HQ data set on the hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dreamkit.download.catalogue import RDS_FOLDERS, RDS_HQ, SYNTHETIC_FOLDER
from dreamkit.download.hub_api import Remote, RepositoryPages, read_remote
from dreamkit.download.progress import amount
from dreamkit.download.web import WebError
from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import nearest

PATHS_A_REQUEST = 500
MOST_NAMED = 3
"""Clips that a line names."""
ARCHIVE = re.compile(r"\.(tar|tgz|zip)(\.\w+)?(\.part-?\d+)?$")


def clip_files(api: RepositoryPages, revision: str, clips: Sequence[str], parts: Sequence[str]) -> dict[str, Remote]:
    """Files of some clips in RDS-HQ; requested by name, because listing the whole data set takes minutes."""
    folders = dict.fromkeys(folder for part in parts if part in RDS_FOLDERS for folder in RDS_FOLDERS[part])
    paths = [f"{folder}/{clip}.{suffix}" for clip in clips for folder in folders for suffix in _suffixes(folder)]
    found: dict[str, Remote] = {}
    for start in range(0, len(paths), PATHS_A_REQUEST):
        batch = {"paths": paths[start : start + PATHS_A_REQUEST], "expand": False}
        for file in api.value(f"/paths-info/{revision}", batch):
            found[file["path"]] = read_remote(file)
    if "synthetic" in parts:
        found |= _synthetic_files(api, revision, clips)
    _refuse_unknown(clips, found, lambda: _known_clips(api, revision))
    return found


def _synthetic_files(api: RepositoryPages, revision: str, clips: Sequence[str]) -> dict[str, Remote]:
    """Generated videos of the clips.

    Raises:
        DreamkitError: the videos lie in archives of all clips, which are not taken apart here.
    """
    try:
        tree = [f for f in api.entries(f"/tree/{revision}/{SYNTHETIC_FOLDER}?recursive=true") if f["type"] == "file"]
    except WebError as error:
        if error.status != 404:
            raise
        return {}
    found = {f["path"]: read_remote(f) for f in tree if belongs_to(Path(f["path"]).name, clips)}
    archives = {f["path"]: read_remote(f) for f in tree if ARCHIVE.search(f["path"])}
    if archives and not found:
        size = amount(sum(remote.size for remote in archives.values()))
        folders = sorted({str(Path(path).parent) for path in archives})
        raise DreamkitError(
            f"{RDS_HQ} keeps its generated videos in {len(archives)} archives of all clips ({size}, in "
            f"{', '.join(folders)}), not one file a clip; they are not fetched.",
            f"Leave synthetic out of data; or fetch the archives with `hf download {RDS_HQ} --repo-type dataset "
            f"--include '{SYNTHETIC_FOLDER}/*' --local-dir datasets/rds_hq`, join parts with `cat`, and unpack them.",
        )
    return found


def lacking_files(found: Iterable[str], clips: Sequence[str], parts: Sequence[str]) -> list[str]:
    """What was asked for and the data set does not have: a line for each folder without files of some clips."""
    by_folder: dict[str, list[str]] = {}
    for path in found:
        folder, _, name = path.partition("/")
        by_folder.setdefault(folder, []).append(name.rpartition("/")[2])
    folders = dict.fromkeys(folder for part in parts if part in RDS_FOLDERS for folder in RDS_FOLDERS[part])
    lines = []
    for folder in [*folders, *([SYNTHETIC_FOLDER] if "synthetic" in parts else [])]:
        names = by_folder.get(folder, [])
        lacking = [clip for clip in clips if not any(belongs_to(name, (clip,)) for name in names)]
        if lacking:
            listed = ", ".join(lacking[:MOST_NAMED]) + (", ..." if len(lacking) > MOST_NAMED else "")
            lines.append(f"not in the data set: {folder} of {len(lacking)} of {len(clips)} clips ({listed})")
    return lines


def belongs_to(file: str, clips: Iterable[str]) -> bool:
    """Whether a file is named after one of the clips: its name, or its name and what a chunk or style adds."""
    return any(file.startswith(clip) and file[len(clip) : len(clip) + 1] in ("", ".", "_") for clip in clips)


def _suffixes(folder: str) -> tuple[str, ...]:
    return ("txt", "json") if folder == "captions" else ("tar",)


def _known_clips(api: RepositoryPages, revision: str) -> list[str]:
    return [Path(file["path"]).stem for file in api.entries(f"/tree/{revision}/pose")]


def _refuse_unknown(clips: Sequence[str], found: Iterable[str], known: Callable[[], list[str]]) -> None:
    """Raise DreamkitError for clips without any file; `known` lists all clips, for the nearest name."""
    names = [Path(path).name for path in found]
    missing = [clip for clip in clips if not any(belongs_to(name, (clip,)) for name in names)]
    if missing:
        close = nearest(missing[0], known())
        others = f", nor {len(missing) - 1} others of the given clips" if len(missing) > 1 else ""
        raise DreamkitError(
            f"{RDS_HQ} has no clip {missing[0]}{others}.",
            f"The nearest is {close}." if close else "A clip is named as in the data set's pose/ folder, without .tar.",
        )
