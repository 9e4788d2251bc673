"""Vehicles that generated videos show: how many of those in the map the vehicle judge finds in their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dreamkit.tinyworld.evaluate.held_out import GroundTruth
from dreamkit.tinyworld.train.vehicle_judge import VEHICLES, VehicleJudge, judge_pictures

# Metres from the camera: (first, last) of each range, by the name it has in a row of measurements.
RANGES = {"0-15": (0.0, 15.0), "15-40": (15.0, 40.0), "40-80": (40.0, 80.0)}
NEAR = ("0-15", "15-40")
LEAST_PIXELS = 12  # that a vehicle must show in the true picture
FOUND_IOU = 0.5
_MARGIN = 0.25  # of the vehicle's extent, on each side of it

Counts = dict[str, list[int]]


def count_vehicles(
    judge: VehicleJudge, pictures: np.ndarray, truth: GroundTruth, classes: np.ndarray
) -> dict[str, Any]:
    """Mapped vehicles that are seen in the truth and found in pictures, by distance, and false vehicle pixels.

    A vehicle counts as seen where the true picture shows at least LEAST_PIXELS pixels of it. It is found where the
    judge's vehicle pixels and its true ones have an intersection over union of at least FOUND_IOU, within its true
    extent and a quarter of that on each side; pixels of other road users are left out. It is named where most of the
    judge's vehicle pixels on a found vehicle have its class, car or truck.

    Args:
        judge: from `load_judge`.
        pictures: generated or true, uint8 [V, T, H, W, 3].
        truth: of the same views and frames.
        classes: of the scene's movers, from `judged_classes`.

    Returns:
        `vehicles`: range of RANGES -> numbers of vehicles seen, found and named; `false_vehicles`: share of the pixels
        without a road user that the judge takes for a vehicle.
    """
    judged = judge_pictures(judge, pictures)
    marked = np.isin(judged, VEHICLES)
    counts: Counts = {name: [0, 0, 0] for name in RANGES}
    for at in np.ndindex(truth.track.shape[:2]):
        track, distance = truth.track[at], truth.distance[at]
        for one in np.unique(track[track >= 0]):
            mine = track == one
            if classes[one] not in VEHICLES or mine.sum() < LEAST_PIXELS:
                continue
            away = float(np.median(distance[mine]))
            name = next((name for name, (low, high) in RANGES.items() if low <= away < high), None)
            if name is None:
                continue
            area = _around(mine)
            there, its = mine[area], marked[at][area] & (mine[area] | (track[area] < 0))
            found = (there & its).sum() >= FOUND_IOU * (there | its).sum()
            right = judged[at][area][there & its] == classes[one]
            counts[name][0] += 1
            counts[name][1] += int(found)
            counts[name][2] += int(found and right.mean() > 0.5)
    open_ = truth.track < 0
    return {"vehicles": counts, "false_vehicles": float(marked[open_].mean()) if open_.any() else 0.0}


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a mask's extent with a margin."""
    found = []
    for axis in (1, 0):
        at = np.flatnonzero(mask.any(axis))
        margin = int(np.ceil(_MARGIN * (at[-1] + 1 - at[0])))
        found.append(slice(max(0, int(at[0]) - margin), int(at[-1]) + 1 + margin))
    return found[0], found[1]


def summed(counts: Iterable[Mapping[str, list[int]]]) -> Counts:
    """The sum of several videos' counts, by range."""
    total: Counts = {name: [0, 0, 0] for name in RANGES}
    for of_video in counts:
        for name, values in of_video.items():
            total[name] = [a + b for a, b in zip(total[name], values, strict=True)]
    return total


def share_found(counts: Mapping[str, list[int]], ranges: Iterable[str] = NEAR, which: int = 1) -> float | None:
    """Per cent of the vehicles seen in some ranges that are found, or with `which` 2 named; None if none was seen."""
    seen = sum(counts[name][0] for name in ranges)
    return 100 * sum(counts[name][which] for name in ranges) / seen if seen else None
