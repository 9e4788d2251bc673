"""The two stages that the notebooks call: the front video, and the six views that follow it."""

from __future__ import annotations

import contextlib
import html
import logging
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import dreamkit
from dreamkit import guardrail, specs, video
from dreamkit.errors import DreamkitError
from dreamkit.files import PARTIAL_PREFIX, sha256, write_json
from dreamkit.inputs import Job, read_weight_map
from dreamkit.params_generate import MultiViewParams, Params, SingleViewParams
from dreamkit.plan import Plan, make_plan
from dreamkit.preview import preview
from dreamkit.progress import Watch, clock, logging_to
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT, MultiViewPipeline, SingleViewPipeline
from dreamkit.workspace import Workspace, from_home

if TYPE_CHECKING:
    from IPython.display import HTML

log = logging.getLogger(__name__)
MADE, DONE, KEPT = "made", "done before", "your own, kept"


@dataclass(frozen=True)
class Result:
    """One video, or set of views, of a run: its name, what happened, and the file to look at."""

    name: str
    state: str
    path: Path
    seconds: float = 0.0


@dataclass(frozen=True)
class Results:
    """What a stage made, skipped and kept."""

    root: Path
    results: tuple[Result, ...]

    def __str__(self) -> str:
        rows = "\n".join(f"  {result.state:>14}  {result.path.relative_to(self.root)}" for result in self.results)
        return f"{len(self.results)} results in {self.root}. {guardrail.NOTE}\n{rows}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td>{r.state}</td><td>{clock(r.seconds) if r.seconds else ""}</td><td style="text-align:left;'
            f'overflow-wrap:anywhere">{html.escape(str(r.path.relative_to(self.root)))}</td></tr>'
            for r in self.results
        )
        head = "<tr><th>state</th><th>time</th><th style='text-align:left'>file</th></tr>"
        return f"<p>In {html.escape(str(self.root))}:</p><table>{head}{rows}</table><p>{guardrail.NOTE}</p>"

    def show(self, most: int = 2, width: int = 640) -> HTML:
        """Players for the first `most` results, small copies inside the notebook."""
        from IPython.display import HTML

        there = [result.path for result in self.results if result.path.is_file()]
        return HTML("".join(preview(path, width).data for path in there[:most]))


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
    with logging_to(ws.log_file(stage)):
        asked = guardrail.record(params.guardrail)
        log.info("%s in %s. %s", stage.replace("_", " "), ws.root, asked.note)
        plan = make_plan(ws, params)
        if not plan.spec.written:
            specs.write_default(stage, ws)
        states = {id(job): _state(ws, plan, job) for job in plan.jobs}
        todo = [job for job in plan.jobs if states[id(job)] == MADE]
        for job in plan.jobs:
            if states[id(job)] != MADE:
                log.info("%s: %s", ws.name(job.chunk, job.style), states[id(job)])
        seconds = _make_all(ws, plan, todo, asked) if todo else {}
        results = [
            Result(ws.name(job.chunk, job.style), states[id(job)], _shown(ws, stage, job), seconds.get(id(job), 0.0))
            for job in plan.jobs
        ]
        return Results(ws.root, tuple(results))


def _shown(ws: Workspace, stage: str, job: Job) -> Path:
    """The one video that stands for a result."""
    return ws.single_view(job.chunk, job.style) if stage == "single_view" else ws.grid(job.chunk, job.style)


def _outputs(ws: Workspace, plan: Plan, job: Job) -> list[Path]:
    """Every file of a result, in the order they are written."""
    if plan.stage == "single_view":
        return [ws.single_view(job.chunk, job.style)]
    views = [ws.view(job.chunk, job.style, camera.index) for camera in plan.rig.cameras]
    return [*views, ws.grid(job.chunk, job.style), ws.prompts(job.chunk, job.style)]


def _state(ws: Workspace, plan: Plan, job: Job) -> str:
    """MADE: to be made. DONE: the sidecar matches. KEPT: there is a video that dreamkit did not make, or not so."""
    outputs = _outputs(ws, plan, job)
    there = [path for path in outputs if path.is_file()]
    record = ws.read_sidecar(plan.stage, job.chunk, job.style)
    written = (record or {}).get("outputs", {})
    ours = all(written.get(path.name) == sha256(path) for path in there)
    if there and not ours:
        return MADE if plan.params.overwrite else KEPT
    same = record is not None and record.get("identity") == plan.identity(job)
    if same and len(there) == len(outputs):
        return DONE
    if there:
        log.info("%s: inputs or parameters changed; it is made again", ws.name(job.chunk, job.style))
    return MADE


def _make_all(ws: Workspace, plan: Plan, todo: list[Job], asked: guardrail.GuardrailRecord) -> dict[int, float]:
    log.info("%d to make; loading the model from %s", len(todo), plan.root)
    began = time.monotonic()
    pipe = load_pipeline(plan, ws)
    pipe.encode_prompts(_texts(plan, todo))
    log.info("model ready after %.1f s", time.monotonic() - began)
    watch, seconds = Watch(len(todo)), {}
    for job in todo:
        name = ws.name(job.chunk, job.style)
        with watch.video(name):
            began = time.monotonic()
            frames, record = (_make_single if plan.stage == "single_view" else _make_multi)(ws, plan, job, pipe, watch)
            seconds[id(job)] = time.monotonic() - began
            record |= {
                "frames": len(frames),
                "fps": plan.params.fps,
                "size": {"height": int(frames.shape[1]), "width": int(frames.shape[2])},
                "preset": plan.params.preset,
                "guardrail": asked.as_dict(),
                "seconds": round(seconds[id(job)], 2),
                **_machine(pipe),
            }
            _publish(ws, plan, job, record)
        log.info("%s: %d frames in %s: %s", name, len(frames), clock(seconds[id(job)]), _shown(ws, plan.stage, job))
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


def _partial(path: Path) -> Path:
    return path.with_name(PARTIAL_PREFIX + path.name)


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


def _make_single(ws: Workspace, plan: Plan, job: Job, pipe: Any, watch: Watch) -> tuple[np.ndarray, dict[str, Any]]:
    p = plan.params
    assert isinstance(p, SingleViewParams)
    weights = {name: w if isinstance(w, float) else read_weight_map(w) for name, w in job.weights.items()}
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
    video.write_video(_partial(ws.single_view(job.chunk, job.style)), frames_thwc, p.fps)
    negative = p.negative_prompt or NEGATIVE_PROMPT
    extra = {"prompt": job.prompts[0], "negative_prompt": negative, "windows": p.windows}
    return frames_thwc, {**extra, **_common(plan, job)}


def _make_multi(ws: Workspace, plan: Plan, job: Job, pipe: Any, watch: Watch) -> tuple[np.ndarray, dict[str, Any]]:
    p = plan.params
    assert isinstance(p, MultiViewParams)
    assert job.front is not None
    front_thwc = video.read_video(job.front, job.frames, pipe.size)
    controls = {
        name: np.stack([video.read_video(path, job.frames, pipe.size) for path in paths])
        for name, paths in job.videos.items()
    }
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
    for camera, frames_thwc in zip(plan.rig.cameras, views_vthwc, strict=True):
        video.write_video(_partial(ws.view(job.chunk, job.style, camera.index)), frames_thwc, p.fps)
    video.write_video(_partial(ws.grid(job.chunk, job.style)), video.grid(views_vthwc, plan.rig), p.fps)
    prompts = dict(zip(plan.rig.names, job.prompts, strict=True))
    write_json(_partial(ws.prompts(job.chunk, job.style)), prompts)
    extra = {"prompts": prompts, "front": str(job.front), "num_input_frames": p.num_input_frames}
    extra["side_weather"] = p.side_weather
    return views_vthwc[0], {**extra, **_common(plan, job)}


def _publish(ws: Workspace, plan: Plan, job: Job, record: Mapping[str, Any]) -> None:
    """Put a whole result in place: old files away, then the sidecar, then the new files.

    Killed in between, a sidecar stands there whose files are missing, and the next run makes them; never a video
    without the sidecar that says whose it is.
    """
    outputs = _outputs(ws, plan, job)
    sums = {path.name: sha256(_partial(path)) for path in outputs}
    try:
        for path in outputs:
            path.unlink(missing_ok=True)
        ws.write_sidecar(plan.stage, job.chunk, job.style, {**record, "outputs": sums})
        for path in outputs:
            _partial(path).replace(path)
    except OSError as error:
        raise DreamkitError(
            f"Cannot write {error.filename or outputs[0]}: {error.strerror or error}.",
            "Check that you may write there and that the disk has room; the run continues where it stopped.",
        ) from error


def _machine(pipe: Any) -> dict[str, Any]:
    """Versions, and what the pipeline says about device and memory; told in the sidecar, never compared."""
    versions = {"python": platform.python_version(), "dreamkit": dreamkit.__version__}
    for name in ("torch", "transformers", "av"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {"versions": versions, "pipeline": pipe.info()}
