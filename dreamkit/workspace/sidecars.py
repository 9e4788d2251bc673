"""Reading sidecars, the JSON file of each result; a damaged one never stops a run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import read_json

log = logging.getLogger(__name__)
BLOCKED_SUFFIX = ".blocked.json"
"""End of the name of a file that records, instead of a sidecar, why the guardrail blocked a result."""


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """A sidecar; None where there is none, or, with a warning, where it is damaged."""
    if not path.is_file():
        return None
    try:
        record = read_json(path, "sidecar")
    except DreamkitError as error:
        log.warning("%s The sidecar counts as none.", error.message)
        return None
    if not all(isinstance(record.get(name, {}), dict) for name in ("identity", "outputs", "replacing")):
        log.warning("The sidecar %s does not list its files. It counts as none.", path)
        return None
    return record


def read_sidecars(folder: Path) -> list[dict[str, Any]]:
    """All sidecars in a folder, sorted by file name; damaged ones and records of blocked results are left out."""
    found = []
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            record = read_json(path, "sidecar")
        except DreamkitError:
            continue
        named = all(isinstance(record.get(key), str) for key in ("stage", "clip", "style"))
        checks = record.get("guardrail")
        blocked = isinstance(checks, dict) and checks.get("blocked") is True
        if named and not blocked and isinstance(record.get("chunk"), int):
            found.append(record)
    return found
