"""Look over an RDS-HQ folder for the mistakes that a converter makes: what is wrong, where, and what likely caused it.

`check_clip` gathers findings; `picture` draws what a camera sees, over the camera's own video where one is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds import hdmap
from dreamkit.rds.check_geometry import (
    camera_findings,
    intrinsic_findings,
    lidar_findings,
    map_findings,
    object_findings,
    pose_findings,
)
from dreamkit.rds.check_report import ERROR, NOTE, WARNING, Finding
from dreamkit.rds.drawing import Clip, read_clip
from dreamkit.rds.labels import LAYERS, layer_path, read_layer, read_lidar, read_objects
from dreamkit.rds.plan import Options
from dreamkit.rds.rig import read_camera_poses, read_cameras, read_vehicle_poses

_CHUNK = 121


@dataclass
class _Reader:
    """Reads parts of a clip and turns what cannot be read into findings."""

    root: Path
    clip: str
    findings: list[Finding]

    def read(self, folder: str, how: Callable[[], Any], missing: str | None = None, cause: str = "") -> Any:
        """The part, or None; a missing tar is a finding of severity `missing`, or none at all."""
        path = layer_path(self.root, self.clip, folder)
        if not path.is_file():
            if missing:
                self.findings.append(Finding(missing, self.clip, folder, f"{path} is missing", cause))
            return None
        try:
            return how()
        except DreamkitError as error:
            self.findings.append(Finding(ERROR, self.clip, folder, error.message, error.hint or "a damaged file"))
            return None


def check_clip(root: Path, clip: str, model: str = "ftheta", poses: str = "pose") -> list[Finding]:
    """Every finding about a clip, errors first. Nothing is raised for what is wrong with the data."""
    root = Path(root)
    reader = _Reader(root, clip, [])
    cameras = reader.read(poses, lambda: read_camera_poses(root, clip, folder=poses), ERROR, "nothing can be rendered")
    vehicle = reader.read(
        "vehicle_pose",
        lambda: read_vehicle_poses(root, clip),
        WARNING,
        "camera headings are judged by the motion alone, and no novel drive can be made",
    )
    intrinsics = reader.read(
        f"{model}_intrinsic",
        lambda: read_cameras(root, clip, model=model),
        WARNING if model == "ftheta" else ERROR,
        "the default f-theta cameras would be used" if model == "ftheta" else "nothing can be rendered",
    )
    layers = {}
    for layer in LAYERS:
        found = reader.read(
            f"3d_{layer}",
            lambda layer=layer: read_layer(root, clip, layer),
            None if layer == "lanes" else WARNING,
            "this layer is not drawn",
        )
        if found is not None:
            layers[layer] = found
    objects = reader.read("all_object_info", lambda: read_objects(root, clip), WARNING, "no boxes are drawn")
    lidar = reader.read("lidar_raw", lambda: read_lidar(root, clip), NOTE, "no LiDAR videos can be rendered")
    add = reader.findings.extend
    if cameras:
        tracks = cameras | ({"vehicle": vehicle} if vehicle is not None else {})
        add(_count_findings(clip, tracks))
        for name, track in tracks.items():
            add(pose_findings(clip, name, track))
        add(camera_findings(clip, cameras, vehicle))
        path = (vehicle if vehicle is not None else next(iter(cameras.values())))[:, :3, 3]
        add(map_findings(clip, layers, path))
        if objects is not None:
            add(object_findings(clip, objects, layers, path, vehicle is not None))
        if lidar is not None:
            add(lidar_findings(clip, lidar, len(path)))
        if intrinsics:
            without = sorted(cameras.keys() - intrinsics.keys())
            add(
                Finding(
                    WARNING,
                    clip,
                    f"{model}_intrinsic",
                    f"{name} has poses and no intrinsics",
                    "the default camera would be used",
                )
                for name in without
            )
    if intrinsics:
        add(intrinsic_findings(clip, intrinsics))
    order = {ERROR: 0, WARNING: 1, NOTE: 2}
    return sorted(reader.findings, key=lambda finding: order[finding.severity])


def _count_findings(clip: str, tracks: dict[str, np.ndarray]) -> Iterator[Finding]:
    counts = {name: len(track) for name, track in tracks.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: item[1]))
        yield Finding(
            ERROR, clip, "pose", f"frame counts disagree: {told}", "a camera that started late or lost frames"
        )
    if min(counts.values()) < _CHUNK:
        yield Finding(
            WARNING,
            clip,
            "pose",
            f"{min(counts.values())} frames are fewer than a chunk of {_CHUNK}",
            "a short recording, or poses at 10 Hz instead of 30",
        )


def picture(clip: Clip, camera: str, frame: int, beside: Path | None = None, width: int = 960) -> np.ndarray:
    """What a camera sees in a frame, uint8 [H, width, 3]; half and half with that frame of a video, if given."""
    if clip.scene is None:
        raise DreamkitError("the map of this clip was not read")
    drawn = next(hdmap.draw(clip.scene, clip.cameras[camera], clip.poses[camera], [frame]))
    size = (width, round(drawn.shape[0] * width / drawn.shape[1] / 2) * 2)
    drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    if beside is None:
        return drawn
    from dreamkit.workspace.video import read_video

    seen = read_video(beside, max_frames=frame + 1, size=(size[1], size[0]))
    if len(seen) <= frame:
        raise DreamkitError(f"{beside} has {len(seen)} frames and none for frame {frame}")
    return cv2.addWeighted(drawn, 0.5, seen[frame], 0.5, 0)


def write_pictures(
    root: Path, clip: str, out: Path, options: Options = Options(), beside: Path | None = None, frame: int | None = None
) -> list[Path]:
    """One PNG a camera, `<out>/<clip>/<camera>.png`.

    Args:
        root: the RDS-HQ folder.
        clip: the clip.
        out: where the pictures go.
        options: camera model, cameras and pose folder.
        beside: a folder of `<model>_<camera>/<clip>.mp4` or `<clip>_0.mp4`, blended with the drawing; the RDS-HQ folder
            itself is looked through when this is left out.
        frame: which frame; the middle one when left out.
    """
    from dreamkit.workspace.files import replacing

    read = read_clip(root, clip, options)
    written = []
    for camera, track in read.poses.items():
        number = len(track) // 2 if frame is None else frame
        if not 0 <= number < len(track):
            raise DreamkitError(
                f"clip {clip} has no frame {number} of {camera}", f"Give one from 0 to {len(track) - 1}."
            )
        folder = Path(beside or root) / f"{options.model}_{camera}"
        video = next((path for path in (folder / f"{clip}.mp4", folder / f"{clip}_0.mp4") if path.is_file()), None)
        image = picture(read, camera, number, video)
        path = out / clip / f"{camera}.png"
        with replacing(path) as partial:
            cv2.imwrite(str(partial), image[..., ::-1])
        written.append(path)
    return written
