"""Plan and run a download: files that are in place are kept, others are fetched and verified.

Incomplete files are in `.incoming/` beside the result. The next run continues them, and they get their final name only
when size and checksum are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamkit.download.fetch import fetch_all, link_into_place, staged_bytes, staging_folder
from dreamkit.download.params import DownloadParams
from dreamkit.download.plan import ELSEWHERE, DownloadPlan, Item, plan
from dreamkit.download.progress import amount
from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import counted, logging_to
from dreamkit.workspace.sizes import disk_of, free_bytes
from dreamkit.workspace.workspace import Workspace

NAMES_A_LINE = 3
__all__ = ["DownloadOutcome", "DownloadPlan", "fetch", "plan"]


@dataclass(frozen=True)
class DownloadOutcome:
    """Result of a download.

    Attributes:
        root: the checkpoint folder.
        fetched: files that were fetched and verified.
        linked: files that were elsewhere on this machine.
        kept: number of files that were in place.
        listed: whether the files were only listed.
    """

    root: Path
    fetched: tuple[Item, ...] = ()
    linked: tuple[Item, ...] = ()
    kept: int = 0
    listed: bool = False

    def __str__(self) -> str:
        if self.listed:
            return "Listed only; nothing was fetched."
        if not (self.fetched or self.linked or self.kept):
            return f"{self.root} needed no file."
        size = amount(sum(item.remote.size for item in self.fetched if item.remote))
        fetched = counted(len(self.fetched), "file")
        lines = [f"{fetched} fetched and checked ({size}), {self.kept} were there, in {self.root}."]
        lines += [f"  taken from {item.found}: {item.name}" for item in self.linked]
        return "\n".join(lines)


def fetch(ws: Workspace, p: DownloadParams, todo: DownloadPlan) -> DownloadOutcome:
    """Put all files of a plan in place. It can be interrupted; the next run continues from there.

    Args:
        ws: the workspace, for the log file.
        p: the parameters.
        todo: what to fetch, from `plan`.

    Raises:
        DreamkitError: a repository is not accessible, the disk is too small, or files could not be fetched.
    """
    if p.list_only:
        return DownloadOutcome(todo.root, kept=len(todo.items) - len(todo.todo), listed=True)
    with logging_to(ws.log_file("download")):
        return _fetch(todo, p.workers)


def _fetch(todo: DownloadPlan, workers: int) -> DownloadOutcome:
    if refusals := todo.refusals():
        raise DreamkitError(
            f"{len(todo.refused())} of the {len(todo.access)} repositories are not accessible; nothing was fetched."
            + "".join(f"\n  {line}." for line in refusals),
            "Follow the advice and run the same again, or leave out of models and data what you do not need.",
        )
    _refuse_small_disk(todo)
    linked = [item for item in todo.todo if item.state == ELSEWHERE]
    for item in linked:
        link_into_place(item)
    fetched, failed = fetch_all(todo, todo.to_fetch, workers)
    todo.memory.save()
    if failed:
        lines = "".join(f"\n  {line}." for line in _by_reason(failed))
        raise DreamkitError(
            f"{len(failed)} of {len(todo.items)} files could not be fetched:{lines}",
            "Run the same again; what was fetched is kept.",
        )
    return DownloadOutcome(todo.root, tuple(fetched), tuple(linked), len(todo.items) - len(fetched) - len(linked))


def _by_reason(failed: Sequence[tuple[Item, str]]) -> list[str]:
    """A line for each reason, with the first files that failed because of it."""
    files: dict[str, list[str]] = {}
    for item, reason in failed:
        files.setdefault(reason, []).append(item.name)
    return [
        ", ".join(names[:NAMES_A_LINE])
        + (f" and {len(names) - NAMES_A_LINE} more" if len(names) > NAMES_A_LINE else "")
        + f": {reason}"
        for reason, names in files.items()
    ]


def _root(todo: DownloadPlan, item: Item) -> Path:
    """The folder that the user chose for an item: checkpoints or datasets."""
    return todo.root if item.repository.kind == "model" else staging_folder(item).parent.parent


def _refuse_small_disk(todo: DownloadPlan) -> None:
    """Refuse to fetch more than a disk has room for; the files of each disk are added up."""
    by_disk: dict[int, list[Item]] = {}
    for item in todo.to_fetch:
        by_disk.setdefault(disk_of(item.path), []).append(item)
    for items in by_disk.values():
        root = _root(todo, items[0])
        needed = todo.total_bytes(items)
        free = free_bytes(root) + staged_bytes({staging_folder(item) for item in items})
        if needed > free:
            of_data = items[0].repository.kind == "dataset"
            raise DreamkitError(
                f"The disk of {root} has {amount(free)} free; {amount(needed)} are to be fetched.",
                f"Set {'datasets' if of_data else 'checkpoints'} to a folder on a larger disk, or leave out what you do"
                " not need.",
            )
