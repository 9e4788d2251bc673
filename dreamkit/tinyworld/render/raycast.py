"""Ray casting against a scene's solids, in tiles: a tile is a small patch of one picture, and meets few solids.

There are M tiles of p rays each. For every tile, the solids that its cone can meet are listed nearest first. The k-th
solids of all tiles are tested together; tiles are sorted by the length of their lists, so that tiles with a k-th solid
are the leading ones.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass

import torch

from dreamkit.tinyworld.render.scene_tensors import SceneTensors
from dreamkit.tinyworld.world.solids import BALL


@dataclass(frozen=True)
class Picks:
    """Solids to test for each tile, by shape.

    Attributes:
        solids: for each shape, indices int64 [M, K], nearest first.
        lengths: for each shape, the number of leading tiles that have a k-th solid, for each k.
    """

    solids: tuple[torch.Tensor, ...]
    lengths: tuple[list[int], ...]


def cone_meets(
    tensors: SceneTensors,
    frame: torch.Tensor,
    eye: torch.Tensor,
    axis: torch.Tensor,
    angle: torch.Tensor,
    smallest: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each tile's cone can meet each solid, bool [M, B], and the distance [M, B].

    Args:
        tensors: the scene.
        frame: frame number of each tile, int64 [M].
        eye: apexes of the cones, float32 [M, 3].
        axis: unit vectors [M, 3].
        angle: half the opening angles, radians [M].
        smallest: apparent radius (radians) below which a solid is left out.
    """
    to = tensors.centre[frame] - eye[:, None]
    distance = to.norm(dim=-1)
    size = tensors.radius / distance.clamp(min=1e-3)
    cosine = (to * axis[:, None]).sum(-1) / distance.clamp(min=1e-3)
    apart = torch.acos(cosine.clamp(-1, 1)) - torch.asin(size.clamp(max=1.0))
    return ((apart <= angle[:, None]) | (size >= 1)) & (size > smallest), distance


def order_tiles(meets: torch.Tensor) -> torch.Tensor:
    """Order of tiles by their number of solids, most first, int64 [M]."""
    return meets.sum(1).argsort(descending=True)


def pick(tensors: SceneTensors, meets: torch.Tensor, distance: torch.Tensor) -> Picks:
    """Lists of solids for tiles in the order of `order_tiles`.

    Args:
        tensors: the scene.
        meets: bool [M, B], from `cone_meets`.
        distance: float32 [M, B], from `cone_meets`.
    """
    solids, lengths = [], []
    empty = meets.shape[1] - 1
    for first, last in tensors.kinds:
        mine = meets[:, first:last]
        counts = mine.sum(1)
        most = int(counts.max()) if mine.numel() else 0
        if not most:
            solids.append(counts.new_zeros((len(meets), 0)))
            lengths.append([])
            continue
        key = torch.where(mine, distance[:, first:last], torch.inf)
        nearest, index = key.topk(most, dim=1, largest=False)
        solids.append(torch.where(nearest.isfinite(), index + first, empty))
        # For each k: one plus the index of the last tile with a k-th solid.
        place = torch.arange(1, len(meets) + 1, device=meets.device)[:, None]
        has = counts[:, None] > torch.arange(most, device=meets.device)
        lengths.append((has * place).amax(0).tolist())
    return Picks(tuple(solids), tuple(lengths))


@functools.cache
def has_triton() -> bool:
    """Whether Triton, the kernel language that comes with PyTorch for CUDA, is installed."""
    return importlib.util.find_spec("triton") is not None


def trace(
    tensors: SceneTensors,
    frame: torch.Tensor,
    picks: Picks,
    origin: torch.Tensor,
    ray: torch.Tensor,
    nearest: float | torch.Tensor = 0.01,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first solid on each ray.

    Args:
        tensors: the scene.
        frame: frame number of each tile, int64 [M].
        picks: from `pick`.
        origin: of the rays, float32 [M, 1 or p, 3].
        ray: directions, float32 [M, 1 or p, 3].
        nearest: hits closer than this do not count; a number or float32 [M, p].

    Returns:
        Distances float32 [M, p], infinite without a hit, and indices of the solids, int64 [M, p].
    """
    if ray.is_cuda and has_triton():
        from dreamkit.tinyworld.render import raycast_kernel

        shapes = (tensors.centre, tensors.turn, tensors.half, tensors.lean)
        return raycast_kernel.trace(frame, picks.solids, shapes, origin, ray, nearest)
    count = max(origin.shape[1], ray.shape[1])
    best = torch.full((len(frame), count), torch.inf, device=ray.device)
    found = torch.full((len(frame), count), tensors.centre.shape[1] - 1, device=ray.device)
    for kind, (solids, lengths) in enumerate(zip(picks.solids, picks.lengths, strict=True)):
        for k, m in enumerate(lengths):
            solid = solids[:m, k]
            o, d = to_local(tensors, frame[:m], solid, origin[:m], ray[:m])
            hit = _ball if kind == BALL else _wedge if kind else _box
            near = hit(o, d, tensors.half[solid], tensors.lean[solid])
            limit = nearest[:m] if isinstance(nearest, torch.Tensor) else nearest
            closer = (near < best[:m]) & (near > limit)
            best[:m] = torch.where(closer, near, best[:m])
            found[:m] = torch.where(closer, solid[:, None], found[:m])
    return best, found


Axes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def to_local(
    tensors: SceneTensors, frame: torch.Tensor, solid: torch.Tensor, origin: torch.Tensor, ray: torch.Tensor
) -> tuple[Axes, Axes]:
    """Origins and rays [M, 1 or p, 3] in the axes of one solid per tile [M]; each as x, y and z, [M, 1 or p]."""
    centre, turn = tensors.centre[frame, solid], tensors.turn[frame, solid]
    cosine, sine = turn[:, :1], turn[:, 1:]
    x, y = origin[..., 0] - centre[:, :1], origin[..., 1] - centre[:, 1:2]
    o = (cosine * x + sine * y, cosine * y - sine * x, origin[..., 2] - centre[:, 2:])
    dx, dy = ray[..., 0], ray[..., 1]
    return o, (cosine * dx + sine * dy, cosine * dy - sine * dx, ray[..., 2])


def _slab(o: Axes, d: Axes, half: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances at which rays enter and leave the slab between two opposite faces."""
    inverse = 1 / torch.where(d[axis].abs() < 1e-7, 1e-7, d[axis])
    middle, reach = -o[axis] * inverse, half[:, axis : axis + 1] * inverse.abs()
    return middle - reach, middle + reach


def _box(o: Axes, d: Axes, half: torch.Tensor, _lean: torch.Tensor) -> torch.Tensor:
    near, far = _slab(o, d, half, 0)
    for axis in (1, 2):
        low, high = _slab(o, d, half, axis)
        near, far = torch.maximum(near, low), torch.minimum(far, high)
    return torch.where((near <= far) & (far > 0), near, torch.inf)


def _wedge(o: Axes, d: Axes, half: torch.Tensor, lean: torch.Tensor) -> torch.Tensor:
    """Sides lean inwards: |x| + slope z <= half x - lean x / 2, the same for y; z as in a box."""
    near, far = _slab(o, d, half, 2)
    for axis in range(2):
        slope = lean[:, axis : axis + 1] / (2 * half[:, 2:])
        limit = half[:, axis : axis + 1] - lean[:, axis : axis + 1] / 2
        for sign in (1, -1):
            out = sign * d[axis] + slope * d[2]
            t = (limit - sign * o[axis] - slope * o[2]) / torch.where(out.abs() < 1e-7, 1e-7, out)
            near = torch.where(out < 0, torch.maximum(near, t), near)
            far = torch.where(out >= 0, torch.minimum(far, t), far)
    return torch.where((near <= far) & (far > 0), near, torch.inf)


def _ball(o: Axes, d: Axes, half: torch.Tensor, _lean: torch.Tensor) -> torch.Tensor:
    scale = 1 / half
    ox, oy, oz = (o[axis] * scale[:, axis : axis + 1] for axis in range(3))
    dx, dy, dz = (d[axis] * scale[:, axis : axis + 1] for axis in range(3))
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    c = ox * ox + oy * oy + oz * oz - 1
    inside = b * b - a * c
    return torch.where(inside > 0, (-b - inside.clamp(min=0).sqrt()) / a, torch.inf)
