"""Download to a staging folder, verify, move.

The staging folder `.incoming/` is beside the result. Incomplete files stay there, and the next run continues them.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from dreamkit.download import hub
from dreamkit.download.checksums import check_file
from dreamkit.download.plan import WRONG, DownloadPlan, Item
from dreamkit.download.progress import Meter
from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_memory import FileMemory

log = logging.getLogger(__name__)
STAGING = ".incoming"
TRIES = 2
"""Attempts at each file within a run."""


def link_into_place(item: Item) -> None:
    """Link a file from elsewhere on this machine to its place, hard if possible, else symbolically."""
    assert item.found is not None  # as for every item of state ELSEWHERE
    real = item.found.resolve()
    partial = staging_folder(item) / item.file
    _refuse_links(partial, staging_folder(item))
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        os.link(real, partial)
    except OSError:  # another disk, or one without hard links
        partial.symlink_to(real)
    item.path.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(item.path)


def staging_folder(item: Item) -> Path:
    """Staging folder of the item's repository, on the disk of the result, so that moving is a rename."""
    above = len(Path(item.file).parts) - 1
    folder = item.path.parents[above]
    return folder.parent / STAGING / folder.name


def _refuse_links(staged: Path, staging: Path) -> None:
    """Refuse a staging folder that is a link, or has one below it: what is fetched would be written elsewhere.

    Raises:
        DreamkitError: it is, or has.
    """
    if staging.parent.is_symlink() or not staged.parent.resolve().is_relative_to(staging.parent.resolve()):
        raise DreamkitError(
            f"The folder {staged.parent} for incomplete files is a link to {staged.parent.resolve()}.",
            f"Delete {staging.parent}, then download again.",
        )


def staged_bytes(stagings: Iterable[Path]) -> int:
    """Size of all files in staging folders, in bytes."""
    total = 0
    for folder in stagings:
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):  # a file may be moved in the meantime
                if path.is_file():
                    total += path.stat().st_size
    return total


def _move_into_place(item: Item, path: Path, memory: FileMemory) -> None:
    """Move a verified file from the staging folder to its place, over a wrong file there."""
    item.path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    path.replace(item.path)
    memory.rename(path, item.path)


@contextlib.contextmanager
def _progress_thread(stagings: set[Path], fetched: list[Item], meter: Meter) -> Iterator[None]:
    """Update the meter twice a second while the block runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            meter.set_done(sum(item.remote.size for item in list(fetched) if item.remote) + staged_bytes(stagings))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _workers(number: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes that fetch; unlike threads they can be terminated when the user interrupts."""
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=hub.quiet_worker)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def fetch_all(todo: DownloadPlan, items: list[Item], workers: int) -> tuple[list[Item], list[tuple[Item, str]]]:
    """Fetch files of a plan, verify them and move them into place.

    Args:
        todo: the plan.
        items: the files to fetch.
        workers: files fetched at the same time.

    Returns:
        Files in place, and failed files with the reason.
    """
    if not items:
        return [], []
    stagings = {staging_folder(item) for item in items}
    fetched: list[Item] = []
    failed: list[tuple[Item, str]] = []
    told: set[str] = set()
    revisions = {access.repository.name: access.revision for access in todo.access}
    meter = Meter("fetching", todo.total_bytes(items))
    with meter, _progress_thread(stagings, fetched, meter), _workers(min(workers, len(items))) as pool:
        waiting: dict[Future[tuple[str, str]], tuple[Item, int]] = {}

        def submit(item: Item, attempt: int) -> None:
            folder = staging_folder(item)
            _refuse_links(folder / item.file, folder)
            folder.mkdir(parents=True, exist_ok=True)
            repository = item.repository
            args = (repository.name, repository.kind, item.file, revisions[repository.name], str(folder), item.remote)
            waiting[pool.submit(hub.fetch_file, *args)] = (item, attempt)

        for item in items:
            if item.state == WRONG:
                log.warning("%s is wrong (%s) and is fetched again", item.path, item.note)
            submit(item, 1)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                item, attempt = waiting.pop(future)
                path, problem = future.result()
                if path:
                    md5 = item.repository.md5(item.file)
                    problem = check_file(todo.memory, Path(path), item.remote, md5).problem
                if not problem:
                    _move_into_place(item, Path(path), todo.memory)
                    fetched.append(item)
                    todo.memory.save()
                    log.info("%s: fetched and checked", item.name)
                    continue
                if path:
                    Path(path).unlink()
                level = logging.DEBUG if problem in told else logging.WARNING
                told.add(problem)
                log.log(level, "%s: %s%s", item.name, problem, "; once more" if attempt < TRIES else "")
                if attempt < TRIES:
                    submit(item, attempt + 1)
                else:
                    failed.append((item, problem))
    if not failed:
        for folder in stagings:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # fails while another repository has files there
    return fetched, failed
