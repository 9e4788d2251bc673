"""The plan of a run: its inputs, model files and jobs, found and checked before a model loads."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate import specs
from dreamkit.generate.input_videos import InputVideo, inspect_video
from dreamkit.generate.jobs import BlockedFront, Job, JobBuilder, WeightMap
from dreamkit.generate.model_settings import with_model_settings
from dreamkit.generate.params import MultiViewParams, Params, SingleViewParams
from dreamkit.generate.problems import grouped_problems, warn_of_captions
from dreamkit.generate.spec_params import apply_scalars
from dreamkit.generate.specs import Spec
from dreamkit.generate.weight_files import read_weight_map
from dreamkit.guardrail.choice import chosen_checks
from dreamkit.transfer import folders
from dreamkit.transfer.config import config_values
from dreamkit.transfer.model_files import FIRST_WINDOW, ModelFiles, multi_view_model, single_view_model
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT
from dreamkit.transfer.presets import find_preset
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.windows import accepted_views_modes, multi_view_windows
from dreamkit.workspace.cameras import SIX_VIEWS, Rig, rig
from dreamkit.workspace.files import nearest, nearest_file_hint, sha256
from dreamkit.workspace.workspace import Chunk, Workspace, from_home

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPlan:
    """A run: its jobs and what they share.

    Attributes:
        stage: "single_view" or "multi_view".
        params: parameters, with the spec's scalars.
        spec: the controls.
        model: configuration and files of the model.
        checksums: checkpoint file -> checksum.
        rig: the views.
        jobs: all jobs, those already done included, chunk by chunk.
        blocked_fronts: results without a job, because the guardrail blocked the front video that they follow.
        text: the text encoder, which is not loaded here, with the workspace's cache of embeddings.
    """

    stage: str
    params: Params
    spec: Spec
    model: ModelFiles
    checksums: dict[str, str]
    rig: Rig
    jobs: list[Job]
    blocked_fronts: tuple[BlockedFront, ...] = ()
    text: TextEncoder | None = None

    def identity(self, job: Job) -> dict[str, Any]:
        """Everything that determines a result: inputs, parameters, checkpoint checksums; no versions, device or time.

        Parameters without effect on this job have their defaults here: those of later windows where there is one
        window, and upstream's negative prompt written out. `text` has the marks of the embeddings, where the cache has
        them all: before a run has encoded its prompts they are not known.
        """
        p, later = self.params, job.windows.frames > self.model.config.window_frames
        # A preset that only bounds GPU memory computes what exact does, so its results count as those.
        preset = "exact" if find_preset(p.preset).memory_gib is not None else p.preset
        values: dict[str, Any] = {"steps": p.num_steps, "guidance": p.guidance, "fps": p.fps, "preset": preset}
        if job.cut:
            values["frames"] = job.cut
        if isinstance(p, SingleViewParams):
            negative = "" if p.negative_prompt == NEGATIVE_PROMPT else p.negative_prompt
            values |= {"negative_prompt": negative, "windows": p.windows if later else "first"}
        elif isinstance(p, MultiViewParams):
            given = p.num_input_frames if later and not job.windows.joined else 9
            values |= {"views": p.views, "num_input_frames": given}
            if job.windows.joined:  # left out elsewhere, so that results made before it existed stay valid
                values["windows"] = "joined"
        if checks := chosen_checks(p.guardrail):
            values["guardrail"] = {"checks": list(checks), "stride": p.guardrail_stride}
        if p.resample_fps:  # left out at 0, so that results made before it existed stay valid
            values["resample_fps"] = p.resample_fps
        weights = {
            name: weight.checksum if isinstance(weight, WeightMap) else weight for name, weight in job.weights.items()
        }
        return {
            "prompts": list(job.prompts),
            "seed": job.seed,
            "weights": weights,
            "parameters": values,
            "inputs": job.checksums,
            "checkpoints": self.checksums,
            "model": self._sizes,
            **({"text": marks} if (marks := self._marks(job)) else {}),
        }

    def identities(self, job: Job) -> list[dict[str, Any]]:
        """The identities of results that count as this job's: its own, and what earlier versions made by default.

        Those made long views by extension, where the model had networks for later windows.
        """
        own, p = [self.identity(job)], self.params
        if isinstance(p, MultiViewParams) and self.model.has_extension:
            for mode in accepted_views_modes(job.windows.frames, p.windows)[1:]:
                sizes = (job.windows.frames, self.model.config.window_frames, p.num_input_frames)
                own.append(self.identity(replace(job, windows=multi_view_windows(*sizes, extension=True, mode=mode))))
        return own

    @functools.cached_property
    def _sizes(self) -> dict[str, Any]:
        """The model's sizes in an identity, computed once for all results."""
        return config_values(self.model.config)

    def texts(self, job: Job) -> list[str]:
        """Every text of a job that is encoded: its prompts, and the negative prompt of single view."""
        p = self.params
        return [*job.prompts, *([p.negative_prompt or NEGATIVE_PROMPT] if isinstance(p, SingleViewParams) else [])]

    def _marks(self, job: Job) -> list[list[float]]:
        """The marks of the embeddings of `texts`; empty where the cache lacks one."""
        marks = [self.text.cached_mark(text) for text in self.texts(job)] if self.text else []
        found = [mark for mark in marks if mark is not None]
        return found if len(found) == len(marks) else []


def control_spec(ws: Workspace, params: Params) -> Spec:
    """The control spec of a run; see `specs.choose_spec`."""
    return specs.choose_spec(params.stage, params.spec, ws, params.controls, params.control_weight)


def make_plan(ws: Workspace, params: Params) -> RunPlan:
    """Find and check everything that a stage needs.

    Raises:
        DreamkitError: anything that would fail later: the spec, a checkpoint file, a caption, a condition video, a
            front video, two results of one name, a workspace that cannot be written. Problems of clips are reported
            together; with `skip_bad` those clips are left out instead.
    """
    plan, problems = find_jobs(ws, params)
    _report_problems(grouped_problems(problems), params.skip_bad, bool(plan.jobs or plan.blocked_fronts))
    _check_names_differ(plan.jobs)
    if plan.stage == "single_view":
        warn_of_captions({job.name: job.prompts[0] for job in plan.jobs})
    _check_writable(ws, params.stage)
    return plan


def find_jobs(
    ws: Workspace, params: Params, inspect: Callable[[Path, float], InputVideo] | None = None
) -> tuple[RunPlan, dict[str, list[DreamkitError]]]:
    """The plan of a stage, without the clips that have a problem; clip -> its problems. Nothing is written.

    Args:
        ws: the workspace.
        params: parameters of the stage.
        inspect: path and rate to read it at -> its InputVideo; `inspect_video`, each file once, when left out.

    Raises:
        DreamkitError: what no clip can be made without: the spec, a checkpoint file, a weight map.
    """
    stage = params.stage
    spec = control_spec(ws, params)
    params = with_model_settings(apply_scalars(params, spec))
    cameras = rig(params.views) if isinstance(params, MultiViewParams) else Rig(SIX_VIEWS.cameras[:1], ((0,),))
    root = checkpoints.folder(params.checkpoints)
    own = specs.own_control_files(stage, spec, root)
    names = list(spec.controls)
    if len(cameras) == 5 and (lacking := _released_controls(root, names, own)):
        raise DreamkitError(
            f"Five views need a control file that was trained for them; the spec {spec.source} gives none for"
            f" {', '.join(lacking)}.",
            "Set ckpt_path in the spec to your own post-trained file; the released ones are for six views.",
        )
    for path in map(from_home, params.trust_jit):
        if not path.is_file():
            raise DreamkitError(f"trust_jit names {path}, which is not there.", nearest_file_hint(path))
    files = checkpoints.needed(stage, root, names, own)
    if isinstance(params, MultiViewParams):
        model = multi_view_model(root, names, own, params.views)
    else:
        model = single_view_model(root, names, own)
    weights = {name: _weight(control, spec, ws, stage) for name, control in spec.controls.items()}
    chunks, problems = _chunks(ws, params, names[0])
    builder = JobBuilder(
        *(ws, params, spec, cameras, model, weights),
        single=len(chunks) == 1,
        inspect=functools.cache(inspect or inspect_video),
    )
    jobs: list[Job] = []
    for chunk in chunks:
        built, faults = builder.build(chunk)
        jobs += built
        if faults:
            problems.setdefault(chunk.clip, []).extend(faults)
    sums = checkpoints.checksums(root, files)
    text = TextEncoder(
        root / folders.TEXT_ENCODER, torch.device("cpu"), model.config.denoiser.text_tokens, ws.cache("text")
    )
    return RunPlan(stage, params, spec, model, sums, cameras, jobs, tuple(builder.blocked), text), problems


def _released_controls(root: Path, controls: Sequence[str], own: Mapping[str, Path]) -> list[str]:
    """The controls whose multi-view file of the first window is the released one, not the user's own."""
    used = folders.multi_view_files(root, FIRST_WINDOW, controls, own)
    released = folders.multi_view_files(root, FIRST_WINDOW, controls)
    return [name for name in controls if used[name] == released[name]]


def _weight(control: specs.Control, spec: Spec, ws: Workspace, stage: str) -> float | WeightMap:
    if not isinstance(control.weight, str):
        return control.weight
    if stage == "multi_view":
        raise DreamkitError(
            f"{control.name!r} has the weight map {control.weight}; maps work for single view only.",
            "Give a number in the multi-view spec.",
        )
    path = specs.resolve(control.weight, spec.source, ws.root)
    if path is None:
        raise DreamkitError(
            f"There is no weight map {control.weight} for {control.name}, neither in the working folder nor beside the"
            f" spec {spec.source}.",
            "Give its path, or a number of at least 0.",
        )
    return WeightMap(path, sha256(path), read_weight_map(path))


def _chunks(ws: Workspace, params: Params, control: str) -> tuple[list[Chunk], dict[str, list[DreamkitError]]]:
    """The chunks to run, and the problems of the clips asked for: clip -> problems."""
    known = ws.clips()
    captioned, drawn = set(known), ws.chunks_by_clip(control) if not params.chunks else {}
    if not params.clips and not known:
        raise DreamkitError(
            f"The workspace {ws.root} has no captions, so there is nothing to make.",
            f"Put <clip>.txt or <clip>.json into {ws.captions}, or set workspace to the folder that has them.",
        )
    chunks: list[Chunk] = []
    problems: dict[str, list[DreamkitError]] = {}
    for clip in params.clips or known:
        if clip not in captioned:
            close = nearest(clip, known)
            hint = f"Did you mean {close}?" if close else f"Write {ws.caption(clip, 'txt')}."
            problems[clip] = [DreamkitError(f"The clip {clip} has no caption in {ws.captions}.", hint)]
        elif params.chunks:
            chunks += [Chunk(clip, index) for index in params.chunks]
        else:
            chunks += drawn.get(clip) or [Chunk(clip)]
    return chunks, problems


def _check_names_differ(jobs: Sequence[Job]) -> None:
    """Refuse two results of one name, such as chunk 1 of clip `a` and chunk 0 of a clip `a_1`."""
    taken: dict[str, Job] = {}
    for job in jobs:
        other = taken.setdefault(job.name, job)
        if other is job:
            continue
        if other.chunk == job.chunk:
            raise DreamkitError(
                f"The result {job.name} would be made twice.", f"Name the clip {job.chunk.clip} once in clips."
            )
        raise DreamkitError(
            f"Clip {other.chunk.clip}, chunk {other.chunk.index}, and clip {job.chunk.clip}, chunk {job.chunk.index},"
            f" would both be named {job.name}.",
            "Run them in two workspaces, or rename one clip.",
        )


def _check_writable(ws: Workspace, stage: str) -> None:
    """Write a temporary file into the results' folder, as the run will do at its end."""
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


def _report_problems(problems: Sequence[DreamkitError], skip: bool, some_good: bool) -> None:
    """Raise the problems of the clips, or log them where their clips are left out."""
    if not problems:
        return
    if skip and some_good:
        for problem in problems:
            log.warning("left out: %s", problem)
        return
    if len(problems) == 1:
        raise problems[0]
    raise DreamkitError(
        f"{len(problems)} problems with the inputs were found, and nothing was made:\n- "
        + "\n- ".join(map(str, problems)),
        "Mend them, choose other clips, or set skip_bad to true to make the rest.",
    )
