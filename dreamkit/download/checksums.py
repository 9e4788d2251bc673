"""Are these the bytes that were published? Size first, then checksums in one streaming read, remembered per file."""

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
BLOCK = 2**22


@dataclass(frozen=True)
class Finding:
    """What a check says of a file: what is wrong, or "", and what should be known all the same."""

    problem: str = ""
    note: str = ""


class Verified:
    """The files of a folder that were read and found right; unchanged ones are not read again.

    Args:
        root: the folder, where the record is kept.
        again: read every file once more.
    """

    def __init__(self, root: Path, again: bool = False) -> None:
        self.path = root / RECORD
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        if not again:
            with contextlib.suppress(OSError, ValueError):
                known = json.loads(self.path.read_text(encoding="utf-8"))
                self._known = known if isinstance(known, dict) else {}

    def check(
        self, path: Path, remote: Remote | None, md5: str | None, progress: Callable[[int], None] = lambda _: None
    ) -> Finding:
        """Compare a file with what the hub lists and with NVIDIA's MD5 sum.

        The hub's sum decides. Without one, offline, the MD5 does; without either, only that the file is there.

        Args:
            path: the file.
            remote: as the hub lists it, or None.
            md5: as NVIDIA's scripts publish it, or None.
            progress: called with the bytes of each block read.
        """
        size = path.stat().st_size
        if remote is not None and size != remote.size:
            return Finding(f"has {size:,} bytes instead of {remote.size:,}")
        asked = remote.checksum if remote else None
        if asked is None and md5 is None:
            return Finding("" if size else "is empty", "no checksum is published for it" if remote else "not checked")
        sums = self._recall(path)
        if sums is None or (asked or "sha256:").split(":")[0] not in sums:
            sums = read_sums(path, git="git-sha1" in (asked or ""), progress=progress)
        if asked is not None:
            kind, wanted = asked.split(":")
            if sums[kind] != wanted:
                return Finding(f"has the {kind} {sums[kind][:16]}..., the hub says {wanted[:16]}...")
        elif sums["md5"] != md5:
            return Finding(f"has the MD5 {sums['md5']}, NVIDIA's scripts say {md5}")
        self._remember(path, sums)
        if md5 and sums["md5"] != md5:
            return Finding(note="the hub's file now, but not the one whose MD5 NVIDIA's scripts give")
        return Finding()

    def _recall(self, path: Path) -> dict[str, str] | None:
        known, stat = self._known.get(str(path)), path.stat()
        same = isinstance(known, dict) and known.get("stamp") == [stat.st_size, stat.st_mtime_ns]
        return known["sums"] if same else None

    def _remember(self, path: Path, sums: dict[str, str]) -> None:
        stat = path.stat()
        with self._lock:
            self._known[str(path)] = {"stamp": [stat.st_size, stat.st_mtime_ns], "sums": sums}

    def moved(self, old: Path, new: Path) -> None:
        """A file that was checked in one place stands in another now."""
        with self._lock:
            if (known := self._known.pop(str(old), None)) is not None:
                stat = new.stat()
                self._known[str(new)] = {**known, "stamp": [stat.st_size, stat.st_mtime_ns]}

    def save(self) -> None:
        """Write the record; a folder that cannot be written costs a read the next time, nothing else."""
        with self._lock, contextlib.suppress(DreamkitError):
            if self._known:
                write_json(self.path, self._known)


def read_sums(path: Path, git: bool = False, progress: Callable[[int], None] = lambda _: None) -> dict[str, str]:
    """MD5 and sha256 of a file, hex, in one read; with `git` also the sum under which git keeps it."""
    sums = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    if git:
        sums["git-sha1"] = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in sums.values():
                digest.update(block)
            progress(len(block))
    return {name: digest.hexdigest() for name, digest in sums.items()}
