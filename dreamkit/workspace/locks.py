"""Locks by which several runs share a workspace without making a result twice.

They are locks of the operating system on files in the workspace's `.locks/`, which end with their process. On a folder
that several machines share they hold as far as its file system passes locks on. A lock's file is deleted by its holder;
who waited for it opens it anew.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dreamkit.errors import first_line
from dreamkit.workspace.partials import NO_LINKS

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

log = logging.getLogger(__name__)
LOCKS = ".locks"
_POLL_SECONDS = 0.1


@contextlib.contextmanager
def file_lock(path: Path, name: str, wait: bool | float) -> Iterator[bool]:
    """Hold the lock of a result, so that no other run makes it; yield False where another run holds it.

    Args:
        path: the lock file; made when missing, and deleted at the end. Those below a folder LOCKS are deleted by the
            next run where their holder was killed.
        name: the result, for the log.
        wait: wait until another run is done with it, or was killed; a number is the seconds to wait at most.
    """
    handle, told = None, False
    until = time.monotonic() + (math.inf if wait is True else wait)
    try:
        while (handle := _try_lock(path)) is None and time.monotonic() < until:
            if not told and wait is True:
                log.info("%s: another run is making it; this run waits for it", name)
                told = True
            time.sleep(_POLL_SECONDS)
        held = handle is not None
    except OSError as error:  # a read-only folder, or a file system without locks
        log.warning("%s is made without a lock, so that a second run may make it too: %s", name, first_line(error))
        held = True
    try:
        yield held
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock; what cannot be found out counts as held. The file is not made or deleted."""
    if fcntl is None or not path.is_file():
        return False
    try:
        handle = os.open(path, os.O_RDWR | NO_LINKS)
    except FileNotFoundError:  # deleted by its holder
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def remove_unheld(folder: Path) -> None:
    """Delete the lock files below a folder LOCKS that killed processes left."""
    for path in folder.rglob("*.lock") if folder.is_dir() and not folder.is_symlink() else ():
        with contextlib.suppress(OSError):
            handle = _try_lock(path)
            if handle is not None:
                path.unlink()
                os.close(handle)


def _try_lock(path: Path) -> int | None:
    """Descriptor of the locked file; None where another process has locked it.

    Raises:
        OSError: it cannot be made, or files cannot be locked there.
    """
    if fcntl is None:
        raise OSError("this system has no flock")
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o664)
        except FileNotFoundError:  # somebody deleted the folder in between
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found, here = os.fstat(handle), path.stat()
            if (found.st_dev, found.st_ino) == (here.st_dev, here.st_ino):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:  # its holder deleted it in between, so a lock on it means nothing
            pass
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
