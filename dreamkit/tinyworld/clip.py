"""A small condition clip of our own drawing: a curving road with traffic, seen by the six cameras.

It stands in for a rendered clip where none is at hand: the same folders, names, colours and line style, from a few
lines of geometry instead of labels. Coordinates are metres, x forward, y left, z up, at the car's start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dreamkit import captions
from dreamkit.cameras import SIX_VIEWS
from dreamkit.video import write_video
from dreamkit.workspace import Chunk, Workspace

CLIP = "tiny_0000"
CAPTION = (
    "The video shows a gently curving four-lane road on a clear day. A white sedan drives ahead in the same lane, a "
    "blue truck comes the other way, and two cars are parked on the right. Poles line both sides of the road."
)
FPS = 30
SPEED = 9.0  # of the ego car, m/s
LANE, BOUNDARY = (98, 183, 249), (200, 36, 35)
POLE, CAR, TRUCK = (66, 40, 144), (255, 0, 0), (0, 0, 255)
MAP_LINE, BOX_LINE = 8, 5  # pixels at 720 rows
NEAR, FAR = 0.5, 120.0

# Camera -> yaw to the left and horizontal field of view in degrees. Pinhole cameras; the rig of a made-up car.
AIM = {
    "front_wide_120fov": (0, 110),
    "cross_left_120fov": (75, 110),
    "cross_right_120fov": (-75, 110),
    "rear_tele_30fov": (180, 30),
    "rear_left_70fov": (150, 70),
    "rear_right_70fov": (-150, 70),
}
MOUNT = np.array([1.6, 0.0, 1.5])


@dataclass(frozen=True)
class Box:
    """A vehicle: colour, length, width and height, start along the road, speed along it, and sideways place."""

    colour: tuple[int, int, int]
    size: tuple[float, float, float]
    start: float
    speed: float
    side: float


TRAFFIC = (
    Box(CAR, (4.6, 1.9, 1.5), 14, 10.0, 0),
    Box(TRUCK, (9.0, 2.5, 3.2), 60, -8.0, 3.6),
    Box(CAR, (4.4, 1.8, 1.5), -14, 8.0, 0),
    Box(CAR, (4.5, 1.8, 1.6), 24, 0.0, -6.3),
    Box(CAR, (4.5, 1.8, 1.6), 40, 0.0, -6.3),
    Box(CAR, (4.4, 1.8, 1.5), -22, 11.0, -3.6),
)


def road(s: np.ndarray, side: float) -> np.ndarray:
    """Points [N, 2] at distances `s` along the road, `side` metres left of the ego lane's middle."""
    y = 4.0 * np.sin(s / 45.0)
    heading = np.arctan(4.0 / 45.0 * np.cos(s / 45.0))
    return np.stack([s - side * np.sin(heading), y + side * np.cos(heading)], axis=1)


def write_condition_clip(
    workspace_root: Path | str,
    clip: str = CLIP,
    frames: int = 121,
    height: int = 352,
    width: int = 640,
) -> list[Path]:
    """Draw the clip's six HDMap videos, and write its caption where there is none.

    Args:
        workspace_root: the workspace folder.
        clip: name of the clip.
        frames: number of frames, at 30 a second.
        height: pixels, even.
        width: pixels, even.

    Returns:
        The videos, in the rig's order.
    """
    ws = Workspace(workspace_root)
    paths = []
    for camera in SIX_VIEWS.cameras:
        path = ws.condition("hdmap", camera, Chunk(clip))
        write_video(path, np.stack([draw(camera.name, frame / FPS, height, width) for frame in range(frames)]), FPS)
        paths.append(path)
    if not (ws.captions / f"{clip}.txt").exists():
        captions.write_original(ws.captions, clip, CAPTION)
    return paths


def draw(camera: str, seconds: float, height: int, width: int) -> np.ndarray:
    """The condition picture of a camera at a time, uint8 [height, width, 3]."""
    ego = SPEED * seconds
    near = np.arange(ego - 70.0, ego + 110.0, 0.8)
    layers = []
    lines = [(side, LANE) for side in (-5.4, -1.8, 1.8, 5.4)] + [(side, BOUNDARY) for side in (-8.0, 8.0)]
    for side, colour in lines:
        points = np.column_stack([road(near, side), np.zeros(len(near))])
        layers.append(_strokes(camera, ego, [points], colour, MAP_LINE, height, width))
    poles = [
        np.column_stack([np.repeat(road(np.array([s]), side), 2, axis=0), [0.0, 6.0]])
        for s in np.arange(25 * math.floor(ego / 25) - 75, ego + 110, 25)
        for side in (-9.5, 9.5)
    ]
    layers.append(_strokes(camera, ego, poles, POLE, MAP_LINE, height, width))
    for box in TRAFFIC:
        layers.append(_strokes(camera, ego, _edges(box, seconds), box.colour, BOX_LINE, height, width))
    return np.maximum.reduce(layers)


def _edges(box: Box, seconds: float) -> list[np.ndarray]:
    """The twelve edges of a vehicle, [2, 3] each, resampled so that near-plane clipping stays local."""
    s = box.start + box.speed * seconds
    (x, y), (ahead_x, ahead_y) = road(np.array([s, s + 0.5]), box.side)
    heading = math.atan2(ahead_y - y, ahead_x - x)
    length, breadth, tall = box.size
    corners = []
    for dx in (-length / 2, length / 2):
        for dy in (-breadth / 2, breadth / 2):
            turned = (dx * math.cos(heading) - dy * math.sin(heading), dx * math.sin(heading) + dy * math.cos(heading))
            corners += [np.array([x + turned[0], y + turned[1], z]) for z in (0.0, tall)]
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)]
    return [np.linspace(corners[a], corners[b], 12) for a, b in pairs]


def _strokes(
    camera: str,
    ego: float,
    lines: list[np.ndarray],
    colour: tuple[int, int, int],
    thick: int,
    height: int,
    width: int,
) -> np.ndarray:
    """Polylines [N, 3] drawn in one colour that fades with depth, on black."""
    picture = np.zeros((height, width, 3), np.uint8)
    yaw, field = AIM[camera]
    (x, y), (ahead_x, ahead_y) = road(np.array([ego, ego + 0.5]), 0.0)
    angle = math.atan2(ahead_y - y, ahead_x - x)
    to_car = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turn = math.radians(yaw)
    to_camera = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    focal = width / 2 / math.tan(math.radians(field / 2))
    for line in lines:
        in_car = np.column_stack([(line[:, :2] - [x, y]) @ to_car.T, line[:, 2]]) - MOUNT
        forward, left = (in_car[:, :2] @ to_camera.T).T
        depth = np.maximum(forward, NEAR)
        u = width / 2 - focal * left / depth
        v = height / 2 - focal * in_car[:, 2] / depth
        pixels = np.clip(np.column_stack([u, v]), -4 * width, 5 * width).round().astype(int)
        for k in range(len(line) - 1):
            if min(forward[k], forward[k + 1]) <= NEAR or forward[k] > FAR:
                continue
            fade = min(1.0, max(0.0, 2 * (122.5 - forward[k]) / 255))
            shade = tuple(round(channel * fade) for channel in colour)
            cv2.line(picture, pixels[k].tolist(), pixels[k + 1].tolist(), shade, max(1, round(thick * height / 720)))
    return picture
