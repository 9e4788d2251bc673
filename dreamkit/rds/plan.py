"""What `dreamkit render` is asked for, and which videos that makes: clips, cameras, chunks, names, what is done.

Chunks follow upstream's rule: they start every `chunk_frames - overlap` frames, and one that the clip cannot fill is
left out. A clip shorter than one chunk becomes a single short chunk, with a warning, where upstream writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.rds.ftheta import Camera
from dreamkit.rds.labels import LAYERS, layer_path, list_clips
from dreamkit.rds.rig import read_camera_poses, read_cameras
from dreamkit.rds.strokes import Rules
from dreamkit.workspace.files import fingerprint, nearest, read_json

log = logging.getLogger(__name__)

CONDITIONS = ("hdmap", "lidar")


@dataclass(frozen=True)
class Options:
    """How to render; the defaults make what the models were trained on.

    conditions: hdmap, lidar or both; None is hdmap, and lidar where the clip has lidar_raw.
    cameras: names with or without `camera_`; None is the six views, or all cameras of a clip that has none of them.
    clips: names; None is all of the folder. model: ftheta or pinhole.
    novel_pose: a pose folder inside the input (or a path) to be used instead of pose/.
    chunk_frames, overlap, max_chunks: see the module. drawn, size: (width, height) drawn and written.
    workers: processes that draw; None is one a core. overwrite: also replace videos that have no sidecar.
    """

    conditions: tuple[str, ...] | None = None
    cameras: tuple[str, ...] | None = None
    clips: tuple[str, ...] | None = None
    model: str = "ftheta"
    novel_pose: str | None = None
    chunk_frames: int = 121
    overlap: int = 0
    max_chunks: int | None = None
    drawn: tuple[int, int] = (1280, 720)
    size: tuple[int, int] = (1280, 704)
    fps: int = 30
    crf: int = 18
    rules: Rules = field(default_factory=Rules)
    workers: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.chunk_frames < 1 or not 0 <= self.overlap < self.chunk_frames:
            raise DreamkitError(f"chunks of {self.chunk_frames} frames that overlap by {self.overlap} cannot be",
                                "The overlap lies between 0 and one less than the frames of a chunk.")  # fmt: skip
        if self.max_chunks is not None and self.max_chunks < 1:
            raise DreamkitError(
                f"at most {self.max_chunks} chunks a clip; expected 1 or more, or nothing for all of them"
            )
        if self.workers is not None and self.workers < 1:
            raise DreamkitError(f"{self.workers} workers; expected 1 or more")
        for condition in self.conditions or ():
            if condition not in CONDITIONS:
                raise DreamkitError(f"unknown condition {condition!r}", f"They are {' and '.join(CONDITIONS)}.")

    @property
    def pose_folder(self) -> str:
        """Where camera poses are read from."""
        return self.novel_pose or "pose"


@dataclass(frozen=True)
class Video:
    """One video to make: the camera's poses are in the clip's plan; frames are numbers of the clip's 30 Hz frames."""

    condition: str
    clip: str
    camera: str
    chunk: int
    frames: range
    path: Path
    record: dict[str, Any]

    @property
    def sidecar(self) -> Path:
        """Beside the video, `<clip>_<n>.json`."""
        return self.path.with_suffix(".json")


def chunk_frames(count: int, length: int, overlap: int = 0, most: int | None = None) -> list[range]:
    """The frames of each chunk of a clip of `count` frames; see the module for the rule."""
    starts = range(0, count, length - overlap)
    chunks = [range(start, start + length) for start in starts if start + length <= count]
    return (chunks or [range(count)])[:most]


def choose_clips(root: Path, options: Options) -> list[str]:
    """The clips asked for, or all; raises DreamkitError that names the nearest for one that is not there."""
    known = list_clips(root, options.pose_folder)
    for clip in options.clips or ():
        if clip not in known:
            close = nearest(clip, known)
            raise DreamkitError(
                f"{root} has no clip {clip!r}", f"Did you mean {close}?" if close else f"It has {known[0]}."
            )
    return list(options.clips or known)


def choose_cameras(root: Path, clip: str, options: Options) -> dict[str, Camera]:
    """The cameras to render, with their models scaled to the drawn size."""
    from dreamkit.workspace.cameras import SIX_VIEWS

    present = read_camera_poses(root, clip, folder=options.pose_folder).keys()
    if options.cameras:
        wanted = [name if name in present else f"camera_{name}" for name in options.cameras]
        for given, name in zip(options.cameras, wanted, strict=True):
            if name not in present:
                close = nearest(name, present)
                hint = f"Did you mean {close}?" if close else f"It has {', '.join(sorted(present))}."
                raise DreamkitError(f"clip {clip} has no poses of a camera {given!r}", hint)
    else:
        six = [f"camera_{name}" for name in SIX_VIEWS.names]
        wanted = [name for name in six if name in present] or sorted(present)
    models = read_cameras(root, clip, wanted, options.model)
    return {name: models[name].scaled_to(*options.drawn) for name in wanted}


def choose_conditions(root: Path, clip: str, options: Options) -> tuple[str, ...]:
    """The conditions to render of this clip."""
    has_lidar = layer_path(root, clip, "lidar_raw").is_file()
    if options.conditions is None:
        return CONDITIONS if has_lidar else CONDITIONS[:1]
    if "lidar" in options.conditions and not has_lidar:
        raise DreamkitError(f"{layer_path(root, clip, 'lidar_raw')} is missing, so there is no LiDAR to render",
                            "Fetch lidar_raw, or render with --conditions hdmap.")  # fmt: skip
    return options.conditions


def plan_clip(root: Path, out: Path, clip: str, options: Options, frames: dict[str, int]) -> list[Video]:
    """Every video of a clip; `frames` is the number of poses of each camera."""
    from dreamkit.workspace import cameras as views
    from dreamkit.workspace.workspace import Chunk, Workspace, check_name

    check_name(clip, "clip")
    space = Workspace(out, {name: f"{options.model}_{name}" for name in frames})
    hashes: dict[Path, str] = {}
    videos = []
    for condition in choose_conditions(root, clip, options):
        inputs = [path for path in _inputs(root, clip, options, condition) if path.is_file()]
        for path in inputs:
            hashes[path] = hashes.get(path) or fingerprint(path)
        for camera, count in frames.items():
            view = views.Camera(camera, 0, 0, "")
            for index, numbers in enumerate(
                chunk_frames(count, options.chunk_frames, options.overlap, options.max_chunks)
            ):
                record = {
                    "stage": "render", "condition": condition, "clip": clip, "chunk": index, "camera": camera,
                    "model": options.model, "first_frame": numbers.start, "frames": len(numbers), "fps": options.fps,
                    "size": list(options.size), "drawn": list(options.drawn), "crf": options.crf,
                    "novel_pose": options.novel_pose, "inputs": {_shown(path, root): hashes[path] for path in inputs},
                }  # fmt: skip
                if condition == "hdmap":
                    record["rules"] = {**asdict(options.rules), "layers": list(options.rules.layers)}
                videos.append(Video(condition, clip, camera, index, numbers,
                                    space.condition(condition, view, Chunk(clip, index)), record))  # fmt: skip
        shortest = min(frames.values())
        if shortest < options.chunk_frames:
            log.warning(
                "clip %s has %d frames, fewer than a chunk of %d: it becomes one short video, too short for a model of "
                "that many frames", clip, shortest, options.chunk_frames,
            )  # fmt: skip
    return videos


def _inputs(root: Path, clip: str, options: Options, condition: str) -> Sequence[Path]:
    layers = (
        [f"3d_{layer}" for layer in LAYERS if layer in options.rules.layers] if condition == "hdmap" else ["lidar_raw"]
    )
    folders = [options.pose_folder, f"{options.model}_intrinsic", "all_object_info", *layers]
    return [layer_path(root, clip, folder) for folder in folders]


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def is_done(video: Video, overwrite: bool = False) -> bool:
    """The video is there, made from the same inputs with the same options; or it is the user's own and to be kept."""
    if not video.path.is_file():
        return False
    if not video.sidecar.is_file():
        if not overwrite:
            log.warning("%s has no sidecar, so it was not made here and is kept; --overwrite replaces it", video.path)
        return not overwrite
    try:
        found = read_json(video.sidecar, "sidecar")
    except DreamkitError:
        return False
    return {key: found.get(key) for key in video.record} == video.record
