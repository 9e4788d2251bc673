"""Results and errors of a run so far, and the lock of a result where several runs use one workspace."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from dreamkit.errors import DreamkitError
from dreamkit.generate.guardrail_step import GuardrailStep
from dreamkit.generate.input_videos import DecodedVideos
from dreamkit.generate.jobs import Job
from dreamkit.generate.outputs import result_status
from dreamkit.generate.plan import RunPlan
from dreamkit.generate.results import MADE
from dreamkit.notebook.progress import counted
from dreamkit.workspace.failures import record_failure
from dreamkit.workspace.locks import file_lock
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass
class RunOutcome:
    """What a run has made so far.

    Attributes:
        ws: the workspace.
        plan: the run.
        decoded: the decoded input videos.
        guard: the checks of the run's prompts and videos.
        seconds: result -> seconds that it took.
        faults: result -> why it was not made.
        elsewhere: result -> its state, of those that another run made in the meantime.
    """

    ws: Workspace
    plan: RunPlan
    decoded: DecodedVideos
    guard: GuardrailStep
    seconds: dict[str, float] = field(default_factory=dict)
    faults: dict[str, DreamkitError] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def kept(self, asked: int) -> str:
        """What an interrupted run keeps of the results that it was to make, as a sentence."""
        made = len(self.seconds)
        verb = "is" if 1 in (made, asked) else "are"
        return f"{made} of {counted(asked, 'video')} {verb} finished and kept; the one begun is not."

    @contextlib.contextmanager
    def recording_error(self, job: Job) -> Iterator[None]:
        """With `skip_bad`, record the error of one job, so that the others are made."""
        try:
            yield
        except DreamkitError as error:
            if not self.plan.params.skip_bad:
                raise
            self.faults[job.name] = error
            record_failure(self.ws.failure(self.plan.stage, job.name), error)
            log.warning("left out: %s", error)

    @contextlib.contextmanager
    def locked(self, job: Job, wait: bool) -> Iterator[str | None]:
        """Hold the lock of a result and yield its present state; None where another run holds it.

        Args:
            job: the result.
            wait: wait until another run is done with it, or was killed.
        """
        with file_lock(self.ws.lock_file(self.plan.stage, job.name), job.name, wait) as held:
            state = result_status(self.ws, self.plan, job) if held else None
            if state not in (None, MADE):
                log.info("%s: another run made it in the meantime", job.name)
                self.elsewhere[job.name] = state
            yield state
