"""The manifest, `manifest.jsonl`: one JSON line for each result, copied from the sidecars.

A new result appends a line. A result that was made again has an old line too until the manifest is rewritten from the
sidecars; its last line is the valid one. A run rewrites a manifest of up to 1 MiB, and a larger one when it has grown
by half since it was rewritten, so that a result costs the same however many there are; a batch rewrites it at its end.
Since the manifest can be made again, failing to write it is only a warning.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError, first_line
from dreamkit.workspace.files import append_line, write_text

log = logging.getLogger(__name__)
# Longer than a rewrite takes: 3 s for 5,000 results on a local disk.
LOCK_SECONDS = 60.0
# Up to this size the manifest is rewritten after each run: some hundred results, a fraction of a second.
SMALL_BYTES = 2**20
GROWTH = 1.5


def append_to_manifest(manifest: Path, lock: Path, record: Mapping[str, Any]) -> None:
    """Append one result, in a time that does not depend on the number of results.

    Args:
        manifest: the manifest; made when missing.
        lock: file that all writers of this manifest lock.
        record: the result's sidecar.
    """
    with _writing(manifest, lock):
        append_line(manifest, _line(record))


def rewrite_manifest(manifest: Path, lock: Path, read_records: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
    """Write the manifest anew, one line for each record.

    Args:
        manifest: the manifest.
        lock: as for `append_to_manifest`.
        read_records: reads the sidecars; called while the lock is held, so that no line of another writer is lost.
    """
    with _writing(manifest, lock):
        write_text(manifest, "".join(_line(record) + "\n" for record in read_records()))
        write_text(_compacted(lock), f"{manifest.stat().st_size}\n")


def has_grown(manifest: Path, lock: Path) -> bool:
    """Whether the manifest is to be rewritten: it is small, or it has grown by half since it was rewritten."""
    try:
        size = manifest.stat().st_size
        return size <= SMALL_BYTES or size > GROWTH * int(_compacted(lock).read_text())
    except (OSError, ValueError):  # never rewritten, or the cache was deleted
        return True


def _compacted(lock: Path) -> Path:
    """The file with the manifest's size, in bytes, when it was last rewritten."""
    return lock.with_name("manifest.compacted")


@contextlib.contextmanager
def _writing(manifest: Path, lock: Path) -> Iterator[None]:
    """Hold the lock during the block; log a warning when the lock cannot be acquired or the file not written."""
    from filelock import FileLock  # here: training machines, which write no manifest, lack it

    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=LOCK_SECONDS):
            yield
    except (OSError, NotImplementedError, RecursionError, DreamkitError) as error:
        # NotImplementedError: the file system has no locks. RecursionError: a damaged sidecar, nested too deeply.
        log.warning("%s was not written: %s. The next run writes it anew.", manifest, first_line(error))


def _line(record: Mapping[str, Any]) -> str:
    """The record as one line of JSON; escaped where a damaged sidecar has characters that UTF-8 cannot encode."""
    line = json.dumps(record, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(record, ensure_ascii=True)
    return line
