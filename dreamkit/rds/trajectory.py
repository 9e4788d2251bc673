"""Novel ego trajectories: the recorded path shifted, bent into a lane change, or driven at another speed.

The cameras keep their place on the vehicle; objects and map stay as labelled. Written as another pose folder, the
result is rendered with `dreamkit render INPUT --novel-pose FOLDER`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.poses import resample
from dreamkit.rds.rig import read_camera_poses, read_vehicle_poses
from dreamkit.rds.writer import write_camera_poses


@dataclass(frozen=True)
class Manoeuvre:
    """What to change about a drive.

    shift: metres to the left, the whole way (negative: to the right);
    lane_change: metres to the left, reached smoothly between two frames of the new drive;
    change_from: the frame in which the lane change starts; change_frames: how many 30 Hz frames it takes;
    speed: 1 as recorded, 0.5 half as fast, 2 twice as fast (and so over in half the frames).
    """

    shift: float = 0.0
    lane_change: float = 0.0
    change_from: int = 0
    change_frames: int = 90
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not 0.05 <= self.speed <= 20:
            raise DreamkitError(f"a speed of {self.speed} times the recorded one; expected 0.05 to 20")
        if self.change_frames < 1 or self.change_from < 0:
            raise DreamkitError(
                f"a lane change from frame {self.change_from} over {self.change_frames} frames cannot be",
                "It starts at frame 0 or later and takes at least one frame.",
            )
        if not (abs(self.shift) <= 50 and abs(self.lane_change) <= 50):
            raise DreamkitError(f"a shift of {self.shift} m or {self.lane_change} m; expected metres within -50 to 50")


def offsets(manoeuvre: Manoeuvre, frames: int) -> np.ndarray:
    """Metres to the left of the recorded path in each frame, float64 [frames]."""
    t = np.clip((np.arange(frames) - manoeuvre.change_from) / manoeuvre.change_frames, 0, 1)
    # The quintic with no speed and no acceleration at both ends.
    return manoeuvre.shift + manoeuvre.lane_change * t**3 * (10 - 15 * t + 6 * t * t)


def offset_path(vehicle: np.ndarray, metres: np.ndarray) -> np.ndarray:
    """Vehicle poses [T, 4, 4] moved to their left by metres [T], and turned along the new path."""
    result = vehicle.copy()
    left = vehicle[:, :3, 1]
    result[:, :3, 3] += metres[:, None] * left
    if len(vehicle) > 1:
        forward = np.gradient(vehicle[:, :3, 3], axis=0)
        along = (forward * vehicle[:, :3, 0]).sum(1)
        sideways = np.gradient(metres)
        # A vehicle that stands keeps its heading; so does one that would have to drive sideways.
        turn = np.where(along > 1e-3, np.arctan2(sideways, np.maximum(along, 1e-3)), 0.0)
        yaw = np.tile(np.eye(3), (len(vehicle), 1, 1))
        yaw[:, 0, 0] = yaw[:, 1, 1] = np.cos(turn)
        yaw[:, 1, 0], yaw[:, 0, 1] = np.sin(turn), -np.sin(turn)
        result[:, :3, :3] = vehicle[:, :3, :3] @ yaw
    return result


def drive(
    vehicle: np.ndarray, cameras: Mapping[str, np.ndarray], manoeuvre: Manoeuvre
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The vehicle's and the cameras' poses of the changed drive.

    Args:
        vehicle: vehicle-to-world, float64 [T, 4, 4], x forward, y left, z up.
        cameras: camera-to-world by camera, float64 [T, 4, 4] each.
        manoeuvre: what to change.

    Returns:
        The same with T' frames, where T' = (T - 1) / speed + 1, rounded down; a slower drive has more frames than the
        labels of the objects cover, so it is cut to T.

    Raises:
        DreamkitError: a camera with another number of frames than the vehicle.
    """
    for name, track in cameras.items():
        if len(track) != len(vehicle):
            raise DreamkitError(f"{name} has {len(track)} poses and the vehicle {len(vehicle)}; they must agree")
    frames = min(len(vehicle), int((len(vehicle) - 1) / manoeuvre.speed + 1e-9) + 1)
    at = np.arange(frames) * manoeuvre.speed
    recorded = resample(vehicle, at)
    changed = offset_path(recorded, offsets(manoeuvre, frames))
    carry = changed @ np.linalg.inv(recorded)
    return changed, {name: carry @ resample(track, at) for name, track in cameras.items()}


def write_novel_poses(root: Path, clip: str, manoeuvre: Manoeuvre, folder: str = "novel_pose") -> Path:
    """Read a clip's poses, change the drive, and write the cameras' new poses as another pose folder of the clip.

    Raises:
        DreamkitError: no vehicle poses, or poses that do not fit each other; `folder` holds the recorded poses.
    """
    if folder in ("pose", "vehicle_pose"):
        raise DreamkitError(
            f"{folder!r} holds the recorded drive", "Give the novel one a folder of its own, e.g. lane_change."
        )
    vehicle, cameras = read_vehicle_poses(root, clip), read_camera_poses(root, clip)
    write_camera_poses(root, clip, drive(vehicle, cameras, manoeuvre)[1], folder)
    return Path(root) / folder
