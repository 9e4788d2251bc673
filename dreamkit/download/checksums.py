"""Comparison of files with the sizes and checksums that are published for them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dreamkit.download.hub import Remote
from dreamkit.workspace.file_memory import FileMemory

RECORD = ".dreamkit-verified.json"
GIT = "git-sha1"
"""Kind of the checksum that the hub gives of small files, which are in git itself."""
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


def checksum_memory(root: Path, again: bool = False) -> FileMemory:
    """The checksums of files that were right before, kept in a checkpoint folder.

    Args:
        root: the checkpoint folder.
        again: begin without those of earlier runs.
    """
    path = root / RECORD
    if again:
        return FileMemory(path, {})
    # Records of earlier versions have another form. They count, as the 7B models' files take minutes to read.
    with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        earlier = json.loads(path.read_text(encoding="utf-8")).items()
        return FileMemory(path, {f"{_kinds(e['sums'])}:{name}": [*e["stamp"], e["sums"]] for name, e in earlier})
    return FileMemory(path)


def check_file(
    memory: FileMemory,
    path: Path,
    remote: Remote | None,
    md5: str | None,
    progress: Callable[[int], None] = lambda _: None,
) -> ChecksumResult:
    """Compare a file with its size and checksum on the hub.

    Without a checksum on the hub the MD5 sum decides; without either, only a size of zero is a problem.

    Args:
        memory: keeps the checksums if the file is right.
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
    sums = memory.value(path, _kinds([kind]), lambda: read_sums(path, kind == GIT, progress))
    problem = ""
    if expected is not None:
        if sums[kind] != value:
            problem = f"has the {kind} {sums[kind][:16]}..., the hub says {value[:16]}..."
    elif sums["md5"] != md5:
        problem = f"has the MD5 {sums['md5']}, NVIDIA's scripts say {md5}"
    if problem:
        memory.forget(path)
        return ChecksumResult(problem)
    if md5 and sums["md5"] != md5:
        return ChecksumResult(note="the hub's file now, but not the one whose MD5 NVIDIA's scripts give")
    return ChecksumResult()


def _kinds(kinds: Iterable[str]) -> str:
    """Name of the checksums that `read_sums` computes where one of these kinds is needed."""
    return f"{GIT} md5 sha256" if GIT in kinds else "md5 sha256"


def read_sums(path: Path, git: bool = False, progress: Callable[[int], None] = lambda _: None) -> dict[str, str]:
    """Checksums of a file by kind, hex, in one read.

    Args:
        path: the file.
        git: also compute the SHA-1 of git's blob, `GIT`, besides "md5" and "sha256".
        progress: called with the number of bytes of each block read.
    """
    digests = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    if git:
        digests[GIT] = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            for digest in digests.values():
                digest.update(block)
            progress(len(block))
    return {name: digest.hexdigest() for name, digest in digests.items()}
