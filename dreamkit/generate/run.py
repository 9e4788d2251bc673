"""The two stages that the notebooks call: the front video, and the six views that follow it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import platform
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import dreamkit
from dreamkit.errors import DreamkitError
from dreamkit.generate import live_preview, specs
from dreamkit.generate.jobs import Job
from dreamkit.generate.outputs import no_partials_left, partial, publish, state
from dreamkit.generate.params import MultiViewParams, Params, SingleViewParams
from dreamkit.generate.plan import Plan, make_plan
from dreamkit.generate.progress import Watch
from dreamkit.generate.results import FAILED, MADE, Result, Results
from dreamkit.generate.weight_maps import read_weight_map, weights_of_frames
from dreamkit.guardrail import record as guardrail_record
from dreamkit.notebook.progress import clock, logging_to
from dreamkit.transfer import folders
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT, MultiViewPipeline, SingleViewPipeline
from dreamkit.workspace import video
from dreamkit.workspace.files import write_json
from dreamkit.workspace.workspace import Workspace, from_home

log = logging.getLogger(__name__)


def single_view(ws: Workspace, params: SingleViewParams) -> Results:
    """Make `single_view/<clip>_<style>.mp4` for every clip and style asked for.

    What is done is skipped, the user's own videos are kept, every input is checked before the model loads.

    Raises:
        DreamkitError: an input, parameter or checkpoint that cannot be used; out of memory.
    """
    return _run(ws, params)


def multi_view(ws: Workspace, params: MultiViewParams) -> Results:
    """Make `multi_view/<clip>_<style>/` from the front videos: one video a view, `grid.mp4`, `prompt.json`.

    Raises:
        DreamkitError: see `single_view`; or a front video is missing.
    """
    return _run(ws, params)


def _run(ws: Workspace, params: Params) -> Results:
    stage = params.stage
    ws.must_exist()
    with logging_to(ws.log_file(stage)), ws.tidy_manifest():
        asked = guardrail_record.record(params.guardrail)
        log.info("%s in %s. %s", stage.replace("_", " "), ws.root, asked.note)
        plan = make_plan(ws, params)
        if not plan.spec.written:
            specs.write_default(stage, ws)
        states = {id(job): state(ws, plan, job) for job in plan.jobs}
        todo = [job for job in plan.jobs if states[id(job)] == MADE]
        for job in plan.jobs:
            if states[id(job)] != MADE:
                log.info("%s: %s", ws.name(job.chunk, job.style), states[id(job)])
        faults: dict[int, DreamkitError] = {}
        todo = _decodable(plan, todo, faults)
        seconds = _make_all(ws, plan, todo, asked, faults) if todo else {}
        if faults and len(faults) == len(plan.jobs):
            raise next(iter(faults.values()))
        results = [
            Result(
                ws.name(job.chunk, job.style),
                FAILED if id(job) in faults else states[id(job)],
                _shown(ws, stage, job),
                seconds.get(id(job), 0.0),
            )
            for job in plan.jobs
        ]
        for job in plan.jobs:
            if id(job) in faults:
                log.warning("%s was not made: %s", ws.name(job.chunk, job.style), faults[id(job)])
        return Results(ws.root, tuple(results))


@contextlib.contextmanager
def _excused(plan: Plan, job: Job, faults: dict[int, DreamkitError]) -> Iterator[None]:
    """With `skip_bad` what goes wrong with one job is put down, and the others go on."""
    try:
        yield
    except DreamkitError as error:
        if not plan.params.skip_bad:
            raise
        faults[id(job)] = error
        log.warning("left out: %s", error)


def _decodable(plan: Plan, todo: Sequence[Job], faults: dict[int, DreamkitError]) -> list[Job]:
    """The jobs whose videos can be decoded as far as they are needed, found out before a model loads."""
    check = functools.cache(video.check_decodes)
    for job in todo:
        with _excused(plan, job, faults):
            for path in itertools.chain(*job.videos.values(), filter(None, [job.front])):
                check(path, job.frames)
    return [job for job in todo if id(job) not in faults]


def _shown(ws: Workspace, stage: str, job: Job) -> Path:
    """The one video that stands for a result."""
    return ws.single_view(job.chunk, job.style) if stage == "single_view" else ws.grid(job.chunk, job.style)


def _make_all(
    ws: Workspace,
    plan: Plan,
    todo: list[Job],
    asked: guardrail_record.GuardrailRecord,
    faults: dict[int, DreamkitError],
) -> dict[int, float]:
    """Seconds that each job took; what went wrong with `skip_bad` is put into `faults`."""
    if plan.root == folders.TINY_FOLDER and plan.params.guidance:
        log.warning(
            "the tiny bundle was trained to run without guidance; with %g its colours are glaring. "
            "Set guidance to 0, as params/demo does",
            plan.params.guidance,
        )
    log.info("%d to make; loading the model from %s", len(todo), plan.root)
    began = time.monotonic()
    pipe = load_pipeline(plan, ws)
    pipe.encode_prompts(_texts(plan, todo))
    log.info("model ready after %.1f s", time.monotonic() - began)
    watch, seconds = Watch(len(todo), live_preview.LiveStill(plan.rig) if live_preview.wanted() else None), {}
    for job in todo:
        name = ws.name(job.chunk, job.style)
        with _excused(plan, job, faults), no_partials_left(ws, plan, job), watch.video(name):
            began = time.monotonic()
            make = _make_single if plan.stage == "single_view" else _make_multi
            (frames, height, width), record = make(ws, plan, job, pipe, watch)
            seconds[id(job)] = time.monotonic() - began
            record |= {
                "frames": frames,
                "fps": plan.params.fps,
                "size": {"height": height, "width": width},
                "preset": plan.params.preset,
                "guardrail": asked.as_dict(),
                "seconds": round(seconds[id(job)], 2),
                **_machine(pipe),
            }
            publish(ws, plan, job, record)
            log.info("%s: %d frames in %s: %s", name, frames, clock(seconds[id(job)]), _shown(ws, plan.stage, job))
    return seconds


def _texts(plan: Plan, todo: list[Job]) -> list[str]:
    """Every text of the run, so that the text encoder is loaded once."""
    texts = [prompt for job in todo for prompt in job.prompts]
    if isinstance(plan.params, SingleViewParams):
        texts.append(plan.params.negative_prompt or NEGATIVE_PROMPT)
    return list(dict.fromkeys(texts))


def load_pipeline(plan: Plan, ws: Workspace) -> Any:
    """The world model of a plan's stage.

    Raises:
        DreamkitError: a file that does not fit, no GPU for the 7B models, too little memory.
    """
    p = plan.params
    options: dict[str, Any] = {
        "attention": p.attention,
        "control_files": plan.own_controls or None,
        "text_cache": ws.cache("text"),
        "trust_jit": [from_home(path) for path in p.trust_jit],
        "offload": p.offload,
    }
    controls = tuple(plan.spec.controls)
    if isinstance(p, MultiViewParams):
        return MultiViewPipeline.from_checkpoints(
            plan.root, controls, p.preset, p.device or None, views=p.views, **options
        )
    return SingleViewPipeline.from_checkpoints(plan.root, controls, p.preset, p.device or None, **options)


def _common(plan: Plan, job: Job) -> dict[str, Any]:
    p = plan.params
    controls = {
        name: {"weight": weight if isinstance(weight, float) else str(weight), "videos": [*map(str, job.videos[name])]}
        for name, weight in job.weights.items()
    }
    return {
        "seed": job.seed,
        "seed_mode": p.seed_mode,
        "steps": p.num_steps,
        "guidance": p.guidance,
        "controls": controls,
        "spec": str(plan.spec.source),
        "identity": plan.identity(job),
    }


# Frames, height and width of a result, and what its sidecar says about it.
Made = tuple[tuple[int, int, int], dict[str, Any]]


def _make_single(ws: Workspace, plan: Plan, job: Job, pipe: Any, watch: Watch) -> Made:
    p = plan.params
    assert isinstance(p, SingleViewParams)
    weights = {
        name: w if isinstance(w, float) else weights_of_frames(read_weight_map(w), job.lengths[name], job.frames)
        for name, w in job.weights.items()
    }
    controls = {name: video.read_video(paths[0], job.frames, pipe.size) for name, paths in job.videos.items()}
    frames_thwc = pipe(
        job.prompts[0],
        controls,
        weights=weights,
        steps=p.num_steps,
        guidance=p.guidance,
        seed=job.seed,
        negative_prompt=p.negative_prompt or None,
        fps=p.fps,
        windows=p.windows,
        progress=watch,
    )
    video.write_video(partial(ws.single_view(job.chunk, job.style)), frames_thwc, p.fps)
    negative = p.negative_prompt or NEGATIVE_PROMPT
    extra = {"prompt": job.prompts[0], "negative_prompt": negative, "windows": p.windows}
    return frames_thwc.shape[:3], {**extra, **_common(plan, job)}


def _make_multi(ws: Workspace, plan: Plan, job: Job, pipe: Any, watch: Watch) -> Made:
    p = plan.params
    assert isinstance(p, MultiViewParams)
    assert job.front is not None
    front_thwc = video.read_video(job.front, job.frames, pipe.size)
    controls = {}
    for name, paths in job.videos.items():
        controls[name] = np.empty((len(paths), job.frames, *pipe.size, 3), np.uint8)
        for path, out_thwc in zip(paths, controls[name], strict=True):
            video.read_video(path, job.frames, pipe.size, out_thwc)
    views_vthwc = pipe(
        list(job.prompts),
        front_thwc,
        controls,
        weights=dict(job.weights),
        steps=p.num_steps,
        guidance=p.guidance,
        seed=job.seed,
        fps=p.fps,
        num_input_frames=p.num_input_frames,
        progress=watch,
    )
    del controls, front_thwc  # many GiB with long videos, and encoding takes a while
    for camera, frames_thwc in zip(plan.rig.cameras, views_vthwc, strict=True):
        video.write_video(partial(ws.view(job.chunk, job.style, camera.index)), frames_thwc, p.fps)
    video.write_video(partial(ws.grid(job.chunk, job.style)), video.grid(views_vthwc, plan.rig), p.fps)
    prompts = dict(zip(plan.rig.names, job.prompts, strict=True))
    write_json(partial(ws.prompts(job.chunk, job.style)), prompts)
    extra = {"prompts": prompts, "front": str(job.front), "num_input_frames": p.num_input_frames}
    extra["side_weather"] = p.side_weather
    return views_vthwc.shape[1:4], {**extra, **_common(plan, job)}


def _machine(pipe: Any) -> dict[str, Any]:
    """Versions, and what the pipeline says about device and memory; told in the sidecar, never compared."""
    versions = {"python": platform.python_version(), "dreamkit": dreamkit.__version__}
    for name in ("torch", "transformers", "av"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {"versions": versions, "pipeline": pipe.info()}
