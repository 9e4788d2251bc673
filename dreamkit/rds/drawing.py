"""A clip read for drawing, and its HDMap pictures drawn here or spread over processes in stretches of frames."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds import hdmap
from dreamkit.rds.ftheta import Camera
from dreamkit.rds.labels import layer_path, read_map, read_objects
from dreamkit.rds.objects import Boxes, every_frame, rest, unknown_types
from dreamkit.rds.plan import Options, choose_cameras
from dreamkit.rds.resize import resizer
from dreamkit.rds.rig import read_camera_poses

log = logging.getLogger(__name__)

# Frames that one task draws: some tenths of a second of work.
_STRETCH = 8
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Clip:
    """A clip read for drawing: cameras of the drawn size, poses, the HDMap scene, and the boxes of every frame."""

    cameras: dict[str, Camera]
    poses: dict[str, np.ndarray]
    scene: hdmap.Scene | None
    boxes: Boxes


def read_boxes(root: Path, clip: str, frame_count: int) -> Boxes:
    """A clip's boxes in every frame; a missing object tar gives none, with a warning."""
    path = layer_path(root, clip, "all_object_info")
    if not path.is_file():
        log.warning("%s is missing: no boxes are drawn", path)
        nothing = np.zeros(0, np.int64)
        return Boxes(nothing, (), np.zeros((0, 4, 4)), np.zeros((0, 3)), nothing.astype(bool), ())
    objects = read_objects(root, clip)
    for kind, count in unknown_types(objects).items():
        log.warning("%s: %d labels of the unknown type %r are drawn in white, like all other types", path, count, kind)
    return every_frame(rest(objects), frame_count)


def read_clip(root: Path, clip: str, options: Options = Options()) -> Clip:
    """Everything that a clip's videos are drawn from, except the LiDAR sweeps."""
    cameras = choose_cameras(root, clip, options)
    poses = read_camera_poses(root, clip, list(cameras), options.pose_folder)
    boxes = read_boxes(root, clip, max(map(len, poses.values())))
    wants_map = options.conditions is None or "hdmap" in options.conditions
    scene = hdmap.build_scene(read_map(root, clip, options.rules.layers), boxes, options.rules) if wants_map else None
    return Clip(cameras, poses, scene, boxes)


def draw_hdmap(
    clip: Clip, camera: str, frames: Sequence[int], options: Options = Options(), pool: Executor | None = None
) -> np.ndarray:
    """HDMap pictures of one camera, uint8 [T, H, W, 3] of `options.size`; drawn here, or spread over a pool."""
    with drawn_hdmap(clip, camera, frames, options, pool) as pictures:
        return pictures.copy() if pool else pictures


@contextlib.contextmanager
def drawn_hdmap(
    clip: Clip, camera: str, frames: Sequence[int], options: Options = Options(), pool: Executor | None = None
) -> Iterator[np.ndarray]:
    """As `draw_hdmap`, without a copy: the pictures lie in memory shared with the pool, and end with the block."""
    if clip.scene is None:
        raise DreamkitError("the map of this clip was not read", "Read it with hdmap among the conditions.")
    width, height = options.size
    shape = (len(frames), height, width, 3)
    arguments = (clip.scene, clip.cameras[camera], clip.poses[camera], options.size)
    if pool is None:
        result = np.empty(shape, np.uint8)
        _draw_into(result, 0, frames, *arguments)
        yield result
        return
    with _shared(shape) as (memory, pictures):
        tasks = [
            pool.submit(_draw_task, memory.name, shape, first, list(frames[first : first + _STRETCH]), *arguments)
            for first in range(0, len(frames), _STRETCH)
        ]
        try:
            for task in tasks:
                task.result()
            yield pictures
        finally:
            for task in tasks:
                task.cancel()
            del pictures


@contextlib.contextmanager
def _shared(shape: tuple[int, ...]) -> Iterator[tuple[SharedMemory, np.ndarray]]:
    memory = SharedMemory(create=True, size=int(np.prod(shape)))
    try:
        yield memory, np.ndarray(shape, np.uint8, memory.buf)
    finally:
        memory.unlink()
        with contextlib.suppress(BufferError):  # an exception's traceback may still hold the array
            memory.close()


def _draw_task(name: str, shape: tuple[int, ...], first: int, frames: list[int], scene: hdmap.Scene, camera: Camera,
               poses: np.ndarray, size: tuple[int, int]) -> None:  # fmt: skip
    # The processes are the parallelism; OpenCV's and BLAS's own threads would only fight over the cores.
    cv2.setNumThreads(1)
    memory = SharedMemory(name)
    try:
        pictures = np.ndarray(shape, np.uint8, memory.buf)
        _draw_into(pictures, first, frames, scene, camera, poses, size)
        del pictures
    finally:
        memory.close()


def _draw_into(pictures: np.ndarray, first: int, frames: Sequence[int], scene: hdmap.Scene, camera: Camera,
               poses: np.ndarray, size: tuple[int, int]) -> None:  # fmt: skip
    fit = resizer((camera.width, camera.height), size)
    for index, picture in enumerate(hdmap.draw(scene, camera, poses, frames), first):
        pictures[index] = fit(picture)


def spare_cores() -> int:
    """All cores but the one that waits for the others; at least one."""
    return max(1, (os.cpu_count() or 2) - 1)


@contextlib.contextmanager
def draw_pool(workers: int | None = None, preload: Sequence[str] = ()) -> Iterator[Executor]:
    """Processes that draw, started afresh so that they inherit neither threads nor a GPU; one core each.

    Args:
        workers: how many; all cores but one when None.
        preload: modules that are slow to import; one process imports them and the others are forked from it.
    """
    workers = workers or spare_cores()
    context = get_context("forkserver" if preload and "forkserver" in get_all_start_methods() else "spawn")
    if preload:
        context.set_forkserver_preload(list(preload))
    pool = ProcessPoolExecutor(workers, mp_context=context)
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    try:
        # The matrix library reads these when a process starts, so all processes are started here. The short sleep
        # keeps one process from taking two of the tasks and leaving another process unstarted.
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
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
