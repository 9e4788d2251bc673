"""The record of prompt and video checks in a sidecar: which were asked for, and which ran.

This version has no checks: any value but "none" is refused, and every record says that none ran.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dreamkit.errors import DreamkitError

NOTE = "No guardrail ran: neither the prompts nor the videos were checked, and no faces were blurred."


@dataclass(frozen=True)
class GuardrailRecord:
    """The sidecar's entry `guardrail`.

    Attributes:
        asked: value of the parameter `guardrail`.
        ran: names of the checks that ran.
        note: a sentence for the reader.
    """

    asked: str
    ran: tuple[str, ...]
    note: str

    def as_dict(self) -> dict[str, object]:
        """The record as JSON values."""
        return {**asdict(self), "ran": list(self.ran)}


def refusal(asked: str) -> str | None:
    """Why the guardrail `asked` is not available, as part of a sentence; None when it is available."""
    if asked == "none":
        return None
    return f"guardrail {asked!r} is not available; this version has no guardrail, so set it to 'none'"


def record(asked: str) -> GuardrailRecord:
    """The record of a run with parameter `guardrail` = `asked`.

    Raises:
        DreamkitError: `asked` is not "none".
    """
    if reason := refusal(asked):
        raise DreamkitError(
            f"{reason[0].upper()}{reason[1:]}.", "Check prompts and videos yourself before you publish them."
        )
    return GuardrailRecord(asked, (), NOTE)
