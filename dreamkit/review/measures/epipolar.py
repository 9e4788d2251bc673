"""Epipolar consistency of views: temporal and cross-view Sampson error, view order, and lag from parallax.

As in the Cosmos papers: SIFT matches of views rectified to a pinhole, a robustly fitted fundamental matrix, and the
square root of the Sampson distance (Hartley and Zisserman, Multiple View Geometry, 2nd ed., eq. 11.9) of every match;
the value of a frame is the median. In time one matrix is fitted to each pair of frames; between two cameras, one to all
frames, because a rig is rigid.

A fitted matrix does not show errors that are consistent in themselves, such as two views that were swapped or one that
is late by a constant number of frames. So `view_order` and `parallax_lag` compare matched rays with the nominal rig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dreamkit.review.measures.frames import LAGS
from dreamkit.review.measures.matches import FULL_WIDTH, WIDTH, Features, match_features
from dreamkit.review.measures.rig import View, camera_rays, to_car

FEWEST_MATCHES = 12  # with fewer, a fitted matrix is not reliable
WIDEST_ANGLE = np.deg2rad(65)  # from the optical axis; beyond it the pinhole's pixels are stretched too far
CLEAR_LAG = 0.6  # the best lag's parallax must be below this share of the median over all lags
ORDER_ANGLE = np.deg2rad(20)  # nominal yaw errs by up to 14 degrees; the rest is parallax


@dataclass(frozen=True)
class MatchedPoints:
    """Matched points of two pictures a and b, rectified, float64 [M, 2] each, in pixels of a FULL_WIDTH-wide view."""

    a: np.ndarray
    b: np.ndarray


def project_to_pinhole(rays_n3: np.ndarray, view: View) -> np.ndarray:
    """Camera rays [N, 3] to pixels [N, 2] of a pinhole with the lens's resolution at the centre; NaN past 65 deg."""
    focal = FULL_WIDTH / view.fov
    inside = rays_n3[:, 2] > np.cos(WIDEST_ANGLE)
    depth = np.where(inside, rays_n3[:, 2], np.nan)
    return focal * rays_n3[:, :2] / depth[:, None]


def sampson_error(f: np.ndarray, a_n2: np.ndarray, b_n2: np.ndarray) -> np.ndarray:
    """Square root of the Sampson distance, pixels, [N]: |b'Fa| over the norm of its gradient (H&Z eq. 11.9)."""
    a = np.concatenate([a_n2, np.ones((len(a_n2), 1))], 1)
    b = np.concatenate([b_n2, np.ones((len(b_n2), 1))], 1)
    to_b, to_a = a @ f.T, b @ f
    gradient = np.sqrt(to_b[:, 0] ** 2 + to_b[:, 1] ** 2 + to_a[:, 0] ** 2 + to_a[:, 1] ** 2)
    return np.abs((b * to_b).sum(1)) / np.maximum(gradient, 1e-12)


def fit_fundamental(pair: MatchedPoints) -> np.ndarray | None:
    """The fundamental matrix [3, 3] of matched points, by MAGSAC with a fixed seed.

    None for fewer than FEWEST_MATCHES points, or where no matrix fits them, as in noise.
    """
    if len(pair.a) < FEWEST_MATCHES:
        return None
    cv2.setRNGSeed(0)
    try:
        matrix, _ = cv2.findFundamentalMat(pair.a, pair.b, cv2.USAC_MAGSAC, 1.5, 0.999, 2000)
    except cv2.error:  # OpenCV 5 asserts where OpenCV 4 returns no matrix
        return None
    return matrix if matrix is not None and matrix.shape == (3, 3) else None


def _rays(found: Features, view: View) -> np.ndarray:
    return camera_rays(found.points, view, found.height, WIDTH)


def _matched_points(a: Features, b: Features, view_a: View, view_b: View) -> MatchedPoints:
    matched = match_features(a, b)
    left = project_to_pinhole(_rays(a, view_a)[matched[:, 0]], view_a)
    right = project_to_pinhole(_rays(b, view_b)[matched[:, 1]], view_b)
    good = np.isfinite(left).all(1) & np.isfinite(right).all(1)
    return MatchedPoints(left[good], right[good])


def temporal_error(now: Sequence[Features], following: Sequence[Features], view: View) -> np.ndarray:
    """Median Sampson error in pixels, [N], of frame `now[i]` against `following[i]` of one camera; NaN if unknown."""
    errors = np.full(len(now), np.nan)
    for index, (a, b) in enumerate(zip(now, following, strict=True)):
        pair = _matched_points(a, b, view, view)
        matrix = fit_fundamental(pair)
        if matrix is not None:
            errors[index] = np.median(sampson_error(matrix, pair.a, pair.b))
    return errors


def cross_view_error(a: Sequence[Features], b: Sequence[Features], view_a: View, view_b: View) -> np.ndarray:
    """Median Sampson error in pixels of each frame between two cameras, one matrix for all frames; NaN if unknown."""
    pairs = [_matched_points(left, right, view_a, view_b) for left, right in zip(a, b, strict=True)]
    pooled = MatchedPoints(np.concatenate([pair.a for pair in pairs]), np.concatenate([pair.b for pair in pairs]))
    matrix = fit_fundamental(pooled)
    errors = np.full(len(pairs), np.nan)
    if matrix is not None:
        for index, pair in enumerate(pairs):
            if len(pair.a):
                errors[index] = np.median(sampson_error(matrix, pair.a, pair.b))
    return errors


def _car_rays(a: Features, b: Features, view_a: View, view_b: View) -> tuple[np.ndarray, np.ndarray]:
    matched = match_features(a, b)
    return to_car(_rays(a, view_a)[matched[:, 0]], view_a), to_car(_rays(b, view_b)[matched[:, 1]], view_b)


def view_order(a: Sequence[Features], b: Sequence[Features], view_a: View, view_b: View) -> tuple[int, float]:
    """Number of matches, and the share whose two rays agree on the nominal rig within 20 degrees (NaN for none)."""
    rays = [_car_rays(left, right, view_a, view_b) for left, right in zip(a, b, strict=True)]
    cosine = np.concatenate([(left * right).sum(1) for left, right in rays])
    return len(cosine), float((cosine > np.cos(ORDER_ANGLE)).mean()) if len(cosine) else float("nan")


def _rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation [3, 3] from rays a to rays b, by iteratively reweighted Procrustes (Kabsch)."""
    weight = np.ones(len(a))
    for _ in range(10):
        u, _, vt = np.linalg.svd((b * weight[:, None]).T @ a)
        turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        weight = 1 / np.maximum(np.linalg.norm(a @ turn.T - b, axis=1), 0.002)
    return turn


def parallax(a: Sequence[Features], b: Sequence[Features], view_a: View, view_b: View) -> float:
    """Median angle of matched rays of two cameras from one common rotation, milliradians; NaN for too few matches.

    The cameras of a rig are close together, so at one moment near and distant things all fit the rotation between two
    cameras. If one of them shows another moment, the car has moved in between, and near things do not fit.
    """
    rays = [_car_rays(left, right, view_a, view_b) for left, right in zip(a, b, strict=True)]
    left, right = (np.concatenate([pair[side] for pair in rays]) for side in (0, 1))
    near = (left * right).sum(1) > np.cos(ORDER_ANGLE)
    if near.sum() < FEWEST_MATCHES:
        return float("nan")
    left, right = left[near], right[near]
    return float(1000 * np.median(np.linalg.norm(left @ _rotation(left, right).T - right, axis=1)))


def parallax_lag(
    a: Mapping[int, Features], b: Mapping[int, Features], view_a: View, view_b: View
) -> tuple[float, np.ndarray]:
    """Frames by which camera b is behind camera a (NaN if unclear), and the parallax of every lag, [len(LAGS)].

    Args:
        a: frame index -> features of the reference camera, a few frames.
        b: frame index -> features of the other camera, at every index + lag that exists.
        view_a: the reference camera.
        view_b: the other camera.
    """
    profile = np.full(len(LAGS), np.nan)
    for index, shift in enumerate(LAGS):
        frames = [frame for frame in a if frame + shift in b]
        if len(frames) == len(a):
            profile[index] = parallax(
                [a[frame] for frame in frames], [b[frame + shift] for frame in frames], view_a, view_b
            )
    if np.isfinite(profile).sum() < 5 or np.nanmin(profile) > CLEAR_LAG * np.nanmedian(profile):
        return float("nan"), profile
    return float(LAGS[int(np.nanargmin(profile))]), profile
