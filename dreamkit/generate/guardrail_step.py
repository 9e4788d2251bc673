"""The guardrail of one run: which jobs may be made, the check of their frames, and the records of what was blocked."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.download import checkpoints
from dreamkit.generate.jobs import Job
from dreamkit.generate.outputs import of_job
from dreamkit.generate.params import Params, SingleViewParams
from dreamkit.generate.plan import RunPlan
from dreamkit.guardrail.choice import NONE, VIDEO_CHECKS, chosen_checks
from dreamkit.guardrail.guard import Guard
from dreamkit.guardrail.record import NOTE, GuardrailRecord, checked, unchecked
from dreamkit.guardrail.verdicts import UNSAFE, CheckVerdict
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT
from dreamkit.workspace.cameras import Rig
from dreamkit.workspace.files import write_json
from dreamkit.workspace.sidecars import read_sidecar
from dreamkit.workspace.workspace import Chunk, Workspace

log = logging.getLogger(__name__)


class VideoBlocked(Exception):
    """A check blocked the frames of the video that is being made; caught by `GuardrailStep.stops`."""


def guard_of(asked: str | Sequence[str], folder: str, device: str, stride: int, ws: Workspace) -> Guard:
    """The checks of a run, with the files of its checkpoint folder.

    Args:
        asked: value of the parameter `guardrail`.
        folder: value of `checkpoints`; see `checkpoints.guardrail_root`.
        device: value of `device`; empty for the first GPU, else the CPU.
        stride: distance of the frames that the content filter checks.
        ws: the workspace, whose cache keeps the verdicts on prompts.
    """
    root = checkpoints.guardrail_root(folder)
    return Guard(chosen_checks(asked), root, device or None, stride, ws.cache("guardrail"))


def blocked_before(
    ws: Workspace, plan: RunPlan, job: Job, versions: Callable[[], Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The guardrail's entry in the record of a blocked result, where it is of the same identity and versions of checks.

    Args:
        ws: the workspace.
        plan: the run.
        job: the result.
        versions: computes the versions of the run's checks, see `Guard.known_versions`; called where there is a record.
    """
    record = read_sidecar(ws.blocked(plan.stage, job.chunk, job.style)) or {}
    entry = record.get("guardrail")
    if not isinstance(entry, dict) or entry.get("blocked") is not True:
        return None
    same = of_job(record.get("identity"), plan, job) and entry.get("versions") == versions()
    return entry if same else None


def user_texts(job: Job, rig: Rig, params: Params) -> list[str]:
    """The texts of a job that are the user's: prompts without the cameras' sentences, and an own negative prompt."""
    texts = [
        prompt.removeprefix(camera.sentence).strip() for camera, prompt in zip(rig.cameras, job.prompts, strict=True)
    ]
    if isinstance(params, SingleViewParams) and params.negative_prompt not in ("", NEGATIVE_PROMPT):
        texts.append(params.negative_prompt)
    return [texts[0], *dict.fromkeys(text for text in texts[1:] if text and text != texts[0])]


@dataclass
class GuardrailStep:
    """The guardrail's part of a run.

    Attributes:
        ws: the workspace.
        plan: the run.
        guard: its checks.
        blocked: name of a job -> why it was blocked, a sentence.
    """

    ws: Workspace
    plan: RunPlan
    guard: Guard
    blocked: dict[str, str] = field(default_factory=dict)
    _verdicts: dict[str, list[CheckVerdict]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, ws: Workspace, plan: RunPlan) -> GuardrailStep:
        """The step of a run; the log gets one line on its checks, or the note that there are none."""
        p = plan.params
        step = cls(ws, plan, guard_of(p.guardrail, p.checkpoints, p.device, p.guardrail_stride, ws))
        if p.guardrail == NONE:  # in a notebook the table of results has it
            log.info("%s", step.summary, extra={"step": True})
        else:
            log.info("Guardrail: %s.", ", ".join(step.guard.checks))
        for front in plan.blocked_fronts:
            record = GuardrailRecord(step._asked, (), front.reason, True, front.reason)
            step._block(front.name, front.chunk, front.style, {}, record)
        return step

    @property
    def _asked(self) -> str | list[str]:
        return self.plan.params.guardrail

    @property
    def summary(self) -> str:
        """A sentence on the guardrail for the table of results."""
        if not self.guard.checks:
            return NOTE
        return f"Guardrail: {', '.join(self.guard.checks)}; {len(self.blocked) or 'none'} blocked."

    def blocked_again(self, jobs: Sequence[Job]) -> set[str]:
        """Names of the jobs whose video was made before and blocked by the same checks; they are not made again.

        Where a prompt was blocked, or a check could not decide, the job is checked again.
        """
        names = set()
        for job in jobs if self.guard.checks else ():
            before = blocked_before(self.ws, self.plan, job, self.guard.known_versions)
            if before is not None and _is_of_frames(before):
                names.add(job.name)
                self.blocked[job.name] = str(before.get("reason", ""))
                log.info("%s: %s It is not made again", job.name, self.blocked[job.name])
        return names

    def admit(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs whose prompts pass; before a model of the run is loaded. The others are recorded as blocked.

        Where a check of videos cannot run, no job passes: its video could not be published.
        """
        if not jobs or not self.guard.checks:
            return list(jobs)
        texts = {job.name: user_texts(job, self.plan.rig, self.plan.params) for job in jobs}
        verdicts = self.guard.check_prompts([text for each in texts.values() for text in each])
        unready = self.guard.prepare_videos()
        for job in jobs:
            found = [verdict for text in texts[job.name] for verdict in verdicts[text]]
            self._verdicts[job.name] = found
            if unready or not all(verdict.passes for verdict in found):
                self._block_job(job, [*found, *unready])
        return [job for job in jobs if job.name not in self.blocked]

    def frames(self, job: Job, views_vthwc: np.ndarray) -> np.ndarray:
        """The frames of a video as they may be published, uint8 [V, T, H, W, 3]: with pixelated faces.

        Raises:
            VideoBlocked: a check blocks them.
        """
        views = list(views_vthwc)
        found, frames = self.guard.check_video(views)
        self._verdicts[job.name] = [*self._verdicts.get(job.name, []), *found]
        if not all(verdict.passes for verdict in found):
            raise VideoBlocked
        unchanged = all(after is before for after, before in zip(frames, views, strict=True))
        return views_vthwc if unchanged else np.stack(frames)

    @contextlib.contextmanager
    def stops(self, job: Job) -> Iterator[None]:
        """Context in which a job is made; where its video is blocked it ends without an error, and that is recorded."""
        began = time.monotonic()
        try:
            yield
        except VideoBlocked:
            self._block_job(job, self._verdicts[job.name], round(time.monotonic() - began, 2))
        else:
            self.ws.blocked(self.plan.stage, job.chunk, job.style).unlink(missing_ok=True)

    def record(self, job: Job) -> dict[str, Any]:
        """The entry `guardrail` of a job's sidecar."""
        if not self.guard.checks:
            return unchecked().as_dict()
        return self._record(self._verdicts.get(job.name, [])).as_dict()

    def _record(self, verdicts: Sequence[CheckVerdict]) -> GuardrailRecord:
        return checked(self._asked, verdicts, self.guard.known_versions(), self.guard.stride)

    def _block_job(self, job: Job, verdicts: Sequence[CheckVerdict], seconds: float = 0.0) -> None:
        facts = {"seed": job.seed, "identity": self.plan.identity(job), "seconds": seconds}
        self._block(job.name, job.chunk, job.style, facts, self._record(verdicts))

    def _block(self, name: str, chunk: Chunk, style: str, facts: dict[str, Any], record: GuardrailRecord) -> None:
        """Write the record of a blocked result beside the place of its video."""
        path = self.ws.blocked(self.plan.stage, chunk, style)
        head = {"stage": self.plan.stage, "clip": chunk.clip, "chunk": chunk.index, "style": style}
        write_json(path, {**head, **facts, "guardrail": record.as_dict()})
        self.blocked[name] = record.reason
        log.warning("%s: %s See %s", name, record.reason, path)
        if old := _earlier(self.ws, self.plan.stage, chunk, style):
            log.warning("%s of an earlier run, which this guardrail did not check, is left as it is", old)


def _is_of_frames(entry: dict[str, Any]) -> bool:
    """Whether a record's last verdict is that the frames are unsafe; not so where a check could not decide."""
    last = (entry.get("verdicts") or [{}])[-1]
    return last.get("check") in VIDEO_CHECKS and last.get("state") == UNSAFE


def _earlier(ws: Workspace, stage: str, chunk: Chunk, style: str) -> Path | None:
    """The video of this name that an earlier run published; None where there is none."""
    path = ws.single_view(chunk, style) if stage == "single_view" else ws.grid(chunk, style)
    return path if path.is_file() else None
