"""What the vehicle of a novel drive would touch: labelled objects, road boundaries, poles, signs and lights.

The vehicle is a box on the ground around the origin of its poses. Objects are compared as rectangles seen from above,
with their heights; map lines where they cross the vehicle's rectangle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dreamkit.rds.labels import Shapes
from dreamkit.rds.objects import Boxes, box_corners

SOLID = ("road_boundaries", "poles", "traffic_signs", "traffic_lights")
"""Map layers that a vehicle must not touch."""


@dataclass(frozen=True)
class VehicleSize:
    """The vehicle as a box, metres.

    Attributes:
        length: from bumper to bumper.
        width: without mirrors.
        height: above the ground.
        rear: from the origin of the poses, usually the middle of the rear axle, back to the bumper.
    """

    length: float = 4.8
    width: float = 1.9
    height: float = 1.6
    rear: float = 1.0

    def corners(self, poses: np.ndarray) -> np.ndarray:
        """Corners on the ground [T, 4, 2] around vehicle poses [T, 4, 4], world metres."""
        front, half = self.length - self.rear, self.width / 2
        local = np.array([[front, half], [front, -half], [-self.rear, -half], [-self.rear, half]])
        return local @ poses[:, :2, :2].swapaxes(1, 2) + poses[:, None, :2, 3]


@dataclass(frozen=True)
class Collision:
    """Something that the vehicle touches.

    Attributes:
        layer: "objects", or a map layer.
        name: id of the track, or number of the shape in its layer.
        kind: type of the object, else the layer in words.
        first: first frame in which it is touched.
        last: last such frame.
    """

    layer: str
    name: str
    kind: str
    first: int
    last: int

    def __str__(self) -> str:
        frames = f"frame {self.first}" if self.first == self.last else f"frames {self.first} to {self.last}"
        return f"{self.kind} {self.name}, {frames}"


def find_collisions(
    poses: np.ndarray, boxes: Boxes, layers: Mapping[str, Shapes], vehicle: VehicleSize = VehicleSize()
) -> list[Collision]:
    """What the vehicle touches, by first frame.

    Args:
        poses: vehicle-to-world in each frame, float64 [T, 4, 4].
        boxes: boxes of every frame.
        layers: map layers by name, world metres.
        vehicle: its size.
    """
    corners = vehicle.corners(poses)
    found = [*_objects(poses, corners, boxes, vehicle), *_shapes(poses, corners, layers, vehicle)]
    return sorted(found, key=lambda one: (one.first, one.layer, one.name))


def _objects(poses: np.ndarray, corners: np.ndarray, boxes: Boxes, vehicle: VehicleSize) -> Iterator[Collision]:
    """Objects that the vehicle touches in the same frame."""
    touched: dict[str, list[int]] = {}
    kinds: dict[str, str] = {}
    outlines = box_corners(boxes)
    for row, frame in enumerate(boxes.frame.tolist()):
        if frame >= len(poses):
            continue
        away = np.linalg.norm(boxes.pose[row, :2, 3] - poses[frame, :2, 3])
        if away > vehicle.length + np.linalg.norm(boxes.size[row, :2]):
            continue
        heights, ground = outlines[row, :, 2], poses[frame, 2, 3]
        if heights.max() < ground + 0.1 or heights.min() > ground + vehicle.height:
            continue
        if rectangles_overlap(corners[frame], outlines[row, :4, :2]):
            touched.setdefault(boxes.track[row], []).append(frame)
            kinds[boxes.track[row]] = boxes.kind[row]
    for track, frames in touched.items():
        yield Collision("objects", track, kinds[track], min(frames), max(frames))


def rectangles_overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two convex quadrangles [4, 2] overlap, by the separating axes of their edges."""
    for corners in (a, b):
        edges = np.roll(corners, -1, 0) - corners
        for normal in np.stack([-edges[:, 1], edges[:, 0]], 1):
            first, second = a @ normal, b @ normal
            if first.max() <= second.min() or second.max() <= first.min():
                return False
    return True


def _shapes(
    poses: np.ndarray, corners: np.ndarray, layers: Mapping[str, Shapes], vehicle: VehicleSize
) -> Iterator[Collision]:
    """Map shapes that cross the vehicle's rectangle."""
    for layer in SOLID:
        for number, part in enumerate(layers.get(layer, ())):
            # A point makes a line of no length; the twelve edges of a cuboid are all among these.
            line = part if len(part) > 1 else part[[0, 0]]
            ends = np.stack([line[:-1], line[1:]], 1) if layer in ("road_boundaries", "poles") else _all_pairs(line)
            frames = _crossed(poses, corners, ends, vehicle)
            if len(frames):
                yield Collision(layer, str(number), layer.replace("_", " "), int(frames[0]), int(frames[-1]))


def _all_pairs(points: np.ndarray) -> np.ndarray:
    """Every pair of points [n, 3] as segments [m, 2, 3]."""
    a, b = np.triu_indices(len(points), 1)
    return np.stack([points[a], points[b]], 1)


def _crossed(poses: np.ndarray, corners: np.ndarray, ends: np.ndarray, vehicle: VehicleSize) -> np.ndarray:
    """Frames in which a segment [m, 2, 3] enters the vehicle's rectangle between the ground and its height."""
    reach = vehicle.length + np.abs(corners - poses[:, None, :2, 3]).max()
    middle, half = ends.mean(1), np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2
    found = []
    for frame in range(len(poses)):
        low = poses[frame, 2, 3]
        near = np.linalg.norm(middle[:, :2] - poses[frame, :2, 3], axis=1) < reach + half
        near &= (ends[..., 2].min(1) < low + vehicle.height) & (ends[..., 2].max(1) > low - 1.0)
        local = (ends[near, :, :2] - poses[frame, :2, 3]) @ poses[frame, :2, :2]
        if _enters(local, vehicle):
            found.append(frame)
    return np.array(found, np.int64)


def _enters(segments: np.ndarray, vehicle: VehicleSize) -> bool:
    """Whether a segment [m, 2, 2] in the vehicle's axes has a part inside its rectangle (Liang-Barsky clipping)."""
    low = np.array([-vehicle.rear, -vehicle.width / 2])
    high = np.array([vehicle.length - vehicle.rear, vehicle.width / 2])
    start, way = segments[:, 0], segments[:, 1] - segments[:, 0]
    enter, leave = np.zeros(len(segments)), np.ones(len(segments))
    for axis in (0, 1):
        moves = np.abs(way[:, axis]) > 1e-12
        step = np.where(moves, way[:, axis], 1.0)
        first, second = (low[axis] - start[:, axis]) / step, (high[axis] - start[:, axis]) / step
        between = (start[:, axis] > low[axis]) & (start[:, axis] < high[axis])
        enter = np.maximum(enter, np.where(moves, np.minimum(first, second), np.where(between, 0.0, 2.0)))
        leave = np.minimum(leave, np.where(moves, np.maximum(first, second), np.where(between, 1.0, -1.0)))
    return bool((enter < leave).any())
