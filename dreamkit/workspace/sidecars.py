"""Reading sidecars, the JSON file of each result; a damaged one never stops a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_names import MOST_CHUNK, name_fault
from dreamkit.workspace.files import read_json
from dreamkit.workspace.partials import entries

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
    for name in entries(folder):
        if name.startswith(".") or not name.endswith(".json"):
            continue
        try:
            record = read_json(folder / name, "sidecar")
        except DreamkitError:
            continue
        checks = record.get("guardrail")
        blocked = isinstance(checks, dict) and checks.get("blocked") is True
        if names_result(record) and not blocked:
            found.append(record)
    return found


def names_result(record: Mapping[str, Any]) -> bool:
    """Whether a sidecar names its stage, clip, chunk and style, each so that a file name can hold it."""
    texts = [record.get(key) for key in ("stage", "clip", "style")]
    chunk = record.get("chunk")
    named = all(isinstance(text, str) and name_fault(text) is None for text in texts)
    return named and isinstance(chunk, int) and not isinstance(chunk, bool) and 0 <= chunk < MOST_CHUNK
