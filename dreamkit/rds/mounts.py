"""Where cameras sit on the vehicle: place, heading, pitch and roll, and the nominal places of the six views.

Vehicle axes: x forward, y left, z up, origin on the ground. Camera axes are OpenCV's: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Camera -> position in the vehicle (metres), heading to the left and pitch up (degrees); close to those of a published
# clip: wide front camera behind the windscreen, two cross cameras at the sides, three cameras facing backwards.
NOMINAL_POSES = {
    "front_wide_120fov": ((1.8, 0.0, 1.35), 0.0, 0.0),
    "cross_left_120fov": ((1.0, 1.0, 0.95), 63.0, 0.5),
    "cross_right_120fov": ((1.0, -1.0, 0.95), -64.0, 0.5),
    "rear_tele_30fov": ((-1.5, 0.0, 1.4), 180.0, 0.0),
    "rear_left_70fov": ((1.5, 1.0, 1.0), 153.0, -1.0),
    "rear_right_70fov": ((1.5, -1.0, 1.0), -155.0, 0.0),
}


@dataclass(frozen=True)
class Mount:
    """Place and direction of a camera on the vehicle.

    Attributes:
        place: x forward, y left, z up, metres.
        heading: degrees to the left of straight ahead.
        pitch: degrees up.
        roll: degrees clockwise, seen from behind the camera.
    """

    place: tuple[float, float, float]
    heading: float
    pitch: float = 0.0
    roll: float = 0.0

    @property
    def pose(self) -> np.ndarray:
        """Camera-to-vehicle pose, float64 [4, 4]."""
        return camera_pose(np.array(self.place), *np.deg2rad([self.heading, self.pitch, self.roll]))


def nominal_mount(view: str) -> Mount:
    """The nominal mount of one of the six views."""
    place, heading, pitch = NOMINAL_POSES[view]
    return Mount(place, heading, pitch)


def mount_of(poses: np.ndarray) -> Mount:
    """The mount of a camera, from the median over frames.

    Args:
        poses: camera-to-vehicle, float64 [T, 4, 4].
    """
    right, forward = np.median(poses[:, :3, 0], 0), np.median(poses[:, :3, 2], 0)
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    heading, pitch = np.arctan2(forward[1], forward[0]), np.arcsin(np.clip(forward[2], -1, 1))
    level = np.array([np.sin(heading), -np.cos(heading), 0.0])
    roll = np.arctan2(right @ np.cross(forward, level), right @ level)
    x, y, z = np.median(poses[:, :3, 3], 0).tolist()
    return Mount((x, y, z), *(float(np.degrees(angle)) for angle in (heading, pitch, roll)))


def camera_pose(place: np.ndarray, heading: float, pitch: float, roll: float) -> np.ndarray:
    """Camera-to-vehicle pose [4, 4] from radians: heading to the left, pitch up, roll clockwise seen from behind."""
    forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    down = np.cross(forward, right)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * right + np.sin(roll) * down
    pose[:3, 1] = np.cos(roll) * down - np.sin(roll) * right
    pose[:3, 2] = forward
    pose[:3, 3] = place
    return pose
