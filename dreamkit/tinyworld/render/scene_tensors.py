"""A made-up scene as tensors on one device, for ray casting."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dreamkit.rds.objects import every_frame, hold_static
from dreamkit.tinyworld.world.markings import Paint
from dreamkit.tinyworld.world.road import Junction, Road, road_table
from dreamkit.tinyworld.world.scene import MadeUpScene
from dreamkit.tinyworld.world.solids import BALL, BOX, WEDGE, Solid, vehicle_solids
from dreamkit.tinyworld.world.traffic import ROAD_USER_MODELS

# Extent and cell of the grids of road coordinates, metres; 4 m keep a bend of 55 m radius within 4 cm.
_HALF, _CELL = 200.0, 4.0
_HIDDEN = -1e5  # height of the last solid, which no ray meets


@dataclass(frozen=True)
class SceneTensors:
    """B solids in T frames, road coordinates on a grid, and lights.

    Solids are ordered by shape: boxes, wedges, balls, and a last one that no ray meets.

    Attributes:
        centre: of the solids, float32 [T, B, 3].
        turn: cosine and sine of their headings, float32 [T, B, 2].
        half: half sizes, float32 [B, 3].
        lean: of wedges, float32 [B, 2].
        colour: linear RGB, float32 [B, 3].
        radius: of bounding spheres, float32 [B].
        material: int64 [B].
        track: index of the road user, int64 [B]; -1 for static solids.
        mapped: whether it is in the RDS-HQ labels, bool [B].
        kinds: (first, last + 1) solid of each shape.
        grid: s, side, cosine and sine of the heading on each of R roads, float32 [R, 4, G, G].
        grid_centre: world (x, y) of the grid's centre.
        noise: periodic, -1..1, float32 [1, 1, 257, 257].
        lamps: positions of street lamps, float32 [L, 3].
        ego: x, y and heading of the ego car, float32 [T, 3].
        roads: one or two.
        junction: where they cross, or None.
        paint: road markings.
        setting: street, highway or rural.
    """

    centre: torch.Tensor
    turn: torch.Tensor
    half: torch.Tensor
    lean: torch.Tensor
    colour: torch.Tensor
    radius: torch.Tensor
    material: torch.Tensor
    track: torch.Tensor
    mapped: torch.Tensor
    kinds: tuple[tuple[int, int], ...]
    grid: torch.Tensor
    grid_centre: tuple[float, float]
    noise: torch.Tensor
    lamps: torch.Tensor
    ego: torch.Tensor
    roads: tuple[Road, ...]
    junction: Junction | None
    paint: tuple[Paint, ...]
    setting: str

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.centre.device


def build_scene_tensors(scene: MadeUpScene, device: torch.device | str = "cpu") -> SceneTensors:
    """The tensors of a scene; objects are placed and interpolated as in the condition pictures."""
    frames = scene.frames
    boxes = every_frame(hold_static(scene.objects), frames)
    pose = boxes.pose.reshape(frames, -1, 4, 4)
    pieces = list(scene.solids)
    for track, mover in enumerate(scene.movers):
        model = ROAD_USER_MODELS[mover.model]
        pieces += vehicle_solids(mover.model, model.size, model.colour, track)
    pieces.sort(key=lambda piece: piece.shape)
    pieces.append(Solid(BALL + 1, 0, (0.0, 0.0, _HIDDEN), (0.1, 0.1, 0.1)))
    shapes = np.array([piece.shape for piece in pieces])
    track = np.array([piece.track for piece in pieces])
    local = np.array([piece.centre for piece in pieces], np.float64)
    heading = np.tile(np.array([piece.heading for piece in pieces], np.float64), (frames, 1))
    centre = np.tile(local, (frames, 1, 1))
    moving = np.flatnonzero(track >= 0)
    if len(moving):
        frame_of = pose[:, track[moving]]
        centre[:, moving] = (frame_of[..., :3, :3] @ local[moving, :, None])[..., 0] + frame_of[..., :3, 3]
        heading[:, moving] += np.arctan2(frame_of[..., 1, 0], frame_of[..., 0, 0])
    half = np.array([piece.half for piece in pieces])
    middle = scene.vehicle[[0, -1], :2, 3].mean(0)
    grids = np.stack([road_table(road, middle, _HALF, _CELL) for road in scene.roads])
    yaw = np.arctan2(scene.vehicle[:, 1, 0], scene.vehicle[:, 0, 0])
    rng = np.random.default_rng([scene.seed, 5])

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values, np.float32), device=device)

    return SceneTensors(
        centre=tensor(centre),
        turn=tensor(np.stack([np.cos(heading), np.sin(heading)], -1)),
        half=tensor(half),
        lean=tensor(np.array([piece.lean for piece in pieces])),
        colour=tensor(np.array([piece.colour for piece in pieces])),
        radius=tensor(np.linalg.norm(half, axis=1)),
        material=torch.as_tensor([piece.material for piece in pieces], device=device),
        track=torch.as_tensor(track, device=device),
        mapped=torch.as_tensor([piece.track >= 0 or piece.layer is not None for piece in pieces], device=device),
        kinds=tuple((int((shapes < kind).sum()), int((shapes <= kind).sum())) for kind in (BOX, WEDGE, BALL)),
        grid=tensor(grids),
        grid_centre=(float(middle[0]), float(middle[1])),
        noise=tensor(_noise(rng))[None, None],
        lamps=tensor(scene.lamps),
        ego=tensor(np.concatenate([scene.vehicle[:, :2, 3], yaw[:, None]], 1)),
        roads=scene.roads,
        junction=scene.junction,
        paint=scene.paint,
        setting=scene.setting,
    )


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Periodic noise of several octaves, [257, 257], about -1..1; the last row and column repeat the first."""
    total = np.zeros((256, 256), np.float32)
    for octave, weight in ((8, 1.0), (16, 0.7), (32, 0.5), (64, 0.35), (128, 0.25)):
        coarse = rng.standard_normal((octave, octave)).astype(np.float32)
        tiled = cv2.resize(np.tile(coarse, (3, 3)), (768, 768), interpolation=cv2.INTER_CUBIC)
        total += weight * tiled[256:512, 256:512]
    total /= 2 * total.std()
    return np.pad(np.clip(total, -1, 1), ((0, 1), (0, 1)), mode="wrap")


def noise(tensors: SceneTensors, xy: torch.Tensor, metres: float) -> torch.Tensor:
    """Noise -1..1 [n] at points [n, 2]; the pattern repeats every `metres`."""
    uv = torch.remainder(xy / metres, 1.0) * 2 - 1
    return torch.nn.functional.grid_sample(tensors.noise, uv[None, None], align_corners=True)[0, 0, 0]


def road_coordinates(tensors: SceneTensors, xy: torch.Tensor) -> torch.Tensor:
    """s, side, cosine and sine of the heading on every road at points [n, 2]: float32 [R, 4, n]."""
    centre = torch.tensor(tensors.grid_centre, device=xy.device)
    uv = ((xy - centre) / _HALF)[None, None].expand(len(tensors.grid), -1, -1, -1)
    sampled = torch.nn.functional.grid_sample(tensors.grid, uv, align_corners=True, padding_mode="border")
    return sampled[:, :, 0]
