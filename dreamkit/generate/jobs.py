"""The inputs of one clip: captions, condition videos and front video, looked at before a model loads."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamkit.captions import files as caption_files
from dreamkit.errors import DreamkitError
from dreamkit.generate.condition_videos import condition_videos
from dreamkit.generate.params import Params
from dreamkit.generate.specs import Spec
from dreamkit.transfer.config import ModelConfig
from dreamkit.workspace.cameras import Rig, view_prompts
from dreamkit.workspace.files import sha256
from dreamkit.workspace.video import VideoInfo, probe
from dreamkit.workspace.workspace import Chunk, Workspace

log = logging.getLogger(__name__)
# Condition videos are drawn at 30 fps and results play at 24; both are usual, others look too fast or too slow.
USUAL_FPS = (23.0, 31.0)


@dataclass(frozen=True)
class Job:
    """One video, or one set of views, to make.

    Attributes:
        chunk, style, prompts: what it is of; one prompt, or one per view.
        videos: control -> condition videos in the rig's order.
        front: the front video that the other views follow; None for single view.
        frames: pixel frames of the result.
        lengths: control -> frames of its condition videos.
        weights: control -> number, or the path of a weight map.
        seed: of the first window.
        inputs: name -> checksum of every input file.
    """

    chunk: Chunk
    style: str
    prompts: tuple[str, ...]
    videos: dict[str, list[Path]]
    front: Path | None
    frames: int
    lengths: dict[str, int]
    weights: dict[str, float | Path]
    seed: int
    inputs: dict[str, str]


def video_seed(seed: int, chunk: Chunk, style: str, mode: str) -> int:
    """The seed of a video: the run's own (`upstream`), or a stable hash of it, the chunk's name and the style.

    Below 2**31 - 2**16, so that a later window's seed (plus its number) is still one.
    """
    if mode == "upstream":
        return seed
    digest = hashlib.sha256(f"{seed}\x00{chunk.name}\x00{style}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (2**31 - 2**16)


@dataclass
class Look:
    """Looks at one chunk at a time; file checksums are remembered, styles share them."""

    stage: str
    ws: Workspace
    params: Params
    spec: Spec
    rig: Rig
    model: ModelConfig
    extension: bool
    weights: dict[str, float | Path]
    single: bool

    def at(self, chunk: Chunk) -> tuple[list[Job], list[str]]:
        """The chunk's jobs, one per style, and its problems."""
        problems: list[str] = []

        def trying(step: Callable[[], Any]) -> Any:
            try:
                return step()
            except DreamkitError as error:
                problems.append(str(error))
                return None

        styles = trying(lambda: self._styles(chunk))
        videos = trying(lambda: self._videos(chunk))
        lengths = trying(lambda: self._lengths(chunk, videos)) if videos else None
        if problems or styles is None or lengths is None:
            return [], problems
        inputs = {
            f"{name}/{camera.name}": sha256(path)
            for name, paths in videos.items()
            for camera, path in zip(self.rig.cameras, paths, strict=True)
        }
        jobs = []
        for style, caption in styles.items():
            job = trying(lambda style=style, caption=caption: self._job(chunk, style, caption, videos, lengths, inputs))
            jobs += [job] if job else []
        return jobs, problems

    def _styles(self, chunk: Chunk) -> dict[str, str]:
        found = caption_files.read_captions(self.ws.captions, chunk.clip)
        chosen = caption_files.choose_styles(found, self.params.styles, chunk.clip)
        for style in chosen:
            self.ws.name(chunk, style)  # refused here when it cannot name a file
        return chosen

    def _videos(self, chunk: Chunk) -> dict[str, list[Path]]:
        try:
            return {
                name: condition_videos(control, self.spec, self.ws, chunk, self.rig, self.single)
                for name, control in self.spec.controls.items()
            }
        except DreamkitError as error:
            if len(self.rig) == 6 and self._only_rear_lacks(chunk):
                raise DreamkitError(
                    error.message, "This clip has five of the six cameras; views: 5 needs your own control file."
                ) from error
            raise

    def _only_rear_lacks(self, chunk: Chunk) -> bool:
        there = [
            all(self.ws.condition(name, camera, chunk).is_file() for name in self.spec.controls)
            for camera in self.rig.cameras
        ]
        return there == [camera.name != "rear_tele_30fov" for camera in self.rig.cameras]

    def _lengths(self, chunk: Chunk, videos: Mapping[str, list[Path]]) -> dict[str, int]:
        """Frames of each control's condition videos."""
        counts = {}
        for name, paths in videos.items():
            infos = [probe(path) for path in paths]
            self._same_views(chunk, name, paths, infos)
            counts[name] = infos[0].frames
            self._remark(paths[0], infos[0])
        if len(set(counts.values())) > 1:
            log.warning("%s: the controls have %s frames; the shorter one counts", chunk.name, counts)
        return counts

    def _same_views(self, chunk: Chunk, name: str, paths: Sequence[Path], infos: Sequence[VideoInfo]) -> None:
        first = infos[0]
        for camera, path, info in zip(self.rig.cameras, paths, infos, strict=True):
            if (info.frames, info.height, info.width) != (first.frames, first.height, first.width):
                raise DreamkitError(
                    f"The {name} videos of clip {chunk.name} do not belong together: {camera.name} has {info}, "
                    f"{self.rig.front.name} {first} ({path}).",
                    "All views need the same number of frames and the same size; render them in one go.",
                )

    def _remark(self, path: Path, info: VideoInfo) -> None:
        low, high = USUAL_FPS
        if info.fps and not low <= info.fps <= high:
            log.warning(
                "%s runs at %g fps; each of its frames becomes one frame at %d fps, so things move %.1f times as fast",
                path.name,
                info.fps,
                self.params.fps,
                self.params.fps / info.fps,
            )
        stretch = (info.width / info.height) / (self.model.width / self.model.height)
        if not 0.8 < stretch < 1.25:
            log.warning(
                "%s is %dx%d; stretched to %dx%d it is distorted by %.0f %%",
                path.name,
                info.width,
                info.height,
                self.model.width,
                self.model.height,
                abs(stretch - 1) * 100,
            )

    def _job(
        self,
        chunk: Chunk,
        style: str,
        caption: str,
        videos: dict[str, list[Path]],
        lengths: dict[str, int],
        inputs: dict[str, str],
    ) -> Job:
        front, name, frames = None, self.ws.name(chunk, style), min(lengths.values())
        if self.stage == "multi_view":
            front = self.ws.single_view(chunk, style)
            if not front.is_file():
                raise DreamkitError(
                    f"The front video {front} is missing; the other views follow it.",
                    "Run notebook 04 for this clip and style first, or put your own video there.",
                )
            info = probe(front)
            inputs = {**inputs, "front": sha256(front)}
            if info.frames != frames:
                log.warning(
                    "%s: the front video has %d frames and the conditions %d; the shorter one counts",
                    name,
                    info.frames,
                    frames,
                )
            frames = min(frames, info.frames)
        seed = video_seed(self.params.seed, chunk, style, self.params.seed_mode)
        prompts = tuple(self._view_prompts(caption, style)) if front else (caption,)
        frames = self._windowed(name, frames)
        return Job(chunk, style, prompts, videos, front, frames, lengths, self.weights, seed, inputs)

    def _view_prompts(self, caption: str, style: str) -> list[str]:
        if not getattr(self.params, "side_weather", False):
            return view_prompts(caption, self.rig)
        from dreamkit.styles import load_styles, side_prompts

        table = load_styles()
        return side_prompts(caption, table.styles.get(style), table, self.rig, weather=True)

    def _windowed(self, name: str, frames: int) -> int:
        window = self.model.window_frames
        if frames <= window:
            return frames
        if self.stage == "multi_view":
            if self.extension:
                return frames
            log.warning(
                "%s: %d of %d frames are made: longer ones need v2w_base_model.pt and %sv2w control files beside the "
                "t2w ones",
                name,
                window,
                frames,
                "your own " if len(self.rig) == 5 else "",
            )
            return window
        if getattr(self.params, "windows", "first") == "all":
            log.warning(
                "%s: the scene jumps every %d frames, because the single-view model takes no previous frames",
                name,
                window - 1,
            )
            return frames
        log.warning("%s: the first %d of %d frames are made; windows: all makes the rest too", name, window, frames)
        return window
