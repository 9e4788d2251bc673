"""Sizes in bytes: the unit of messages, and the free space of a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

GIB = 2**30


def disk_of(path: Path) -> int:
    """Number of the disk that a path is on, or will be."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.is_dir())).free


def size_text(size: float) -> str:
    """A number of bytes for a reader, in GiB, or in MiB where it is less than one.

    >>> size_text(3.5 * 2**20)
    '3.5 MiB'
    """
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.1f} MiB"
