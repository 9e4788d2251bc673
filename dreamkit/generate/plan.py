"""What a run is going to make: every input looked at, every problem found, before a model loads."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate import specs
from dreamkit.generate.jobs import Job, Look
from dreamkit.generate.params import MultiViewParams, Params, SingleViewParams
from dreamkit.generate.spec_params import apply_scalars
from dreamkit.generate.specs import Spec
from dreamkit.generate.weight_maps import read_weight_map
from dreamkit.transfer import folders
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, read_config
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT
from dreamkit.workspace.cameras import SIX_VIEWS, Rig, rig
from dreamkit.workspace.files import nearest, nearest_file_hint, sha256
from dreamkit.workspace.workspace import Chunk, Workspace, from_home

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A run: its jobs and what they share."""

    stage: str
    params: Params
    spec: Spec
    root: Path
    own_controls: dict[str, Path]
    checksums: dict[str, str]
    rig: Rig
    window: int
    jobs: list[Job]

    def identity(self, job: Job) -> dict[str, Any]:
        """What makes a result the same: inputs, parameters, checkpoint checksums; no versions, device or time.

        Parameters without effect on this job stand at their defaults: those of later windows where one is enough, and
        upstream's negative prompt spelt out.
        """
        p, later = self.params, job.frames > self.window
        values: dict[str, Any] = {"steps": p.num_steps, "guidance": p.guidance, "fps": p.fps, "preset": p.preset}
        if isinstance(p, SingleViewParams):
            negative = "" if p.negative_prompt == NEGATIVE_PROMPT else p.negative_prompt
            values |= {"negative_prompt": negative, "windows": p.windows if later else "first"}
        elif isinstance(p, MultiViewParams):
            values |= {"views": p.views, "num_input_frames": p.num_input_frames if later else 9}
        weights = {
            name: weight if isinstance(weight, float) else sha256(weight) for name, weight in job.weights.items()
        }
        return {
            "prompts": list(job.prompts),
            "seed": job.seed,
            "weights": weights,
            "parameters": values,
            "inputs": job.inputs,
            "checkpoints": self.checksums,
        }


def control_spec(ws: Workspace, params: Params) -> Spec:
    """The control spec of a run; see `specs.choose`."""
    return specs.choose(params.stage, params.spec, ws, params.controls, params.control_weight)


def make_plan(ws: Workspace, params: Params) -> Plan:
    """Look at everything a stage needs.

    Raises:
        DreamkitError: anything that would fail later: the spec, a checkpoint file, a caption, a condition video, a
            front video, two results of one name, a workspace that cannot be written. Problems of clips are told
            together; with `skip_bad` those clips are left out instead.
    """
    stage = params.stage
    multi = stage == "multi_view"
    spec = control_spec(ws, params)
    params = apply_scalars(params, spec)
    cameras = rig(params.views) if isinstance(params, MultiViewParams) else Rig(SIX_VIEWS.cameras[:1], ((0,),))
    root = checkpoints.folder(params.checkpoints)
    own = specs.own_control_files(stage, spec, root)
    names = list(spec.controls)
    if len(cameras) == 5 and (lacking := _released("t2w", root, names, own)):
        raise DreamkitError(
            f"Five views need a control file that was trained for them; the spec {spec.source} gives none for"
            f" {', '.join(lacking)}.",
            "Set ckpt_path in the spec to your own post-trained file; the released ones are for six views.",
        )
    for path in map(from_home, params.trust_jit):
        if not path.is_file():
            raise DreamkitError(f"trust_jit names {path}, which is not there.", nearest_file_hint(path))
    extension = multi and folders.has_extension(root, names, own)
    # Beside five-view files of the user's own, the released v2w ones are for other cameras.
    extension = extension and (len(cameras) == 6 or not _released("v2w", root, names, own))
    files = checkpoints.needed(stage, root, names, own)
    model = read_config(root / checkpoints.FOLDERS[stage], COSMOS_7B_MULTI if multi else COSMOS_7B_SINGLE)
    weights = {name: _weight(control, spec, ws, multi) for name, control in spec.controls.items()}
    chunks, problems = _chunks(ws, params, next(iter(spec.controls)))
    look = Look(stage, ws, params, spec, cameras, model, extension, weights, single=len(chunks) == 1)
    jobs = []
    for chunk in chunks:
        found, faults = look.at(chunk)
        jobs += found
        problems += faults
    _tell(problems, params.skip_bad, bool(jobs))
    _all_different(ws, jobs)
    _writable(ws, stage)
    return Plan(stage, params, spec, root, own, checkpoints.checksums(root, files), cameras, model.window_frames, jobs)


def _released(kind: str, root: Path, controls: Sequence[str], own: Mapping[str, Path]) -> list[str]:
    """The controls whose multi-view file of a kind (`t2w` or `v2w`) is the released one, not the user's own."""
    used = folders.multi_view_files(root, kind, controls, own)
    released = folders.multi_view_files(root, kind, controls)
    return [name for name in controls if used[name] == released[name]]


def _weight(control: specs.Control, spec: Spec, ws: Workspace, multi: bool) -> float | Path:
    if not isinstance(control.weight, str):
        return control.weight
    if multi:
        raise DreamkitError(
            f"{control.name} has the weight map {control.weight}; maps work for single view only.",
            "Give a number in the multi-view spec.",
        )
    path = specs.resolve(control.weight, spec.source, ws.root)
    if path is None:
        raise DreamkitError(
            f"There is no weight map {control.weight} for {control.name}, neither in the working folder nor beside the"
            f" spec {spec.source}.",
            "Give its path, or a number from 0.",
        )
    read_weight_map(path)
    return path


def _chunks(ws: Workspace, params: Params, control: str) -> tuple[list[Chunk], list[str]]:
    """The chunks to run, and what is wrong with the clips asked for."""
    known = ws.clips()
    if not params.clips and not known:
        raise DreamkitError(
            f"The workspace {ws.root} has no captions, so there is nothing to make.",
            f"Put <clip>.txt or <clip>.json into {ws.captions}, or set workspace to the folder that has them.",
        )
    chunks: list[Chunk] = []
    problems = []
    for clip in params.clips or known:
        if clip not in known:
            close = nearest(clip, known)
            hint = f"did you mean {close}?" if close else f"write {ws.captions / clip}.txt."
            problems.append(f"The clip {clip} has no caption in {ws.captions}; {hint}")
        elif params.chunks:
            chunks += [Chunk(clip, index) for index in params.chunks]
        else:
            chunks += ws.chunks(clip, control) or [Chunk(clip)]
    return chunks, problems


def _all_different(ws: Workspace, jobs: Sequence[Job]) -> None:
    """No two results go by one name, as chunk 1 of clip `a` and chunk 0 of a clip `a_1` would."""
    taken: dict[str, Job] = {}
    for job in jobs:
        name = ws.name(job.chunk, job.style)
        other = taken.setdefault(name, job)
        if other is job:
            continue
        if other.chunk == job.chunk:
            raise DreamkitError(f"{name} would be made twice.", f"Name the clip {job.chunk.clip} once in clips.")
        raise DreamkitError(
            f"Clip {other.chunk.clip}, chunk {other.chunk.index}, and clip {job.chunk.clip}, chunk {job.chunk.index},"
            f" would both be named {name}.",
            "Run them in two workspaces, or rename one clip.",
        )


def _writable(ws: Workspace, stage: str) -> None:
    """Try what the run will do at its end: a file in the results' folder."""
    folder = ws.root / stage
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DreamkitError(
            f"Results cannot be written into {folder}: {error.strerror or error}.",
            "Make the folder writable, free some disk space, or copy the workspace to where you may write.",
        ) from error


def _tell(problems: Sequence[str], skip: bool, some_good: bool) -> None:
    if not problems:
        return
    if skip and some_good:
        for problem in problems:
            log.warning("left out: %s", problem)
        return
    if len(problems) == 1:
        message, _, hint = problems[0].partition("\n  -> ")
        raise DreamkitError(message, hint)
    raise DreamkitError(
        f"{len(problems)} problems with the inputs, nothing was made:\n- " + "\n- ".join(problems),
        "Mend them, choose other clips, or set skip_bad to true to make the rest.",
    )
