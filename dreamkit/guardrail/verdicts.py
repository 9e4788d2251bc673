"""The answer of a check, and the two kinds of checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

SAFE, UNSAFE, FAILED = "safe", "unsafe", "failed"


@dataclass(frozen=True)
class CheckVerdict:
    """The result of one check for one prompt or video.

    Attributes:
        check: name of the check.
        state: SAFE; UNSAFE; or FAILED, where the check could not decide. Only SAFE lets the prompt or video pass.
        reason: why it is not safe, a phrase without a full stop; empty for SAFE.
        scores: numbers and names that led to the verdict, as JSON values.
    """

    check: str
    state: str
    reason: str = ""
    scores: dict[str, Any] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        """Whether the prompt or video may be used as far as this check is concerned."""
        return self.state == SAFE

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON values; the reason is left out where there is none."""
        rest = {"reason": self.reason} if self.reason else {}
        return {"check": self.check, "state": self.state, **rest, "scores": self.scores}


class PromptCheck(Protocol):
    """A check of prompts. Making one loads its libraries and files, and raises where they are missing."""

    name: str

    def read(self, texts: Sequence[str]) -> list[CheckVerdict]:
        """A verdict for each text; any exception counts as FAILED for all of them."""
        ...

    def release(self) -> None:
        """Free the memory of the check's model."""
        ...


class VideoCheck(Protocol):
    """A check of frames. Making one loads its libraries and files, and raises where they are missing."""

    name: str

    def watch(self, views: Sequence[np.ndarray]) -> tuple[CheckVerdict, list[np.ndarray]]:
        """The verdict on a video, and its frames, changed where the check changes them.

        Args:
            views: the frames of each view, uint8 [T, H, W, 3]; they are not written to.
        """
        ...
