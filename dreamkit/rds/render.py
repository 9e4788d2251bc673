"""Render RDS-HQ clips to condition videos in a workspace; videos that are done are skipped.

HDMap pictures are drawn by a pool of processes, while one thread a video encodes it and writes its sidecar. LiDAR is
splatted in the main process, on the GPU if there is one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.check_labels import map_findings
from dreamkit.rds.check_report import ERROR
from dreamkit.rds.drawing import LoadedClip, draw_pool, read_clip, shared_hdmap
from dreamkit.rds.lidar_labels import read_lidar
from dreamkit.rds.object_types import ask_for_types, types_of_workspace, unknown_kinds
from dreamkit.rds.plan import Options, PlannedVideo, choose_cameras, choose_clips, chosen_poses, is_done, plan_clip
from dreamkit.rds.resize import resizer
from dreamkit.rds.rig_file import write_rig
from dreamkit.workspace.files import write_json
from dreamkit.workspace.locks import file_lock
from dreamkit.workspace.paths import label_record, rig_copy, type_table
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)
# Videos queued at most, because the labels of their clips stay in memory.
_QUEUED = 32
Progress = Callable[[int, int, str], None]
"""Called with the videos done, an estimate of all videos, and the path of the finished video."""


@dataclass(frozen=True)
class RenderResult:
    """One video of a render call.

    Attributes:
        path: the video file.
        made: True when it was rendered now, False when it was done already.
    """

    path: Path
    made: bool


def render_clips(
    root: Path, out: Path, options: Options = Options(), progress: Progress | None = None
) -> list[RenderResult]:
    """Render condition videos into a workspace.

    Args:
        root: the RDS-HQ folder.
        out: the workspace folder; with a novel pose folder, `<out>_<folder>` is written instead, as upstream does.
        options: what to render, and how; a rig file is copied to `<out>/rig.yaml`.
        progress: called after each video with (videos done, all videos, path); the number of all videos is an estimate
            until the last clip is planned.

    Returns:
        All videos that the options select, rendered now or before.

    Raises:
        DreamkitError: an input is missing or damaged. The other clips are rendered first, and the next call renders
            only what is missing.
    """
    root, out = Path(root), Path(out)
    table = type_table(Workspace(out).root)
    options = replace(options, types=types_of_workspace(out))
    if options.novel_pose:
        out = out.with_name(f"{out.name}_{Path(options.novel_pose).name}")
    clips = choose_clips(root, options)
    _need_folder(out)
    same = {clip.casefold(): clip for clip in clips}
    for clip in clips if len(same) < len(clips) else ():
        if clip != same[clip.casefold()]:
            other = same[clip.casefold()]
            log.warning("clips %s and %s are one name on disks that ignore letter case: rename one", clip, other)
    Workspace(out).remove_abandoned()
    if options.rig:
        write_rig(options.rig, rig_copy(Workspace(out).root))
    with contextlib.suppress(DreamkitError):  # the review finds the labels by it; the videos are whole without it
        write_json(label_record(Workspace(out).root), {"folder": str(root.resolve())})
    state = _RenderState(root, out, options, len(clips), progress, table)
    workers = options.workers or _usable_cores()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(draw_pool(workers)) if workers > 1 and state.needs_pool(clips) else None
        # With two videos in memory the pool draws one while the other is encoded; many cores draw more at once.
        threads = stack.enter_context(ThreadPoolExecutor(2 + workers // 8 if pool else 1))
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        if pool:
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        stack.callback(state.stop.set)  # after the last video it has no effect
        for name in clips:
            try:
                state.start_clip(name, threads, pool)
            except DreamkitError as error:
                state.failed[name] = error
            state.collect(_QUEUED)
        state.collect(0)
    if len(clips) == 1 and state.failed:
        raise next(iter(state.failed.values()))
    if state.failed:
        lines = "".join(f"\n  {name}: {error.message}" for name, error in state.failed.items())
        raise DreamkitError(
            f"{len(state.failed)} of {len(clips)} clips could not be rendered:{lines}",
            "Repair these clips or leave them out; the others are done.",
        )
    return [RenderResult(path, made) for path, made in state.made.items() if made is not None]


def _need_folder(out: Path) -> None:
    """Refuse an output path at which something else than a folder stands, before anything is drawn.

    Raises:
        DreamkitError: it, or a folder above it, is a file, a device or a link that leads nowhere.
    """
    there = next((path for path in (out, *out.parents) if os.path.lexists(path)), Path())
    if not there.is_dir():
        raise DreamkitError(f"{there} is no folder, so {out} cannot be the output.", "Give another folder with -o.")


@dataclass
class _RenderState:
    """State of one render call.

    Attributes:
        root: the RDS-HQ folder.
        out: the workspace folder.
        options: what to render, and how.
        clips: number of clips.
        progress: called after each video.
        types: the workspace's table of object types.
        made: path -> whether the video was made now; None until it is finished.
        failed: clip -> its error.
        running: future of a video that is queued or being made -> its clip.
        planned_clips: number of clips whose videos are in `made`.
        finished: number of videos rendered or found done.
        stop: set when the call ends, so that threads leave a video half written after Ctrl-C; no half file is kept.
    """

    root: Path
    out: Path
    options: Options
    clips: int
    progress: Progress | None
    types: Path
    made: dict[Path, bool | None] = field(default_factory=dict)
    failed: dict[str, DreamkitError] = field(default_factory=dict)
    running: dict[Future[tuple[Path, bool]], str] = field(default_factory=dict)
    planned_clips: int = 0
    finished: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def plan(self, name: str) -> list[PlannedVideo]:
        """All videos of a clip."""
        cameras = list(choose_cameras(self.root, name, self.options))
        poses = chosen_poses(self.root, name, cameras, self.options)
        return plan_clip(
            self.root, self.out, name, self.options, {camera: len(track) for camera, track in poses.items()}
        )

    def needs_pool(self, clips: list[str]) -> bool:
        """Whether a pool is worth the second that it takes to start: not when the only clip is probably done."""
        if len(clips) > 1:
            return True
        videos = [video for video in self.plan(clips[0]) if video.condition == "hdmap"]
        return not all(video.sidecar.is_file() for video in videos)

    def start_clip(self, name: str, threads: Executor, pool: Executor | None) -> None:
        """Plan a clip, queue its HDMap videos and render its LiDAR videos."""
        videos = self.plan(name)
        done = [is_done(video, self.options.overwrite) for video in videos]
        todo = [video for video, finished in zip(videos, done, strict=True) if not finished]
        self.made |= dict.fromkeys(video.path for video in videos)
        self.planned_clips += 1
        for video, finished in zip(videos, done, strict=True):
            if finished:
                self.note(video.path, False)
        if not todo:
            return
        clip = read_clip(self.root, name, self.options)
        _warn_of_map(name, clip)
        if asked := unknown_kinds(clip.boxes.kind, dict(self.options.types)):
            ask_for_types(self.types, asked)
            self.options = replace(self.options, types=(*self.options.types, *((kind, "") for kind in asked)))
            log.warning("%s has lines for these types: write what their boxes are, then render again", self.types)
        for video in todo:
            if video.condition == "hdmap":
                self.running[threads.submit(_make_hdmap, clip, video, self.options, pool, self.stop)] = name
        for path, made in _make_lidar(self.root, name, clip, [v for v in todo if v.condition == "lidar"], self.options):
            self.note(path, made)

    def collect(self, most: int) -> None:
        """Wait until at most `most` videos are queued or being made."""
        while len(self.running) > most:
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                name = self.running.pop(future)
                try:
                    self.note(*future.result())
                except DreamkitError as error:
                    self.failed[name] = error

    def note(self, path: Path, made: bool) -> None:
        """Record a finished video and report progress."""
        self.made[path] = made
        self.finished += 1
        if self.progress:
            total = round(len(self.made) / self.planned_clips * self.clips)
            self.progress(self.finished, max(total, self.finished), str(path))


def _warn_of_map(name: str, clip: LoadedClip) -> None:
    """Log each error of the map that `dreamkit check` prints, with the first camera's positions as the drive."""
    for finding in map_findings(clip.layers, next(iter(clip.poses.values()))[:, :3, 3]):
        if finding.severity == ERROR:
            log.warning("%s of %s: %s; likely: %s", finding.layer, name, finding.what, finding.cause)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _make_hdmap(
    clip: LoadedClip, video: PlannedVideo, options: Options, pool: Executor | None, stop: threading.Event
) -> tuple[Path, bool]:
    """Draw and write one HDMap video, unless another process has done so; returns its path and whether it was made."""
    begun = time.perf_counter()
    with file_lock(video.lock, video.path.name, wait=True):
        if is_done(video, options.overwrite):
            return video.path, False
        with shared_hdmap(clip, video.camera, video.frames, options, pool) as pictures:
            return _finish(video, _until(stop, pictures), options, begun, "cpu"), True


def _until(stop: threading.Event, pictures: np.ndarray) -> Iterator[np.ndarray]:
    """The pictures one by one.

    Raises:
        CancelledError: the render call has ended in the meantime.
    """
    for picture in pictures:
        if stop.is_set():
            raise CancelledError
        yield picture


def _make_lidar(
    root: Path, name: str, clip: LoadedClip, videos: list[PlannedVideo], options: Options
) -> Iterator[tuple[Path, bool]]:
    """Draw and write the LiDAR videos of a clip, all cameras of a chunk together; yields each path, and whether it was
    made here and not by another process in the meantime.
    """
    if not videos:
        return
    from dreamkit.rds import lidar

    device = lidar.pick_device()
    sweeps = lidar.Sweeps(read_lidar(root, name), clip.boxes, max(map(len, clip.poses.values())), device)
    for frames in dict.fromkeys(video.frames for video in videos):
        begun = time.perf_counter()
        same = {video.camera: video for video in videos if video.frames == frames}
        with contextlib.ExitStack() as locks:
            for video in same.values():
                locks.enter_context(file_lock(video.lock, video.path.name, wait=True))
            for camera in [camera for camera, video in same.items() if is_done(video, options.overwrite)]:
                yield same.pop(camera).path, False
            cameras = {camera: clip.cameras[camera] for camera in same}
            fits = {camera: resizer((model.width, model.height), options.size) for camera, model in cameras.items()}
            pictures = {camera: np.empty((len(frames), options.size[1], options.size[0]), np.uint8) for camera in same}
            for index, drawn in enumerate(lidar.draw_lidar_frames(sweeps, cameras, clip.poses, frames if same else ())):
                for camera, picture in drawn.items():
                    pictures[camera][index] = fits[camera](picture)
            for camera, video in same.items():
                yield _finish(video, pictures.pop(camera)[..., None].repeat(3, -1), options, begun, str(device)), True


def _finish(
    video: PlannedVideo, pictures: np.ndarray | Iterator[np.ndarray], options: Options, begun: float, device: str
) -> Path:
    """Write the sidecar, then the video.

    In this order a run that stops in between leaves a sidecar without a video, which is rendered again. A video without
    a sidecar would count as the user's own.
    """
    from dreamkit import __version__
    from dreamkit.workspace.video import write_video

    if video.sidecar.is_file():
        video.path.unlink(missing_ok=True)
    made = {
        "device": device,
        "seconds": round(time.perf_counter() - begun, 3),
        "versions": {"dreamkit": __version__, "numpy": np.__version__, "opencv": cv2.__version__},
    }
    write_json(video.sidecar, {**video.record, **made})
    write_video(video.path, pictures, options.fps, options.crf)
    return video.path
