"""Captions through the guardrail's checks of prompts, before they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dreamkit.guardrail.record import GuardrailRecord, checked

if TYPE_CHECKING:
    from dreamkit.guardrail.guard import Guard  # loads torch

Key = tuple[str, str]
"""Clip and style of a caption."""


def guarded(guard: Guard | None, texts: Mapping[Key, str]) -> dict[Key, GuardrailRecord]:
    """The record of each caption, all captions checked in one call; empty without a guardrail."""
    if guard is None or not guard.checks:
        return {}
    verdicts = guard.check_prompts(list(texts.values()))
    asked, versions = list(guard.checks), guard.known_versions()
    return {key: checked(asked, verdicts[text], versions) for key, text in texts.items()}
