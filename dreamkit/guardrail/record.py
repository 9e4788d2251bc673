"""Prompt and video checks: what was asked for and what ran.

No check is built in yet. Nothing here pretends otherwise: asking for one is refused, and every record says that none
ran.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dreamkit.errors import DreamkitError

NOTE = "No guardrail ran: neither the prompts nor the videos were checked, and no faces were blurred."


@dataclass(frozen=True)
class GuardrailRecord:
    """What a sidecar says about guardrails."""

    asked: str
    ran: tuple[str, ...]
    note: str

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {**asdict(self), "ran": list(self.ran)}


def refusal(asked: str) -> str | None:
    """Why this guardrail cannot be had, or None when it can."""
    if asked == "none":
        return None
    return f"guardrail {asked!r} is not available; this version has no guardrail, so set it to 'none'"


def record(asked: str) -> GuardrailRecord:
    """What ran for a run that asked for `asked`.

    Raises:
        DreamkitError: anything but "none" was asked for.
    """
    if reason := refusal(asked):
        raise DreamkitError(
            f"{reason[0].upper()}{reason[1:]}.", "Check prompts and videos yourself before you publish them."
        )
    return GuardrailRecord(asked, (), NOTE)
