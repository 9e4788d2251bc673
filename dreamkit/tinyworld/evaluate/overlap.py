"""The same still surface in two cameras' pictures: which pixels show it, and how far their colours are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamkit.tinyworld.render.colour import DRAWN, pixel_rays
from dreamkit.tinyworld.world.scene import MadeUpScene

_REACH = 40.0  # metres; farther away a pixel holds too much
_EDGE = 0.4  # cosine to the other camera's axis under which its picture is not trusted
_SAME = 0.05  # share of the distance by which two surfaces may differ and still be one


@dataclass(frozen=True)
class Pairs:
    """Pixels (row, column) of one picture and those of another that show the same places, int64 [n, 2] each."""

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
    """Where two cameras see the same still surface at one moment.

    Args:
        scene: from `make_scene`.
        cameras: their names.
        size: height and width of both pictures.
        frame: number of the moment.
        still: `RenderedViews.still` of the first camera's picture, bool [H, W].
        distances: `RenderedViews.distance` of both pictures, float32 [H, W].
        samples: as they were rendered with.
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
    # Something else may stand before the surface.
    open_view = np.abs(distances[1][tuple(theirs.T)] - away) < _SAME * away
    return Pairs(mine[open_view], theirs[open_view])


def colour_difference(first: np.ndarray, second: np.ndarray, pairs: Pairs) -> float:
    """Mean absolute difference of the paired colours of two uint8 [H, W, 3] over the mean of the first's; NaN for no
    pairs."""
    if not len(pairs.mine):
        return float("nan")
    mine, theirs = (
        picture[tuple(at.T)].astype(np.float32) for picture, at in ((first, pairs.mine), (second, pairs.theirs))
    )
    return float(np.abs(mine - theirs).mean() / max(mine.mean(), 1.0))
