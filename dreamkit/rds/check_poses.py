"""Checks of `dreamkit check` on poses and cameras: rotations, jumps, viewing directions, intrinsics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.labels import CAMERA_HZ
from dreamkit.rds.plan import CHUNK_FRAMES

# Heading of each camera by a part of its name, degrees to the left of straight ahead, and the tolerance.
HEADINGS = {
    "front_wide": 0,
    "front_tele": 0,
    "cross_left": 60,
    "cross_right": -60,
    "rear_left": 150,
    "rear_right": -150,
    "rear_tele": 180,
}
_HEADING_TOLERANCE = 50
MAX_SPEED = 80.0
"""Metres per second above which a vehicle counts as jumping."""
LONGEST_STEP = MAX_SPEED / CAMERA_HZ
"""Metres of a step from frame to frame above which it is a jump."""
_FAST = 50.0  # metres per second, 180 km/h
_MAX_TURN = 270.0  # degrees per second
_LOOSE = 3.0
"""Metres that a camera may move on its vehicle; clocks and rounding account for less than one."""
_NARROWEST, _WIDEST = 10, 300  # degrees
_OFF_CENTRE = 0.2
"""Parts of the picture's width and height by which its optical centre may be off the middle, one of both."""
MILLIMETRES = "lengths in millimetres (or centimetres); the format wants metres"


def count_findings(tracks: Mapping[str, np.ndarray]) -> Iterator[LabelFinding]:
    """Different numbers of frames, and fewer frames than a chunk has.

    Args:
        tracks: poses float64 [T, 4, 4] by camera, and those of the vehicle.
    """
    counts = {name: len(track) for name, track in tracks.items()}
    fewest = min(counts.values())
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: item[1]))
        cause = "a camera that started late or lost frames"
        yield LabelFinding(ERROR, "pose", f"frame counts disagree: {listed}", cause)
    if fewest < CHUNK_FRAMES:
        what = f"{fewest} frames are fewer than a chunk of {CHUNK_FRAMES}"
        yield LabelFinding(WARNING, "pose", what, f"a short recording, or poses at 10 Hz instead of {CAMERA_HZ}")


def pose_findings(name: str, poses: np.ndarray, repeated: float = 1) -> Iterator[LabelFinding]:
    """Matrices that are no rigid poses, and jumps from one frame to the next.

    Args:
        name: of the camera, or "vehicle".
        poses: camera-to-world or vehicle-to-world, float64 [T, 4, 4].
        repeated: frames for each different pose, by which a step may be longer.
    """
    last = np.abs(poses[:, 3] - [0, 0, 0, 1]).max(1)
    if last.max() > 1e-6:
        frame = int((last > 1e-6).argmax())
        what = f"the last row of the matrix of {name} is {np.round(poses[frame, 3], 3).tolist()}, not 0 0 0 1"
        yield LabelFinding(ERROR, "pose", what, "a transposed matrix", frame)
        return
    rotation = poses[:, :3, :3]
    off = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max((1, 2))
    mirrored = np.linalg.det(rotation) < 0
    if off.max() > 0.01:
        what = f"the matrix of {name} is off a rotation: R R^T differs from 1 by {off.max():.2g}"
        cause = "a scale in the matrix, or rows and columns mixed up"
        yield LabelFinding(ERROR, "pose", what, cause, int(off.argmax()))
    elif mirrored.any():
        what = f"the rotation of {name} mirrors"
        yield LabelFinding(ERROR, "pose", what, "a left-handed coordinate system", int(mirrored.argmax()))
    step = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    speed = float(np.mean(step)) * CAMERA_HZ if len(step) else 0.0
    if len(step) and np.median(step) * CAMERA_HZ > 1000:
        yield LabelFinding(ERROR, "pose", f"{name} drives {np.median(step) * CAMERA_HZ:.0f} m/s", MILLIMETRES, 0)
        return
    far = np.flatnonzero(step > LONGEST_STEP * repeated)
    if len(far):
        what = f"{name} jumps {step[far[0]]:.1f} m from one frame to the next ({len(far)} jumps)"
        cause = "lost frames, two drives in one file, or another frame rate"
        if len(far) == 2 and far[1] == far[0] + 1:
            cause = "a single pose that was not set, such as an identity matrix, or is that of another frame"
        yield LabelFinding(ERROR, "pose", what, cause, int(far[0]) + 1)
    elif speed > _FAST:
        what = f"{name} drives {speed:.0f} m/s ({speed * 3.6:.0f} km/h) on average"
        yield LabelFinding(WARNING, "pose", what, f"poses at a lower rate than {CAMERA_HZ} Hz, numbered 0, 1, 2, ...")
    cosine = (np.trace(rotation[:-1].swapaxes(1, 2) @ rotation[1:], axis1=1, axis2=2) - 1) / 2
    turn = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    sharp = np.flatnonzero(turn > _MAX_TURN * repeated / CAMERA_HZ)
    if len(sharp):
        what = f"{name} turns {turn[sharp[0]]:.0f} degrees from one frame to the next"
        yield LabelFinding(ERROR, "pose", what, "lost frames, or quaternions in another order", int(sharp[0]) + 1)


def camera_findings(cameras: Mapping[str, np.ndarray], vehicle: np.ndarray | None) -> Iterator[LabelFinding]:
    """Cameras whose heading does not fit their name, that are rolled or pitched too far, or far from the vehicle.

    Args:
        cameras: camera-to-world poses float64 [T, 4, 4] by camera.
        vehicle: vehicle-to-world poses float64 [T, 4, 4], or None.
    """
    reference = vehicle if vehicle is not None else poses_along_motion(next(iter(cameras.values())))
    if reference is None:
        return
    for name, track in cameras.items():
        count = min(len(track), len(reference))
        local = np.linalg.inv(reference[:count]) @ track[:count]
        forward = np.median(local[:, :3, 2], 0)
        if not _is_upright(local):
            what = f"{name} looks up or down, or lies on its side"
            yield LabelFinding(ERROR, "pose", what, _upright_after(cameras, reference), 0)
            continue
        nominal = next((angle for part, angle in HEADINGS.items() if part in name), None)
        heading = np.degrees(np.arctan2(forward[1], forward[0]))
        if nominal is not None and abs((heading - nominal + 180) % 360 - 180) > _HEADING_TOLERANCE:
            what = (
                f"{name} looks {heading:.0f} degrees to the left of straight ahead; a camera of that name looks "
                f"{nominal} degrees"
            )
            cause = "left and right swapped, or cameras renamed"
            if vehicle is not None and _drives_sideways(vehicle):
                cause = "the vehicle does not drive along its x axis; the format has x forward, y left, z up"
            yield LabelFinding(ERROR, "pose", what, cause, 0)
        distance = np.linalg.norm(np.median(local[:, :3, 3], 0))
        if vehicle is not None and distance > 50:
            what = f"{name} is {distance:.0f} m away from the vehicle"
            yield LabelFinding(ERROR, "pose", what, f"{MILLIMETRES}; or poses in different world frames", 0)
            continue
        moved = np.linalg.norm(local[:, :3, 3] - np.median(local[:, :3, 3], 0), axis=1)
        if vehicle is not None and moved.max() > _LOOSE:
            what = f"{name} moves {moved.max():.1f} m on the vehicle"
            cause = "world-to-camera matrices instead of camera-to-world, or poses of another time than the vehicle's"
            yield LabelFinding(ERROR, "pose", what, cause, int(moved.argmax()))


def _upright_after(cameras: Mapping[str, np.ndarray], reference: np.ndarray) -> str:
    """The likely cause of cameras that lie on their side: what brings all of them upright."""
    mirror, upside_down = np.diag([1.0, -1, 1, 1]), np.diag([1.0, -1, -1, 1])
    changes = {
        "places of cameras on the vehicle were inverted: vehicle-to-camera instead of camera-to-vehicle": np.linalg.inv,
        "the vehicle's axes are x forward, y right, z down; the format has y left and z up": lambda local: (
            upside_down @ local
        ),
        "a left-handed coordinate system, with its y axis turned round in matrices": lambda local: (
            mirror @ local @ mirror
        ),
    }
    places = {name: np.linalg.inv(reference[: len(track)]) @ track[: len(reference)] for name, track in cameras.items()}
    for cause, change in changes.items():
        if all(_is_mounted(change(local)) for local in places.values()):
            return cause
    turned = {name: track.copy() for name, track in cameras.items()}
    for track in turned.values():
        track[:, :3, :3] = track[:, :3, :3].swapaxes(1, 2)
    if all(_is_mounted(np.linalg.inv(reference[: len(one)]) @ one[: len(reference)]) for one in turned.values()):
        return "rotations that are transposed, or world-to-camera, while positions are right"
    return "camera axes that are not OpenCV's (x right, y down, z forward), for instance the vehicle's"


def _drives_sideways(vehicle: np.ndarray) -> bool:
    """Whether most of the motion of poses [T, 4, 4] is not along their x axis, forward."""
    step = np.diff(vehicle[:, :3, 3], axis=0)
    ahead = float((step * vehicle[:-1, :3, 0]).sum())
    return float(np.linalg.norm(step, axis=1).sum()) > 1 and ahead < 0.5 * float(np.linalg.norm(step, axis=1).sum())


def _is_mounted(local: np.ndarray) -> bool:
    """Whether a camera is upright and looks the same way all the time, from poses [T, 4, 4] in the vehicle's axes."""
    return _is_upright(local) and float(np.ptp(local[:, :3, 2], axis=0).max()) < 0.2


def _is_upright(local: np.ndarray) -> bool:
    """Whether a camera looks ahead and its y axis down, from poses [T, 4, 4] in the vehicle's axes."""
    forward, down = np.median(local[:, :3, 2], 0), np.median(local[:, :3, 1], 0)
    return bool(abs(forward[2]) <= 0.7 and down[2] <= -0.5)


def poses_along_motion(track: np.ndarray) -> np.ndarray | None:
    """A camera's positions with x along the motion and z up, [T, 4, 4]; None for a camera that does not move."""
    motion = track[-1, :3, 3] - track[0, :3, 3]
    motion[2] = 0
    if np.linalg.norm(motion) < 1:
        return None
    x = motion / np.linalg.norm(motion)
    poses = np.tile(np.eye(4), (len(track), 1, 1))
    poses[:, :3, :3] = np.stack([x, np.cross([0, 0, 1.0], x), [0, 0, 1.0]], 1)
    poses[:, :3, 3] = track[:, :3, 3]
    return poses


def intrinsic_findings(cameras: Mapping[str, CameraModel]) -> Iterator[LabelFinding]:
    """Optical centres outside the picture, and fields of view far from the one in the camera's name."""
    for name, camera in cameras.items():
        if not (0 <= camera.cx <= camera.width and 0 <= camera.cy <= camera.height):
            what = (
                f"the optical centre of {name} is ({camera.cx:.0f}, {camera.cy:.0f}), outside its "
                f"{camera.width}x{camera.height} picture"
            )
            cause = "centre and size mixed up, or intrinsics of another resolution"
            yield LabelFinding(ERROR, "intrinsic", what, cause)
            continue
        across, down = abs(camera.cx / camera.width - 0.5), abs(camera.cy / camera.height - 0.5)
        if min(across, down) > _OFF_CENTRE:
            what = (
                f"the optical centre of {name} is ({camera.cx:.0f}, {camera.cy:.0f}), near a corner of its "
                f"{camera.width}x{camera.height} picture"
            )
            yield LabelFinding(WARNING, "intrinsic", what, "centre and size of two resolutions")
        ends = camera.unproject(np.array([[0, camera.cy], [camera.width, camera.cy]], np.float64))
        angle = np.degrees(np.arctan2(np.abs(ends[:, 0]), ends[:, 2])).sum()
        if not _NARROWEST < angle < _WIDEST:
            what = f"{name} sees {angle:.0f} degrees from left to right"
            yield LabelFinding(WARNING, "intrinsic", what, "numbers in another order, or of another resolution")
            continue
        stated = name.rpartition("_")[2].removesuffix("fov")
        if stated.isdigit() and name.endswith("fov") and not 0.6 < angle / int(stated) < 1.6:
            cause = "intrinsics of another camera or resolution, or a polynomial with the wrong is_backward"
            yield LabelFinding(ERROR, "intrinsic", f"{name} sees {angle:.0f} degrees", cause)
