"""Verify file size and checksum; cache the result."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamkit.download.hub import Remote
from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import write_json

RECORD = ".dreamkit-verified.json"
BLOCK_BYTES = 2**22


@dataclass(frozen=True)
class ChecksumResult:
    """Result of verifying a file.

    Attributes:
        problem: what is wrong with the file; empty when nothing is.
        note: a remark on a file that is right.
    """

    problem: str = ""
    note: str = ""


class VerifiedFiles:
    """Verifies files and caches their checksums on disk; a file with the same size and time is not read again.

    Args:
        root: the folder of the cache file.
        again: ignore the cache.
    """

    def __init__(self, root: Path, again: bool = False) -> None:
        self.path = root / RECORD
        self._lock = threading.Lock()
        self._cache: dict[str, Any] = {}
        if not again:
            with contextlib.suppress(OSError, ValueError):
                cache = json.loads(self.path.read_text(encoding="utf-8"))
                self._cache = cache if isinstance(cache, dict) else {}

    def check(
        self, path: Path, remote: Remote | None, md5: str | None, progress: Callable[[int], None] = lambda _: None
    ) -> ChecksumResult:
        """Compare a file with its size and checksum on the hub.

        Without a checksum on the hub the MD5 sum decides; without either, only a size of zero is a problem.

        Args:
            path: the file.
            remote: size and checksum on the hub, or None when they are unknown.
            md5: as NVIDIA's scripts publish it, or None.
            progress: called with the number of bytes of each block read.
        """
        size = path.stat().st_size
        if remote is not None and size != remote.size:
            return ChecksumResult(f"has {size:,} bytes instead of {remote.size:,}")
        expected = remote.checksum if remote else None
        if expected is None and md5 is None:
            note = "no checksum is published for it" if remote else "not checked"
            return ChecksumResult("" if size else "is empty", note)
        kind, _, value = (expected or "").partition(":")
        sums = self._cached_sums(path)
        if sums is None or (kind or "sha256") not in sums:
            sums = read_sums(path, git=kind == "git-sha1", progress=progress)
        if expected is not None:
            if sums[kind] != value:
                return ChecksumResult(f"has the {kind} {sums[kind][:16]}..., the hub says {value[:16]}...")
        elif sums["md5"] != md5:
            return ChecksumResult(f"has the MD5 {sums['md5']}, NVIDIA's scripts say {md5}")
        self._cache_sums(path, sums)
        if md5 and sums["md5"] != md5:
            return ChecksumResult(note="the hub's file now, but not the one whose MD5 NVIDIA's scripts give")
        return ChecksumResult()

    def _cached_sums(self, path: Path) -> dict[str, str] | None:
        """Checksums of an unchanged file by kind, or None."""
        entry = self._cache.get(str(path))
        if isinstance(entry, dict) and entry.get("stamp") == _stamp(path):
            return entry["sums"]
        return None

    def _cache_sums(self, path: Path, sums: dict[str, str]) -> None:
        stamp = _stamp(path)
        with self._lock:
            self._cache[str(path)] = {"stamp": stamp, "sums": sums}

    def rename(self, old: Path, new: Path) -> None:
        """Keep the cached checksums of a file that was moved from `old` to `new`."""
        with self._lock:
            if (entry := self._cache.pop(str(old), None)) is not None:
                self._cache[str(new)] = {**entry, "stamp": _stamp(new)}

    def save(self) -> None:
        """Write the cache file; a folder that is not writable is ignored, as it only costs time at the next run."""
        with self._lock, contextlib.suppress(DreamkitError):
            if self._cache:
                write_json(self.path, self._cache)


def _stamp(path: Path) -> list[int]:
    """Size in bytes and modification time in nanoseconds."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def read_sums(path: Path, git: bool = False, progress: Callable[[int], None] = lambda _: None) -> dict[str, str]:
    """Checksums of a file by kind, hex, in one read.

    Args:
        path: the file.
        git: also compute the SHA-1 of git's blob, "git-sha1", besides "md5" and "sha256".
        progress: called with the number of bytes of each block read.
    """
    digests = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    if git:
        digests["git-sha1"] = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            for digest in digests.values():
                digest.update(block)
            progress(len(block))
    return {name: digest.hexdigest() for name, digest in digests.items()}
