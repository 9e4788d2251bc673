"""Runs the checks that were asked for, in upstream's order, one model in memory at a time; whatever fails blocks."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError, first_line
from dreamkit.guardrail.answers import RULES, KeptVerdicts
from dreamkit.guardrail.batches import device_of, free_gpu
from dreamkit.guardrail.blocklist import BlocklistCheck
from dreamkit.guardrail.choice import BLOCKLIST, CONTENT, LLAMA_GUARD, PROMPT_CHECKS, VIDEO_CHECKS
from dreamkit.guardrail.content_filter import ContentCheck
from dreamkit.guardrail.faces import FaceCheck
from dreamkit.guardrail.llama_guard import LlamaGuardCheck
from dreamkit.guardrail.model_files import files_digest, library_versions
from dreamkit.guardrail.verdicts import FAILED, CheckVerdict, PromptCheck, VideoCheck

log = logging.getLogger(__name__)


def load_check(check: str, root: Path, device: str | None, stride: int) -> PromptCheck | VideoCheck:
    """One check, with its libraries and files loaded.

    Args:
        check: name of the check.
        root: the checkpoint folder.
        device: device of its model; None for the first GPU, else the CPU.
        stride: distance of the frames that the content filter checks.

    Raises:
        DreamkitError: a library or a file is missing or cannot be used.
    """
    where = device_of(device)
    if check == BLOCKLIST:
        return BlocklistCheck.load(root)
    if check == LLAMA_GUARD:
        return LlamaGuardCheck.load(root, where)
    return ContentCheck.load(root, where, stride) if check == CONTENT else FaceCheck.load(root, where)


@dataclass
class Guard:
    """The checks of one run.

    Attributes:
        checks: their names, in the order in which they run.
        root: the checkpoint folder that has their files.
        device: device of their models; None for the first GPU, else the CPU.
        stride: distance of the frames that the content filter checks.
        cache: folder of kept verdicts on prompts, or None.
        versions: check -> versions of its libraries, checksum of its files, version of its rules.
        load: makes a check; see `load_check`.
    """

    checks: tuple[str, ...]
    root: Path
    device: str | None = None
    stride: int = 1
    cache: Path | None = None
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    load: Callable[[str, Path, str | None, int], PromptCheck | VideoCheck] = load_check
    _video: dict[str, VideoCheck] = field(default_factory=dict, repr=False)

    def check_prompts(self, texts: Sequence[str]) -> dict[str, list[CheckVerdict]]:
        """The verdicts on every text; a text that one check blocks is not given to the next.

        Each check is loaded once, and only where a text's verdict is not kept from an earlier run.
        """
        texts = list(dict.fromkeys(texts))
        found: dict[str, list[CheckVerdict]] = {text: [] for text in texts}
        for name in self.checks:
            if name in PROMPT_CHECKS:
                left = [text for text in texts if all(verdict.passes for verdict in found[text])]
                for text, verdict in zip(left, self._read(name, left), strict=True):
                    found[text].append(verdict)
        return found

    def _read(self, name: str, texts: Sequence[str]) -> list[CheckVerdict]:
        check: Any = None
        began = time.monotonic()
        try:
            kept = KeptVerdicts(self.cache, name, self._version(name)["files"])
            known = {text: verdict for text in texts if (verdict := kept.get(text))}
            if unknown := [text for text in texts if text not in known]:
                log.info("guardrail: %s reads %d prompts", name, len(unknown))
                check = self.load(name, self.root, self.device, self.stride)
                verdicts = check.read(unknown)
                kept.put(unknown, verdicts)
                known |= dict(zip(unknown, verdicts, strict=True))
                log.info("guardrail: %s took %.1f s", name, time.monotonic() - began)
            return [known[text] for text in texts]
        except Exception as error:  # whatever a check raises, its prompts are blocked
            log.warning("guardrail: %s failed: %s", name, _fault(error))
            return [_failed(name, error)] * len(texts)
        finally:
            if check is not None:
                check.release()

    def prepare_videos(self) -> list[CheckVerdict]:
        """Load the checks of videos into CPU memory; return a verdict FAILED for each that cannot be loaded."""
        failed = []
        for name in self.checks:
            if name in VIDEO_CHECKS and name not in self._video:
                try:
                    self._version(name)
                    check: Any = self.load(name, self.root, self.device, self.stride)
                    self._video[name] = check
                except Exception as error:
                    log.warning("guardrail: %s cannot run: %s", name, _fault(error))
                    failed.append(_failed(name, error))
        return failed

    def check_video(self, views: Sequence[np.ndarray]) -> tuple[list[CheckVerdict], list[np.ndarray]]:
        """The verdicts on a video, and its frames with pixelated faces. After a verdict that blocks no check follows.

        Args:
            views: the frames of each view, uint8 [T, H, W, 3]; they are not written to.
        """
        verdicts: list[CheckVerdict] = []
        frames = list(views)
        for name in self.checks:
            if name in VIDEO_CHECKS and all(verdict.passes for verdict in verdicts):
                verdict, frames = self._watch(name, frames)
                verdicts.append(verdict)
        return verdicts, frames

    def _watch(self, name: str, views: list[np.ndarray]) -> tuple[CheckVerdict, list[np.ndarray]]:
        began = time.monotonic()
        try:
            verdict, frames = self._video[name].watch(views)
            if [view.shape for view in frames] != [view.shape for view in views]:
                raise ValueError("the check returned another number of frames")
        except Exception as error:  # whatever a check raises, the video is blocked
            log.warning("guardrail: %s failed: %s", name, _fault(error))
            verdict, frames = _failed(name, error), views
            if self.device != "cpu":
                free_gpu(device_of(self.device))
        scores = {**verdict.scores, "seconds": round(time.monotonic() - began, 2)}
        return CheckVerdict(verdict.check, verdict.state, verdict.reason, scores), frames

    def _version(self, name: str) -> dict[str, Any]:
        if name not in self.versions:
            files = files_digest(name, self.root)
            self.versions[name] = {"libraries": library_versions(name), "files": files, "rules": RULES}
        return self.versions[name]

    def known_versions(self) -> dict[str, dict[str, Any]]:
        """The versions of all checks; empty for one whose files are missing."""
        found: dict[str, dict[str, Any]] = {}
        for name in self.checks:
            found[name] = {}
            with contextlib.suppress(DreamkitError, OSError):
                found[name] = self._version(name)
        return found


def _fault(error: Exception) -> str:
    return error.message.rstrip(".") if isinstance(error, DreamkitError) else first_line(error)


def _failed(check: str, error: Exception) -> CheckVerdict:
    return CheckVerdict(check, FAILED, _fault(error), {"error": type(error).__name__})
