"""A finding of `dreamkit check`, and a list of them as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """Something about a clip that should be looked at.

    severity: error, warning or note; layer: the folder it is about; what: the fact; cause: what likely made it so;
    frame: the first frame concerned, or None when it is about the whole clip.
    """

    severity: str
    clip: str
    layer: str
    what: str
    cause: str
    frame: int | None = None

    def __str__(self) -> str:
        where = self.layer if self.frame is None else f"{self.layer}, frame {self.frame}"
        return f"{self.severity:8}{where}: {self.what}\n        likely: {self.cause}"


def report(clip: str, findings: Sequence[Finding]) -> str:
    """The findings of a clip as lines of text."""
    if not findings:
        return f"{clip}: nothing found"
    counts = [(sum(f.severity == severity for f in findings), severity) for severity in (ERROR, WARNING, NOTE)]
    told = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for count, severity in counts if count)
    return "\n".join([f"{clip}: {told}", *(f"  {finding}".replace("\n", "\n  ") for finding in findings)])
