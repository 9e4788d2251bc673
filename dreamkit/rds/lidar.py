"""LiDAR condition pictures: the sweeps around a frame, carried along with what moves, splatted into a depth picture.

Rules read from nv-tlabs/cosmos-av-sample-toolkits (render_from_rds_hq.py, utils/pcd_utils.py): two sweeps either side,
returns within 3 m of the sensor dropped, points inside a moving box (enlarged 1.2 times) carried to where that box is
in the drawn frame, or dropped when it is not there; each point spread over 5x5 pixels with a Gaussian of one pixel,
near points outweighing far ones; depth 0..75 m to grey 0..255, so far is bright. The same torch code runs on CPU and
GPU.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.rds.ftheta import Camera
from dreamkit.rds.labels import CAMERA_HZ, LABEL_HZ, Lidar
from dreamkit.rds.objects import Boxes

SWEEPS_EITHER_SIDE = 2
NEAREST_RETURN = 3.0
BOX_SCALE = 1.2
FARTHEST = 75.0
_STEP = CAMERA_HZ // LABEL_HZ
_REACH = 2
# The farthest point weighs exp(-50) of a point at the lens, everything between on a logarithmic scale.
_NEAR_PREFERENCE = 50.0


@dataclass(frozen=True)
class _Sweep:
    """A decoded sweep, and which of its points lie in which moving boxes.

    points: world points float64 [N, 3]; rows: those rows of the clip's boxes that hold points, [B]; to_box: world to
    each of these boxes, float64 [B, 4, 4]; rounds: (points, boxes) as int64 indices into `points` and `rows`, [M] each:
    every held point with its first box, then those that lie in a second one, too, and so on.
    """

    points: torch.Tensor
    rows: np.ndarray
    to_box: np.ndarray
    rounds: tuple[tuple[torch.Tensor, torch.Tensor], ...]


class Sweeps:
    """The world points seen around each frame of a clip; neighbouring frames share the decoded sweeps.

    Args:
        lidar: the clip's sweeps.
        boxes: boxes of every frame, from `objects.every_frame`.
        frame_count: frames of the clip at 30 Hz.
        device: where the points are kept and moved.
    """

    def __init__(self, lidar: Lidar, boxes: Boxes, frame_count: int, device: torch.device | str = "cpu") -> None:
        self.lidar, self.boxes, self.frame_count, self.device = lidar, boxes, frame_count, torch.device(device)
        self._frames = np.array([frame for frame in lidar.frames if frame < frame_count])
        if not len(self._frames):
            raise DreamkitError(f"{lidar.tar.path} has no sweep within the clip's {frame_count} frames")
        self._decoded: OrderedDict[int, _Sweep] = OrderedDict()

    def around(self, frame: int) -> list[tuple[torch.Tensor, int]]:
        """World points float64 [N, 3] of each sweep used for a frame, and how often that sweep counts.

        At both ends of a clip the outer sweeps are missing and the first or last one counts again.
        """
        wanted = np.clip(
            frame + _STEP * np.arange(-SWEEPS_EITHER_SIDE, SWEEPS_EITHER_SIDE + 1), 0, self.frame_count - 1
        )
        wanted = np.round(wanted / _STEP).astype(int) * _STEP
        used = Counter(int(self._frames[np.abs(self._frames - number).argmin()]) for number in wanted)
        return [(self._carried(sweep, frame), count) for sweep, count in used.items()]

    def _sweep(self, number: int) -> _Sweep:
        if number not in self._decoded:
            loaded = self.lidar.load(number)
            xyz = torch.from_numpy(loaded.xyz).to(self.device)
            xyz = xyz[torch.linalg.vector_norm(xyz, dim=1) >= NEAREST_RETURN].double()
            pose = torch.from_numpy(loaded.to_world).to(self.device)
            rows = self._rows(number)
            self._decoded[number] = _held(xyz @ pose[:3, :3].T + pose[:3, 3], self.boxes, rows[self.boxes.moving[rows]])
            while len(self._decoded) > 2 * SWEEPS_EITHER_SIDE + 2:
                self._decoded.popitem(last=False)
        self._decoded.move_to_end(number)
        return self._decoded[number]

    def _rows(self, frame: int) -> np.ndarray:
        return np.arange(*np.searchsorted(self.boxes.frame, [frame, frame + 1]))

    def _carried(self, number: int, frame: int) -> torch.Tensor:
        sweep = self._sweep(number)
        if number == frame or not len(sweep.rows):
            return sweep.points
        now = {self.boxes.track[row]: row for row in self._rows(frame)}
        # -1 where the box is gone; what it held moves to some place and is dropped below.
        targets = np.array([now.get(self.boxes.track[row], -1) for row in sweep.rows])
        carry = torch.from_numpy(self.boxes.pose[targets] @ sweep.to_box).to(self.device)
        moved = sweep.points.clone()
        for points, boxes in sweep.rounds:
            by = carry[boxes]
            moved[points] = (by[:, :3, :3] @ moved[points, :, None])[..., 0] + by[:, :3, 3]
        if (targets >= 0).all():
            return moved
        gone, kept = torch.from_numpy(targets < 0).to(self.device), torch.ones_like(moved[:, 0], dtype=torch.bool)
        for points, boxes in sweep.rounds:
            kept[points] &= ~gone[boxes]
        return moved[kept]


def _held(world: torch.Tensor, boxes: Boxes, rows: np.ndarray) -> _Sweep:
    """Find the points [N, 3] in the enlarged boxes of some rows, each point's boxes in the order of the rows."""
    pose, half = boxes.pose[rows], boxes.size[rows] / 2 * BOX_SCALE + 1e-6
    to_box = np.linalg.inv(pose)
    # What the box takes along x and y, with room for rounding, leaves few points for the test along its own axes.
    reach = (np.abs(pose[:, :3, :3]) @ half[:, :, None])[..., 0] + 1e-3
    low, high = (torch.from_numpy(pose[:, :2, 3] + side * reach[:, :2]).to(world.device) for side in (-1, 1))
    x, y = world[:, :2].T.contiguous()
    near = (x >= low[:, :1]) & (x <= high[:, :1]) & (y >= low[:, 1:]) & (y <= high[:, 1:])
    box, point = near.nonzero().T
    there, limit = (torch.from_numpy(part).to(world.device) for part in (to_box, half))
    local = (there[box, :3, :3] @ world[point, :, None])[..., 0] + there[box, :3, 3]
    inside = (local.abs() <= limit[box]).all(1)
    point, order = point[inside].sort(stable=True)
    held, box = box[inside][order].unique(return_inverse=True)
    # How many boxes a point was found in before: 0 for its first one.
    first = torch.searchsorted(point, point)
    before = torch.arange(len(point), device=point.device) - first
    rounds = tuple(
        (point[before == turn], box[before == turn]) for turn in range(int(before.max()) + 1 if len(point) else 0)
    )
    chosen = held.cpu().numpy()
    return _Sweep(world, rows[chosen], to_box[chosen], rounds)


def splat(points: torch.Tensor, weight: torch.Tensor, camera: Camera, pose: np.ndarray) -> torch.Tensor:
    """Depth picture float32 [height, width] in metres along the optical axis; 0 where no point fell.

    Args:
        points: world points, float64 [N, 3].
        weight: how much each counts, [N].
        camera: scaled to the size that is to be drawn.
        pose: camera-to-world, [4, 4].
    """
    height, width = camera.height, camera.width
    to_camera = torch.from_numpy(np.linalg.inv(pose)).to(points.device)
    local = points @ to_camera[:3, :3].T + to_camera[:3, 3]
    ahead = local[:, 2] > 0
    local, weight = local[ahead].float(), weight[ahead].float()
    # A border as wide as the kernel takes what falls outside, so that no splat needs a test.
    rows, columns = height + 4 * _REACH, width + 4 * _REACH
    depth_sum, weight_sum = torch.zeros(2, rows * columns, device=points.device)
    if len(local):
        depth = local[:, 2]
        nearness = torch.log1p(depth.clamp(max=1000))
        weight = weight * torch.exp(-_NEAR_PREFERENCE * nearness / (nearness.max() + 1e-7))
        pixel = camera.project(local)
        u, v = pixel.T
        visible = (u >= -_REACH) & (u < width + _REACH) & (v >= -_REACH) & (v < height + _REACH)
        pixel, depth, weight = pixel[visible], depth[visible], weight[visible]
        corner = pixel.floor()
        offsets = torch.arange(-_REACH, _REACH + 1, device=points.device)
        # The Gaussian of x and y apart, one row an offset: [5, N] each.
        across, down = torch.exp(-0.5 * ((pixel - corner - 0.5).T[:, None] - offsets[None, :, None]) ** 2)
        x, y = corner.long().T
        place = (y + 2 * _REACH) * columns + x + 2 * _REACH
        for dy, share_y in zip(range(-_REACH, _REACH + 1), down * weight, strict=True):
            for dx, share_x in zip(range(-_REACH, _REACH + 1), across, strict=True):
                share = share_x * share_y
                target = place + (dy * columns + dx)
                weight_sum.scatter_add_(0, target, share)
                depth_sum.scatter_add_(0, target, share * depth)
    picture = torch.where(weight_sum > 0, depth_sum / torch.where(weight_sum > 0, weight_sum, 1.0), 0.0)
    return picture.reshape(rows, columns)[2 * _REACH : -2 * _REACH, 2 * _REACH : -2 * _REACH]


def grey(depth: torch.Tensor) -> np.ndarray:
    """A depth picture [height, width] in metres as uint8: 75 m and beyond are white, where nothing fell is black."""
    return (depth.clamp(0, FARTHEST) / FARTHEST * 255).to(torch.uint8).cpu().numpy()


def draw(
    sweeps: Sweeps, cameras: Mapping[str, Camera], poses: Mapping[str, np.ndarray], frames: Sequence[int]
) -> Iterator[dict[str, np.ndarray]]:
    """For each frame the grey pictures uint8 [height, width] of all cameras, which share the gathered points.

    Args:
        sweeps: the clip's points.
        cameras: by name, scaled to the size that is to be drawn.
        poses: by the same names, camera-to-world, float64 [T, 4, 4], indexed by frame number.
        frames: the frame numbers to draw, best in ascending order.
    """
    for frame in frames:
        parts = sweeps.around(frame)
        points = torch.cat([part for part, _ in parts])
        weight = torch.cat([torch.full((len(part),), float(count), device=points.device) for part, count in parts])
        yield {name: grey(splat(points, weight, camera, poses[name][frame])) for name, camera in cameras.items()}


def pick_device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
