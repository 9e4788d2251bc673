"""The options of rendering, and the list of condition videos to render, with the check which are done already.

Chunks follow upstream's rule: they start every `chunk_frames - overlap` frames, and a chunk that the clip does not fill
is left out. A clip shorter than one chunk becomes a single short chunk, with a warning, where upstream writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.labels import CAMERA_HZ, LAYERS, LIDAR_FOLDER, OBJECT_FOLDER, VEHICLE_FOLDER, layer_path, list_clips
from dreamkit.rds.object_types import types_record
from dreamkit.rds.rig import read_camera_poses, read_cameras
from dreamkit.rds.rig_file import RigFile
from dreamkit.rds.rig_views import VIEW_PREFIX, view_models, view_poses
from dreamkit.rds.strokes import Rules
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import fingerprint, nearest, read_json
from dreamkit.workspace.locks import LOCKS

log = logging.getLogger(__name__)

CHUNK_FRAMES = 121
"""Frames of a chunk: those of one window of the 7B models."""


@dataclass(frozen=True)
class Options:
    """How to render; the defaults are those of the models' training videos.

    Attributes:
        conditions: names out of CONTROLS; None is hdmap, and lidar where the clip has LiDAR sweeps.
        cameras: names with or without `camera_`; None is the six views, or all cameras of a clip with none of them.
        clips: names; None is all clips of the folder.
        model: camera model, "ftheta" or "pinhole".
        novel_pose: a pose folder inside the input (or its path) to use instead of pose/.
        chunk_frames: frames of a chunk.
        overlap: frames that neighbouring chunks share.
        max_chunks: chunks of a clip at most; None is no limit.
        drawn: width and height in pixels of the drawing.
        size: width and height in pixels of the video.
        fps: frame rate of the video.
        crf: constant rate factor of the encoder.
        rules: settings of the HDMap drawing.
        workers: number of processes that draw; None is one a core.
        overwrite: also replace videos that have no sidecar.
        types: own object types and the class of their boxes; empty where the user has not said.
        rig: the rig file, which replaces `model`; None for labels with the six views' names.
    """

    conditions: tuple[str, ...] | None = None
    cameras: tuple[str, ...] | None = None
    clips: tuple[str, ...] | None = None
    model: str = "ftheta"
    novel_pose: str | None = None
    chunk_frames: int = CHUNK_FRAMES
    overlap: int = 0
    max_chunks: int | None = None
    drawn: tuple[int, int] = (1280, 720)
    size: tuple[int, int] = (1280, 704)
    fps: int = CAMERA_HZ
    crf: int = 18
    rules: Rules = field(default_factory=Rules)
    workers: int | None = None
    overwrite: bool = False
    types: tuple[tuple[str, str], ...] = ()
    rig: RigFile | None = None

    def __post_init__(self) -> None:
        if self.chunk_frames < 1 or not 0 <= self.overlap < self.chunk_frames:
            raise DreamkitError(
                f"Chunks of {self.chunk_frames} frames cannot overlap by {self.overlap}.",
                "The overlap lies between 0 and one less than the frames of a chunk.",
            )
        if self.max_chunks is not None and self.max_chunks < 1:
            raise DreamkitError(
                f"A clip cannot have at most {self.max_chunks} chunks.", "Give 1 or more, or nothing for all chunks."
            )
        if self.workers is not None and self.workers < 1:
            raise DreamkitError(f"{self.workers} processes cannot draw.", "Give 1 or more workers.")
        for condition in self.conditions or ():
            if condition not in CONTROLS:
                raise DreamkitError(f"The condition {condition!r} is unknown.", f"Choose {' or '.join(CONTROLS)}.")

    @property
    def pose_folder(self) -> str:
        """Folder of the camera poses."""
        return self.novel_pose or "pose"

    @property
    def folder_prefix(self) -> str:
        """Beginning of the names of the condition folders; with a rig they have the names of the six views."""
        return "ftheta" if self.rig else self.model


@dataclass(frozen=True)
class PlannedVideo:
    """One condition video to render.

    Attributes:
        condition: "hdmap" or "lidar".
        clip: name of the clip.
        camera: name of the camera.
        chunk: number of the chunk, from 0.
        frames: frame numbers of the clip at 30 Hz.
        path: the video file.
        record: inputs and options for the sidecar; the video is done when its sidecar has the same.
    """

    condition: str
    clip: str
    camera: str
    chunk: int
    frames: range
    path: Path
    record: dict[str, Any]

    @property
    def sidecar(self) -> Path:
        """The sidecar beside the video, `<clip>_<n>.json`."""
        return self.path.with_suffix(".json")

    @property
    def lock(self) -> Path:
        """File that a process locks while it makes the video, in the workspace's `.locks/`."""
        root, inside = self.path.parents[2], self.path.relative_to(self.path.parents[2])
        return root / LOCKS / inside.with_suffix(".lock")


def chunk_frames(count: int, length: int, overlap: int = 0, most: int | None = None) -> list[range]:
    """Frame numbers of each chunk of a clip; the module's docstring has the rule.

    Args:
        count: frames of the clip.
        length: frames of a chunk.
        overlap: frames that neighbouring chunks share.
        most: chunks at most; None is no limit.
    """
    starts = range(0, count, length - overlap)
    chunks = [range(start, start + length) for start in starts if start + length <= count]
    return (chunks or [range(count)])[:most]


def choose_clips(root: Path, options: Options) -> list[str]:
    """Names of the clips to render: those of the options, or all of the folder.

    Raises:
        DreamkitError: a clip is not in the folder; the hint names the nearest.
    """
    known = list_clips(root, options.pose_folder)
    for clip in options.clips or ():
        if clip not in known:
            close = nearest(clip, known)
            raise DreamkitError(
                f"{root} has no clip {clip!r}.", f"Did you mean {close}?" if close else f"It has {known[0]}."
            )
    return list(options.clips or known)


def choose_cameras(root: Path, clip: str, options: Options) -> dict[str, CameraModel]:
    """The cameras to render by name, scaled to the drawn size.

    Raises:
        DreamkitError: the clip has no poses or no intrinsics of a camera.
    """
    from dreamkit.workspace.cameras import SIX_VIEWS

    if options.rig:
        models = view_models(root, clip, options.rig, options.cameras)
        return {name: model.scaled_to(*options.drawn) for name, model in models.items()}
    present = read_camera_poses(root, clip, folder=options.pose_folder).keys()
    if options.cameras:
        names = [name if name in present else f"camera_{name}" for name in options.cameras]
        for given, name in zip(options.cameras, names, strict=True):
            if name not in present:
                close = nearest(name, present)
                hint = f"Did you mean {close}?" if close else f"It has {', '.join(sorted(present))}."
                raise DreamkitError(f"The clip {clip} has no poses of a camera {given!r}.", hint)
    else:
        six = [f"camera_{name}" for name in SIX_VIEWS.names]
        names = [name for name in six if name in present] or sorted(present)
    models = read_cameras(root, clip, names, options.model)
    return {name: models[name].scaled_to(*options.drawn) for name in names}


def chosen_poses(root: Path, clip: str, names: Sequence[str], options: Options) -> dict[str, np.ndarray]:
    """Camera-to-world poses float64 [T, 4, 4] of cameras from `choose_cameras`.

    Raises:
        DreamkitError: the clip has no poses of a camera, or a frame is missing.
    """
    if options.rig:
        return view_poses(root, clip, options.rig, names, options.pose_folder)
    return read_camera_poses(root, clip, names, options.pose_folder)


def video_folders(options: Options, camera: str) -> list[str]:
    """Names of the folders in which a camera's own video may lie."""
    folders = [f"{options.folder_prefix}_{camera}"]
    view = options.rig.views.get(camera.removeprefix(VIEW_PREFIX)) if options.rig else None
    return folders + ([view.camera, f"{view.model}_{view.camera}"] if view and view.camera else [])


def choose_conditions(root: Path, clip: str, options: Options) -> tuple[str, ...]:
    """The conditions to render for a clip, names out of CONTROLS.

    Raises:
        DreamkitError: LiDAR is among the options and the clip has no sweeps.
    """
    path = layer_path(root, clip, LIDAR_FOLDER)
    if options.conditions is None:
        return tuple(condition for condition in CONTROLS if condition != "lidar" or path.is_file())
    if "lidar" in options.conditions and not path.is_file():
        raise DreamkitError(
            f"{path} is missing, so there is no LiDAR to render.",
            "Fetch lidar_raw, or render with --conditions hdmap.",
        )
    return options.conditions


def plan_clip(root: Path, out: Path, clip: str, options: Options, frames: dict[str, int]) -> list[PlannedVideo]:
    """All videos to render of a clip, those that are done already included.

    Args:
        root: the RDS-HQ folder.
        out: the workspace folder.
        clip: name of the clip.
        options: how to render.
        frames: camera -> number of poses.

    Raises:
        DreamkitError: the name cannot be part of a file name, or an input is missing.
    """
    from dreamkit.workspace.file_names import check_name
    from dreamkit.workspace.workspace import Chunk, Workspace

    check_name(clip, "clip")
    workspace = Workspace(out)
    hashes: dict[Path, str] = {}
    videos = []
    for condition in choose_conditions(root, clip, options):
        inputs = [path for path in _inputs(root, clip, options, condition) if path.is_file()]
        for path in inputs:
            hashes[path] = hashes.get(path) or fingerprint(path)
        common: dict[str, Any] = {
            "fps": options.fps,
            "size": list(options.size),
            "drawn": list(options.drawn),
            "crf": options.crf,
            "novel_pose": options.novel_pose,
            "inputs": {_recorded_path(path, root): hashes[path] for path in inputs},
        }
        if condition == "hdmap":
            common["rules"] = {**asdict(options.rules), "layers": list(options.rules.layers)}
            common |= types_record(options.types)
        for camera, count in frames.items():
            chunks = chunk_frames(count, options.chunk_frames, options.overlap, options.max_chunks)
            for index, numbers in enumerate(chunks):
                path = workspace.condition_in(condition, f"{options.folder_prefix}_{camera}", Chunk(clip, index))
                record = {
                    "stage": "render",
                    "condition": condition,
                    "clip": clip,
                    "chunk": index,
                    "camera": camera,
                    "model": options.model,
                    "first_frame": numbers.start,
                    "frames": len(numbers),
                    **common,
                }
                if options.rig:
                    view = options.rig.views[camera.removeprefix(VIEW_PREFIX)]
                    record |= {"model": view.as_model or view.model, "rig": view.record()}
                videos.append(PlannedVideo(condition, clip, camera, index, numbers, path, record))
    shortest = min(frames.values())
    if shortest < options.chunk_frames:
        log.warning(
            "clip %s has %d frames, fewer than a chunk of %d: it becomes one short video, too short for a model of "
            "that many frames",
            clip,
            shortest,
            options.chunk_frames,
        )
    return videos


def _inputs(root: Path, clip: str, options: Options, condition: str) -> Sequence[Path]:
    """The tars that a condition is drawn from; they need not exist."""
    layers = [f"3d_{layer}" for layer in LAYERS if layer in options.rules.layers]
    models = dict.fromkeys(view.model for view in options.rig.views.values()) if options.rig else [options.model]
    folders = [
        options.pose_folder,
        *(f"{model}_intrinsic" for model in models),
        OBJECT_FOLDER,
        *(layers if condition == "hdmap" else [LIDAR_FOLDER]),
    ]
    if options.rig and any(view.mount for view in options.rig.views.values()):
        folders.append(VEHICLE_FOLDER)
    return [layer_path(root, clip, folder) for folder in folders]


def _recorded_path(path: Path, root: Path) -> str:
    """A path as the sidecar has it: relative to the RDS-HQ folder if it lies inside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def is_done(video: PlannedVideo, overwrite: bool = False) -> bool:
    """Whether a video need not be rendered.

    It has a sidecar with the same inputs and options; or none, so it is the user's own, kept unless `overwrite`.
    """
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
    return all(found.get(key) == video.record.get(key) for key in (*video.record, "object_types"))
