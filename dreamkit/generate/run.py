"""The two stages that the notebooks call: the front video, and the six views that follow it."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import dreamkit
from dreamkit.download import checkpoints
from dreamkit.generate import live_preview, specs
from dreamkit.generate.guardrail_step import GuardrailStep
from dreamkit.generate.input_videos import DecodedVideos
from dreamkit.generate.jobs import BlockedFront, Job, WeightMap
from dreamkit.generate.load_pipeline import check_gpus, load_pipeline
from dreamkit.generate.outcome import RunOutcome
from dreamkit.generate.outputs import new_files, publish, result_status
from dreamkit.generate.params import MultiViewParams, Params, SingleViewParams
from dreamkit.generate.plan import RunPlan, make_plan
from dreamkit.generate.progress import RunProgress
from dreamkit.generate.results import BLOCKED, FAILED, MADE, Results, VideoResult
from dreamkit.notebook.interruption import interruptible
from dreamkit.notebook.progress import clock, counted, logging_to
from dreamkit.transfer import folders
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT, EncodedControls
from dreamkit.transfer.presets import find_preset
from dreamkit.transfer.step_cache import computed_evaluations
from dreamkit.transfer.weight_maps import weight_of_frames
from dreamkit.transfer.windows import WindowPlan
from dreamkit.workspace import video
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)


def single_view(ws: Workspace, params: SingleViewParams) -> Results:
    """Make `single_view/<clip>_<style>.mp4` for every clip and style asked for.

    Results that are done are skipped, the user's own videos are kept, every input is checked before the model loads.

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


@interruptible(lambda: "No video was begun yet.")
def _run(ws: Workspace, params: Params) -> Results:
    stage = params.stage
    ws.must_exist()
    with logging_to(ws.log_file(stage)), ws.tidy_manifest():
        log.info("%s in %s", stage.replace("_", " "), ws.root)
        ws.remove_abandoned(stage)
        plan = make_plan(ws, params)
        guard = GuardrailStep.of(ws, plan)
        if not plan.spec.written:
            specs.write_default(stage, ws)
        status = {job.name: result_status(ws, plan, job) for job in plan.jobs}
        status |= dict.fromkeys(guard.blocked_again([job for job in plan.jobs if status[job.name] == MADE]), BLOCKED)
        for name, found in status.items():
            if found != MADE:
                log.info("%s: %s", name, found)
        if MADE in status.values():
            check_gpus(plan)
        outcome = RunOutcome(ws, plan, DecodedVideos((plan.model.config.height, plan.model.config.width)), guard)
        todo = guard.admit(_decodable(outcome, [job for job in plan.jobs if status[job.name] == MADE]))
        if todo:
            with interruptible(lambda: outcome.kept(len(todo))), contextlib.ExitStack() as stack:
                _make_all(ws, todo, outcome, stack)
        faults, status = outcome.faults, status | outcome.elsewhere
        if faults and len(faults) == len(plan.jobs):
            raise next(iter(faults.values()))
        for name, fault in faults.items():
            log.warning("%s was not made: %s", name, fault)
        results = [
            VideoResult(
                job.name,
                FAILED if job.name in faults else BLOCKED if job.name in guard.blocked else status[job.name],
                _shown(ws, stage, job),
                outcome.seconds.get(job.name, 0.0),
                guard.blocked.get(job.name, ""),
            )
            for job in [*plan.jobs, *plan.blocked_fronts]
        ]
        return Results(ws.root, tuple(results), guard.summary)


def _decodable(outcome: RunOutcome, todo: Sequence[Job]) -> list[Job]:
    """The jobs whose videos can be decoded as far as they are needed, found out before the model loads."""
    for _, styles in itertools.groupby(todo, key=lambda job: job.chunk):
        # The longest first: its frames serve the others.
        for job in sorted(styles, key=lambda job: -job.windows.frames):
            with outcome.recording_error(job):
                for source in job.sources:
                    outcome.decoded.check(source, job.windows.frames)
    return [job for job in todo if job.name not in outcome.faults]


def _shown(ws: Workspace, stage: str, job: Job | BlockedFront) -> Path:
    """The video to show for a result: the front video, or the grid."""
    return ws.single_view(job.chunk, job.style) if stage == "single_view" else ws.grid(job.chunk, job.style)


def _make_all(ws: Workspace, todo: Sequence[Job], outcome: RunOutcome, stack: contextlib.ExitStack) -> None:
    """Load the model and make the jobs, chunk by chunk; what is to be closed after them goes onto `stack`."""
    plan = outcome.plan
    if plan.model.root == folders.TINY_FOLDER and plan.params.guidance:
        log.warning(
            "the tiny bundle was trained to run without guidance; with %g its colours are glaring. "
            "Leave guidance out, and its own 0 is taken",
            plan.params.guidance,
        )
    windows = sum(len(job.windows.starts) for job in todo)
    log.info("%d to make in %s; loading the model from %s", len(todo), counted(windows, "window"), plan.model.root)
    began = time.monotonic()
    pipe = load_pipeline(plan, ws)
    if plan.params.num_gpus > 1:
        stack.callback(pipe.close)
    pipe.encode_prompts(_texts(plan, todo))
    log.info("model ready after %.1f s", time.monotonic() - began)
    watch = RunProgress(len(todo), live_preview.LivePreview(plan.rig) if live_preview.wanted() else None)

    def make_or_find(job: Job, encoded: dict[WindowPlan, EncodedControls], wait: bool = False) -> bool:
        """Make a result, unless another run has made it; False where another run is making it, unless `wait`."""
        with outcome.recording_error(job), outcome.locked(job, wait) as state:
            if state == MADE:
                with watch.video(job.name), outcome.guard.stops(job):
                    _make(ws, job, pipe, watch, encoded, outcome)
            elif state is not None:
                watch.videos -= 1
            return state is not None
        return True  # it failed, and is left out

    busy: list[Job] = []
    for _, styles in itertools.groupby(todo, key=lambda job: job.chunk):
        encoded: dict[WindowPlan, EncodedControls] = {}
        for job in styles:
            if not make_or_find(job, encoded):
                busy.append(job)
            if job.front:
                outcome.decoded.release([job.front])
        outcome.decoded.release(itertools.chain(*job.inputs.videos.values()))
    for job in busy:
        make_or_find(job, {}, wait=True)


def _make(
    ws: Workspace,
    job: Job,
    pipe: Any,
    watch: RunProgress,
    encoded: dict[WindowPlan, EncodedControls],
    outcome: RunOutcome,
) -> None:
    """Make one result. `encoded` caches the chunk's condition latents by window plan."""
    plan, began = outcome.plan, time.monotonic()
    with new_files(ws, plan, job) as files:
        if job.windows not in encoded:
            controls = {
                name: (outcome.decoded.frames(source, job.windows.frames) for source in views)
                for name, views in job.inputs.videos.items()
            }
            encoded[job.windows] = pipe.encode_controls(controls, job.windows, progress=watch)
        views_VTHWC = _sample(job, pipe, encoded[job.windows], watch, outcome.decoded, plan.params)
        views_VTHWC = outcome.guard.frames(job, views_VTHWC)
        _write(ws, plan, job, views_VTHWC, files)
        frames, height, width = views_VTHWC.shape[1:4]
        seconds = time.monotonic() - began
        record = {
            **_stage_record(plan, job),
            **_common(plan, job),
            **_model(plan),
            "frames": frames,
            "fps": plan.params.fps,
            "size": {"height": height, "width": width},
            "preset": plan.params.preset,
            **_skipping(plan.params),
            "guardrail": outcome.guard.record(job),
            "seconds": round(seconds, 2),
            **_machine(pipe),
        }
        final = publish(ws, plan, job, files, record)
    ws.write_sidecar(plan.stage, job.chunk, job.style, final)
    ws.failure(plan.stage, job.name).unlink(missing_ok=True)
    outcome.seconds[job.name] = seconds
    log.info("%s: %d frames in %s: %s", job.name, frames, clock(seconds), _shown(ws, plan.stage, job))


def _model(plan: RunPlan) -> dict[str, str]:
    """For the sidecar: the model's name, where it is known."""
    name = folders.model_name(plan.model.root, checkpoints.FOLDERS[plan.stage])
    return {"model": name} if name else {}


def _skipping(p: Params) -> dict[str, list[int]]:
    """For the sidecar: the computed evaluations of each window, where others are extrapolated."""
    of_36 = find_preset(p.preset).computed
    return {} if of_36 is None else {"computed_evaluations": list(computed_evaluations(p.num_steps, of_36))}


def _texts(plan: RunPlan, todo: Sequence[Job]) -> list[str]:
    """Every text of the run, so that the text encoder is loaded once."""
    return list(dict.fromkeys(text for job in todo for text in plan.texts(job)))


def _common(plan: RunPlan, job: Job) -> dict[str, Any]:
    """For the sidecar: seed, settings, controls and identity, under keys that both stages have."""
    p = plan.params
    controls = {
        name: {
            "weight": str(weight.path) if isinstance(weight, WeightMap) else weight,
            "videos": [str(source.path) for source in job.inputs.videos[name]],
        }
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


def _sample(
    job: Job, pipe: Any, controls: EncodedControls, watch: RunProgress, decoded: DecodedVideos, p: Params
) -> np.ndarray:
    """The frames of a result as the model makes them, uint8 [V, T, H, W, 3]; V is 1 for a front video."""
    settings = {"steps": p.num_steps, "guidance": p.guidance, "seed": job.seed, "fps": p.fps, "progress": watch}
    if isinstance(p, SingleViewParams):
        weights = {
            name: weight_of_frames(weight.map_THW, job.inputs.lengths[name], job.windows.frames)
            if isinstance(weight, WeightMap)
            else weight
            for name, weight in job.weights.items()
        }
        settings |= {"weights": weights, "negative_prompt": p.negative_prompt or None, "windows": p.windows}
        return pipe(job.prompts[0], controls, **settings)[None]
    assert isinstance(p, MultiViewParams) and job.front is not None
    front_THWC = decoded.frames(job.front, job.windows.frames)
    settings |= {"weights": dict(job.weights), "num_input_frames": p.num_input_frames}
    return pipe(list(job.prompts), front_THWC, controls, **settings)


def _write(ws: Workspace, plan: RunPlan, job: Job, views_VTHWC: np.ndarray, files: dict[Path, Path]) -> None:
    """Write the partial files of a result: the front video, or a video of each view, their grid and the prompts."""
    fps = plan.params.fps
    if plan.stage == "single_view":
        video.encode_video(files[ws.single_view(job.chunk, job.style)], views_VTHWC[0], fps)
        return
    for camera, frames_THWC in zip(plan.rig.cameras, views_VTHWC, strict=True):
        video.encode_video(files[ws.view(job.chunk, job.style, camera.index)], frames_THWC, fps)
    video.encode_video(files[ws.grid(job.chunk, job.style)], video.grid(views_VTHWC, plan.rig), fps)
    text = json.dumps(_view_prompts(plan, job), indent=2, ensure_ascii=False) + "\n"
    files[ws.prompts(job.chunk, job.style)].write_text(text, encoding="utf-8")


def _view_prompts(plan: RunPlan, job: Job) -> dict[str, str]:
    """View -> its prompt."""
    return dict(zip(plan.rig.names, job.prompts, strict=True))


def _stage_record(plan: RunPlan, job: Job) -> dict[str, Any]:
    """For the sidecar: prompts, front video and windows, under keys of the stage."""
    p = plan.params
    record: dict[str, Any]
    if isinstance(p, SingleViewParams):
        negative = p.negative_prompt or NEGATIVE_PROMPT
        record = {"prompt": job.prompts[0], "negative_prompt": negative, "windows": p.windows}
    else:
        assert isinstance(p, MultiViewParams) and job.front is not None
        record = {
            "prompts": _view_prompts(plan, job),
            "front": str(job.front.path),
            "num_input_frames": p.num_input_frames,
            "side_weather": p.side_weather,
        }
        if len(job.windows.starts) > 1:
            record["windows"] = "joined" if job.windows.joined else "extension"
    if job.windows.joined:
        record["window_starts"] = list(job.windows.starts)
    return record


def _machine(pipe: Any) -> dict[str, Any]:
    """Versions, device and memory: written into the sidecar, never compared."""
    versions = {"python": platform.python_version(), "dreamkit": dreamkit.__version__}
    for name in ("torch", "transformers", "av"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {"versions": versions, "pipeline": pipe.info()}
