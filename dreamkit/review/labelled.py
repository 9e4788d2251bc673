"""The labels that belong to a result: for each view its camera model and poses, and the boxes and map of the clip.

Frame i of a video belongs to frame i of its condition video, whatever the frame rates in the files say. The sidecar of
the condition video names the first frame of the clip, the camera and its model, the size that was drawn, and the
checksums of the labels; condition videos without a sidecar are taken as drawn with the defaults.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CameraModel, stretched_camera
from dreamkit.rds.drawing import read_boxes
from dreamkit.rds.labels import CAMERA_HZ, LAYERS, VEHICLE_FOLDER, Shapes, layer_path, read_map
from dreamkit.rds.objects import Boxes
from dreamkit.rds.plan import CHUNK_FRAMES, Options, choose_cameras, chosen_poses
from dreamkit.rds.rig import read_vehicle_poses
from dreamkit.rds.rig_file import RigFile, rig_view
from dreamkit.rds.rig_views import VIEW_PREFIX
from dreamkit.rds.strokes import Rules
from dreamkit.review.library import ReviewVideo
from dreamkit.workspace.files import fingerprint, read_json
from dreamkit.workspace.video import VideoInfo, probe

log = logging.getLogger(__name__)

# A vehicle's axes (x forward, y left, z up) in those of a camera that points forward (x right, y down, z forward).
_CAMERA_AXES = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class LabelledView:
    """The geometry of one view of a result.

    Attributes:
        video: the view's video file.
        info: its size and number of frames.
        model: the camera, of the size of the video.
        poses: camera-to-world of each frame of the video, float64 [T, 4, 4].
        mount: camera-to-vehicle, float64 [4, 4]: the mean over the recorded drive.
        condition: the condition video that it was made from.
        options: how that was drawn.
    """

    video: Path
    info: VideoInfo
    model: CameraModel
    poses: np.ndarray
    mount: np.ndarray
    condition: Path
    options: Options


@dataclass(frozen=True)
class LabelledVideo:
    """A result with its labels.

    Attributes:
        video: the result.
        root: the RDS-HQ folder.
        views: camera name (`front_wide_120fov`) -> its geometry.
        first: frame of the clip that frame 0 of the video belongs to.
        frames: number of frames of the video.
        hz: frames of the clip a second.
        boxes: boxes of every frame of the clip, by frame of the clip.
        layers: the map of the clip.
        path: places of the vehicle on the whole drive of the clip, world metres float64 [N, 3].
        has_vehicle: whether the clip has poses of the vehicle; without them the vehicle's axes are the front camera's.
    """

    video: ReviewVideo
    root: Path
    views: Mapping[str, LabelledView]
    first: int
    frames: int
    hz: float
    boxes: Boxes
    layers: Mapping[str, Shapes]
    path: np.ndarray
    has_vehicle: bool

    def boxes_at(self, frame: int) -> np.ndarray:
        """Rows of `boxes` in a frame of the video."""
        return np.flatnonzero(self.boxes.frame == self.first + frame)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_FRAMES


def _is_side(value: Any) -> bool:
    return _is_count(value) and 2 <= value <= _LARGEST_SIDE


def _is_rules(value: Any) -> bool:
    """Whether the known entries of the drawing rules are of the types of their defaults, numbers in their range."""
    if not isinstance(value, dict):
        return False
    known = {field.name: field.default for field in fields(Rules)}
    for name, part in ((name, part) for name, part in value.items() if name in known):
        if isinstance(known[name], tuple):
            good = isinstance(part, list) and all(layer in tuple(LAYERS) for layer in part)
        elif isinstance(known[name], bool):
            good = isinstance(part, bool)
        else:
            number = isinstance(part, int) or (isinstance(part, float) and isinstance(known[name], float))
            good = number and 0 < part <= _MOST_FRAMES
        if not good:
            return False
    return True


_MOST_FRAMES, _LARGEST_SIDE = 10**6, 2**14
_RECORDED: Mapping[str, Callable[[Any], bool]] = {
    "first_frame": _is_count,
    "frames": _is_count,
    "fps": lambda value: isinstance(value, (int, float)) and 0 < value <= 1000,
    "novel_pose": lambda value: value is None or isinstance(value, str),
    "drawn": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_side, value)),
    "size": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_side, value)),
    "rules": _is_rules,
}
"""What render writes into the sidecar of a condition video, and what its values can be."""


def condition_record(path: Path) -> dict[str, Any]:
    """The sidecar of a condition video; {} for a user's own, and where it is damaged.

    Raises:
        DreamkitError: a value in it is of another kind or size than render writes.
    """
    place = path.with_suffix(".json")
    try:
        record = read_json(place, "sidecar") if place.is_file() else {}
    except DreamkitError as error:
        log.warning("%s The condition video is taken as drawn with the defaults.", error.message)
        return {}
    for name, fits in _RECORDED.items():
        if name in record and not fits(record[name]):
            raise DreamkitError(
                f"The sidecar {place} has a value of {name} that no condition video is drawn with.",
                "Render the condition video again.",
            )
    return record


def read_labelled(video: ReviewVideo, root: Path) -> LabelledVideo:
    """A result with the labels that its condition videos were drawn from.

    Args:
        video: the result, with condition videos.
        root: the RDS-HQ folder.

    Raises:
        DreamkitError: the result has no video or no condition videos, the labels are missing, damaged or others than
            those that the condition videos were drawn from, or a video is longer than its condition video.
    """
    if not video.views:
        raise DreamkitError(f"{video.key} has no video.", "Make it again, or leave it out.")
    conditions = next(iter(video.conditions.values()), {})
    if missing := [name for name in video.views if name not in conditions]:
        raise DreamkitError(
            f"{video.key} has no condition video of {missing[0]} in the workspace, so its labels cannot be found.",
            "Render the condition videos of this clip again, with the same cameras and chunks.",
        )
    clip = video.chunk.clip
    records = {name: condition_record(conditions[name]) for name in video.views}
    _check_inputs(video, records, root)
    vehicle = read_vehicle_poses(root, clip) if layer_path(root, clip, VEHICLE_FOLDER).is_file() else None
    if vehicle is None:
        log.warning("clip %s has no poses of the vehicle: its axes are taken from the front camera", clip)
        front = next(iter(video.views))
        vehicle = _poses(root, clip, replace(recorded_options(records[front], front), novel_pose=None)) @ _CAMERA_AXES
    views, firsts, drives = {}, {}, []
    for name, path in video.views.items():
        record, info = records[name], probe(path)
        options = recorded_options(record, name)
        camera = next(iter(choose_cameras(root, clip, options).values()))
        recorded = _poses(root, clip, replace(options, novel_pose=None))
        driven = _poses(root, clip, options) if options.novel_pose else recorded
        firsts[name] = int(record.get("first_frame", video.chunk.index * CHUNK_FRAMES))
        track = driven[firsts[name] : firsts[name] + int(record.get("frames", CHUNK_FRAMES))]
        if info.frames > len(track):
            raise DreamkitError(
                f"{video.key} has {info.frames} frames of {name}, and its condition video labels for {len(track)}.",
                "Render the condition videos again, and make the video again.",
            )
        model = stretched_camera(camera, info.width, info.height)
        mount = _mean_mount(vehicle, recorded)
        drives.append((driven @ np.linalg.inv(mount))[:, :3, 3])
        views[name] = LabelledView(path, info, model, track[: info.frames], mount, conditions[name], options)
    if len(set(firsts.values())) > 1:
        raise DreamkitError(
            f"The condition videos of {video.key} begin at different frames: {firsts}.", "Render them again together."
        )
    first = next(iter(firsts.values()))
    frames = min(view.info.frames for view in views.values())
    return LabelledVideo(
        video,
        root,
        views,
        first,
        frames,
        float(next(iter(records.values())).get("fps", CAMERA_HZ)),
        read_boxes(root, clip, first + frames),
        read_map(root, clip, tuple(LAYERS)),
        drives[0],
        layer_path(root, clip, VEHICLE_FOLDER).is_file(),
    )


def _check_inputs(video: ReviewVideo, records: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """Compare the labels with the checksums in the condition videos' sidecars."""
    expected: dict[str, str] = {}
    for name, record in records.items():
        if not record:
            log.warning("%s: the condition video of %s has no sidecar; default cameras are assumed", video.key, name)
        inputs = record.get("inputs")
        expected |= inputs if isinstance(inputs, dict) else {}
    for place, checksum in sorted(expected.items()):
        path = root / place
        if not path.is_file() or fingerprint(path) != checksum:
            fault = "is another file than the one that" if path.is_file() else "is missing, which"
            raise DreamkitError(
                f"{path} {fault} the condition videos of {video.key} were drawn from.",
                "Give the labels that the condition videos were rendered from, or render them again.",
            )


def recorded_options(record: Mapping[str, Any], name: str) -> Options:
    """How a condition video was drawn, for one camera."""
    defaults = Options()
    camera = str(record.get("camera", f"camera_{name}"))
    rig = None
    if "rig" in record:
        view = rig_view(record["rig"], f"The sidecar of the condition video of {name}")
        rig = RigFile({camera.removeprefix(VIEW_PREFIX): view}, Path("rig.yaml"))
    return Options(
        conditions=("hdmap",),
        cameras=(camera,),
        model=defaults.model if rig else str(record.get("model", defaults.model)),
        rig=rig,
        novel_pose=record.get("novel_pose"),
        drawn=_pair(record.get("drawn"), defaults.drawn),
        size=_pair(record.get("size"), defaults.size),
        rules=_rules(record.get("rules")),
    )


def _rules(value: Any) -> Rules:
    """The drawing rules of a sidecar; the defaults where it has none."""
    known = {field.name for field in fields(Rules)}
    given = {key: part for key, part in value.items() if key in known} if isinstance(value, dict) else {}
    if isinstance(given.get("layers"), list):
        given["layers"] = tuple(map(str, given["layers"]))
    return Rules(**given)


def _pair(value: Any, default: tuple[int, int]) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, list) and len(value) == 2 else default


def _poses(root: Path, clip: str, options: Options) -> np.ndarray:
    """Camera-to-world poses [T, 4, 4] of the one camera of the options."""
    return chosen_poses(root, clip, list(choose_cameras(root, clip, options)), options).popitem()[1]


def _mean_mount(vehicle: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """The mean camera-to-vehicle pose [4, 4] of two tracks; they differ by the noise of the poses only."""
    count = min(len(vehicle), len(camera))
    mean = (np.linalg.inv(vehicle[:count]) @ camera[:count]).mean(0)
    u, _, vh = np.linalg.svd(mean[:3, :3])
    mean[:3, :3] = u @ np.diag([1, 1, np.linalg.det(u @ vh)]) @ vh
    return mean
