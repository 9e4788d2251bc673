"""Verdicts on prompts, kept on disk: a prompt that was checked by the same check and files is not checked again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.guardrail.verdicts import FAILED, SAFE, UNSAFE, CheckVerdict
from dreamkit.workspace.files import read_json, write_json

RULES = 1
"""Version of the checks' own rules; a change of it makes every kept verdict void."""


@dataclass(frozen=True)
class KeptVerdicts:
    """The verdicts of one check. Prompts themselves are not written, only their hashes.

    Attributes:
        folder: folder of the verdicts of all checks; None keeps nothing.
        check: name of the check.
        files: checksum of its files.
    """

    folder: Path | None
    check: str
    files: str

    def get(self, text: str) -> CheckVerdict | None:
        """The kept verdict on a text; None where there is none or its file is damaged."""
        path = self._path(text)
        if path is None or not path.is_file():
            return None
        with contextlib.suppress(DreamkitError):
            kept = read_json(path, "verdict")
            if kept.get("check") == self.check and kept.get("state") in (SAFE, UNSAFE):
                return CheckVerdict(
                    self.check, kept["state"], str(kept.get("reason", "")), dict(kept.get("scores", {}))
                )
        return None

    def put(self, texts: Sequence[str], verdicts: Sequence[CheckVerdict]) -> None:
        """Keep verdicts. Those that FAILED are not kept: the next run tries again."""
        for text, verdict in zip(texts, verdicts, strict=True):
            path = self._path(text)
            if path is not None and verdict.state != FAILED:
                with contextlib.suppress(DreamkitError):  # a folder that cannot be written costs time only
                    write_json(path, verdict.as_dict())

    def _path(self, text: str) -> Path | None:
        if self.folder is None:
            return None
        key = sha256(f"{RULES}\x00{self.check}\x00{self.files}\x00{text}".encode()).hexdigest()
        return self.folder / f"{key}.json"
