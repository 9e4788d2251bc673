"""Static surfaces that two cameras share: their pixels in both pictures, and the colour difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamkit.tinyworld.render.colour import DRAWN, pixel_rays
from dreamkit.tinyworld.world.scene import MadeUpScene

_REACH = 40.0  # metres; beyond, a pixel covers too large a surface
_EDGE = 0.4  # least cosine to the other camera's axis; pixels at the edge of its picture are left out
_SAME = 0.05  # largest relative difference of two distances to the same surface


@dataclass(frozen=True)
class Pairs:
    """Pixels of two pictures that show the same points.

    Attributes:
        mine: (row, column) in the first picture, int64 [n, 2].
        theirs: (row, column) in the second picture, int64 [n, 2].
    """

    mine: np.ndarray
    theirs: np.ndarray


def shared_pixels(
    scene: MadeUpScene,
    cameras: tuple[str, str],
    size: tuple[int, int],
    frame: int,
    still: np.ndarray,
    distances: tuple[np.ndarray, np.ndarray],
    samples: int = 2,
) -> Pairs:
    """Pixels in which two cameras see the same static surface in one frame.

    Args:
        scene: from `make_scene`.
        cameras: names of both, without `camera_`.
        size: (height, width) of both pictures.
        frame: frame number.
        still: `RenderedViews.still` of the first camera's picture, bool [H, W].
        distances: `RenderedViews.distance` of both pictures, float32 [H, W].
        samples: that the pictures were rendered with.
    """
    first, second = cameras
    pick = samples // 2
    ray = pixel_rays(scene, (first,), size, samples)[0, pick::samples, pick::samples]
    mine = np.argwhere(still & (distances[0] < _REACH))
    move = np.linalg.inv(scene.camera_poses(second)[frame]) @ scene.camera_poses(first)[frame]
    points = (ray * distances[0][..., None])[tuple(mine.T)] @ move[:3, :3].T + move[:3, 3]
    away = np.linalg.norm(points, axis=1)
    pixels = scene.lenses[second].scaled_to(*DRAWN).project(points)
    theirs = ((pixels + 0.5) * np.array(size[::-1]) / DRAWN - 0.5).round().astype(int)[:, ::-1]
    inside = (points[:, 2] > _EDGE * away) & (theirs >= 0).all(1) & (theirs < size).all(1)
    mine, theirs, away = mine[inside], theirs[inside], away[inside]
    # Leave out points that are occluded in the second picture.
    open_view = np.abs(distances[1][tuple(theirs.T)] - away) < _SAME * away
    return Pairs(mine[open_view], theirs[open_view])


def colour_difference(first: np.ndarray, second: np.ndarray, pairs: Pairs) -> float:
    """Mean absolute difference of paired pixels of two uint8 [H, W, 3] over the first's mean; NaN without pairs."""
    if not len(pairs.mine):
        return float("nan")
    mine, theirs = (
        picture[tuple(at.T)].astype(np.float32) for picture, at in ((first, pairs.mine), (second, pairs.theirs))
    )
    return float(np.abs(mine - theirs).mean() / max(mine.mean(), 1.0))
