"""The jobs of a run: for each chunk and style its caption, condition videos, front video, windows and seed."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dreamkit.captions import files as caption_files
from dreamkit.errors import DreamkitError
from dreamkit.generate.condition_videos import condition_videos
from dreamkit.generate.input_videos import InputVideo, inspect_video
from dreamkit.generate.job import BlockedFront, ChunkInputs, Job, WeightMap
from dreamkit.generate.params import MultiViewParams, Params
from dreamkit.generate.specs import Spec
from dreamkit.transfer.model_files import ModelFiles
from dreamkit.transfer.windows import WindowPlan, front_windows, multi_view_windows
from dreamkit.workspace.cameras import Rig, view_prompts
from dreamkit.workspace.sidecars import read_sidecar
from dreamkit.workspace.workspace import Chunk, Workspace

log = logging.getLogger(__name__)
# Condition videos are rendered at 30 fps and results play at 24; motion at other rates looks too fast or too slow.
USUAL_FPS = (23.0, 31.0)


def video_seed(seed: int, chunk: Chunk, style: str, mode: str) -> int:
    """The seed of a video: the run's own (`upstream`), or a stable hash of it, the chunk's name and the style.

    It is below 2**31 - 2**16, so that the seed of a later window, which adds the window's number, is valid too.
    """
    if mode == "upstream":
        return seed
    digest = hashlib.sha256(f"{seed}\x00{chunk.name}\x00{style}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (2**31 - 2**16)


def why_no_front(ws: Workspace, chunk: Chunk, style: str) -> str | None:
    """Why a front video that is not there was blocked; None where it is there or was not blocked."""
    if ws.single_view(chunk, style).is_file():
        return None
    entry = (read_sidecar(ws.blocked("single_view", chunk, style)) or {}).get("guardrail")
    if not isinstance(entry, dict) or not entry.get("blocked"):
        return None
    return f"Its front video was blocked. {entry.get('reason', '')}".strip()


@dataclass(frozen=True)
class JobBuilder:
    """Builds the jobs of one chunk after another; each input file is read once.

    Attributes:
        ws: the workspace.
        params: parameters of the run.
        spec: its controls.
        rig: its views.
        model: the model to run.
        weights: control -> number or weight map.
        single: whether the run has one chunk only.
        inspect: path and frame rate to read it at (0: as stored) -> its InputVideo, cached.
        blocked: results whose front video was blocked; `build` adds to it.
    """

    ws: Workspace
    params: Params
    spec: Spec
    rig: Rig
    model: ModelFiles
    weights: dict[str, float | WeightMap]
    single: bool
    inspect: Callable[[Path, float], InputVideo] = field(default_factory=lambda: functools.cache(inspect_video))
    blocked: list[BlockedFront] = field(default_factory=list)

    def build(self, chunk: Chunk) -> tuple[list[Job], list[DreamkitError]]:
        """The chunk's jobs, one per style, and its problems."""
        problems: list[DreamkitError] = []
        styles: dict[str, str] = {}
        inputs = None
        try:
            styles = self._styles(chunk)
        except DreamkitError as error:
            problems.append(error)
        try:
            inputs = self._inputs(chunk)
        except DreamkitError as error:
            problems.append(error)
        jobs: list[Job] = []
        if problems or inputs is None:
            return jobs, problems
        for style, caption in styles.items():
            if front := self._blocked_front(chunk, style):
                self.blocked.append(front)
                continue
            try:
                jobs.append(self._job(inputs, style, caption))
            except DreamkitError as error:
                problems.append(error)
        return jobs, problems

    def _styles(self, chunk: Chunk) -> dict[str, str]:
        found = caption_files.read_captions(self.ws.captions, chunk.clip)
        chosen = caption_files.choose_styles(found, self.params.styles, chunk.clip)
        for style in chosen:
            self.ws.name(chunk, style)  # refused here when it cannot name a file
        return chosen

    def _paths(self, chunk: Chunk) -> dict[str, list[Path]]:
        try:
            return {
                name: condition_videos(control, self.spec, self.ws, chunk, self.rig, self.single)
                for name, control in self.spec.controls.items()
            }
        except DreamkitError as error:
            if len(self.rig) == 6 and self._only_rear_lacks(chunk):
                raise DreamkitError(
                    error.message,
                    f"Draw it with `dreamkit render LABELS -o {self.ws.root}`; the other five are there. Where there"
                    " is no rear camera, views: 5 needs your own control file.",
                ) from error
            raise

    def _only_rear_lacks(self, chunk: Chunk) -> bool:
        there = [
            all(self.ws.condition(name, camera, chunk).is_file() for name in self.spec.controls)
            for camera in self.rig.cameras
        ]
        return there == [camera.name != "rear_tele_30fov" for camera in self.rig.cameras]

    def _inputs(self, chunk: Chunk) -> ChunkInputs:
        """The chunk's condition videos, checked against each other."""
        videos = {
            name: [self.inspect(path, self.params.resample_fps) for path in paths]
            for name, paths in self._paths(chunk).items()
        }
        for name, views in videos.items():
            self._check_same_size(chunk, name, views)
            self._warn_of_rate_and_shape(views[0])
        checksums = {
            f"{name}/{camera.name}": view.checksum
            for name, views in videos.items()
            for camera, view in zip(self.rig.cameras, views, strict=True)
        }
        inputs = ChunkInputs(chunk, videos, checksums)
        if len(set(inputs.lengths.values())) > 1:
            log.warning("%s: the controls have %s frames; the shorter one counts", chunk.name, inputs.lengths)
        return inputs

    def _check_same_size(self, chunk: Chunk, name: str, views: Sequence[InputVideo]) -> None:
        first = views[0].info
        for camera, view in zip(self.rig.cameras, views, strict=True):
            info = view.info
            if (info.frames, info.height, info.width) != (first.frames, first.height, first.width):
                raise DreamkitError(
                    f"The {name} videos of clip {chunk.name} do not belong together: {camera.name} has {info}, "
                    f"{self.rig.front.name} {first} ({view.path}).",
                    "All views need the same number of frames and the same size; render them in one go.",
                )

    def _warn_of_rate_and_shape(self, source: InputVideo) -> None:
        (low, high), info, name, config = USUAL_FPS, source.info, source.path.name, self.model.config
        if info.fps and not low <= info.fps <= high:
            log.warning(
                "%s runs at %g fps; each of its frames becomes one frame at %d fps, so things move %.1f times as fast",
                name,
                info.fps,
                self.params.fps,
                self.params.fps / info.fps,
            )
        if info.missing or info.crowded:
            log.warning(
                "%s shows its frames at uneven times: %d are left out and %d follow too closely, so motion jerks; "
                "resample_fps: %g reads it as a player shows it",
                name,
                info.missing,
                info.crowded,
                min(30, max(1, round(info.fps))),
            )
        stretch = (info.width / info.height) / (config.width / config.height)
        if not 0.8 < stretch < 1.25:
            log.warning(
                "%s is %dx%d; stretched to %dx%d it is distorted by %.0f %%",
                name,
                info.width,
                info.height,
                config.width,
                config.height,
                abs(stretch - 1) * 100,
            )

    def _blocked_front(self, chunk: Chunk, style: str) -> BlockedFront | None:
        """The result, where it would follow a front video that is not there because it was blocked."""
        reason = why_no_front(self.ws, chunk, style) if isinstance(self.params, MultiViewParams) else None
        return BlockedFront(self.ws.name(chunk, style), chunk, style, reason) if reason else None

    def _job(self, inputs: ChunkInputs, style: str, caption: str) -> Job:
        chunk, front = inputs.chunk, None
        name, frames = self.ws.name(chunk, style), min(inputs.lengths.values())
        if isinstance(self.params, MultiViewParams):
            path = self.ws.single_view(chunk, style)
            if not path.is_file():
                raise DreamkitError(
                    f"The front video {path} is missing; the other views follow it.",
                    "Run notebook 04 for this clip and style first, or put your own video there.",
                )
            # Frame i of a video that was made here belongs to frame i of its condition, whatever its rate.
            made_here = self.ws.read_sidecar("single_view", chunk, style) is not None
            front = self.inspect(path, 0 if made_here else self.params.resample_fps)
            self._warn_if_changed(name, front, chunk, style)
            self._warn_of_rate_and_shape(front)
            if front.info.frames != frames and not self.params.frames:
                log.warning(
                    "%s: the front video has %d frames and the conditions %d; the shorter one counts",
                    name,
                    front.info.frames,
                    frames,
                )
            frames = min(frames, front.info.frames)
        asked = self.params.frames or frames
        if asked > frames:
            raise DreamkitError(
                f"The parameter frames is {asked}, but {name} can have {frames} at most, as its shortest input has.",
                "Set frames to no more than that, or to 0 for all.",
            )
        seed = video_seed(self.params.seed, chunk, style, self.params.seed_mode)
        prompts = tuple(self._view_prompts(name, caption, style)) if front else (caption,)
        windows = self._windows(name, asked)
        cut = windows.frames if windows.frames < self._plan(frames).frames else 0
        return Job(name, inputs, style, prompts, front, windows, self.weights, seed, cut)

    def _warn_if_changed(self, name: str, front: InputVideo, chunk: Chunk, style: str) -> None:
        if not log.isEnabledFor(logging.WARNING):  # as in the plan of a batch, which would read every sidecar twice
            return
        record = self.ws.read_sidecar("single_view", chunk, style) or {}
        made = [record.get(part, {}).get(front.path.name) for part in ("outputs", "replacing")]
        if any(made) and front.checksum not in made:
            log.warning(
                "%s: the front video %s changed after dreamkit made it (its sidecar has another checksum), and is used "
                "as it is; delete it and run notebook 04 to make it anew",
                name,
                front.path,
            )

    def _view_prompts(self, name: str, caption: str, style: str) -> list[str]:
        if not getattr(self.params, "side_weather", False):
            return view_prompts(caption, self.rig)
        from dreamkit.styles import clip_prompts

        return clip_prompts(self.ws, name, style, caption, self.rig)

    def _plan(self, frames: int) -> WindowPlan:
        """The windows of a result whose inputs have that many frames."""
        length, p = self.model.config.window_frames, self.params
        if isinstance(p, MultiViewParams):
            return multi_view_windows(frames, length, p.num_input_frames, self.model.has_extension, p.windows)
        return front_windows(frames, length, getattr(p, "windows", "first"))

    def _windows(self, name: str, frames: int) -> WindowPlan:
        """The windows of a result; frames that are left out, and jumps, are logged."""
        plan = self._plan(frames)
        if isinstance(self.params, MultiViewParams):
            if plan.frames < frames:
                log.warning(
                    "%s: %d of %d frames are made: longer ones need v2w_base_model.pt and %sv2w control files beside "
                    "the t2w ones, or windows: joined",
                    name,
                    plan.frames,
                    frames,
                    "your own " if len(self.rig) == 5 else "",
                )
            elif plan.joined:
                log.info(
                    "%s: %d frames, so %d windows that overlap are denoised together%s",
                    name,
                    plan.frames,
                    len(plan.starts),
                    "; windows: extension makes them one after another" if self.params.windows == "auto" else "",
                )
        elif plan.joined:
            log.info("%s: %d windows that overlap are denoised together", name, len(plan.starts))
        elif len(plan.starts) > 1:
            log.warning(
                "%s: the scene jumps every %d frames, because the single-view model takes no previous frames; "
                "windows: joined makes a video without jumps",
                name,
                self.model.config.window_frames - 1,
            )
        elif plan.frames < frames:
            log.warning(
                "%s: the first %d of %d frames are made; windows: joined makes the rest too", name, plan.frames, frames
            )
        return plan
