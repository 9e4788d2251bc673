"""Files on their way: fetched into `.incoming/` beside the result, checked, and only then put under their names.

What is incomplete stays there and goes on from there at the next run.
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
from dreamkit.download.checksums import Verified
from dreamkit.download.plan import WRONG, DownloadPlan, Item
from dreamkit.download.progress import Meter

log = logging.getLogger(__name__)
FOLDER = ".incoming"
TRIES = 2


def take(item: Item) -> None:
    """Put a file that lies elsewhere on this machine in place without a second copy, where the disk allows."""
    assert item.found is not None
    real = item.found.resolve()
    partial = staging(item) / item.file
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        os.link(real, partial)
    except OSError:  # another disk, or one without hard links
        partial.symlink_to(real)
    item.path.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(item.path)


def staging(item: Item) -> Path:
    """Where a repository's files come in; on the disk of the result, so that the last step is a rename."""
    above = len(Path(item.file).parts) - 1
    folder = item.path.parents[above]
    return folder.parent / FOLDER / folder.name


def incoming_bytes(stagings: Iterable[Path]) -> int:
    """Bytes of incomplete and unchecked files."""
    total = 0
    for folder in stagings:
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):  # it may be moved away just now
                if path.is_file():
                    total += path.stat().st_size
    return total


def _settle(item: Item, path: Path, verified: Verified) -> None:
    """A checked file gets its final name; a wrong one that stood there goes only now."""
    item.path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    path.replace(item.path)
    verified.moved(path, item.path)


@contextlib.contextmanager
def _watched(stagings: set[Path], fetched: list[Item], meter: Meter) -> Iterator[None]:
    """Tell the meter what has come, twice a second."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            meter.to(sum(item.remote.size for item in list(fetched) if item.remote) + incoming_bytes(stagings))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _workers(number: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that fetch; unlike threads they end at once when the user interrupts."""
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
    """Fetch, check and place files of a plan, `workers` at a time; those that came, and the others with the reason."""
    if not items:
        return [], []
    stagings = {staging(item) for item in items}
    fetched: list[Item] = []
    failed: list[tuple[Item, str]] = []
    revisions = {access.repository.name: access.revision for access in todo.access}
    meter = Meter("fetching", todo.bytes(items))
    with meter, _watched(stagings, fetched, meter), _workers(min(workers, len(items))) as pool:
        waiting: dict[Future[tuple[str, str]], tuple[Item, int]] = {}

        def ask(item: Item, attempt: int) -> None:
            folder = staging(item)
            folder.mkdir(parents=True, exist_ok=True)
            repository = item.repository
            args = (repository.name, repository.kind, item.file, revisions[repository.name], str(folder), item.remote)
            waiting[pool.submit(hub.fetch, *args)] = (item, attempt)

        for item in items:
            if item.state == WRONG:
                log.warning("%s is wrong (%s) and is fetched again", item.path, item.note)
            ask(item, 1)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                item, attempt = waiting.pop(future)
                path, problem = future.result()
                if path:
                    problem = todo.verified.check(Path(path), item.remote, item.repository.md5(item.file)).problem
                if not problem:
                    _settle(item, Path(path), todo.verified)
                    fetched.append(item)
                    todo.verified.save()
                    log.info("%s: fetched and checked", item.name)
                    continue
                if path:
                    Path(path).unlink()
                log.warning("%s: %s%s", item.name, problem, "; once more" if attempt < TRIES else "")
                if attempt < TRIES:
                    ask(item, attempt + 1)
                else:
                    failed.append((item, problem))
    if not failed:
        for folder in stagings:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # the last repository takes the empty folder along
    return fetched, failed
