"""Files that are being written: their names, how they are made, and the removal of those that killed runs left.

A name is `.partial-<machine>-<process>-<random>-<name of the file>`. The random part makes it unpredictable, and the
file is made anew (O_EXCL, O_NOFOLLOW), so that a link planted in a shared folder is never followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from dreamkit.workspace.processes import is_running

log = logging.getLogger(__name__)

# Begins the name of a file that is being written. Files whose names begin with a dot are never listed as inputs.
PARTIAL_PREFIX = ".partial-"
# Names of earlier versions have the process alone, or neither.
_NAME = re.compile(
    re.escape(PARTIAL_PREFIX) + r"(?:(?:(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}-|(?P<old>\d+)-).*|.*)",
    re.DOTALL,
)
ABANDONED_SECONDS = 2 * 24 * 3600.0
"""Age from which a partial file of another machine counts as left by a killed run, which cannot be found out."""
_MOST_BYTES = 120
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def machine_mark() -> str:
    """Eight hex digits that stand for this machine in names of partial files.

    Containers of one machine number their processes apart, so the namespace of the numbers counts too.
    """
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 -- no path, but a text such as pid:[4026531836]
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()!r} {namespace}".encode()).hexdigest()[:8]


def partial_path(path: Path) -> Path:
    """A new name beside `path` for what will be renamed to it; the suffix stays, and long names are cut."""
    stem, suffix = path.stem, path.suffix
    kept = stem.encode("utf-8", "surrogateescape")[:_MOST_BYTES].decode("utf-8", "ignore")
    return path.with_name(f"{PARTIAL_PREFIX}{machine_mark()}-{os.getpid()}-{secrets.token_hex(4)}-{kept}{suffix}")


def final_name(partial: Path) -> str:
    """The name of the file that a partial file will become, as far as it was not cut; other names as they are."""
    return re.sub(re.escape(PARTIAL_PREFIX) + r"[0-9a-f]{8}-\d+-[0-9a-f]{8}-", "", partial.name)


def make_partial(path: Path) -> tuple[Path, int]:
    """An empty new file to write `path` to, see `partial_path`, and its file descriptor, which the caller closes.

    Raises:
        OSError: the folder is missing, full or read-only.
    """
    partial = partial_path(path)
    return partial, os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o666)


def sync(partial: Path, handle: int) -> None:
    """Write a partial file to the disk.

    Args:
        partial: the path that was written to.
        handle: the descriptor from `make_partial`.

    Raises:
        OSError: the file is gone, or was replaced by a link or folder, or the disk is full.
    """
    found, made = partial.lstat(), os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(2, "what was written is no longer a plain file", str(partial))
    if (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino):
        os.fsync(handle)
        return
    other = os.open(partial, os.O_RDWR | NO_LINKS)  # a writer that renames a file of its own
    try:
        os.fsync(other)
    finally:
        os.close(other)


def is_abandoned(path: Path) -> bool:
    """Whether a partial file or folder was left by a run that no longer exists.

    On this machine its process must have ended. One of another machine, or without a process in its name, must be older
    than ABANDONED_SECONDS, except for names of earlier versions without any process.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return False
    if match["machine"] and match["machine"] != machine_mark():
        with contextlib.suppress(OSError):
            return time.time() - path.lstat().st_mtime > ABANDONED_SECONDS
        return False
    process = match["process"] or match["old"]
    return process is None or len(process) > 10 or not is_running(int(process))


def remove_abandoned(folders: Iterable[Path]) -> None:
    """Delete what killed runs left unfinished directly inside these folders; missing folders are passed over."""
    for folder in folders:
        for name in entries(folder):
            path = folder / name
            if not name.startswith(PARTIAL_PREFIX) or not is_abandoned(path):
                continue
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                log.info("removed %s, which a killed run left unfinished", path)


def entries(folder: Path) -> list[str]:
    """Names of a folder's entries, sorted; empty where it is missing, unreadable, or removed in the meantime."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 -- pathlib's version makes a Path of each name
    except OSError:
        return []
