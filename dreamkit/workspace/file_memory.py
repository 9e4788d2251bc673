"""What was computed from files, remembered by their path, size and time of change, in a JSON file between runs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import sha256, write_text


class FileMemory:
    """Values computed from files; a file of the same size and time of change is not read again.

    Args:
        path: the JSON file, read at the first use and written by `save`; it may be deleted, and counts as empty where
            it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[str, Any] | None = None
        self._changed = False

    def value(self, path: Path, what: str, compute: Callable[[], Any]) -> Any:
        """The value called `what` of a file, a JSON value; what `compute` raises is raised here."""
        try:
            stat = path.stat()
        except OSError:
            return compute()  # raises with the reason
        kept = self._load()
        key, stamp = f"{what}:{path}", [stat.st_size, stat.st_mtime_ns]
        found = kept.get(key)
        if not isinstance(found, list) or len(found) != 3 or found[:2] != stamp:
            found = kept[key] = [*stamp, compute()]
            self._changed = True
        return found[2]

    def checksum(self, path: Path) -> str:
        """SHA-256 of a file, as `sha256:<hex>`; raises as `sha256`."""
        return self.value(path, "sha256", lambda: sha256(path))

    def save(self) -> None:
        """Write the file where there is something new; one that cannot be written only costs time the next time."""
        if self._changed:
            with contextlib.suppress(DreamkitError):
                write_text(self.path, json.dumps(self._kept))
            self._changed = False

    def _load(self) -> dict[str, Any]:
        if self._kept is None:
            self._kept = {}
            with contextlib.suppress(OSError, ValueError, RecursionError):
                found = json.loads(self.path.read_text(encoding="utf-8"))
                self._kept = found if isinstance(found, dict) else {}
        return self._kept
