"""Read the cameras, poses, map and boxes of a clip, and draw HDMap pictures in this process or in several."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds import hdmap
from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.labels import OBJECT_FOLDER, Shapes, layer_path, read_map, read_objects
from dreamkit.rds.objects import OTHERS, Boxes, every_frame, hold_static, no_boxes, unknown_types
from dreamkit.rds.plan import Options, choose_cameras, chosen_poses
from dreamkit.rds.resize import resizer
from dreamkit.rds.shared_memory import attached_pictures, shared_pictures
from dreamkit.workspace.processes import end_with_parent

log = logging.getLogger(__name__)

# Frames that one task draws, a few tenths of a second of work.
_TASK_FRAMES = 8
# One thread for each library; and Python's path without the working folder, where a file may have a module's name.
_WORKER_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONSAFEPATH")


@dataclass(frozen=True)
class LoadedClip:
    """The cameras, poses, map and boxes of a clip; LiDAR sweeps are read by `lidar_labels.read_lidar`.

    Attributes:
        cameras: the cameras to render by name, scaled to the drawn size.
        poses: camera-to-world by the same names, float64 [T, 4, 4].
        layers: the map layers by name, as the labels have them; empty when only LiDAR is rendered.
        scene: map and boxes prepared for drawing; None when only LiDAR is rendered.
        boxes: boxes of every frame.
    """

    cameras: dict[str, CameraModel]
    poses: dict[str, np.ndarray]
    layers: dict[str, Shapes]
    scene: hdmap.MapScene | None
    boxes: Boxes


def read_boxes(root: Path, clip: str, frame_count: int, types: Mapping[str, str] | None = None) -> Boxes:
    """Boxes of a clip in each of its frames; none, with a warning, when the tar of the objects is missing.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        frame_count: frames of the clip.
        types: own object types and the class of their boxes; no warning is logged for these.
    """
    path = layer_path(root, clip, OBJECT_FOLDER)
    if not path.is_file():
        log.warning("%s is missing: no boxes are drawn", path)
        return no_boxes()
    objects = read_objects(root, clip)
    known = {kind: name or OTHERS for kind, name in (types or {}).items()}
    for kind, count in unknown_types(objects).items():
        if kind in known:
            continue
        log.warning("%s: %d labels of the unknown type %r are drawn in white, like all other types", path, count, kind)
    objects = replace(objects, kind=tuple(known.get(kind, kind) for kind in objects.kind))
    return every_frame(hold_static(objects), frame_count)


def read_clip(root: Path, clip: str, options: Options = Options()) -> LoadedClip:
    """Read the cameras, poses, boxes and, if HDMap is a condition, the map of a clip.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        options: cameras, camera model, pose folder, drawn size, conditions and rules.

    Raises:
        DreamkitError: the labels are missing or damaged, or a camera is unknown.
    """
    cameras = choose_cameras(root, clip, options)
    poses = chosen_poses(root, clip, list(cameras), options)
    boxes = read_boxes(root, clip, max(map(len, poses.values())), dict(options.types))
    draws_map = options.conditions is None or "hdmap" in options.conditions
    layers = read_map(root, clip, options.rules.layers) if draws_map else {}
    scene = hdmap.build_scene(layers, boxes, options.rules) if draws_map else None
    return LoadedClip(cameras, poses, layers, scene, boxes)


def draw_hdmap(
    clip: LoadedClip, camera: str, frames: Sequence[int], options: Options = Options(), pool: Executor | None = None
) -> np.ndarray:
    """HDMap pictures of one camera, uint8 [T, H, W, 3] (RGB) of `options.size`.

    Args:
        clip: read with its map.
        camera: name of the camera.
        frames: frame numbers.
        options: the size of the pictures.
        pool: processes that draw, from `draw_pool`; None draws in this process.

    Raises:
        DreamkitError: the map of the clip was not read.
    """
    with shared_hdmap(clip, camera, frames, options, pool) as pictures:
        return pictures.copy() if pool else pictures


@contextlib.contextmanager
def shared_hdmap(
    clip: LoadedClip, camera: str, frames: Sequence[int], options: Options = Options(), pool: Executor | None = None
) -> Iterator[np.ndarray]:
    """The pictures of `draw_hdmap` without a copy, valid inside the block: they lie in memory shared with the pool."""
    if clip.scene is None:
        raise DreamkitError("The map of this clip was not read.", "Read it with hdmap among the conditions.")
    width, height = options.size
    shape = (len(frames), height, width, 3)
    arguments = (clip.scene, clip.cameras[camera], clip.poses[camera], options.size)
    if pool is None:
        result = np.empty(shape, np.uint8)
        _draw_into(result, 0, frames, *arguments)
        yield result
        return
    with shared_pictures(shape) as (place, pictures):
        tasks = [
            pool.submit(_draw_task, place, shape, first, list(frames[first : first + _TASK_FRAMES]), *arguments)
            for first in range(0, len(frames), _TASK_FRAMES)
        ]
        try:
            for task in tasks:
                task.result()
            yield pictures
        finally:
            for task in tasks:
                task.cancel()
            del pictures


def _draw_task(
    place: str,
    shape: tuple[int, ...],
    first: int,
    frames: list[int],
    scene: hdmap.MapScene,
    camera: CameraModel,
    poses: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Draw frames into the shared memory at `place`, pictures [T, H, W, 3]; the first one has index `first`."""
    # One process runs on each core; threads of OpenCV would slow the others down.
    cv2.setNumThreads(1)
    with attached_pictures(place, shape) as pictures:
        _draw_into(pictures, first, frames, scene, camera, poses, size)


def _draw_into(
    pictures: np.ndarray,
    first: int,
    frames: Sequence[int],
    scene: hdmap.MapScene,
    camera: CameraModel,
    poses: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Draw frames and resize them into pictures [T, H, W, 3]; the first one has index `first`."""
    fit = resizer((camera.width, camera.height), size)
    for index, picture in enumerate(hdmap.draw_hdmap_frames(scene, camera, poses, frames), first):
        pictures[index] = fit(picture)


def spare_cores() -> int:
    """Number of CPU cores less one, which the main process has; at least 1."""
    return max(1, (os.cpu_count() or 2) - 1)


@contextlib.contextmanager
def draw_pool(workers: int | None = None, preload: Sequence[str] = ()) -> Iterator[Executor]:
    """A pool of processes that draw, without threads or a GPU context of this process; each uses one thread.

    Args:
        workers: number of processes; one less than the cores when None.
        preload: names of modules that are slow to import; one process imports them and the others are forked from it.
    """
    workers = workers or spare_cores()
    context = get_context("forkserver" if preload and "forkserver" in get_all_start_methods() else "spawn")
    if preload:
        context.set_forkserver_preload(list(preload))
    # The workers end with this process, however it ends: with many frames drawn they hold much memory.
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)
    before = {name: os.environ.get(name) for name in _WORKER_VARIABLES}
    try:
        # BLAS reads these variables when a process starts, so all processes are started here: each takes one task, as
        # the short sleep keeps a process from finishing before the next one has started.
        os.environ.update(dict.fromkeys(_WORKER_VARIABLES, "1"))
        for task in [pool.submit(time.sleep, 0.05) for _ in range(workers)]:
            task.result()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
