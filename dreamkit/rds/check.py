"""Check an RDS-HQ folder for mistakes that converters make, and draw pictures to compare with the cameras' videos.

`check_clip` returns what is wrong, where, and the likely cause; `write_pictures` draws one picture a camera.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds import hdmap
from dreamkit.rds.check_boxes import box_findings
from dreamkit.rds.check_labels import map_findings, object_findings
from dreamkit.rds.check_lidar import lidar_findings
from dreamkit.rds.check_poses import (
    LONGEST_STEP,
    camera_findings,
    count_findings,
    intrinsic_findings,
    pose_findings,
)
from dreamkit.rds.check_precision import few_digits, precision_findings, turn_findings
from dreamkit.rds.check_render import render_findings
from dreamkit.rds.check_report import ERROR, NOTE, SEVERITIES, WARNING, LabelFinding
from dreamkit.rds.check_rig import convention_findings, model_findings, order_findings
from dreamkit.rds.check_time import (
    REPEATED,
    distinct_places,
    repeated_findings,
    repetitions,
    timestamp_findings,
    uneven_findings,
)
from dreamkit.rds.drawing import LoadedClip, read_clip
from dreamkit.rds.labels import (
    LAYERS,
    LIDAR_FOLDER,
    OBJECT_FOLDER,
    VEHICLE_FOLDER,
    Shapes,
    layer_path,
    read_layer,
    read_objects,
)
from dreamkit.rds.lidar_labels import read_lidar
from dreamkit.rds.plan import Options, video_folders
from dreamkit.rds.rig import read_camera_poses, read_cameras, read_vehicle_poses
from dreamkit.rds.rig_file import RigFile, RigView
from dreamkit.rds.rig_views import VIEW_PREFIX, view_models, view_poses
from dreamkit.rds.timestamps import TIMESTAMP_FOLDER, read_timestamps

T = TypeVar("T")


@dataclass
class _Parts:
    """Reads the parts of a clip and collects a finding for each part that cannot be read."""

    root: Path
    clip: str
    findings: list[LabelFinding] = field(default_factory=list)

    def read(self, folder: str, reader: Callable[[], T], missing: str | None, effect: str) -> T | None:
        """The result of `reader`, or None and a finding.

        Args:
            folder: the folder of the part's tar.
            reader: reads the part.
            missing: severity of a missing tar; None for a part that need not be there.
            effect: what a missing tar leads to.
        """
        path = layer_path(self.root, self.clip, folder)
        if not os.path.lexists(path):
            if missing:
                self.findings.append(LabelFinding(missing, folder, f"{path} is missing", effect))
            return None
        try:
            return reader()
        except DreamkitError as error:
            self.findings.append(LabelFinding(ERROR, folder, error.message, error.hint))
            return None


def check_clip(
    root: Path,
    clip: str,
    model: str = "ftheta",
    poses: str = "pose",
    rig: RigFile | None = None,
    options: Options | None = None,
) -> list[LabelFinding]:
    """Findings about a clip's labels, errors first; what `dreamkit render` refuses is among them.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        model: camera model, "ftheta" or "pinhole".
        poses: folder of the camera poses.
        rig: the rig file, whose views are checked instead of the cameras; it replaces `model`.
        options: the options of render, with the same model, poses and rig, and the workspace's object types; its
            defaults when left out.
    """
    root = Path(root)
    options = options or Options(model=model, novel_pose=None if poses == "pose" else poses, rig=rig)
    parts = _Parts(root, clip)
    if rig:
        parts.findings += _rig_findings(parts, rig)
        model = next((view.model for view in rig.views.values() if view.camera), model)
    cameras = parts.read(
        poses,
        lambda: view_poses(root, clip, rig, folder=poses) if rig else read_camera_poses(root, clip, folder=poses),
        ERROR,
        "nothing can be rendered",
    )
    vehicle = parts.read(
        VEHICLE_FOLDER,
        lambda: read_vehicle_poses(root, clip),
        WARNING,
        "camera headings are judged by the motion alone, and no novel drive can be made",
    )
    has_defaults = model == "ftheta"
    intrinsics = parts.read(
        f"{model}_intrinsic",
        lambda: {} if rig else read_cameras(root, clip, model=model),
        WARNING if has_defaults else ERROR,
        "the default f-theta cameras would be used" if has_defaults else "nothing can be rendered",
    )
    layers = _read_layers(parts)
    objects = parts.read(OBJECT_FOLDER, lambda: read_objects(root, clip), WARNING, "no boxes are drawn")
    lidar = parts.read(LIDAR_FOLDER, lambda: read_lidar(root, clip), NOTE, "no LiDAR videos can be rendered")
    times = parts.read(TIMESTAMP_FOLDER, lambda: read_timestamps(root, clip), None, "")
    findings = parts.findings
    if cameras:
        tracks = cameras | ({"vehicle": vehicle} if vehicle is not None else {})
        findings += count_findings(tracks)
        findings += track_findings(tracks)
        if times is not None:
            findings += timestamp_findings(*times, min(map(len, tracks.values())))
        findings += convention_findings(cameras, vehicle)
        findings += camera_findings(cameras, vehicle)
        path = (vehicle if vehicle is not None else next(iter(cameras.values())))[:, :3, 3]
        findings += map_findings(layers, path, None if vehicle is None else vehicle[0])
        if objects is not None:
            findings += object_findings(objects, layers, path, vehicle is not None, dict(options.types))
            findings += box_findings(objects, vehicle, dict(options.types))
        if lidar is not None:
            findings += lidar_findings(lidar, path)
        for name in () if intrinsics is None or rig else sorted(cameras.keys() - intrinsics.keys()):
            what = f"{name} has poses and no intrinsics"
            findings.append(LabelFinding(WARNING, f"{model}_intrinsic", what, "the default camera would be used"))
    if intrinsics:
        findings += intrinsic_findings(intrinsics)
        findings += order_findings(intrinsics)
    findings += model_findings(root, clip)
    told = {finding.what for finding in findings}
    findings += [finding for finding in render_findings(root, clip, options) if finding.what not in told]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def track_findings(tracks: Mapping[str, np.ndarray]) -> Iterator[LabelFinding]:
    """What is wrong with poses in time: repetitions, jumps, uneven steps, coarse positions.

    Args:
        tracks: poses float64 [T, 4, 4] by camera, and those of the vehicle.
    """
    yield from repeated_findings(tracks)
    counts = {name: repetitions(track) for name, track in tracks.items()}
    for name, track in tracks.items():
        yield from pose_findings(name, track, max(1.0, np.ceil(counts[name])))
    single = {name: track for name, track in tracks.items() if counts[name] < REPEATED}
    places = {name: track[:, :3, 3] if name in single else distinct_places(track) for name, track in tracks.items()}
    # Coarse positions make uneven steps, which then have this cause.
    uneven = {name: track for name, track in single.items() if not few_digits(places[name])}
    yield from uneven_findings(uneven, LONGEST_STEP)
    yield from precision_findings("pose", places)
    yield from turn_findings(single)


def _rig_findings(parts: _Parts, rig: RigFile) -> list[LabelFinding]:
    """Views of a rig file that have no usable camera model."""
    found = []
    for name in rig.views:
        try:
            view_models(parts.root, parts.clip, rig, [name])
        except DreamkitError as error:
            found.append(LabelFinding(ERROR, name, error.message, error.hint))
    return found


def _read_layers(parts: _Parts) -> dict[str, Shapes]:
    """The map layers by name, without those that cannot be read."""
    layers = {}
    for layer in LAYERS:
        # Nothing draws lanes by default, and most folders have none.
        missing = None if layer == "lanes" else WARNING
        shapes = parts.read(
            f"3d_{layer}",
            lambda layer=layer: read_layer(parts.root, parts.clip, layer),
            missing,
            "this layer is not drawn",
        )
        if shapes is not None:
            layers[layer] = shapes
    return layers


def overlay_picture(
    clip: LoadedClip, camera: str, frame: int, video: Path | None = None, width: int = 960, view: RigView | None = None
) -> np.ndarray:
    """The HDMap picture of a frame, averaged with that frame of a video where one is given.

    Args:
        clip: read with its map.
        camera: name of the camera.
        frame: frame number.
        video: the camera's video, or None.
        width: width of the picture in pixels.
        view: entry of the rig file whose crop the drawing shows; the video shows the camera's whole picture.

    Returns:
        uint8 [H, width, 3], RGB, H even.

    Raises:
        DreamkitError: the map was not read, or the video has no such frame.
    """
    if clip.scene is None:
        raise DreamkitError("The map of this clip was not read.", "Read it with hdmap among the conditions.")
    drawn = next(hdmap.draw_hdmap_frames(clip.scene, clip.cameras[camera], clip.poses[camera], [frame]))
    size = (width, round(drawn.shape[0] * width / drawn.shape[1] / 2) * 2)
    drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    if video is None:
        return drawn
    from dreamkit.workspace.video import read_video

    left, top, whole = 0, 0, size
    if view and view.crop and view.size:
        # The whole picture at the scale at which its crop has the size of the drawing.
        across, down = size[0] / view.crop[2], size[1] / view.crop[3]
        left, top = round(view.crop[0] * across), round(view.crop[1] * down)
        whole = (max(round(view.size[0] * across), left + size[0]), max(round(view.size[1] * down), top + size[1]))
    seen = read_video(video, max_frames=frame + 1, size=(whole[1], whole[0]))
    if len(seen) <= frame:
        raise DreamkitError(
            f"{video} has {len(seen)} frames and none for frame {frame}.",
            "Give a frame that the video has, or leave the videos out.",
        )
    return cv2.addWeighted(drawn, 0.5, seen[frame][top : top + size[1], left : left + size[0]], 0.5, 0)


def write_pictures(
    root: Path, clip: str, out: Path, options: Options = Options(), beside: Path | None = None, frame: int | None = None
) -> list[Path]:
    """Write one PNG a camera, `<out>/<clip>/<camera>.png`.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        out: folder of the pictures.
        options: camera model, cameras and pose folder.
        beside: folder with `<model>_<camera>/<clip>.mp4` or `<clip>_0.mp4`, which are averaged with the drawings; the
            RDS-HQ folder itself when left out. With a rig file also `<camera>/` with the camera's own name.
        frame: frame number; the middle one when left out.

    Returns:
        The files, a camera each.

    Raises:
        DreamkitError: the labels cannot be read, or a clip or video has no such frame.
    """
    from dreamkit.workspace.files import replacing

    loaded = read_clip(root, clip, options)
    written = []
    for camera, track in loaded.poses.items():
        number = len(track) // 2 if frame is None else frame
        if not 0 <= number < len(track):
            raise DreamkitError(
                f"The clip {clip} has no frame {number} of {camera}.", f"Give one from 0 to {len(track) - 1}."
            )
        folders = [Path(beside or root) / name for name in video_folders(options, camera)]
        paths = (folder / name for folder in folders for name in (f"{clip}.mp4", f"{clip}_0.mp4"))
        video = next((path for path in paths if path.is_file()), None)
        view = options.rig.views.get(camera.removeprefix(VIEW_PREFIX)) if options.rig else None
        image = overlay_picture(loaded, camera, number, video, view=view)
        path = out / clip / f"{camera}.png"
        with replacing(path) as partial:
            cv2.imwrite(str(partial), image[..., ::-1])
        written.append(path)
    return written
