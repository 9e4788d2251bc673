"""The six views of a clip with cameras of its own: their camera models and poses, as a rig file says.

Views are named `camera_<view>`, so that condition videos land in the folders of the six views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CAMERA_MODELS, CameraModel
from dreamkit.rds.labels import layer_path
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.rig import default_cameras, read_camera_poses, read_cameras, read_vehicle_poses
from dreamkit.rds.rig_file import ORDERS, RigFile, RigView
from dreamkit.workspace.files import nearest

VIEW_PREFIX = "camera_"
_WIDE = (1920, 1080)
"""Size of the nominal lenses; a crop of a camera's own lens has this ratio within 2 %."""


def view_models(root: Path, clip: str, rig: RigFile, views: Sequence[str] | None = None) -> dict[str, CameraModel]:
    """The camera model of each view by `camera_<view>`, cropped, not yet scaled.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        rig: the rig file.
        views: names of views, with or without `camera_`; all of the rig when left out.

    Raises:
        DreamkitError: intrinsics are missing or unusable, or a crop lies outside the picture.
    """
    return {VIEW_PREFIX + name: _model(root, clip, rig, name) for name in _chosen(rig, views)}


def _chosen(rig: RigFile, views: Sequence[str] | None) -> list[str]:
    """Names of the wanted views, without the prefix, in the rig's order."""
    wanted = [name.removeprefix(VIEW_PREFIX) for name in views] if views else list(rig.views)
    for name in wanted:
        if name not in rig.views:
            close = nearest(name, rig.views)
            raise DreamkitError(
                f"The rig file {rig.path} has no view {name!r}.",
                f"Did you mean {close}?" if close else f"It has {', '.join(rig.views)}.",
            )
    return [name for name in rig.views if name in wanted]


def _model(root: Path, clip: str, rig: RigFile, name: str) -> CameraModel:
    """The camera model of one view."""
    view = rig.views[name]
    if view.camera is None or view.as_model:
        return default_cameras()[VIEW_PREFIX + name]
    camera = own_camera(root, clip, view.camera, view.model, view.order)
    if view.size and view.size != (camera.width, camera.height):
        camera = camera.scaled_to(*view.size)
    if not view.crop:
        return camera
    try:
        return cropped(camera, view.crop)
    except DreamkitError as error:
        raise DreamkitError(f"The rig file {rig.path}: {name}: {error.message}", error.hint) from None


def own_camera(root: Path, clip: str, name: str, model: str, order: str = ORDERS[0]) -> CameraModel:
    """One of the clip's own cameras.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        name: name of the camera as in the labels.
        model: "pinhole" or "ftheta".
        order: order of a pinhole vector, one of `rig_file.ORDERS`.

    Raises:
        DreamkitError: the clip has no such intrinsics, or they are unusable.
    """
    path = layer_path(root, clip, f"{model}_intrinsic")
    if not path.is_file():
        others = [kind for kind in CAMERA_MODELS if layer_path(root, clip, f"{kind}_intrinsic").is_file()]
        raise DreamkitError(
            f"{path} is missing, so {name} has no {model} intrinsics.",
            f"The clip has {others[0]} intrinsics: set `model: {others[0]}`."
            if others
            else "Write the intrinsics, or set `as_model: ftheta` to draw the camera with the view's own lens.",
        )
    camera = read_cameras(root, clip, [name], model)[name]
    if order != ORDERS[1] or not isinstance(camera, Pinhole):
        return camera
    turned = focal_first(camera)
    if is_centre_first(turned) and not is_centre_first(camera):
        raise DreamkitError(
            f"The rig file gives {name} the order {order}, but its intrinsics in {path} begin with the focal lengths.",
            "Take `order` out of the rig file, or propose a rig for these labels.",
        )
    return turned


def focal_first(camera: Pinhole) -> Pinhole:
    """The camera whose vector was written as cx, cy, fx, fy, width, height."""
    return replace(camera, fx=camera.cx, fy=camera.cy, cx=camera.fx, cy=camera.fy)


def is_centre_first(camera: Pinhole) -> bool:
    """Whether the vector was probably written as cx, cy, fx, fy, width, height.

    Pixels are square in nearly all cameras, and the optical centre lies near the picture's centre. The order is taken
    as wrong when the first two numbers are near the centre and unequal, and the other two are equal.
    """
    near = abs(camera.fx / camera.width - 0.5) < 0.1 and abs(camera.fy / camera.height - 0.5) < 0.1
    square = abs(camera.fx / camera.fy - 1) < 0.1
    return near and not square and camera.cx > 0 and camera.cy > 0 and abs(camera.cx / camera.cy - 1) < 0.1


def cropped(camera: CameraModel, crop: tuple[int, int, int, int]) -> CameraModel:
    """The camera of a part of its picture.

    Args:
        camera: the camera of the whole picture.
        crop: left, top, width, height in pixels.

    Raises:
        DreamkitError: the part does not lie inside the picture.
    """
    left, top, width, height = crop
    if left + width > camera.width or top + height > camera.height:
        raise DreamkitError(
            f"The crop {list(crop)} does not lie inside the picture of {camera.width}x{camera.height} pixels.",
            "A crop is left, top, width, height in pixels.",
        )
    return replace(camera, cx=camera.cx - left, cy=camera.cy - top, width=width, height=height)


def wide_crop(camera: CameraModel) -> tuple[int, int, int, int] | None:
    """The largest part around the optical centre with the views' ratio of 16:9; None when the picture has it."""
    ratio = _WIDE[0] / _WIDE[1]
    if abs(camera.width / camera.height / ratio - 1) < 0.02:
        return None
    width = min(camera.width, int(camera.height * ratio))
    height = min(camera.height, int(camera.width / ratio))
    left = min(max(round(camera.cx - width / 2), 0), camera.width - width)
    top = min(max(round(camera.cy - height / 2), 0), camera.height - height)
    return left, top, width, height


def view_poses(
    root: Path, clip: str, rig: RigFile, views: Sequence[str] | None = None, folder: str = "pose"
) -> dict[str, np.ndarray]:
    """Camera-to-world poses float64 [T, 4, 4] of each view by `camera_<view>`.

    A camera that is mounted turned (`roll`) is turned back. A view without a camera is placed on the vehicle by its
    mount; in a novel drive the vehicle is found from a camera.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        rig: the rig file.
        views: names of views; all of the rig when left out.
        folder: the pose folder.

    Raises:
        DreamkitError: poses are missing or damaged.
    """
    chosen = _chosen(rig, views)
    recorded = read_camera_poses(root, clip, folder=folder)
    result = {}
    for name in chosen:
        view = rig.views[name]
        if view.camera is None:
            result[VIEW_PREFIX + name] = _mounted(root, clip, view, recorded, folder)
        elif view.camera in recorded:
            result[VIEW_PREFIX + name] = (
                recorded[view.camera] @ _turn(-view.roll) if view.roll else recorded[view.camera]
            )
        else:
            close = nearest(view.camera, recorded)
            hint = f"Did you mean {close}?" if close else f"It has {', '.join(sorted(recorded))}."
            raise DreamkitError(
                f"The clip {clip} has no poses of the camera {view.camera}, which {rig.path} names for {name}.",
                hint,
            )
    return result


def _turn(degrees: float) -> np.ndarray:
    """A turn about the optical axis, clockwise seen from behind the camera, [4, 4]."""
    turn, angle = np.eye(4), np.radians(degrees)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


def _mounted(root: Path, clip: str, view: RigView, recorded: dict[str, np.ndarray], folder: str) -> np.ndarray:
    """Camera-to-world poses [T, 4, 4] of a view without a camera."""
    assert view.mount is not None
    if not layer_path(root, clip, "vehicle_pose").is_file():
        raise DreamkitError(
            f"{layer_path(root, clip, 'vehicle_pose')} is missing, so a view cannot be placed on the vehicle.",
            "Write the vehicle's poses, or leave the views without a camera out of the rig file.",
        )
    vehicle = read_vehicle_poses(root, clip)
    if folder != "pose":
        name = next(iter(recorded))
        in_vehicle = np.linalg.inv(vehicle[0]) @ read_camera_poses(root, clip, [name])[name][0]
        vehicle = recorded[name] @ np.linalg.inv(in_vehicle)
    return vehicle @ view.mount.pose
