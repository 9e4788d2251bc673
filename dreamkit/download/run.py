"""Fetch the model files and data of chosen uses: what is there is kept, what comes is checked, nothing is half there.

Incomplete files lie in `.incoming/` beside the result, go on from there at the next run, and get their final name only
when size and checksum are right.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dreamkit.download import fetch as incoming
from dreamkit.download.params import DownloadParams
from dreamkit.download.plan import ELSEWHERE, DownloadPlan, Item, plan
from dreamkit.download.progress import amount
from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import logging_to
from dreamkit.workspace.workspace import Workspace

__all__ = ["DownloadPlan", "Outcome", "fetch", "plan"]


@dataclass(frozen=True)
class Outcome:
    """What a download did."""

    root: Path
    fetched: tuple[Item, ...] = ()
    linked: tuple[Item, ...] = ()
    kept: int = 0

    def __str__(self) -> str:
        if not (self.fetched or self.linked or self.kept):
            return f"Nothing was to be fetched into {self.root}."
        size = amount(sum(item.remote.size for item in self.fetched if item.remote))
        lines = [f"{len(self.fetched)} files fetched and checked ({size}), {self.kept} were there, in {self.root}."]
        lines += [f"  taken from {item.found}: {item.name}" for item in self.linked]
        return "\n".join(lines)


def fetch(ws: Workspace, p: DownloadParams, todo: DownloadPlan) -> Outcome:
    """Put every file of a plan in place. Interrupt it at will: the next run goes on where it stopped.

    Raises:
        DreamkitError: a repository that this user may not have, a disk too small, files that could not be had.
    """
    if p.list_only:
        return Outcome(todo.root, kept=len(todo.items) - len(todo.todo))
    with logging_to(ws.log_file("download")):
        return _fetch(todo, p.workers)


def _fetch(todo: DownloadPlan, workers: int) -> Outcome:
    if refusals := todo.refusals():
        raise DreamkitError(
            f"{len(refusals)} of the {len(todo.access)} repositories cannot be had; nothing was fetched.\n  "
            + "\n  ".join(refusals),
            "Mend that and run the same again, or leave out of models and data what you do not need.",
        )
    _refuse_small_disk(todo)
    linked = [item for item in todo.todo if item.state == ELSEWHERE]
    for item in linked:
        incoming.take(item)
    fetched, failed = incoming.fetch_all(todo, todo.to_fetch, workers)
    todo.verified.save()
    if failed:
        lines = "\n  ".join(f"{item.name}: {why}" for item, why in failed)
        raise DreamkitError(
            f"{len(failed)} of {len(todo.items)} files could not be had:\n  {lines}",
            "Run the same again; what has come is kept and is not fetched twice.",
        )
    return Outcome(todo.root, tuple(fetched), tuple(linked), len(todo.items) - len(fetched) - len(linked))


def _refuse_small_disk(todo: DownloadPlan) -> None:
    needed = todo.bytes(todo.to_fetch)
    place = next(folder for folder in (todo.root, *todo.root.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free + incoming.incoming_bytes({incoming.staging(item) for item in todo.to_fetch})
    if needed > free:
        raise DreamkitError(
            f"The disk of {todo.root} has {amount(free)} free; {amount(needed)} are to be fetched.",
            "Set checkpoints to a folder on a larger disk, or leave out what you do not need.",
        )
