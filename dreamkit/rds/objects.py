"""Object tracks made ready for drawing: one resting place for what stands still, and a box in every frame.

Facts: utils/bbox_utils.py of nv-tlabs/cosmos-av-sample-toolkits. Its habits are kept, since the models were trained on
pictures drawn that way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from dreamkit.rds.labels import Objects
from dreamkit.rds.poses import interpolate

# Both published vocabularies, to the five classes that have a colour. Every type not named here is drawn as Others.
CLASS_OF = {
    "Car": "Car", "Vehicle": "Car", "Automobile": "Car", "Other_vehicle": "Car",
    "Truck": "Truck", "Bus": "Truck", "Heavy_truck": "Truck", "Train_or_tram_car": "Truck", "Trolley_bus": "Truck",
    "Trailer": "Truck",
    "Pedestrian": "Pedestrian", "Person": "Pedestrian",
    "Cyclist": "Cyclist", "Rider": "Cyclist",
}  # fmt: skip
# Types that the vocabularies have and that belong to Others, so that only a truly unknown one is reported.
OTHER_TYPES = frozenset({
    "Others", "Unknown", "Ground", "GroundPaint", "LaneLine", "RoadDots", "StopLine", "CrossWalk", "RoadSymbol",
    "ParkingDelimeter", "Zone", "SpeedBump", "Surface", "Asphalt", "Dirt", "Gravel", "Train", "Ego",
    "MovableObject", "EgoVehicle", "Vegetation", "TreeTrunk", "Wall", "Building", "Bridge", "Tunnel",
    "RoadworkObject", "TrafficCone", "TrafficSign", "TrafficSignal", "Pole", "VerticalPole", "Walkable", "Sidewalk",
    "Stairs", "Boundary", "TrafficDivider", "Curb", "Barrier", "GuardRail", "Other", "Wire", "Reflection", "Sky",
    "Stroller", "Animal", "Protruding_object",
})  # fmt: skip
# A resting object's pose counts for the mean only if its heading lies within about 45 degrees of the mean heading.
_HEADING_COSINE = 0.7


@dataclass(frozen=True)
class Boxes:
    """Boxes of consecutive frames, N rows by frame and then by track id as text.

    frame: int64 [N]; track: the N ids; pose: float64 [N, 4, 4]; size: float64 [N, 3]; moving: bool [N]; kind: N types.
    """

    frame: np.ndarray
    track: tuple[str, ...]
    pose: np.ndarray
    size: np.ndarray
    moving: np.ndarray
    kind: tuple[str, ...]


def unknown_types(objects: Objects) -> dict[str, int]:
    """Types that neither vocabulary has, with the number of labels; they are drawn as Others."""
    return dict(Counter(kind for kind in objects.kind if kind not in CLASS_OF and kind not in OTHER_TYPES))


def rest(objects: Objects) -> Objects:
    """Give the frames in which a track stands still the mean size and pose of those frames.

    Outlying headings are left out of the mean pose; the mean rotation is built from the mean forward and up axes.
    """
    size, pose = objects.size.copy(), objects.pose.copy()
    for track in range(len(objects.ids)):
        rows = np.flatnonzero((objects.track == track) & ~objects.moving)
        if not len(rows):
            continue
        size[rows] = objects.size[rows].mean(0)
        heading = _unit(objects.pose[rows, :3, 0])
        kept = rows[heading @ _unit(heading.mean(0)) > _HEADING_COSINE]
        if len(kept):
            pose[rows] = _mean_pose(objects.pose[kept])
    return replace(objects, size=size, pose=pose)


def _mean_pose(poses: np.ndarray) -> np.ndarray:
    u, _, vh = np.linalg.svd(poses[:, :3, :3])
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vh))[:, None]
    nearest = u @ vh
    forward, up = _unit(nearest[:, :, 0].mean(0)), _unit(nearest[:, :, 2].mean(0))
    mean = np.eye(4)
    mean[:3, :3] = np.stack([forward, _unit(np.cross(up, forward)), up], 1)
    mean[:3, 3] = poses[:, :3, 3].mean(0)
    return mean


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)


def every_frame(objects: Objects, frame_count: int) -> Boxes:
    """Boxes for the frames 0..frame_count-1, from labels at every third frame or so.

    Between two labelled frames only the tracks of both are drawn (position along the line, rotation by slerp, size
    linearly; type and motion of the earlier one), so a gap in a track is a gap in the picture. After the last labelled
    frame its boxes stay; before the first one there are none.
    """
    known = objects.frames[objects.frames < frame_count] if frame_count else objects.frames[:0]
    if not len(known) or not len(objects):
        return Boxes(np.zeros(0, np.int64), (), np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros(0, bool), ())
    rows_at = {int(frame): np.flatnonzero(objects.frame == frame) for frame in objects.frames}
    frame, low, high, t = [], [], [], []
    for number in range(int(known[0]), frame_count):
        before = int(known[np.searchsorted(known, number, "right") - 1])
        after = np.searchsorted(objects.frames, number)
        a = rows_at[before]
        if before == number or after == len(objects.frames):
            b, weight = a, 0.0
        else:
            following = int(objects.frames[after])
            _, at_a, at_b = np.intersect1d(objects.track[a], objects.track[rows_at[following]], return_indices=True)
            a, b = a[at_a], rows_at[following][at_b]
            weight = (number - before) / (following - before)
        frame.append(np.full(len(a), number))
        low.append(a)
        high.append(b)
        t.append(np.full(len(a), weight))
    frames, a, b, weights = (np.concatenate(parts) for parts in (frame, low, high, t))
    between = a != b
    pose, size = objects.pose[a], objects.size[a].copy()
    pose[between] = interpolate(objects.pose[a[between]], objects.pose[b[between]], weights[between])
    w = weights[:, None]
    size = np.where(between[:, None], (1 - w) * objects.size[a] + w * objects.size[b], size)
    return Boxes(
        frames,
        tuple(objects.ids[i] for i in objects.track[a]),
        pose,
        size,
        objects.moving[a],
        tuple(objects.kind[i] for i in a),
    )


def corners(boxes: Boxes) -> np.ndarray:
    """Corners float64 [N, 8, 3]: the upper face from front left clockwise seen from above, then the lower face."""
    signs = np.array(
        [[1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1]]
    )
    local = signs * boxes.size[:, None, :] / 2
    return local @ boxes.pose[:, :3, :3].swapaxes(1, 2) + boxes.pose[:, None, :3, 3]
