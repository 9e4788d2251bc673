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
        kept: values to begin with instead of those in the file, `<what>:<path>` -> [bytes, time of change in
            nanoseconds, value].
    """

    def __init__(self, path: Path, kept: dict[str, Any] | None = None) -> None:
        self.path = path
        self._kept = kept
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

    def forget(self, path: Path) -> None:
        """Drop the values of a file."""
        for key in self._keys(path):
            del self._load()[key]
            self._changed = True

    def rename(self, old: Path, new: Path) -> None:
        """Keep the values of a file that was moved from `old` to `new`; its size and time of change are the same."""
        kept = self._load()
        for key in self._keys(old):
            kept[f"{key.partition(':')[0]}:{new}"] = kept.pop(key)
            self._changed = True

    def save(self) -> None:
        """Write the file where there is something new; one that cannot be written only costs time the next time."""
        if self._changed:
            with contextlib.suppress(DreamkitError):
                write_text(self.path, json.dumps(self._kept))
            self._changed = False

    def _keys(self, path: Path) -> list[str]:
        """The keys of a file's values."""
        return [key for key in self._load() if key.partition(":")[2] == str(path)]

    def _load(self) -> dict[str, Any]:
        if self._kept is None:
            self._kept = {}
            with contextlib.suppress(OSError, ValueError, RecursionError):
                found = json.loads(self.path.read_text(encoding="utf-8"))
                self._kept = found if isinstance(found, dict) else {}
        return self._kept
