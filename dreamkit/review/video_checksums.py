"""Checksums of videos on the board; a video whose files have the same size and time is not read again.

The export does not use what is kept here: it reads every byte.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.review.library import ReviewVideo, checksum_of
from dreamkit.workspace.files import read_json, write_json


class VideoChecksums:
    """Checksums by video, kept in a JSON file that may be deleted.

    Args:
        path: the file; read at the first use, and written by `save`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[str, list[str]] | None = None
        self._changed = False

    def of(self, video: ReviewVideo) -> str:
        """The checksum of a video's files, see `library.checksum_of`; empty where a file cannot be read."""
        kept = self._load()
        try:
            stats = {name: path.stat() for name, path in video.views.items()}
            stamp = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in sorted(stats.items())])
            entry = kept.get(video.key)
            if entry is None or entry[0] != stamp:
                entry = kept[video.key] = [stamp, checksum_of(video.views)]
                self._changed = True
        except (OSError, DreamkitError):
            return ""
        return entry[1]

    def save(self) -> None:
        """Write the file where there is something new; a folder that is not writable only costs time the next time."""
        if self._changed:
            with contextlib.suppress(DreamkitError):
                write_json(self.path, self._kept)
            self._changed = False

    def _load(self) -> dict[str, list[str]]:
        if self._kept is None:
            self._kept = {}
            with contextlib.suppress(DreamkitError):
                found = read_json(self.path, "checksums") if self.path.is_file() else {}
                self._kept = {
                    key: entry
                    for key, entry in found.items()
                    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)
                }
        return self._kept
