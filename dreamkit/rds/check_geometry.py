"""The single checks of `dreamkit.rds.check`: poses, cameras, map, objects, LiDAR against each other and plain sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.check_report import ERROR, WARNING, Finding
from dreamkit.rds.ftheta import Camera
from dreamkit.rds.labels import CAMERA_HZ, LABEL_HZ, Lidar, Objects, Shapes
from dreamkit.rds.objects import unknown_types

# Heading of each camera, degrees to the left of straight ahead, and how far off it may be.
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
_FASTEST = 80.0  # m/s
_SHARPEST = 90.0  # degrees a second
_MILLIMETRES = "lengths in millimetres (or centimetres); the format wants metres"


def pose_findings(clip: str, name: str, poses: np.ndarray) -> Iterator[Finding]:
    """Rotations that are none, and jumps from one frame to the next."""
    rotation = poses[:, :3, :3]
    off = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max((1, 2))
    if off.max() > 0.01:
        yield Finding(
            ERROR,
            clip,
            "pose",
            f"the rotation of {name} is off a rotation by {off.max():.2g}",
            "a scale in the matrix, or rows and columns mixed up",
            int(off.argmax()),
        )
    elif (np.linalg.det(rotation) < 0).any():
        yield Finding(
            ERROR,
            clip,
            "pose",
            f"the rotation of {name} mirrors",
            "a left-handed coordinate system",
            int((np.linalg.det(rotation) < 0).argmax()),
        )
    step = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    if len(step) and np.median(step) * CAMERA_HZ > 1000:
        yield Finding(ERROR, clip, "pose", f"{name} drives {np.median(step) * CAMERA_HZ:.0f} m/s", _MILLIMETRES, 0)
        return
    far = np.flatnonzero(step > _FASTEST / CAMERA_HZ)
    if len(far):
        yield Finding(
            ERROR,
            clip,
            "pose",
            f"{name} jumps {step[far[0]]:.1f} m from one frame to the next ({len(far)} jumps)",
            "lost frames, two drives in one file, or another time base",
            int(far[0]) + 1,
        )
    cosine = (np.trace(rotation[:-1].swapaxes(1, 2) @ rotation[1:], axis1=1, axis2=2) - 1) / 2
    turn = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    sharp = np.flatnonzero(turn > _SHARPEST / CAMERA_HZ * 3)
    if len(sharp):
        yield Finding(
            ERROR,
            clip,
            "pose",
            f"{name} turns {turn[sharp[0]]:.0f} degrees from one frame to the next",
            "lost frames, or quaternions in another order",
            int(sharp[0]) + 1,
        )


def camera_findings(clip: str, cameras: Mapping[str, np.ndarray], vehicle: np.ndarray | None) -> Iterator[Finding]:
    """Cameras that look the wrong way, lie on their side, or are nowhere near the vehicle."""
    reference = _reference(cameras, vehicle)
    for name, track in cameras.items():
        if reference is None:
            break
        count = min(len(track), len(reference))
        local = np.linalg.inv(reference[:count]) @ track[:count]
        forward, down = np.median(local[:, :3, 2], 0), np.median(local[:, :3, 1], 0)
        if abs(forward[2]) > 0.7 or down[2] > -0.5:
            yield Finding(
                ERROR,
                clip,
                "pose",
                f"{name} looks up or down, or lies on its side",
                "camera axes that are not OpenCV's (x right, y down, z forward), for instance the vehicle's",
                0,
            )
            continue
        wanted = next((angle for part, angle in HEADINGS.items() if part in name), None)
        heading = np.degrees(np.arctan2(forward[1], forward[0]))
        if wanted is not None and abs((heading - wanted + 180) % 360 - 180) > _HEADING_TOLERANCE:
            yield Finding(
                ERROR,
                clip,
                "pose",
                f"{name} looks {heading:.0f} degrees to the left of straight ahead; a camera "
                f"of that name looks {wanted} degrees",
                "left and right swapped, or cameras renamed",
                0,
            )
        if vehicle is not None:
            place = np.median(local[:, :3, 3], 0)
            if np.linalg.norm(place) > 50:
                yield Finding(
                    ERROR,
                    clip,
                    "pose",
                    f"{name} is {np.linalg.norm(place):.0f} m away from the vehicle",
                    f"{_MILLIMETRES}; or poses in different world frames",
                    0,
                )


def _reference(cameras: Mapping[str, np.ndarray], vehicle: np.ndarray | None) -> np.ndarray | None:
    """Vehicle poses; without them a frame with x along the motion and z up, or None for a vehicle that stands."""
    if vehicle is not None:
        return vehicle
    track = next(iter(cameras.values()))
    way = track[-1, :3, 3] - track[0, :3, 3]
    way[2] = 0
    if np.linalg.norm(way) < 1:
        return None
    x = way / np.linalg.norm(way)
    frame = np.tile(np.eye(4), (len(track), 1, 1))
    frame[:, :3, :3] = np.stack([x, np.cross([0, 0, 1.0], x), [0, 0, 1.0]], 1)
    frame[:, :3, 3] = track[:, :3, 3]
    return frame


def intrinsic_findings(clip: str, cameras: Mapping[str, Camera]) -> Iterator[Finding]:
    """Optical centres outside the picture, and fields of view that the camera's name denies."""
    for name, camera in cameras.items():
        if not (0 <= camera.cx <= camera.width and 0 <= camera.cy <= camera.height):
            yield Finding(
                ERROR,
                clip,
                "intrinsic",
                f"the optical centre of {name} is ({camera.cx:.0f}, {camera.cy:.0f}), "
                f"outside its {camera.width}x{camera.height} picture",
                "centre and size mixed up, or intrinsics of another resolution",
            )
            continue
        ends = camera.unproject(np.array([[0, camera.cy], [camera.width, camera.cy]], np.float64))
        angle = np.degrees(np.arctan2(np.abs(ends[:, 0]), ends[:, 2])).sum()
        stated = name.rpartition("_")[2].removesuffix("fov")
        if stated.isdigit() and name.endswith("fov") and not 0.6 < angle / int(stated) < 1.6:
            yield Finding(
                ERROR,
                clip,
                "intrinsic",
                f"{name} sees {angle:.0f} degrees",
                "intrinsics of another camera or resolution, or a polynomial of the other direction",
            )


def map_findings(clip: str, layers: Mapping[str, Shapes], path: np.ndarray) -> Iterator[Finding]:
    """A map that is elsewhere, in other units, or of shapes too small to draw."""
    for name, shapes in layers.items():
        short = sum(len(part) < 2 for part in shapes)
        if short:
            yield Finding(
                WARNING,
                clip,
                f"3d_{name}",
                f"{short} of {len(shapes)} shapes have a single point",
                "a filter that cut lines to pieces; they are not drawn",
            )
    points = np.concatenate([shapes.points for shapes in layers.values()] or [np.zeros((0, 3))])
    if not len(points):
        if layers:
            yield Finding(WARNING, clip, "3d_*", "every map layer is empty", "a clip outside the mapped area")
        return
    near = np.linalg.norm(points[:, None, :2] - path[None, :: max(1, len(path) // 20), :2], axis=2)
    if near.min() > 100:
        spread = np.ptp(points, axis=0).max()
        cause = _MILLIMETRES if spread > 20_000 else "map and poses in different world frames"
        yield Finding(
            ERROR,
            clip,
            "3d_*",
            f"no map vertex within 100 m of the drive; the nearest is {near.min():.0f} m off",
            cause,
        )
    elif np.ptp(points, axis=0).max() > 20_000:
        yield Finding(ERROR, clip, "3d_*", f"the map spans {np.ptp(points, axis=0).max():.0f} m", _MILLIMETRES)


def object_findings(
    clip: str, objects: Objects, layers: Mapping[str, Shapes], path: np.ndarray, path_is_ground: bool
) -> Iterator[Finding]:
    """Boxes of impossible size, under the ground, that jump, of unknown type, or not labelled at 10 Hz."""
    folder = "all_object_info"
    if objects.frames[-1] < len(path) - 1 - 2 * CAMERA_HZ // LABEL_HZ:
        yield Finding(
            WARNING,
            clip,
            folder,
            f"the last labelled frame is {objects.frames[-1]} of {len(path)} frames",
            "labels of a shorter stretch; the last boxes stay in the picture",
            int(objects.frames[-1]),
        )
    if objects.frames[-1] >= len(path):
        yield Finding(
            WARNING,
            clip,
            folder,
            f"labels reach frame {objects.frames[-1]}, poses frame {len(path) - 1}",
            "labels numbered at another rate than 30 Hz",
            len(path),
        )
    steps = np.diff(objects.frames)
    if len(steps) and np.median(steps) > 2 * CAMERA_HZ / LABEL_HZ:
        yield Finding(
            WARNING,
            clip,
            folder,
            f"labels come every {np.median(steps):.0f} frames",
            "labels at a lower rate than 10 Hz; boxes between them move in straight lines",
        )
    for kind, count in unknown_types(objects).items():
        yield Finding(
            WARNING,
            clip,
            folder,
            f"{count} labels of the unknown type {kind!r}",
            "a vocabulary of your own; map it to the published types, or it is drawn in white",
        )
    if not len(objects):
        return
    if np.median(objects.size.max(1)) > 100:
        yield Finding(ERROR, clip, folder, f"objects are {np.median(objects.size.max(1)):.0f} m long", _MILLIMETRES)
        return
    flat = np.flatnonzero((objects.size <= 0.01).any(1))
    if len(flat):
        yield Finding(
            WARNING,
            clip,
            folder,
            f"{len(flat)} boxes have a side of 1 cm or less",
            "sizes that were not set",
            int(objects.frame[flat[0]]),
        )
    yield from _sunken(clip, objects, layers, path, path_is_ground)
    for track in range(len(objects.ids)):
        rows = np.flatnonzero(objects.track == track)
        seconds = np.diff(objects.frame[rows]) / CAMERA_HZ
        speed = np.linalg.norm(np.diff(objects.pose[rows, :3, 3], axis=0), axis=1) / np.maximum(seconds, 1e-9)
        if len(speed) and speed.max() > 2 * _FASTEST:
            yield Finding(
                WARNING,
                clip,
                folder,
                f"object {objects.ids[track]} moves at {speed.max():.0f} m/s",
                "a track id given to two objects",
                int(objects.frame[rows[speed.argmax() + 1]]),
            )


def _sunken(
    clip: str, objects: Objects, layers: Mapping[str, Shapes], path: np.ndarray, path_is_ground: bool
) -> Iterator[Finding]:
    ground = [layers[name].points for name in ("lanelines", "road_boundaries") if name in layers]
    ground = np.concatenate([*ground, path] if path_is_ground else [*ground, np.zeros((0, 3))])
    if not len(ground):
        return
    centre = objects.pose[:, :3, 3]
    chosen = np.arange(0, len(centre), max(1, len(centre) // 1000))
    away = np.linalg.norm(centre[chosen, None, :2] - ground[None, :, :2], axis=2)
    depth = ground[away.argmin(1), 2] - centre[chosen, 2]
    sunken = chosen[(away.min(1) < 10) & (depth > 0.5)]
    if len(sunken):
        yield Finding(
            ERROR,
            clip,
            "all_object_info",
            f"the middle of object {objects.ids[objects.track[sunken[0]]]} lies "
            f"{depth[np.searchsorted(chosen, sunken[0])]:.1f} m under the road; {len(sunken)} of the {len(chosen)} "
            "boxes looked at do",
            "poses of the box's top or bottom instead of its middle, or another height reference than the map's",
            int(objects.frame[sunken[0]]),
        )


def lidar_findings(clip: str, lidar: Lidar, frames: int) -> Iterator[Finding]:
    """Sweeps that are missing, damaged, empty, or in other units."""
    step = CAMERA_HZ // LABEL_HZ
    wanted = range(0, frames, step)
    missing = sorted(set(wanted) - set(lidar.frames))
    if missing:
        yield Finding(
            WARNING,
            clip,
            "lidar_raw",
            f"{len(missing)} of {len(wanted)} sweeps are missing",
            f"sweeps are wanted at every {step}rd frame number; the nearest ones are used",
            missing[0],
        )
    for number in lidar.frames[:: max(1, len(lidar.frames) // 5)]:
        try:
            reach = np.linalg.norm(lidar.load(number).xyz, axis=1)
        except DreamkitError as error:
            yield Finding(ERROR, clip, "lidar_raw", error.message, error.hint or "a damaged file", number)
            continue
        if not len(reach):
            yield Finding(WARNING, clip, "lidar_raw", "a sweep without points", "a filter that dropped all", number)
        elif np.median(reach) > 1000:
            yield Finding(
                ERROR,
                clip,
                "lidar_raw",
                f"half of the points are over {np.median(reach):.0f} m away",
                _MILLIMETRES,
                number,
            )
            return
