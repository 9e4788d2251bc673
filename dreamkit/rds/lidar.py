"""LiDAR condition pictures: the points of the sweeps around a frame, moved with their objects, splatted to a depth map.

Source of the rules: render_from_rds_hq.py and utils/pcd_utils.py of nv-tlabs/cosmos-av-sample-toolkits. The sweeps of a
frame are the nearest one and two on either side; points within 3 m of the sensor are dropped. Points inside the box of
a moving object (enlarged 1.2 times) move with the box to the drawn frame, and are dropped when it has no such box. Each
point is splatted on 5x5 pixels with a Gaussian of sigma 1 pixel, near points weighted above far ones. A depth of 0 to
75 m is drawn as grey 0 to 255. The same torch code runs on the CPU and the GPU.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.labels import LABEL_STEP
from dreamkit.rds.lidar_labels import Lidar
from dreamkit.rds.objects import Boxes

SWEEPS_EITHER_SIDE = 2
NEAREST_RETURN = 3.0  # metres from the sensor
BOX_SCALE = 1.2
FARTHEST = 75.0  # metres drawn as white
_REACH = 2  # pixels on either side of a point's own pixel
# Weight exp(-50 log(1 + depth) / log(1 + largest depth)).
_NEAR_PREFERENCE = 50.0


@dataclass(frozen=True)
class _Sweep:
    """A decoded sweep, and which of its points lie in which boxes of moving objects.

    Attributes:
        points: world points, float64 [N, 3].
        rows: rows of the clip's boxes that hold points, [B].
        to_box: world to each of these boxes, float64 [B, 4, 4].
        rounds: (points, boxes) as int64 indices into `points` and `rows`, [M] each. The first round has every point
            inside a box with its first box, the second one the points that lie in a second box too, and so on.
    """

    points: torch.Tensor
    rows: np.ndarray
    to_box: np.ndarray
    rounds: tuple[tuple[torch.Tensor, torch.Tensor], ...]


class Sweeps:
    """The world points of the sweeps around each frame of a clip; decoded sweeps are cached for the next frames.

    Args:
        lidar: the clip's sweeps.
        boxes: boxes of every frame, from `objects.every_frame`.
        frame_count: number of frames of the clip at 30 Hz.
        device: where the points are stored and moved.

    Raises:
        DreamkitError: no sweep lies within the clip's frames.
    """

    def __init__(self, lidar: Lidar, boxes: Boxes, frame_count: int, device: torch.device | str = "cpu") -> None:
        self.lidar, self.boxes, self.frame_count, self.device = lidar, boxes, frame_count, torch.device(device)
        self._frames = np.array([frame for frame in lidar.frames if frame < frame_count])
        if not len(self._frames):
            raise DreamkitError(
                f"{lidar.tar.path} has no sweep within the clip's {frame_count} frames.",
                "Fetch lidar_raw of this clip again, or render with --conditions hdmap.",
            )
        self._decoded: OrderedDict[int, _Sweep] = OrderedDict()

    def around(self, frame: int) -> list[tuple[torch.Tensor, int]]:
        """World points float64 [N, 3] of each sweep used for a frame, and the weight of that sweep.

        At the ends of a clip the first or last sweep stands for the missing ones, so its weight is higher.
        """
        numbers = np.clip(
            frame + LABEL_STEP * np.arange(-SWEEPS_EITHER_SIDE, SWEEPS_EITHER_SIDE + 1), 0, self.frame_count - 1
        )
        numbers = np.round(numbers / LABEL_STEP).astype(int) * LABEL_STEP
        used = Counter(int(self._frames[np.abs(self._frames - number).argmin()]) for number in numbers)
        return [(self._points_at(sweep, frame), count) for sweep, count in used.items()]

    def _sweep(self, number: int) -> _Sweep:
        """The decoded sweep of a frame number."""
        if number not in self._decoded:
            loaded = self.lidar.load(number)
            xyz = torch.from_numpy(loaded.xyz).to(self.device)
            xyz = xyz[torch.linalg.vector_norm(xyz, dim=1) >= NEAREST_RETURN].double()
            pose = torch.from_numpy(loaded.to_world).to(self.device)
            rows = self._rows(number)
            self._decoded[number] = _assign_to_boxes(
                xyz @ pose[:3, :3].T + pose[:3, 3], self.boxes, rows[self.boxes.moving[rows]]
            )
            while len(self._decoded) > 2 * SWEEPS_EITHER_SIDE + 2:
                self._decoded.popitem(last=False)
        self._decoded.move_to_end(number)
        return self._decoded[number]

    def _rows(self, frame: int) -> np.ndarray:
        """Rows of the boxes of a frame."""
        return np.arange(*np.searchsorted(self.boxes.frame, [frame, frame + 1]))

    def _points_at(self, number: int, frame: int) -> torch.Tensor:
        """World points [N, 3] of sweep `number`, those of moving objects where the objects are in `frame`."""
        sweep = self._sweep(number)
        if number == frame or not len(sweep.rows):
            return sweep.points
        now = {self.boxes.track[row]: row for row in self._rows(frame)}
        # -1 where the frame has no such box; the points of that box are dropped below.
        targets = np.array([now.get(self.boxes.track[row], -1) for row in sweep.rows])
        motion = torch.from_numpy(self.boxes.pose[targets] @ sweep.to_box).to(self.device)
        moved = sweep.points.clone()
        for points, boxes in sweep.rounds:
            to_frame = motion[boxes]
            moved[points] = (to_frame[:, :3, :3] @ moved[points, :, None])[..., 0] + to_frame[:, :3, 3]
        if (targets >= 0).all():
            return moved
        gone, kept = torch.from_numpy(targets < 0).to(self.device), torch.ones_like(moved[:, 0], dtype=torch.bool)
        for points, boxes in sweep.rounds:
            kept[points] &= ~gone[boxes]
        return moved[kept]


def _assign_to_boxes(world: torch.Tensor, boxes: Boxes, rows: np.ndarray) -> _Sweep:
    """The sweep of world points [N, 3], with the points inside the enlarged boxes of some rows."""
    pose, half = boxes.pose[rows], boxes.size[rows] / 2 * BOX_SCALE + 1e-6
    to_box = np.linalg.inv(pose)
    # A cheap test on the box's extent along world x and y leaves few points for the exact test along the box's axes.
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
    # Number of earlier boxes of the same point.
    first = torch.searchsorted(point, point)
    before = torch.arange(len(point), device=point.device) - first
    rounds = tuple(
        (point[before == turn], box[before == turn]) for turn in range(int(before.max()) + 1 if len(point) else 0)
    )
    chosen = held.cpu().numpy()
    return _Sweep(world, rows[chosen], to_box[chosen], rounds)


def splat(points: torch.Tensor, weight: torch.Tensor, camera: CameraModel, pose: np.ndarray) -> torch.Tensor:
    """Depth map float32 [H, W] of the camera's height and width, in metres along the optical axis; 0 without a point.

    Args:
        points: world points, float64 [N, 3].
        weight: weight of each point, [N].
        camera: scaled to the size of the picture.
        pose: camera-to-world, [4, 4].
    """
    height, width = camera.height, camera.width
    to_camera = torch.from_numpy(np.linalg.inv(pose)).to(points.device)
    local = points @ to_camera[:3, :3].T + to_camera[:3, 3]
    ahead = local[:, 2] > 0
    local, weight = local[ahead].float(), weight[ahead].float()
    # A border as wide as the kernel holds the pixels outside the picture, which saves a test for each of them.
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
        # The factors of the Gaussian along x and along y for each offset, [5, N] each.
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


def depth_to_grey(depth: torch.Tensor) -> np.ndarray:
    """A depth map [H, W] in metres as uint8 [H, W]: 0 m is black, 75 m and more are white."""
    return (depth.clamp(0, FARTHEST) / FARTHEST * 255).to(torch.uint8).cpu().numpy()


def draw_lidar_frames(
    sweeps: Sweeps, cameras: Mapping[str, CameraModel], poses: Mapping[str, np.ndarray], frames: Sequence[int]
) -> Iterator[dict[str, np.ndarray]]:
    """LiDAR pictures uint8 [H, W] by camera, for each frame; the points are gathered once for all cameras.

    Args:
        sweeps: the clip's points.
        cameras: by name, scaled to the size of the picture.
        poses: camera-to-world by the same names, float64 [T, 4, 4], indexed by frame number.
        frames: the frame numbers to draw; in ascending order each sweep is decoded once.
    """
    for frame in frames:
        parts = sweeps.around(frame)
        points = torch.cat([part for part, _ in parts])
        weight = torch.cat([torch.full((len(part),), float(count), device=points.device) for part, count in parts])
        yield {
            name: depth_to_grey(splat(points, weight, camera, poses[name][frame])) for name, camera in cameras.items()
        }


def pick_device() -> torch.device:
    """The GPU if PyTorch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
