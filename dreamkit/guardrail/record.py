"""The record of prompt and video checks in a sidecar: which were asked for, which ran, and what they said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dreamkit.guardrail.choice import FACES, NONE, PROMPT_CHECKS
from dreamkit.guardrail.verdicts import FAILED, CheckVerdict

NOTE = "No guardrail ran: neither the prompts nor the videos were checked, and no faces were blurred."


@dataclass(frozen=True)
class GuardrailRecord:
    """The entry `guardrail` of a sidecar, and of the record of a blocked result.

    Attributes:
        asked: value of the parameter `guardrail`.
        ran: names of the checks that gave a verdict.
        note: a sentence for the reader.
        blocked: whether the prompt or video was blocked.
        reason: why, a sentence; empty where it was not.
        verdicts: the verdicts, those that failed included.
        versions: check -> libraries, checksum of the files, version of the rules.
        stride: distance of the frames that the content filter checked.
    """

    asked: str | list[str]
    ran: tuple[str, ...]
    note: str
    blocked: bool = False
    reason: str = ""
    verdicts: tuple[CheckVerdict, ...] = ()
    versions: Mapping[str, Any] = field(default_factory=dict)
    stride: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON values; of a video that was made without checks only `asked`, `ran` and `note`."""
        head = {"asked": self.asked, "ran": list(self.ran), "note": self.note}
        if self.asked == NONE and not self.blocked:
            return head
        return {
            **head,
            "blocked": self.blocked,
            "reason": self.reason,
            "stride": self.stride,
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
            "versions": dict(self.versions),
        }


def unchecked() -> GuardrailRecord:
    """The record of a run with `guardrail: none`."""
    return GuardrailRecord(NONE, (), NOTE)


def checked(
    asked: str | list[str], verdicts: Sequence[CheckVerdict], versions: Mapping[str, Any], stride: int = 1
) -> GuardrailRecord:
    """The record of one result from the verdicts on its prompts and video."""
    stopped = [verdict for verdict in verdicts if not verdict.passes]
    ran = tuple(dict.fromkeys(verdict.check for verdict in verdicts if verdict.state != FAILED))
    reason = " ".join(blocked_because(verdict) for verdict in stopped)
    note = reason if stopped else f"Checked by {', '.join(ran)}: nothing was found."
    faces = next((verdict.scores for verdict in verdicts if verdict.check == FACES), {})
    if not stopped and faces:
        note += f" Faces pixelated: {faces['faces']} in {faces['frames_with_faces']} of {faces['frames']} frames."
    return GuardrailRecord(asked, ran, note, bool(stopped), reason, tuple(verdicts), versions, stride)


def blocked_because(verdict: CheckVerdict) -> str:
    """The reason why a verdict blocks, as a sentence."""
    what = "prompt" if verdict.check in PROMPT_CHECKS else "video"
    if verdict.state == FAILED:
        return f"Blocked because the check {verdict.check} of the {what} could not decide: {verdict.reason}."
    return f"Blocked by the check {verdict.check} of the {what}: {verdict.reason}."
