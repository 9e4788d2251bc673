"""Checks that a video shows what its labels say, view by view: the condition video redrawn, and the edges of frames."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dreamkit.rds.camera_models import stretched_camera
from dreamkit.rds.hdmap import draw_hdmap_frames
from dreamkit.review.labelled import LabelledVideo
from dreamkit.review.measures.adherence import OUTLINE_GREY, WIDTH
from dreamkit.review.measures.edge_agreement import EdgeAgreement, edge_agreement
from dreamkit.review.measures.frames import sample_frames
from dreamkit.review.measures.matches import to_luminance
from dreamkit.review.measures.metrics import worst_value
from dreamkit.review.overlay import label_scene, project_lines
from dreamkit.workspace.video import decode_video

SAMPLED = 8
_NEAREST_SHARE = 0.8
_FAR_PIXELS = 100.0
_FEWEST_PIXELS = 200


@dataclass(frozen=True)
class Limits:
    """What a view may be off by.

    Attributes:
        condition: mean distance in pixels of a 1280-wide picture between the redrawn and the given condition video.
        offset: parts of the picture's width by which the frames' edges may lie beside the projected lines.
        lift: by how much the best displacement's score must exceed the mean, else the pictures have too few edges.
        clear: the part of that lift by which it must exceed the score without displacement.
    """

    condition: float = 3.0
    offset: float = 0.025
    lift: float = 0.2
    clear: float = 0.35

    def exceeded_by(self, edges: EdgeAgreement) -> bool:
        """Whether pictures clearly lie beside their labels; False where the edges say nothing."""
        clear = edges.best - edges.score
        return not self.untold(edges) and edges.distance > self.offset and clear > self.clear * edges.lift

    def untold(self, edges: EdgeAgreement) -> str:
        """Why the pictures' edges cannot tell whether the labels fit, a sentence; empty where they can."""
        if not np.isfinite(edges.score):
            return "The labels have too few lines in this view."
        if edges.lift <= self.lift:
            return (
                f"The pictures have too few edges beside the labels' lines: the best place scores {edges.lift:.3f} "
                f"over the mean of all places, and {self.lift:g} is needed."
            )
        if edges.at_border:
            return "The edges fit best at the border of what is tried, 8 % of the picture away: no measurement."
        return ""

    def offset_of(self, edges: EdgeAgreement) -> float:
        """The clear offset of pictures from their labels in % of the width; 0 without a clear one, NaN if untold."""
        if self.untold(edges):
            return float("nan")
        clear = edges.best - edges.score > self.clear * edges.lift
        return 100 * edges.distance if clear else 0.0


@dataclass(frozen=True)
class ViewGeometry:
    """How well a view's pictures fit its labels.

    Attributes:
        condition_distance: mean distance in pixels of a 1280-wide picture from the map lines redrawn from the labels to
            the nearest edge in the condition video; NaN without an HD map condition or without lines.
        edges: agreement of the generated frames with the projected lines.
        fault: a sentence when a limit is passed, else empty.
        untold: why the edges cannot tell whether the view fits, a sentence; empty where they can. Such a view has
            passed only the comparison with its condition video.
    """

    condition_distance: float
    edges: EdgeAgreement
    fault: str
    untold: str = ""


def check_geometry(labelled: LabelledVideo, limits: Limits = Limits()) -> Mapping[str, ViewGeometry]:
    """How well each view of a result fits its labels, by view.

    Args:
        labelled: the result with its labels.
        limits: what a view may be off by.
    """
    return {name: _check_view(labelled, name, limits) for name in labelled.views}


def _check_view(labelled: LabelledVideo, name: str, limits: Limits) -> ViewGeometry:
    frames = sample_frames(labelled.frames, SAMPLED)
    hdmap = labelled.video.conditions.get("hdmap", {}).get(name)
    distance = condition_distance(labelled, name, frames[:2]) if hdmap else float("nan")
    edges = view_edges(labelled, name)
    fault = ""
    if distance > limits.condition:
        fault = (
            f"The map drawn from the labels lies {distance:.1f} pixels of 1280 beside the condition video "
            f"(at most {limits.condition:g})."
        )
    elif limits.exceeded_by(edges):
        right, down = (100 * part for part in edges.offset)
        fault = (
            f"The pictures' edges fit the labels best {right:+.1f} % of the width to the right and {down:+.1f} % down "
            f"(score {edges.best:.2f}, without offset {edges.score:.2f})."
        )
    return ViewGeometry(distance, edges, fault, limits.untold(edges))


def view_edges(labelled: LabelledVideo, name: str) -> EdgeAgreement:
    """Agreement of a view's pictures with the projected lines of its labels, over SAMPLED frames."""
    view, frames = labelled.views[name], sample_frames(labelled.frames, SAMPLED)
    pictures = list(_frames(view.video, frames))
    model = stretched_camera(view.model, WIDTH, len(to_luminance(pictures[0], WIDTH)))
    lines = [picture.max(-1) > 0 for picture in project_lines(labelled, name, frames, model)]
    return edge_agreement(pictures, lines)


def edge_row(labelled: LabelledVideo, limits: Limits = Limits()) -> dict[str, Any]:
    """The values of a result for the table of measures: of each view and of the worst one, and what is not told.

    Args:
        labelled: the result with its labels.
        limits: those of the export.
    """
    edges = {name: view_edges(labelled, name) for name in labelled.views}
    values = {f"edge_agreement.{name}": found.gain for name, found in edges.items()}
    values |= {f"edge_offset.{name}": limits.offset_of(found) for name, found in edges.items()}
    for key, good in (("edge_agreement", "high"), ("edge_offset", "low")):
        values[key] = worst_value([values[f"{key}.{name}"] for name in edges], good)
    untold = [name for name, found in edges.items() if limits.untold(found)]
    return {**values, "edges_untold": ", ".join(untold), "labelled": True}


def _frames(path: Path, frames: list[int]) -> list[np.ndarray]:
    """The frames of a video with these numbers, ascending, uint8 [H, W, 3] each."""
    wanted = set(frames)
    decoded = itertools.islice(decode_video(path), frames[-1] + 1)
    return [frame.to_ndarray(format="rgb24") for number, frame in enumerate(decoded) if number in wanted]


def condition_distance(labelled: LabelledVideo, name: str, frames: list[int]) -> float:
    """Mean distance in pixels of a 1280-wide picture from the redrawn map's edges to those of the condition video.

    The nearest 80 % count, because a condition video may be drawn by other rules where lines are cut. Boxes count only
    where no map is in the pictures.

    Args:
        labelled: the result with its labels.
        name: the view.
        frames: frame numbers of the video, ascending.
    """
    view = labelled.views[name]
    given = _frames(labelled.video.conditions["hdmap"][name], frames)
    height, width = given[0].shape[:2]
    model = stretched_camera(view.model, width, height)
    for boxes in (False, True):
        scene = label_scene(labelled, view.options.rules, boxes)
        drawn = draw_hdmap_frames(scene, model, view.poses, frames)
        found = []
        for picture, redrawn in zip(given, drawn, strict=True):
            away = cv2.distanceTransform((~_edges(picture)).astype(np.uint8), cv2.DIST_L2, 3)
            found.append(np.minimum(away[_edges(redrawn)], _FAR_PIXELS))
        distances = np.sort(np.concatenate(found))
        if len(distances) >= _FEWEST_PIXELS:
            return float(distances[: round(len(distances) * _NEAREST_SHARE)].mean() * 1280 / width)
    return float("nan")


def _edges(picture: np.ndarray) -> np.ndarray:
    """Edges of a condition picture, bool [H, W]."""
    bright = picture.max(-1)
    return cv2.morphologyEx(bright, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > OUTLINE_GREY
