"""The events of a batch, one JSON line each, which status, widget and plots read."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dreamkit.workspace.files import append_line


class EventLog:
    """Appends the events of a running batch.

    Where the disk is full, events are kept and appended when it has room again.

    Args:
        path: the file; its folder is made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: deque[str] = deque()
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, event: str, **values: Any) -> None:
        """Append an event with the time.

        Args:
            event: its kind.
            values: its fields, as JSON values.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._waiting.append(json.dumps({"time": now, "event": event, **values}, ensure_ascii=False))
        try:
            while self._waiting:
                append_line(self.path, self._waiting[0])
                self._waiting.popleft()
        except OSError:
            return


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, in order; a line that a killed batch left unfinished is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str) and isinstance(event.get("time"), str):
            yield event


def event_time(event: dict[str, Any]) -> float:
    """The time of an event, in seconds since 1970."""
    return datetime.fromisoformat(event["time"]).timestamp()


def who_runs() -> dict[str, str]:
    """User and machine of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        user = "unknown"
    return {"user": user, "host": socket.gethostname()}


def gpu_use() -> list[dict[str, Any]]:
    """Index, use in percent, and used and total memory in MiB of this machine's GPUs; none where there is no GPU.

    A value that the driver does not report, such as the use of a GPU divided by MIG ("[N/A]"), is None.
    """
    query = "index,utilization.gpu,memory.used,memory.total"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    rows = [[_number(value) for value in line.split(",")] for line in text.strip().splitlines()]
    names = ("index", "percent", "used_mib", "total_mib")
    return [dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names) and row[0] is not None]


def _number(value: str) -> int | None:
    return int(value) if value.strip().isdecimal() else None
