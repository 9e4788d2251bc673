"""A drawn six-view driving world with known geometry: test pictures for the review, and a frame number to read back.

A road plane with lane lines, two rows of textured house fronts, cars and poles, seen by six equidistant fisheye cameras
on a moving car. Nothing here imitates a model's output; it only has texture, parallax and lines where a map has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from dreamkit.review.measures.rig import NOMINAL, camera_rays, to_car
from dreamkit.workspace.cameras import SIX_VIEWS

LANES = (-5.25, -1.75, 1.75, 5.25)
LINE_COLOUR = (98, 183, 249)
BOX_COLOUR = (255, 0, 0)
DIGIT_BITS = 8


@dataclass(frozen=True)
class Texture:
    """A tiling grey texture, float32 [S, S], and its mean."""

    pixels: np.ndarray
    mean: np.float32


@dataclass(frozen=True)
class World:
    """One scene: textures and where things stand. Lengths in metres, speed in metres a frame."""

    seed: int
    speed: float
    yaw_rate: float
    walls: tuple[float, float]
    cars: np.ndarray  # [N, 3]: x right, z forward, speed
    poles: np.ndarray  # [N, 2]: x, z
    textures: tuple[Texture, ...]


def _texture(rng: np.random.Generator, size: int = 512) -> Texture:
    """A tiling grey texture with structure from 4 to 128 pixels and a few hard-edged blocks."""
    total = np.zeros((size, size), np.float32)
    for cells, weight in ((4, 0.3), (16, 0.3), (64, 0.3), (128, 0.25)):
        total += weight * cv2.resize(
            rng.random((cells, cells), np.float32), (size, size), interpolation=cv2.INTER_LINEAR
        )
    for _ in range(60):
        x, y = rng.integers(0, size - 60, 2)
        w, h = rng.integers(12, 60, 2)
        total[y : y + h, x : x + w] = total[y : y + h, x : x + w] * 0.5 + rng.random() * 0.6
    return Texture(total, total.mean())


def make_world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    cars = np.stack([rng.choice([-3.5, 3.5], 5), rng.uniform(-25, 45, 5), rng.uniform(0.1, 0.6, 5)], axis=1)
    poles = np.stack([rng.choice([-7.5, 7.5], 14), rng.uniform(-40, 70, 14)], axis=1)
    return World(
        seed,
        speed=float(rng.uniform(0.3, 0.5)),
        yaw_rate=float(rng.uniform(-0.004, 0.004)),
        walls=(-float(rng.uniform(9, 14)), float(rng.uniform(9, 14))),
        cars=cars,
        poles=poles,
        textures=tuple(_texture(rng) for _ in range(3)),
    )


def _look_up(texture: Texture, u: np.ndarray, v: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Texture at metres u, v; fades to its mean far away instead of aliasing."""
    size = texture.pixels.shape[0]
    scale = 32.0  # texels a metre
    value = cv2.remap(
        texture.pixels,
        np.mod(u * scale, size).astype(np.float32),
        np.mod(v * scale, size).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    fade = np.clip(1.4 - distance / 40.0, 0.15, 1.0)
    return texture.mean + (value - texture.mean) * fade


@cache
def _rays(camera: str, height: int, width: int) -> np.ndarray:
    """Unit rays [H, W, 3] of every pixel, in the car's frame."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    rays = camera_rays(np.stack([columns, rows], axis=-1), NOMINAL[camera], height, width)
    return to_car(rays, NOMINAL[camera]).astype(np.float32)


def draw(world: World, camera: str, frame: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture and the condition, both uint8 [H, W, 3], of one camera at one moment."""
    yaw = world.yaw_rate * frame
    view = NOMINAL[camera]
    rays = _rays(camera, height, width)  # [H, W, 3], in the car's frame: x right, y down, z forward
    cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    dx, dy = rays[..., 0] * cos + rays[..., 2] * sin, rays[..., 1]
    dz = -rays[..., 0] * sin + rays[..., 2] * cos
    mount = np.array([0.9 * np.sin(view.yaw), -0.9 * np.cos(view.yaw) * 0.5])
    ox = mount[0] * cos + mount[1] * sin + world.speed * frame * np.sin(yaw / 2)
    oz = -mount[0] * sin + mount[1] * cos + world.speed * frame
    ox, oz = np.float32(ox), np.float32(oz)  # a float64 scalar would make every array below float64
    camera_height = 1.6

    depth = np.full(dx.shape, np.inf, np.float32)
    grey = 0.75 + 0.2 * np.clip(-dy, 0, 1)
    hdmap = np.zeros((*dx.shape, 3), np.float32)

    with np.errstate(divide="ignore", invalid="ignore"):
        ground = np.where(dy > 1e-3, camera_height / dy, np.inf)
        hit = ground < 90
        gx, gz = np.where(hit, ox + ground * dx, 0), np.where(hit, oz + ground * dz, 0)
        asphalt = 0.15 + 0.4 * _look_up(world.textures[0], gx, gz, ground)
        line = np.zeros_like(hit)
        for index, x in enumerate(LANES):
            dashed = index in (1, 2)
            line |= (np.abs(gx - x) < 0.12) & (~np.full_like(hit, dashed) | (np.mod(gz, 6) < 3.5))
        grey = np.where(hit, np.where(line, 0.95, asphalt), grey)
        hdmap[hit & line] = LINE_COLOUR
        depth = np.where(hit, ground, depth)

        for x, texture in zip(world.walls, world.textures[1:], strict=True):
            wall = np.where(np.sign(dx) == np.sign(x), (x - ox) / dx, np.inf)
            up, along = -(wall * dy) + camera_height, oz + wall * dz
            tall = 5 + 3 * np.sin(np.floor(along / 8) * 12.9898 + world.seed)
            hit = (wall > 0) & (wall < depth) & (up > 0) & (up < tall) & (wall < 90)
            grey = np.where(hit, 0.2 + 0.7 * _look_up(texture, along, up, wall), grey)
            depth = np.where(hit, wall, depth)

        def board(x: float, z: float, half: float, low: float, high: float, colour: tuple | None, tone: float) -> None:
            """An upright board that faces the camera's position, at (x, z)."""
            rx, rz = x - ox, z - oz
            far = np.float32(np.hypot(rx, rz))
            if far < 1.5:
                return
            nx, nz = rx / far, rz / far
            at = np.nonzero(np.abs(dx * nz - dz * nx) < (half + 0.1) / far)  # few pixels, so that drawing stays quick
            ax, ay, az = dx[at], dy[at], dz[at]
            along = ax * nx + az * nz
            t = np.where(along > 1e-3, far / along, np.inf)
            side = t * (ax * nz - az * nx)
            up = camera_height - t * ay
            hit = (t < depth[at]) & (np.abs(side) < half) & (up > low) & (up < high)
            at = tuple(axis[hit] for axis in at)
            if not len(at[0]):
                return
            texel = _look_up(world.textures[2], side[hit][None] + 7 * x, up[hit][None], t[hit][None])[0]
            grey[at] = tone + 0.35 * (texel - 0.5)
            depth[at] = t[hit]
            if colour:
                hdmap[at] = colour

        order = sorted(world.cars.tolist(), key=lambda car: -abs(car[1] + car[2] * frame - oz))
        for x, z, speed in order:
            board(x, z + speed * frame, 0.95, 0.2, 1.6, BOX_COLOUR, 0.5 + 0.04 * (z % 9))
        for x, z in world.poles.tolist():
            board(x, z, 0.12, 0, 5, None, 0.1)

    tint = np.array([1.0, 0.98, 0.95], np.float32)
    picture = np.clip(grey[..., None] * 255 * tint, 0, 255).astype(np.uint8)
    return picture, hdmap.astype(np.uint8)


def draw_clip(seed: int, frames: int, height: int, width: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Camera -> uint8 [T, H, W, 3] of the pictures, and of the conditions."""
    world = make_world(seed)
    videos, maps = {}, {}
    for name in SIX_VIEWS.names:
        pairs = [draw(world, name, frame, height, width) for frame in range(frames)]
        videos[name] = np.stack([pair[0] for pair in pairs])
        maps[name] = np.stack([pair[1] for pair in pairs])
    return videos, maps


def paint_number(picture: np.ndarray, number: int) -> np.ndarray:
    """Paint a number as DIGIT_BITS black or white squares over the top left corner, lowest bit first, and as text."""
    cell = picture.shape[1] / 20
    painted = picture.copy()
    for bit in range(DIGIT_BITS):
        painted[: round(cell), round(bit * cell) : round((bit + 1) * cell)] = 255 if number >> bit & 1 else 0
    cv2.putText(
        painted,
        str(number),
        (round(cell / 2), round(3.2 * cell)),
        cv2.FONT_HERSHEY_SIMPLEX,
        cell / 14,
        (255, 255, 0),
        2,
        cv2.LINE_AA,
    )
    return painted


def read_number(picture: np.ndarray) -> int:
    """Read back what `paint_number` painted, from a picture of any size."""
    cell = picture.shape[1] / 20
    centres = [(int(cell / 2), int((bit + 0.5) * cell)) for bit in range(DIGIT_BITS)]
    return sum(1 << bit for bit, (row, column) in enumerate(centres) if picture[row, column].mean() > 127)
