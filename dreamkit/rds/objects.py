"""Object tracks prepared for drawing: one mean pose for objects that stand still, and boxes in every frame.

Source of the rules: utils/bbox_utils.py of nv-tlabs/cosmos-av-sample-toolkits, which drew the models' training videos.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from dreamkit.rds.labels import Objects
from dreamkit.rds.poses import interpolate

_CLASS_TYPES = {
    "Car": ("Car", "Vehicle", "Automobile", "Other_vehicle"),
    "Truck": ("Truck", "Bus", "Heavy_truck", "Train_or_tram_car", "Trolley_bus", "Trailer"),
    "Pedestrian": ("Pedestrian", "Person"),
    "Cyclist": ("Cyclist", "Rider"),
}
OTHERS = "Others"
CLASS_OF = {kind: name for name, kinds in _CLASS_TYPES.items() for kind in kinds}
"""Object type of either published vocabulary -> class with a colour; a type that is not here is drawn as OTHERS."""
_OTHER_GROUPS = (
    (OTHERS, "Other", "Unknown", "Ego", "EgoVehicle", "MovableObject", "Train"),
    ("Ground", "GroundPaint", "LaneLine", "RoadDots", "StopLine", "CrossWalk", "RoadSymbol", "ParkingDelimeter"),
    ("Surface", "Asphalt", "Dirt", "Gravel", "Walkable", "Sidewalk", "Stairs", "SpeedBump", "Zone"),
    ("Boundary", "TrafficDivider", "Curb", "Barrier", "GuardRail", "RoadworkObject", "TrafficCone"),
    ("TrafficSign", "TrafficSignal", "Pole", "VerticalPole", "Wire", "Vegetation", "TreeTrunk"),
    ("Wall", "Building", "Bridge", "Tunnel", "Reflection", "Sky"),
    ("Stroller", "Animal", "Protruding_object"),
)
OTHER_TYPES = frozenset(kind for group in _OTHER_GROUPS for kind in group)
"""Types of the published vocabularies that are drawn as OTHERS and are not reported as unknown."""
# Poses whose heading is more than about 45 degrees from the mean heading are left out of the mean pose.
_HEADING_COSINE = 0.7


@dataclass(frozen=True)
class Boxes:
    """Boxes of consecutive frames, a row for each object in each frame (N rows), sorted by frame and then by track id.

    Attributes:
        frame: frame number, int64 [N].
        track: track id of each row.
        pose: box centre to world, float64 [N, 4, 4].
        size: length, width, height in metres, float64 [N, 3].
        moving: whether the object moves, bool [N].
        kind: object type of each row, as written in the file.
    """

    frame: np.ndarray
    track: tuple[str, ...]
    pose: np.ndarray
    size: np.ndarray
    moving: np.ndarray
    kind: tuple[str, ...]


def no_boxes() -> Boxes:
    """Boxes of a clip without objects."""
    return Boxes(np.zeros(0, np.int64), (), np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros(0, bool), ())


def is_known_type(kind: str) -> bool:
    """Whether an object type is in one of the published vocabularies."""
    return kind in CLASS_OF or kind in OTHER_TYPES


def unknown_types(objects: Objects) -> dict[str, int]:
    """Number of labels of each type in neither published vocabulary; such objects are drawn as OTHERS."""
    return dict(Counter(kind for kind in objects.kind if not is_known_type(kind)))


def hold_static(objects: Objects) -> Objects:
    """The objects with the mean size and pose of a track in all frames in which it stands still.

    Poses with an outlying heading are left out of the mean pose; the mean rotation is built from the mean forward and
    up axes.
    """
    size, pose = objects.size.copy(), objects.pose.copy()
    for track in range(len(objects.ids)):
        rows = np.flatnonzero((objects.track == track) & ~objects.moving)
        if not len(rows):
            continue
        size[rows] = objects.size[rows].mean(0)
        heading = _unit(objects.pose[rows, :3, 0])
        kept = rows[heading @ _unit(heading.mean(0)) > _HEADING_COSINE]
        mean = _mean_pose(objects.pose[kept]) if len(kept) else np.zeros((4, 4))
        if abs(np.linalg.det(mean)) > 1e-3:  # opposite axes have no mean: the poses stay
            pose[rows] = mean
    return replace(objects, size=size, pose=pose)


def _mean_pose(poses: np.ndarray) -> np.ndarray:
    """Mean of poses [N, 4, 4] as [4, 4]."""
    u, _, vh = np.linalg.svd(poses[:, :3, :3])
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vh))[:, None]
    nearest = u @ vh
    forward, up = _unit(nearest[:, :, 0].mean(0)), _unit(nearest[:, :, 2].mean(0))
    mean = np.eye(4)
    mean[:3, :3] = np.stack([forward, _unit(np.cross(up, forward)), up], 1)
    mean[:3, 3] = poses[:, :3, 3].mean(0)
    return mean


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] of length one; zero vectors stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)


def every_frame(objects: Objects, frame_count: int) -> Boxes:
    """Boxes in each of the frames 0 to frame_count - 1, from labels at about every third frame.

    Between two labelled frames only tracks with both labels have a box: its position is interpolated linearly, its
    rotation by slerp, its size linearly, and its type and motion are those of the earlier label. After the last
    labelled frame its boxes stay; before the first one there are none.
    """
    labelled = objects.frames[objects.frames < frame_count]
    if not len(labelled) or not len(objects):
        return no_boxes()
    rows_at = {int(frame): np.flatnonzero(objects.frame == frame) for frame in objects.frames}
    frame, low, high, t = [], [], [], []
    for number in range(int(labelled[0]), frame_count):
        before = int(labelled[np.searchsorted(labelled, number, "right") - 1])
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


def box_corners(boxes: Boxes) -> np.ndarray:
    """World corners of boxes, float64 [N, 8, 3]: the upper face clockwise from the front left, then the lower face."""
    signs = np.array(
        [[1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1]]
    )
    local = signs * boxes.size[:, None, :] / 2
    return local @ boxes.pose[:, :3, :3].swapaxes(1, 2) + boxes.pose[:, None, :3, 3]
