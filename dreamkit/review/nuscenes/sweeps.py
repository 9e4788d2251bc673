"""LiDAR sweeps of the labels as LIDAR_TOP at key frames; the devkit draws samples and boxes from above with them.

The points are the recorded ones: they show the recorded drive, and nothing that the generated pictures add to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamkit.rds.labels import LIDAR_FOLDER, layer_path
from dreamkit.rds.lidar_labels import LidarFrame, read_lidar
from dreamkit.rds.rig import read_vehicle_poses
from dreamkit.review.labelled import LabelledVideo
from dreamkit.review.nuscenes.records import Records, token_of, wxyz, xyz

CHANNEL = "LIDAR_TOP"
NEAREST = 1
"""Frames of the labels between a key frame and its sweep at most; sweeps are three frames apart."""


@dataclass(frozen=True)
class KeySweep:
    """The sweep of a key frame.

    Attributes:
        frame: the sweep's frame of the clip.
        sweep: its points and pose.
        place: its file in the data set.
    """

    frame: int
    sweep: LidarFrame
    place: str

    @property
    def world(self) -> np.ndarray:
        """The points in world metres, float64 [N, 3]."""
        return self.sweep.xyz @ self.sweep.to_world[:3, :3].T + self.sweep.to_world[:3, 3]


def key_sweeps(labelled: LabelledVideo, keys: list[int]) -> dict[int, KeySweep]:
    """Key frame of the video -> its sweep; none where the clip has no LiDAR or no vehicle poses, or the drive is novel.

    Args:
        labelled: the result with its labels.
        keys: the key frames.

    Raises:
        DreamkitError: a sweep is damaged.
    """
    clip = labelled.video.chunk.clip
    novel = any(view.options.novel_pose for view in labelled.views.values())
    if novel or not labelled.has_vehicle or not layer_path(labelled.root, clip, LIDAR_FOLDER).is_file():
        return {}
    lidar = read_lidar(labelled.root, clip)
    frames, found = np.array(lidar.frames), {}
    for key in keys:
        nearest = int(frames[np.abs(frames - labelled.first - key).argmin()])
        if abs(nearest - labelled.first - key) <= NEAREST:
            name = f"{labelled.video.key.replace('/', '__')}__{CHANNEL}__{key:06d}.pcd.bin"
            found[key] = KeySweep(nearest, lidar.load(nearest), f"samples/{CHANNEL}/{name}")
    return found


def add_sweeps(
    records: Records,
    labelled: LabelledVideo,
    sweeps: Mapping[int, KeySweep],
    samples: Mapping[int, str],
    times: list[int],
    offset: np.ndarray,
) -> None:
    """Add the sensor, its calibration, and a file and a pose for each sweep.

    Args:
        records: the tables.
        labelled: the result with its labels.
        sweeps: from `key_sweeps`.
        samples: key frame -> token of its sample.
        times: time stamp of each frame of the video, microseconds.
        offset: added to world coordinates, metres [3].
    """
    if not sweeps:
        return
    key = labelled.video.key
    vehicle = read_vehicle_poses(labelled.root, labelled.video.chunk.clip)
    first = next(iter(sweeps.values()))
    mount = np.linalg.inv(vehicle[min(first.frame, len(vehicle) - 1)]) @ first.sweep.to_world
    records.add("sensor", token_of("sensor", CHANNEL), channel=CHANNEL, modality="lidar")
    calibration = records.add(
        "calibrated_sensor",
        token_of("calibration", key, CHANNEL),
        sensor_token=token_of("sensor", CHANNEL),
        translation=xyz(mount),
        rotation=wxyz(mount),
        camera_intrinsic=[],
    )
    to_vehicle, tokens = np.linalg.inv(mount), []
    for frame, found in sweeps.items():
        ego = found.sweep.to_world @ to_vehicle
        ego[:3, 3] += offset
        token = token_of("sweep", key, frame)
        records.add("ego_pose", token, timestamp=times[frame], rotation=wxyz(ego), translation=xyz(ego))
        records.add(
            "sample_data",
            token,
            sample_token=samples[frame],
            ego_pose_token=token,
            calibrated_sensor_token=calibration,
            timestamp=times[frame],
            fileformat="pcd",
            is_key_frame=True,
            height=0,
            width=0,
            filename=found.place,
            prev="",
            next="",
            label_frame=found.frame,
        )
        tokens.append(token)
    records.link("sample_data", tokens)


def write_sweep(root: Path, found: KeySweep) -> None:
    """Write a sweep as nuScenes does: float32 x, y, z, intensity, ring; intensity and ring are 0 where unknown."""
    points = np.zeros((len(found.sweep.xyz), 5), np.float32)
    points[:, :3] = found.sweep.xyz
    if found.sweep.intensity is not None and len(found.sweep.intensity) == len(points):
        points[:, 3] = found.sweep.intensity
    path = root / found.place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(points.tobytes())


def points_inside(points: np.ndarray, pose: np.ndarray, size: np.ndarray) -> int:
    """Number of world points [N, 3] in a box of this pose [4, 4] and length, width, height."""
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    return int((np.abs(local) <= np.asarray(size) / 2).all(1).sum())
