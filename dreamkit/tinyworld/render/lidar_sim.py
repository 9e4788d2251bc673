"""Simulated LiDAR sweeps of a made-up scene, by ray casting against the solids and ground of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dreamkit.rds.lidar_labels import LidarFrame
from dreamkit.tinyworld.render.raycast import cone_meets, order_tiles, pick, trace
from dreamkit.tinyworld.render.scene_tensors import SceneTensors
from dreamkit.tinyworld.world.scene import MadeUpScene
from dreamkit.tinyworld.world.traffic import STEP

# Position of the roof sensor in vehicle axes, metres.
SENSOR_POSITION = (1.2, 0.0, 1.9)
_BEAMS, _TURNS, _SECTORS = 48, 1080, 45
_LOWEST, _HIGHEST = -25.0, 8.0  # degrees
_REACH = 100.0


@dataclass(frozen=True)
class SimulatedLidar:
    """Sweeps in memory, by frame number; has the attributes that `dreamkit.rds.lidar.Sweeps` reads of a clip's file."""

    sweeps: dict[int, LidarFrame]

    @property
    def frames(self) -> tuple[int, ...]:
        """Frame numbers with a sweep, ascending."""
        return tuple(sorted(self.sweeps))

    def load(self, frame: int) -> LidarFrame:
        """The sweep of a frame."""
        return self.sweeps[frame]


def simulate_sweeps(scene: MadeUpScene, tensors: SceneTensors) -> SimulatedLidar:
    """A sweep at every third frame, as in RDS-HQ: about 25 000 points within 100 m, in sensor axes."""
    frames = np.arange(0, scene.frames, STEP)
    pose = scene.vehicle[frames].copy()
    pose[:, :3, 3] += pose[:, :3, :3] @ np.array(SENSOR_POSITION)
    # [sectors, beams x turns in a sector, 3]: narrow sectors test few solids.
    turn = np.linspace(-np.pi, np.pi, _TURNS, endpoint=False).reshape(_SECTORS, 1, -1)
    rise = np.deg2rad(np.linspace(_LOWEST, _HIGHEST, _BEAMS))[None, :, None]
    ray = np.stack(np.broadcast_arrays(np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)), -1)
    ray = ray.reshape(_SECTORS, -1, 3)
    with torch.no_grad():
        distance = _distances(tensors, frames, pose, torch.as_tensor(ray, dtype=torch.float32, device=tensors.device))
    found = {}
    for index, frame in enumerate(frames):
        away = distance[index].cpu().numpy()
        met = away < _REACH
        found[int(frame)] = LidarFrame((ray[met] * away[met, None]).astype(np.float32), pose[index])
    return SimulatedLidar(found)


def _distances(tensors: SceneTensors, frames: np.ndarray, pose: np.ndarray, ray: torch.Tensor) -> torch.Tensor:
    """Distances [frames, sectors, p] of rays [sectors, p, 3] in sensor axes."""
    device, sectors = tensors.device, len(ray)
    matrix = torch.as_tensor(pose, dtype=torch.float32, device=device)
    world = (ray @ matrix[:, None, :3, :3].transpose(-1, -2)).flatten(0, 1)
    axis = torch.nn.functional.normalize(world.mean(1), dim=-1)
    angle = torch.acos((world * axis[:, None]).sum(-1).amin(-1).clamp(-1, 1))
    frame = torch.as_tensor(frames, device=device).repeat_interleave(sectors)
    eye = matrix[:, :3, 3].repeat_interleave(sectors, 0)
    meets, away = cone_meets(tensors, frame, eye, axis, angle, 1e-3)
    order = order_tiles(meets)
    hit, _ = trace(tensors, frame[order], pick(tensors, meets[order], away[order]), eye[order][:, None], world[order])
    distance = torch.empty_like(hit)
    distance[order] = hit
    down = world[..., 2]
    floor = torch.where(down < -1e-5, -eye[:, 2:] / down.clamp(max=-1e-5), torch.inf)
    return torch.minimum(distance, floor).unflatten(0, (len(frames), sectors))
