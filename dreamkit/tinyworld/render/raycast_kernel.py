# ruff: noqa: ANN001, ANN202 - a kernel's arguments are pointers and numbers that Triton types by itself
"""`raycast.trace` as one Triton kernel: one program per tile keeps its rays in registers and loops over its solids.

The torch version moves every ray through memory some thirty times per solid; this one reads it once.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]  # comes with PyTorch for CUDA only
import triton.language as tl  # pyright: ignore[reportMissingImports]

_RAYS = 256  # per program


@triton.jit
def _slab(o, d, half):
    inverse = 1.0 / tl.where(tl.abs(d) < 1e-7, 1e-7, d)
    middle = -o * inverse
    reach = half * tl.abs(inverse)
    return middle - reach, middle + reach


@triton.jit
def _side(near, far, o, d, oz, dz, limit, slope):
    out = d + slope * dz
    t = (limit - o - slope * oz) / tl.where(tl.abs(out) < 1e-7, 1e-7, out)
    near = tl.where(out < 0, tl.maximum(near, t), near)
    far = tl.where(out >= 0, tl.minimum(far, t), far)
    return near, far


@triton.jit
def _trace(
    frame,
    boxes,
    wedges,
    balls,
    counts,
    most0,
    most1,
    most2,
    centre,
    turn,
    half,
    lean,
    solids,
    origin,
    ray,
    limit,
    best,
    found,
    rays,
    origin_step,
    ray_step,
    limit_step,
    RAYS: tl.constexpr,
):
    tile = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * RAYS + tl.arange(0, RAYS)
    inside = at < rays
    first_origin = (tile * tl.where(origin_step > 0, rays, 1) + at * origin_step) * 3
    ox = tl.load(origin + first_origin, inside, 0.0)
    oy = tl.load(origin + first_origin + 1, inside, 0.0)
    oz = tl.load(origin + first_origin + 2, inside, 0.0)
    first_ray = (tile * tl.where(ray_step > 0, rays, 1) + at * ray_step) * 3
    dx = tl.load(ray + first_ray, inside, 1.0)
    dy = tl.load(ray + first_ray + 1, inside, 0.0)
    dz = tl.load(ray + first_ray + 2, inside, 0.0)
    least = tl.load(limit + (tile * rays + at) * limit_step, inside, 0.0)
    nearest = tl.full([RAYS], float("inf"), tl.float32)
    which = tl.full([RAYS], 0, tl.int64) + solids - 1
    row = tl.load(frame + tile) * solids
    for kind in tl.static_range(3):
        if kind == 0:
            listed, most = boxes, most0
        elif kind == 1:
            listed, most = wedges, most1
        else:
            listed, most = balls, most2
        count = tl.load(counts + tile * 3 + kind)
        for k in range(0, count):
            solid = tl.load(listed + tile * most + k)
            cx = tl.load(centre + (row + solid) * 3)
            cy = tl.load(centre + (row + solid) * 3 + 1)
            cz = tl.load(centre + (row + solid) * 3 + 2)
            cosine = tl.load(turn + (row + solid) * 2)
            sine = tl.load(turn + (row + solid) * 2 + 1)
            hx = tl.load(half + solid * 3)
            hy = tl.load(half + solid * 3 + 1)
            hz = tl.load(half + solid * 3 + 2)
            x, y, z = ox - cx, oy - cy, oz - cz
            px, py = cosine * x + sine * y, cosine * y - sine * x
            qx, qy = cosine * dx + sine * dy, cosine * dy - sine * dx
            if kind == 2:
                ax, ay, az = px / hx, py / hy, z / hz
                bx, by, bz = qx / hx, qy / hy, dz / hz
                a = bx * bx + by * by + bz * bz
                b = ax * bx + ay * by + az * bz
                c = ax * ax + ay * ay + az * az - 1
                deep = b * b - a * c
                meet = tl.where(deep > 0, (-b - tl.sqrt(tl.maximum(deep, 0.0))) / a, float("inf"))
            else:
                near, far = _slab(z, dz, hz)
                if kind == 0:
                    low, high = _slab(px, qx, hx)
                    near, far = tl.maximum(near, low), tl.minimum(far, high)
                    low, high = _slab(py, qy, hy)
                    near, far = tl.maximum(near, low), tl.minimum(far, high)
                else:
                    lx = tl.load(lean + solid * 2)
                    ly = tl.load(lean + solid * 2 + 1)
                    slope = lx / (2 * hz)
                    near, far = _side(near, far, px, qx, z, dz, hx - lx / 2, slope)
                    near, far = _side(near, far, -px, -qx, z, dz, hx - lx / 2, slope)
                    slope = ly / (2 * hz)
                    near, far = _side(near, far, py, qy, z, dz, hy - ly / 2, slope)
                    near, far = _side(near, far, -py, -qy, z, dz, hy - ly / 2, slope)
                meet = tl.where((near <= far) & (far > 0), near, float("inf"))
            closer = (meet < nearest) & (meet > least)
            nearest = tl.where(closer, meet, nearest)
            which = tl.where(closer, solid, which)
    tl.store(best + tile * rays + at, nearest, inside)
    tl.store(found + tile * rays + at, which, inside)


def trace(
    frame: torch.Tensor,
    lists: tuple[torch.Tensor, ...],
    shapes: tuple[torch.Tensor, ...],
    origin: torch.Tensor,
    ray: torch.Tensor,
    nearest: float | torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first solid on each ray; see `dreamkit.tinyworld.render.raycast.trace`.

    Args:
        frame: frame number of each tile, int64 [M].
        lists: for boxes, wedges and balls, the solids of each tile, int64 [M, K], nearest first, padded with B - 1.
        shapes: centre [T, B, 3], turn [T, B, 2], half [B, 3], lean [B, 2], float32.
        origin: of the rays, float32 [M, 1 or p, 3].
        ray: directions, float32 [M, 1 or p, 3].
        nearest: hits closer than this do not count; a number or float32 [M, p].

    Returns:
        Distances float32 [M, p], infinite without a hit, and indices of the solids, int64 [M, p].
    """
    tiles, rays = len(frame), max(origin.shape[1], ray.shape[1])
    solids = shapes[0].shape[1]
    counts = torch.stack([(found != solids - 1).sum(1) for found in lists], 1).contiguous()
    best = torch.empty(tiles, rays, device=ray.device)
    found = torch.empty(tiles, rays, dtype=torch.int64, device=ray.device)
    limit = nearest if isinstance(nearest, torch.Tensor) else torch.full((1,), nearest, device=ray.device)
    grid = (tiles, triton.cdiv(rays, _RAYS))
    _trace[grid](  # pyright: ignore[reportIndexIssue]  # indexing a kernel sets its grid
        frame.contiguous(),
        *(listed.contiguous() for listed in lists),
        counts,
        *(listed.shape[1] for listed in lists),
        *(shape.contiguous() for shape in shapes),
        solids,
        origin.contiguous(),
        ray.contiguous(),
        limit.contiguous(),
        best,
        found,
        rays,
        int(origin.shape[1] > 1),
        int(ray.shape[1] > 1),
        int(limit.numel() > 1),
        RAYS=_RAYS,
    )
    return best, found
