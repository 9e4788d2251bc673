"""Novel ego trajectories: the recorded path shifted, bent into a lane change, or driven at another speed.

The cameras keep their place on the vehicle; objects and map stay as labelled. The new camera poses are written as
another pose folder of the clip, and rendered with `dreamkit render INPUT --novel-pose FOLDER`:

    write_novel_poses(Path("rds_hq"), clip, Manoeuvre(lane_change=3.5, change_from=30), folder="lane_change")
    render_clips(Path("rds_hq"), Path("outputs"), Options(clips=(clip,), novel_pose="lane_change"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.labels import VEHICLE_FOLDER
from dreamkit.rds.poses import resample
from dreamkit.rds.rig import read_camera_poses, read_vehicle_poses
from dreamkit.rds.writer import write_camera_poses


@dataclass(frozen=True)
class Manoeuvre:
    """A change of the recorded drive.

    Attributes:
        shift: metres to the left over the whole drive; negative is to the right.
        lane_change: metres to the left of a lane change; negative is to the right.
        change_from: frame of the new drive in which the lane change starts.
        change_frames: number of 30 Hz frames that the lane change takes.
        speed: factor of the recorded speed, 0.05 to 20; a speed of 2 halves the number of frames.
        rotate: degrees by which the vehicle is turned to the left about its origin, over the whole drive.
        brake_to: factor of `speed` after braking (or accelerating), 0 to 20; 0 stops.
        brake_from: frame of the new drive in which the braking starts.
        brake_frames: number of 30 Hz frames that it takes.

    Raises:
        DreamkitError: a value is out of range; shifts are at most 50 m, turns 180 degrees.
    """

    shift: float = 0.0
    lane_change: float = 0.0
    change_from: int = 0
    change_frames: int = 90
    speed: float = 1.0
    rotate: float = 0.0
    brake_to: float = 1.0
    brake_from: int = 0
    brake_frames: int = 60

    def __post_init__(self) -> None:
        if not 0.05 <= self.speed <= 20:
            raise DreamkitError(
                f"A drive cannot be {self.speed} times as fast as recorded.", "Give a speed from 0.05 to 20."
            )
        if self.change_frames < 1 or self.change_from < 0:
            raise DreamkitError(
                f"A lane change cannot start at frame {self.change_from} and take {self.change_frames} frames.",
                "It starts at frame 0 or later and takes at least one frame.",
            )
        if not (abs(self.shift) <= 50 and abs(self.lane_change) <= 50):
            raise DreamkitError(
                f"A drive cannot be shifted by {self.shift} m with a lane change of {self.lane_change} m.",
                "Give metres from -50 to 50 for each.",
            )
        if not abs(self.rotate) <= 180:
            raise DreamkitError(f"A drive cannot be turned by {self.rotate} degrees.", "Give -180 to 180 degrees.")
        if not 0 <= self.brake_to <= 20 or self.brake_frames < 1 or self.brake_from < 0:
            raise DreamkitError(
                f"A drive cannot brake to {self.brake_to} times its speed from frame {self.brake_from} on in "
                f"{self.brake_frames} frames.",
                "The factor lies between 0 and 20; braking starts at frame 0 or later and takes at least one frame.",
            )


def recorded_frames(manoeuvre: Manoeuvre, frames: int) -> np.ndarray:
    """The recorded frame, with a fraction, at whose place the vehicle is in each frame of the new drive, float64 [T'].

    Args:
        manoeuvre: the change of the drive.
        frames: number of recorded frames T; the new drive has at most as many, and ends where the recorded one does.
    """
    if manoeuvre.brake_to == 1:
        count = min(frames, int((frames - 1) / manoeuvre.speed + 1e-9) + 1)
        return np.arange(count) * manoeuvre.speed
    t = np.clip((np.arange(frames - 1) + 0.5 - manoeuvre.brake_from) / manoeuvre.brake_frames, 0, 1)
    # The cubic polynomial whose derivative is zero at both ends: the deceleration sets in and ends softly.
    factor = 1 + (manoeuvre.brake_to - 1) * t * t * (3 - 2 * t)
    at = np.concatenate([[0.0], np.cumsum(manoeuvre.speed * factor)])
    return at[at <= frames - 1 + 1e-9]


def offsets(manoeuvre: Manoeuvre, frames: int) -> np.ndarray:
    """Metres to the left of the recorded path in each frame of the new drive, float64 [frames]."""
    t = np.clip((np.arange(frames) - manoeuvre.change_from) / manoeuvre.change_frames, 0, 1)
    # The quintic polynomial whose first and second derivatives are zero at both ends.
    return manoeuvre.shift + manoeuvre.lane_change * t**3 * (10 - 15 * t + 6 * t * t)


def offset_path(vehicle: np.ndarray, metres: np.ndarray) -> np.ndarray:
    """Vehicle poses moved to their left and turned along the new path, float64 [T, 4, 4].

    Args:
        vehicle: vehicle-to-world, float64 [T, 4, 4], x forward, y left, z up.
        metres: distance to the left in each frame, float64 [T].
    """
    result = vehicle.copy()
    left = vehicle[:, :3, 1]
    result[:, :3, 3] += metres[:, None] * left
    if len(vehicle) > 1:
        forward = np.gradient(vehicle[:, :3, 3], axis=0)
        along = (forward * vehicle[:, :3, 0]).sum(1)
        sideways = np.gradient(metres)
        # Without forward motion the heading is kept.
        turn = np.where(along > 1e-3, np.arctan2(sideways, np.maximum(along, 1e-3)), 0.0)
        yaw = np.tile(np.eye(3), (len(vehicle), 1, 1))
        yaw[:, 0, 0] = yaw[:, 1, 1] = np.cos(turn)
        yaw[:, 1, 0], yaw[:, 0, 1] = np.sin(turn), -np.sin(turn)
        result[:, :3, :3] = vehicle[:, :3, :3] @ yaw
    return result


def change_drive(
    vehicle: np.ndarray, cameras: Mapping[str, np.ndarray], manoeuvre: Manoeuvre
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Poses of the vehicle and of the cameras on the changed drive.

    Args:
        vehicle: vehicle-to-world, float64 [T, 4, 4], x forward, y left, z up.
        cameras: camera-to-world by camera, float64 [T, 4, 4] each.
        manoeuvre: the change.

    Returns:
        The same with T' frames: (T - 1) / speed + 1, rounded down, where the speed does not change, and at most T,
        because the objects have no labels beyond.

    Raises:
        DreamkitError: a camera has another number of frames than the vehicle.
    """
    for name, track in cameras.items():
        if len(track) != len(vehicle):
            raise DreamkitError(
                f"{name} has {len(track)} poses and the vehicle {len(vehicle)}; they must agree.",
                "Write poses of the vehicle and of each camera for every frame.",
            )
    at = recorded_frames(manoeuvre, len(vehicle))
    recorded = resample(vehicle, at)
    changed = offset_path(recorded, offsets(manoeuvre, len(at)))
    if manoeuvre.rotate:
        turn, angle = np.eye(4), np.deg2rad(manoeuvre.rotate)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        changed = changed @ turn
    motion = changed @ np.linalg.inv(recorded)
    return changed, {name: motion @ resample(track, at) for name, track in cameras.items()}


def write_novel_poses(root: Path, clip: str, manoeuvre: Manoeuvre, folder: str = "novel_pose") -> Path:
    """Write the camera poses of a changed drive as another pose folder of the clip.

        write_novel_poses(Path("rds_hq"), "clip_a", Manoeuvre(shift=-1.5), folder="shifted")

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip; it needs `vehicle_pose` and `pose`.
        manoeuvre: the change of the drive.
        folder: the new pose folder, for `Options(novel_pose=...)` or `dreamkit render --novel-pose`.

    Returns:
        Path of the new pose folder.

    Raises:
        DreamkitError: poses are missing, damaged or of different lengths; or `folder` is that of the recorded poses.
    """
    if folder in ("pose", VEHICLE_FOLDER):
        raise DreamkitError(
            f"{folder!r} holds the recorded drive.",
            "Give the novel drive a folder of its own, for example lane_change.",
        )
    vehicle, cameras = read_vehicle_poses(root, clip), read_camera_poses(root, clip)
    write_camera_poses(root, clip, change_drive(vehicle, cameras, manoeuvre)[1], folder)
    return Path(root) / folder
