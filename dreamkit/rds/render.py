"""RDS-HQ clips to condition videos in the workspace's layout: several at once, resumed where it stopped.

One thread a video has it drawn by a pool of processes, encodes it and writes its sidecar. LiDAR is splatted in this
process, on the GPU when there is one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.drawing import Clip, draw_pool, drawn_hdmap, read_clip
from dreamkit.rds.labels import read_lidar
from dreamkit.rds.plan import Options, Video, choose_cameras, choose_clips, is_done, plan_clip
from dreamkit.rds.resize import resizer
from dreamkit.rds.rig import read_camera_poses
from dreamkit.workspace.files import write_json

# Videos that may wait for a free thread: their clips' labels are in memory.
_QUEUED = 32
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Result:
    """A video of a run: made now, or found done."""

    path: Path
    made: bool


def render(root: Path, out: Path, options: Options = Options(), progress: Progress | None = None) -> list[Result]:
    """Render condition videos into a workspace.

    Args:
        root: the RDS-HQ folder.
        out: the workspace folder; with a novel pose folder, `<out>_<folder>` is written instead, as upstream does.
        options: what and how.
        progress: called with (videos done, videos in all, the path just finished); the total is a guess until the last
            clip has been looked at.

    Returns:
        Every video asked for, made or found.

    Raises:
        DreamkitError: an input is missing or damaged. The other clips are rendered first, finished videos stay, and the
            next run makes only what is missing.
    """
    root, out = Path(root), Path(out)
    if options.novel_pose:
        out = out.with_name(f"{out.name}_{Path(options.novel_pose).name}")
    clips = choose_clips(root, options)
    run = _Run(root, out, options, len(clips), progress)
    workers = options.workers or _cores()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(draw_pool(workers)) if workers > 1 and run.wants_pool(clips) else None
        # Two videos in memory keep the pool busy while one of them is encoded; more cores can feed more.
        threads = stack.enter_context(ThreadPoolExecutor(2 + workers // 8 if pool else 1))
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        for name in clips:
            try:
                run.start_clip(name, threads, pool)
            except DreamkitError as error:
                run.failed[name] = error
            run.collect(_QUEUED)
        run.collect(0)
    if len(clips) == 1 and run.failed:
        raise next(iter(run.failed.values()))
    if run.failed:
        told = "\n".join(f"  {name}: {error.message}" for name, error in run.failed.items())
        raise DreamkitError(
            f"{len(run.failed)} of {len(clips)} clips could not be rendered:\n{told}",
            "Mend these clips or leave them out; the others are done.",
        )
    return [Result(path, made) for path, made in run.made.items() if made is not None]


@dataclass
class _Run:
    """What a render call keeps in mind while its videos are under way."""

    root: Path
    out: Path
    options: Options
    clips: int
    progress: Progress | None
    made: dict[Path, bool | None] = field(default_factory=dict)
    failed: dict[str, DreamkitError] = field(default_factory=dict)
    running: dict[Future[Path], str] = field(default_factory=dict)
    planned_clips: int = 0
    finished: int = 0

    def plan(self, name: str) -> list[Video]:
        """The videos of a clip."""
        cameras = list(choose_cameras(self.root, name, self.options))
        poses = read_camera_poses(self.root, name, cameras, self.options.pose_folder)
        return plan_clip(
            self.root, self.out, name, self.options, {camera: len(track) for camera, track in poses.items()}
        )

    def wants_pool(self, clips: list[str]) -> bool:
        """Processes take a second to start, which a run that finds its only clip done should not."""
        if len(clips) > 1:
            return True
        videos = [video for video in self.plan(clips[0]) if video.condition == "hdmap"]
        return not all(video.sidecar.is_file() for video in videos)

    def start_clip(self, name: str, threads: Executor, pool: Executor | None) -> None:
        """Plan a clip, queue its HDMap videos and make its LiDAR videos."""
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
        for video in todo:
            if video.condition == "hdmap":
                self.running[threads.submit(_make_hdmap, clip, video, self.options, pool)] = name
        for path in _make_lidar(self.root, name, clip, [v for v in todo if v.condition == "lidar"], self.options):
            self.note(path, True)

    def collect(self, most: int) -> None:
        """Wait until at most so many videos are under way."""
        while len(self.running) > most:
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                name = self.running.pop(future)
                try:
                    self.note(future.result(), True)
                except DreamkitError as error:
                    self.failed[name] = error

    def note(self, path: Path, made: bool) -> None:
        """Count a finished video."""
        self.made[path] = made
        self.finished += 1
        if self.progress:
            total = round(len(self.made) / self.planned_clips * self.clips)
            self.progress(self.finished, max(total, self.finished), str(path))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _make_hdmap(clip: Clip, video: Video, options: Options, pool: Executor | None) -> Path:
    begun = time.perf_counter()
    with drawn_hdmap(clip, video.camera, video.frames, options, pool) as pictures:
        return _finish(video, pictures, options, begun, "cpu")


def _make_lidar(root: Path, name: str, clip: Clip, videos: list[Video], options: Options) -> Iterator[Path]:
    """The LiDAR videos of a clip, chunk by chunk, all cameras of a chunk together."""
    if not videos:
        return
    from dreamkit.rds import lidar

    device = lidar.pick_device()
    sweeps = lidar.Sweeps(read_lidar(root, name), clip.boxes, max(map(len, clip.poses.values())), device)
    for frames in dict.fromkeys(video.frames for video in videos):
        begun = time.perf_counter()
        same = {video.camera: video for video in videos if video.frames == frames}
        cameras = {camera: clip.cameras[camera] for camera in same}
        fits = {camera: resizer((model.width, model.height), options.size) for camera, model in cameras.items()}
        pictures = {camera: np.empty((len(frames), options.size[1], options.size[0]), np.uint8) for camera in same}
        for index, drawn in enumerate(lidar.draw(sweeps, cameras, clip.poses, frames)):
            for camera, picture in drawn.items():
                pictures[camera][index] = fits[camera](picture)
        for camera, video in same.items():
            yield _finish(video, pictures.pop(camera)[..., None].repeat(3, -1), options, begun, str(device))


def _finish(video: Video, pictures: np.ndarray, options: Options, begun: float, device: str) -> Path:
    """Write video and sidecar so that no stop in between can pass for a finished video or for the user's own."""
    from dreamkit import __version__
    from dreamkit.workspace.video import write_video

    if video.sidecar.is_file():
        video.path.unlink(missing_ok=True)
    made = {"device": device, "seconds": round(time.perf_counter() - begun, 3), "versions": _versions(__version__)}
    write_json(video.sidecar, {**video.record, **made})
    write_video(video.path, pictures, options.fps, options.crf)
    return video.path


def _versions(dreamkit: str) -> dict[str, str]:
    return {"dreamkit": dreamkit, "numpy": np.__version__, "opencv": cv2.__version__}
