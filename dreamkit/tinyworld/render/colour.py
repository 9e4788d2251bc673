"""Colour and condition pictures of a made-up scene through its f-theta cameras.

Ray casting in torch: each pixel's ray is unprojected by the lens that `dreamkit.rds.hdmap` projects with, so that
roads, lines and boxes lie exactly where the condition picture draws them. A call renders all frames and cameras of a
scene in a few large batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dreamkit.rds import hdmap
from dreamkit.rds.objects import every_frame, hold_static
from dreamkit.rds.resize import resizer
from dreamkit.rds.strokes import Rules
from dreamkit.tinyworld.render import camera_rays, weather
from dreamkit.tinyworld.render.scene_tensors import SceneTensors, build_scene_tensors
from dreamkit.tinyworld.render.style_presets import StylePreset, style_preset
from dreamkit.tinyworld.world.scene import MadeUpScene

# (width, height) that condition pictures are drawn in; rays go through its pixels.
DRAWN = (1280, 720)
VIDEO = (1280, 704)
_TILE = 16


@dataclass(frozen=True)
class RenderedViews:
    """Pictures and masks of V cameras and T frames, on the device that rendered them.

    Attributes:
        colour: uint8 [V, T, H, W, 3].
        determined: bool [V, T, H, W], pixels that the condition determines: road with kerbs, paint, mapped objects.
        marks: bool [V, T, H, W], of these only paint, kerbs and mapped objects.
        distance: float32 [V, T, H, W], metres along the ray; 0 for the sky.
        still: bool [V, T, H, W], static surfaces.
        track: int64 [V, T, H, W], index in `MadeUpScene.movers` of the road user that is seen; -1 for anything else.
    """

    colour: torch.Tensor
    determined: torch.Tensor
    marks: torch.Tensor
    distance: torch.Tensor
    still: torch.Tensor
    track: torch.Tensor


@dataclass(frozen=True)
class Tiles:
    """Camera rays of V cameras in square tiles of p rays.

    Attributes:
        ray: float32 [V, tiles, p, 3], unit vectors in camera axes.
        axis: float32 [V, tiles, 3], axis of the cone around each tile.
        angle: float32 [V, tiles], half its opening angle, radians.
        spread: float32 [V], radians between neighbouring rays.
        shape: number of tiles (down, across).
    """

    ray: torch.Tensor
    axis: torch.Tensor
    angle: torch.Tensor
    spread: torch.Tensor
    shape: tuple[int, int]


def pixel_rays(scene: MadeUpScene, cameras: Sequence[str], size: tuple[int, int], samples: int) -> np.ndarray:
    """Unit rays in camera axes for pictures of `size` (H, W), float32 [V, H samples, W samples, 3]."""
    height, width = size
    found = []
    for camera in cameras:
        lens = scene.lenses[camera].scaled_to(*DRAWN)
        # Pixel centres of a resized picture, in pixels of the drawn one (whose first centre is 0).
        u = (np.arange(width * samples) + 0.5) * DRAWN[0] / (width * samples) - 0.5
        v = (np.arange(height * samples) + 0.5) * DRAWN[1] / (height * samples) - 0.5
        found.append(lens.unproject(np.stack(np.meshgrid(u, v), -1)))
    return np.stack(found).astype(np.float32)


def tile_rays(found: np.ndarray, device: torch.device) -> Tiles:
    """Rays [V, H, W, 3] split into tiles; H and W must be multiples of 16."""
    views, height, width, _ = found.shape
    down, across = height // _TILE, width // _TILE
    grid = torch.as_tensor(found, device=device).reshape(views, down, _TILE, across, _TILE, 3)
    ray = grid.permute(0, 1, 3, 2, 4, 5).reshape(views, down * across, _TILE * _TILE, 3).contiguous()
    axis = torch.nn.functional.normalize(ray.mean(2), dim=-1)
    angle = torch.acos((ray * axis[:, :, None]).sum(-1).amin(-1).clamp(-1, 1))
    middle = torch.as_tensor(found[:, height // 2, width // 2 - 1 : width // 2 + 1], device=device)
    spread = (middle[:, 0] - middle[:, 1]).norm(dim=-1)
    return Tiles(ray, axis, angle, spread, (down, across))


def render_scene(
    scene: MadeUpScene,
    style: str | StylePreset,
    cameras: Sequence[str] = ("front_wide_120fov",),
    size: tuple[int, int] = (160, 288),
    frames: Sequence[int] | None = None,
    samples: int = 2,
    device: torch.device | str = "cpu",
    tensors: SceneTensors | None = None,
    rays_at_once: int | None = None,
) -> RenderedViews:
    """Render a scene in one style.

    Args:
        scene: from `make_scene`.
        style: one of `dreamkit.tinyworld.render.style_presets.STYLES`, or a preset.
        cameras: names without `camera_`.
        size: (height, width), multiples of 16.
        frames: frame numbers; all of them when None.
        samples: rays along each side of a pixel; 1 is four times as fast, with aliasing.
        device: where to render, unless `tensors` are given.
        tensors: the scene on a device, from `build_scene_tensors`; built when None.
        rays_at_once: rays traced at a time, of some 400 bytes each; a number that suits the device when None.

    Raises:
        DreamkitError: there is no such style.
    """
    preset = style_preset(style) if isinstance(style, str) else style
    with torch.no_grad():
        tensors = tensors or build_scene_tensors(scene, device)
        numbers = np.arange(scene.frames) if frames is None else np.asarray(frames)
        tiles = tile_rays(pixel_rays(scene, cameras, size, samples), tensors.device)
        poses = np.stack([scene.camera_poses(camera)[numbers] for camera in cameras])
        poses = torch.as_tensor(poses, dtype=torch.float32, device=tensors.device)
        view = torch.arange(len(cameras), device=tensors.device).repeat_interleave(len(numbers))
        frame = torch.as_tensor(numbers, device=tensors.device).repeat(len(cameras))
        each = size[0] * size[1] * samples**2
        batch = max(1, (rays_at_once or _rays_at_once(tensors.device)) // each)
        parts = []
        for start in range(0, len(view), batch):
            chosen = slice(start, start + batch)
            shots = camera_rays.CameraBatch(
                tiles.ray,
                tiles.axis,
                tiles.angle,
                tiles.spread,
                view[chosen],
                frame[chosen],
                poses.flatten(0, 1)[chosen],
            )
            parts.append(_join(camera_rays.trace_cameras(tensors, preset, shots), tiles.shape, samples, preset))
        whole = [
            torch.cat(part).reshape(len(cameras), len(numbers), *part[0].shape[1:]) for part in zip(*parts, strict=True)
        ]
    return RenderedViews(*whole)


def _rays_at_once(device: torch.device) -> int:
    # A GPU needs large batches; on a CPU, small ones fit into the cache.
    if device.type != "cuda":
        return 150_000
    return int(min(24e6, torch.cuda.get_device_properties(device).total_memory / 2500))


def _join(
    samples_of: camera_rays.RaySamples, shape: tuple[int, int], samples: int, preset: StylePreset
) -> tuple[torch.Tensor, ...]:
    """Pictures from tiles of samples: colours and shares averaged per pixel, distances of one sample per pixel."""
    colour = _untile(samples_of.light, shape)
    shares = _untile(torch.stack([samples_of.determined, samples_of.marks], -1), shape)
    distance = _untile(samples_of.distance[..., None], shape)[..., 0]
    still, track = (_untile(values[..., None], shape)[..., 0] for values in (samples_of.still, samples_of.track))
    pick = samples // 2
    colour = weather.develop(_average(colour, samples), preset)
    determined, marks = (_average(shares, samples) > torch.tensor((0.5, 0.25), device=shares.device)).unbind(-1)
    return (
        colour,
        determined,
        marks & determined,
        distance[:, pick::samples, pick::samples],
        still[:, pick::samples, pick::samples],
        track[:, pick::samples, pick::samples],
    )


def _untile(values: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """[N, tiles, p, C] to [N, H, W, C]."""
    count, channels = len(values), values.shape[-1]
    grid = values.reshape(count, *shape, _TILE, _TILE, channels).permute(0, 1, 3, 2, 4, 5)
    return grid.reshape(count, shape[0] * _TILE, shape[1] * _TILE, channels)


def _average(values: torch.Tensor, samples: int) -> torch.Tensor:
    count, height, width, channels = values.shape
    return values.reshape(count, height // samples, samples, width // samples, samples, channels).mean((2, 4))


def condition_pictures(
    scene: MadeUpScene,
    cameras: Sequence[str] = ("front_wide_120fov",),
    size: tuple[int, int] = (160, 288),
    frames: Sequence[int] | None = None,
    reduced: int = 1,
) -> np.ndarray:
    """HDMap condition pictures, as `dreamkit render` draws them and the models read them.

    They are drawn at 1280x720, resized to the video's 1280x704 and then to the model's size.

    Args:
        scene: from `make_scene`.
        cameras: names without `camera_`.
        size: (height, width).
        frames: frame numbers; all of them when None.
        reduced: 2 or 4 draws at this fraction of the size, with thinner strokes: faster, and nearly the same.

    Returns:
        uint8 [V, T, H, W, 3].
    """
    numbers = list(range(scene.frames)) if frames is None else [int(frame) for frame in frames]
    boxes = every_frame(hold_static(scene.objects), scene.frames)
    drawn = (DRAWN[0] // reduced, DRAWN[1] // reduced)
    resize = resizer(DRAWN, VIDEO) if reduced == 1 else None
    rules = Rules(line_width=max(1, 8 // reduced), box_width=max(1, round(5 / reduced)))
    world = hdmap.build_scene(scene.layers, boxes, rules)
    result = np.empty((len(cameras), len(numbers), *size, 3), np.uint8)
    for view, camera in enumerate(cameras):
        lens = scene.lenses[camera].scaled_to(*drawn)
        for index, drawing in enumerate(hdmap.draw_hdmap_frames(world, lens, scene.camera_poses(camera), numbers)):
            video = resize(drawing) if resize else drawing
            result[view, index] = cv2.resize(video, size[::-1], interpolation=cv2.INTER_LINEAR)
    return result
