"""Camera poses in between, for a clip whose poses are written several times each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.check_time import STANDING
from dreamkit.rds.labels import VEHICLE_FOLDER
from dreamkit.rds.poses import interpolate
from dreamkit.rds.rig import read_camera_poses
from dreamkit.rds.writer import write_camera_poses


def even_track(poses: np.ndarray) -> np.ndarray:
    """Poses float64 [T, 4, 4] with the repetitions of each pose replaced by poses on the way to the next one.

    The first of several equal poses counts as the right one. Poses that repeat over more than STANDING frames, when the
    vehicle stands, stay; after the last pose the motion goes on as before it.
    """
    starts = np.concatenate([[0], np.flatnonzero((np.diff(poses, axis=0) != 0).any((1, 2))) + 1])
    result = poses.copy()
    for index, start in enumerate(starts):
        last = index + 1 == len(starts)
        end = len(poses) if last else int(starts[index + 1])
        if end - start < 2 or end - start > STANDING or (last and index == 0):
            continue
        if last:
            before = int(starts[index - 1])
            first, second, length = poses[before], poses[start], start - before
            t = 1 + np.arange(1, end - start) / length
        else:
            first, second, length = poses[start], poses[end], end - start
            t = np.arange(1, length) / length
        firsts, seconds = (np.repeat(pose[None], len(t), 0) for pose in (first, second))
        result[start + 1 : end] = interpolate(firsts, seconds, t)
    return result


def write_even_poses(root: Path, clip: str, folder: str, poses: str = "pose") -> Path:
    """Write the camera poses of a clip, with poses in between, as another pose folder.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        folder: the new pose folder, for `Options(novel_pose=...)` or `dreamkit render --novel-pose`.
        poses: the pose folder that is read.

    Returns:
        Path of the new pose folder.

    Raises:
        DreamkitError: poses are missing or damaged; or `folder` is the one that is read, or that of the vehicle.
    """
    if folder in ("pose", VEHICLE_FOLDER, poses):
        raise DreamkitError(f"{folder!r} holds the recorded drive.", "Give a folder of its own, for example pose_even.")
    tracks = read_camera_poses(root, clip, folder=poses)
    write_camera_poses(root, clip, {name: even_track(track) for name, track in tracks.items()}, folder)
    return Path(root) / folder
