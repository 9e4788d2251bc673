"""From finished files to a result in the workspace: whose files are there, and new ones put in their place."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.generate.jobs import Job
from dreamkit.generate.plan import Plan
from dreamkit.generate.results import DONE, KEPT, MADE
from dreamkit.workspace.files import PARTIAL_PREFIX, sha256, write_json
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)


def outputs(ws: Workspace, plan: Plan, job: Job) -> list[Path]:
    """Every file of a result, in the order they are written."""
    if plan.stage == "single_view":
        return [ws.single_view(job.chunk, job.style)]
    views = [ws.view(job.chunk, job.style, camera.index) for camera in plan.rig.cameras]
    return [*views, ws.grid(job.chunk, job.style), ws.prompts(job.chunk, job.style)]


def partial(path: Path) -> Path:
    """Where a file is written before the whole result is put in place."""
    return path.with_name(PARTIAL_PREFIX + path.name)


@contextlib.contextmanager
def no_partials_left(ws: Workspace, plan: Plan, job: Job) -> Iterator[None]:
    """Whatever ends the block, interrupted or not: no partial file of the result stays, nor an empty folder."""
    paths = outputs(ws, plan, job)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for path in paths:
                partial(path).unlink(missing_ok=True)
            if plan.stage == "multi_view":
                paths[0].parent.rmdir()  # refused by the system when it is not empty


def state(ws: Workspace, plan: Plan, job: Job) -> str:
    """MADE: to be made. DONE: the sidecar matches. KEPT: there is a video that dreamkit did not make, or not so.

    With a sidecar the videos alone say whose a result is; a `prompt.json` may be edited.
    """
    name, paths = ws.name(job.chunk, job.style), outputs(ws, plan, job)
    there = [path for path in paths if path.is_file()]
    record = ws.read_sidecar(plan.stage, job.chunk, job.style)
    if record is None:
        return KEPT if there and not plan.params.overwrite else MADE
    if there and (record.get("clip", job.chunk.clip), record.get("chunk", job.chunk.index)) != (
        job.chunk.clip,
        job.chunk.index,
    ):
        log.warning("%s is of clip %s, chunk %s; it is kept", name, record.get("clip"), record.get("chunk"))
        return MADE if plan.params.overwrite else KEPT
    written, replacing = record.get("outputs", {}), record.get("replacing", {})
    sums = {path.name: sha256(path) for path in there if path.suffix == ".mp4"}
    if any(total not in (written.get(file), replacing.get(file)) for file, total in sums.items()):
        return MADE if plan.params.overwrite else KEPT
    missing = [path.name for path in paths if path not in there]
    if record.get("identity") != plan.identity(job):
        log.info("%s: inputs, parameters or model files changed; it is made again", name)
    elif missing:
        log.info("%s: %s missing; it is made again", name, ", ".join(missing))
    elif replacing:
        log.info("%s: an interrupted run left it half replaced; it is made again", name)
    else:
        return DONE
    return MADE


def publish(ws: Workspace, plan: Plan, job: Job, record: Mapping[str, Any]) -> None:
    """Put a whole result in place: first the sidecar, then the files, each over the old one.

    The sidecar knows the checksums of the old files until the last new one stands. Killed in between, the old and new
    videos that are there still count as dreamkit's, and the next run makes the result again.
    """
    paths = outputs(ws, plan, job)
    record = {**record, "outputs": {path.name: sha256(partial(path)) for path in paths}}
    try:
        old = {path.name: sha256(path) for path in paths if path.is_file()}
        if old:
            head = {"stage": plan.stage, "clip": job.chunk.clip, "chunk": job.chunk.index, "style": job.style}
            write_json(ws.sidecar(plan.stage, job.chunk, job.style), {**head, **record, "replacing": old})
        else:
            ws.write_sidecar(plan.stage, job.chunk, job.style, record)
        for path in paths:
            partial(path).replace(path)
        if old:
            ws.write_sidecar(plan.stage, job.chunk, job.style, record)
    except OSError as error:
        raise DreamkitError(
            f"Cannot write {error.filename or paths[0]}: {error.strerror or error}.",
            "Check that you may write there and that the disk has room; the run continues where it stopped.",
        ) from error
