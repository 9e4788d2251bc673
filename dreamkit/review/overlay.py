"""Boxes and map lines of the labels, drawn over the frames of a generated video.

labelled = read_labelled(review.videos["multi_view/clip_Sunny"], Path("rds_hq"))
for picture in overlay_frames(labelled, "front_wide_120fov", [0, 60, 120]):
    ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.hdmap import MapScene, build_scene, draw_hdmap_frames
from dreamkit.rds.strokes import Rules
from dreamkit.review.labelled import LabelledVideo
from dreamkit.workspace.video import decode_video

FAR = 1000.0
"""Metres at which the colours of an overlay are black; condition videos are black at 122.5 m."""


def label_scene(labelled: LabelledVideo, rules: Rules = Rules(), boxes: bool = True) -> MapScene:
    """The map and boxes of a result's labels; boxes count frames as the video does.

    Args:
        labelled: the result with its labels.
        rules: settings of the drawing.
        boxes: False for the map alone.
    """
    every = replace(labelled.boxes, frame=labelled.boxes.frame - labelled.first)
    scene = build_scene(labelled.layers, every, rules)
    return scene if boxes else replace(scene, layers=tuple(layer for layer in scene.layers if layer.frame is None))


def outline_scene(labelled: LabelledVideo, width: int = 1) -> MapScene:
    """The labels as thin lines: outlines of areas, edges of boxes.

    Args:
        labelled: the result with its labels.
        width: of the lines in pixels.
    """
    rules = Rules(depth_max=FAR, line_width=width, box_width=width, keep_shapes_without_vertex=True)
    scene = label_scene(labelled, rules)
    return replace(scene, layers=tuple(replace(layer, filled=False, width=width) for layer in scene.layers))


def project_lines(
    labelled: LabelledVideo, name: str, frames: Sequence[int], model: CameraModel | None = None, width: int = 1
) -> Iterator[np.ndarray]:
    """The labels' lines in the pictures of one view, uint8 [H, W, 3] on black, one for each frame.

    Args:
        labelled: the result with its labels.
        name: the view, `front_wide_120fov` and so on.
        frames: frame numbers of the video.
        model: camera of the drawn pictures; that of the video when left out.
        width: of the lines in pixels.
    """
    view = labelled.views[name]
    yield from draw_hdmap_frames(outline_scene(labelled, width), model or view.model, view.poses, frames)


def overlay_frames(
    labelled: LabelledVideo, name: str, frames: Sequence[int] | None = None, width: int = 2, strength: float = 0.8
) -> Iterator[np.ndarray]:
    """Frames of a view with the labels' boxes and lines over them, uint8 [H, W, 3].

    Args:
        labelled: the result with its labels.
        name: the view.
        frames: frame numbers of the video, ascending; all when left out.
        width: of the lines in pixels.
        strength: 0 leaves the picture as it is, 1 covers it with the lines.
    """
    chosen = list(range(labelled.frames) if frames is None else frames)
    drawn = project_lines(labelled, name, chosen, width=width)
    wanted = set(chosen)
    for number, frame in enumerate(decode_video(labelled.views[name].video)):
        if number in wanted:
            picture, lines = frame.to_ndarray(format="rgb24"), next(drawn)
            on = lines.any(-1)
            mixed = (1 - strength) * picture[on] + strength * lines[on]
            picture[on] = mixed.round().astype(np.uint8)
            yield picture
        if number >= chosen[-1]:
            return
