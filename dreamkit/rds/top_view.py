"""A clip from above: its map, the recorded drive, a novel drive, and what that touches."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dreamkit.rds.collisions import VehicleSize
from dreamkit.rds.hdmap import BOX_COLOURS, LAYER_COLOURS
from dreamkit.rds.objects import CLASS_OF, OTHERS, box_corners
from dreamkit.rds.trajectory_file import NovelDrive

MARGIN = 20.0
_RECORDED, _NOVEL, _TOUCHED = (150, 150, 150), (80, 255, 120), (255, 60, 220)
_MOST_PIXELS = 1600
Place = Callable[[np.ndarray], np.ndarray]
"""From world metres [..., 2 or more] to pixels int32 [..., 2]."""
Touched = set[tuple[str, str]]
"""Layer and name of what is touched."""


def draw_from_above(drive: NovelDrive, vehicle: VehicleSize = VehicleSize(), every: int = 15) -> np.ndarray:
    """A picture of a novel drive, uint8 [H, W, 3], x of the world to the right and y up.

    The recorded path is grey, the novel one green with the vehicle's outline every so many frames; objects stand where
    they are in the frame of the nearest outline. What is touched is pink.

    Args:
        drive: the novel drive.
        vehicle: its size.
        every: frames from one outline to the next.
    """
    paths = np.concatenate([drive.recorded[:, :2, 3], drive.poses[:, :2, 3]])
    low, high = paths.min(0) - MARGIN, paths.max(0) + MARGIN
    scale = min(12.0, _MOST_PIXELS / float((high - low).max()))
    size = np.ceil((high - low) * scale).astype(int)
    picture = np.zeros((size[1], size[0], 3), np.uint8)

    def pixels(points: np.ndarray) -> np.ndarray:
        return np.round((points[..., :2] - low) * [scale, -scale] + [0, size[1]]).astype(np.int32)

    touched = {(one.layer, one.name) for one in drive.collisions}
    _draw_map(picture, pixels, drive, touched)
    frames = list(range(0, len(drive.poses), every))
    _draw_objects(picture, pixels, drive, frames, touched)
    cv2.polylines(picture, [pixels(drive.recorded[:, :3, 3])], False, _RECORDED, 1, cv2.LINE_AA)
    cv2.polylines(picture, [pixels(drive.poses[:, :3, 3])], False, _NOVEL, 1, cv2.LINE_AA)
    outlines = vehicle.corners(drive.poses)
    for frame in frames:
        hit = any(one.first <= frame <= one.last for one in drive.collisions)
        cv2.polylines(picture, [pixels(outlines[frame])], True, _TOUCHED if hit else _NOVEL, 1, cv2.LINE_AA)
    return picture


def _draw_map(picture: np.ndarray, pixels: Place, drive: NovelDrive, touched: Touched) -> None:
    """The map layers as lines."""
    for layer, shapes in drive.layers.items():
        for number, part in enumerate(shapes):
            hit = (layer, str(number)) in touched
            colour = _TOUCHED if hit else LAYER_COLOURS[layer]
            cv2.polylines(picture, [pixels(part)], False, colour, 3 if hit else 1, cv2.LINE_AA)


def _draw_objects(picture: np.ndarray, pixels: Place, drive: NovelDrive, frames: list[int], touched: Touched) -> None:
    """The objects of these frames as outlines."""
    corners = box_corners(drive.boxes)[:, :4]
    for row, frame in enumerate(drive.boxes.frame.tolist()):
        if frame in frames:
            colour = BOX_COLOURS[CLASS_OF.get(drive.boxes.kind[row], OTHERS)]
            hit = ("objects", drive.boxes.track[row]) in touched
            cv2.polylines(picture, [pixels(corners[row])], True, _TOUCHED if hit else colour, 1, cv2.LINE_AA)
