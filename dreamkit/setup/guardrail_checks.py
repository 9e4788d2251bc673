"""What of the guardrail is installed and downloaded, one line a check."""

from __future__ import annotations

from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.guardrail.choice import CHECKS, FACES
from dreamkit.guardrail.model_files import (
    DOWNLOAD,
    INSTALL,
    absent_libraries,
    check_files,
    library_versions,
)
from dreamkit.setup.machine import Check, import_check

PREFIX = "guardrail: "


def guardrail_checks(root: Path) -> list[Check]:
    """For each check of the guardrail whether its libraries are installed and its files are in `root`."""
    return [_check(check, root) for check in CHECKS]


def _check(check: str, root: Path) -> Check:
    name = f"{PREFIX}{check}"
    if absent := absent_libraries(check):
        return Check(name, "note", f"not installed: {', '.join(absent)}", INSTALL)
    if check == FACES:  # the only library here that needs one built for the same PyTorch
        found = import_check(name, "retinaface")
        if found.state != "ok":
            advice = "Install the torchvision that belongs to your PyTorch, from the same place."
            return Check(name, "missing", found.value, advice)
    versions = ", ".join(f"{library} {version}" for library, version in library_versions(check).items())
    try:
        check_files(check, root)
    except DreamkitError as error:
        return Check(name, "note", f"{versions}; {error.message}", DOWNLOAD)
    return Check(name, "ok", f"{versions}; files in {root}")
