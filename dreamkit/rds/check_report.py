"""A finding of `dreamkit check` about a clip's labels, and a list of findings as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class LabelFinding:
    """One suspicious fact about a clip's labels.

    Attributes:
        severity: ERROR, WARNING or NOTE.
        layer: the folder it is about.
        what: the fact.
        cause: its likely cause.
        frame: the first frame concerned, or None when the whole clip is.
    """

    severity: str
    layer: str
    what: str
    cause: str
    frame: int | None = None

    def __str__(self) -> str:
        where = self.layer if self.frame is None else f"{self.layer}, frame {self.frame}"
        return f"{self.severity:8}{where}: {self.what}\n        likely: {self.cause}"


def report(clip: str, findings: Sequence[LabelFinding]) -> str:
    """The findings of a clip as lines of text."""
    if not findings:
        return f"{clip}: nothing found"
    counts = [(sum(finding.severity == severity for finding in findings), severity) for severity in SEVERITIES]
    summary = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for count, severity in counts if count)
    return "\n".join([f"{clip}: {summary}", *(f"  {finding}".replace("\n", "\n  ") for finding in findings)])


def and_others(names: Sequence[str], first: str) -> str:
    """A name, and how many others there are."""
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"
