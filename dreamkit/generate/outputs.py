"""The files of a result: whether they exist and who made them, and replacing them."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamkit.generate.jobs import Job
from dreamkit.generate.plan import RunPlan
from dreamkit.generate.results import CHANGED, DONE, KEPT, MADE
from dreamkit.transfer.text_cache import same_mark
from dreamkit.workspace.files import replacing, sha256, write_json
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)
LATER_KEYS = ("model", "text")
"""Keys of an identity that earlier versions did not write; a result without them stays valid."""


def outputs(ws: Workspace, plan: RunPlan, job: Job) -> list[Path]:
    """Every file of a result, in the order they are put in place."""
    if plan.stage == "single_view":
        return [ws.single_view(job.chunk, job.style)]
    views = [ws.view(job.chunk, job.style, camera.index) for camera in plan.rig.cameras]
    return [*views, ws.grid(job.chunk, job.style), ws.prompts(job.chunk, job.style)]


def result_status(ws: Workspace, plan: RunPlan, job: Job, checksum: Callable[[Path], str] = sha256) -> str:
    """Whether a result is to be made.

    MADE: it is. DONE: the sidecar matches. KEPT: there is a video that dreamkit did not make. CHANGED: there is one
    that it made and that was changed since, so that its checksum is not the sidecar's.

    Where there is a sidecar, only videos are compared with it; the user may edit `prompt.json`. `checksum` computes
    the SHA-256 of a video.
    """
    name, paths = job.name, outputs(ws, plan, job)
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
    written, old = record.get("outputs", {}), record.get("replacing", {})
    sums = {path.name: checksum(path) for path in there if path.suffix == ".mp4"}
    changed = [file for file, total in sums.items() if total not in (written.get(file), old.get(file))]
    if changed and not plan.params.overwrite:
        log.warning(
            "%s: %s changed after dreamkit made it (its sidecar has another checksum), and is kept and used as it is; "
            "delete it, or set overwrite to true, to make it anew",
            name,
            ", ".join(changed),
        )
        return CHANGED
    if changed:
        return MADE
    missing = [path.name for path in paths if path not in there]
    if not of_job(record.get("identity"), plan, job):
        log.info("%s: inputs, parameters or model files changed; it is made again", name)
    elif missing:
        log.info("%s: %s missing; it is made again", name, ", ".join(missing))
    elif old:
        log.info("%s: an interrupted run left it half replaced; it is made again", name)
    else:
        return DONE
    return MADE


def of_job(recorded: object, plan: RunPlan, job: Job) -> bool:
    """Whether a sidecar's identity is one that counts as the job's, see `RunPlan.identities`."""
    return any(same_identity(recorded, wanted) for wanted in plan.identities(job))


def same_identity(recorded: object, wanted: Mapping[str, Any]) -> bool:
    """Whether a sidecar's identity is that of the job, apart from LATER_KEYS that an earlier version did not write.

    The marks of text embeddings are compared where both have them: the cache may be empty when a run is planned.
    """
    if not isinstance(recorded, Mapping):
        return False
    old, new = recorded.get("text"), wanted.get("text")
    if old and new and not _same_texts(old, new):
        return False
    later = [key for key in LATER_KEYS if key not in recorded]
    return _without(recorded, "text") == _without(wanted, "text", *later)


def _without(identity: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key not in keys}


def _same_texts(old: object, new: Sequence[Sequence[float]]) -> bool:
    """Whether the marks of a sidecar are those of the cached embeddings; a damaged sidecar's are not."""
    try:
        return isinstance(old, list) and all(itertools.starmap(same_mark, zip(old, new, strict=True)))
    except (TypeError, ValueError, OverflowError):
        return False


@contextlib.contextmanager
def new_files(ws: Workspace, plan: RunPlan, job: Job) -> Iterator[dict[Path, Path]]:
    """Yield, for each file of a result, a partial file to write; put all in place when the block succeeds.

    After an exception or interrupt, no partial file and no empty folder is left. `publish` must be
    called at the end of the block, and the sidecar written again after it.
    """
    paths = outputs(ws, plan, job)
    try:
        with contextlib.ExitStack() as stack:
            # ExitStack closes in reverse, so that the files are put in place in their order.
            yield {path: stack.enter_context(replacing(path)) for path in reversed(paths)}
    finally:
        if plan.stage == "multi_view":
            with contextlib.suppress(OSError):  # the folder is not empty
                paths[0].parent.rmdir()


def publish(
    ws: Workspace, plan: RunPlan, job: Job, files: Mapping[Path, Path], record: Mapping[str, Any]
) -> dict[str, Any]:
    """Write an interim sidecar before `new_files` puts the files in place; return the record of the final one.

    The interim sidecar has the checksums of the old files too. Where a run is killed before all files are replaced, the
    old and new videos still count as dreamkit's, and the next run makes the result again.
    """
    final = {**record, "outputs": {path.name: sha256(files[path]) for path in outputs(ws, plan, job)}}
    old = {path.name: sha256(path) for path in files if path.is_file()}
    head = {"stage": plan.stage, "clip": job.chunk.clip, "chunk": job.chunk.index, "style": job.style}
    interim = {**head, **final, **({"replacing": old} if old else {})}
    write_json(ws.sidecar(plan.stage, job.chunk, job.style), interim)
    return final
