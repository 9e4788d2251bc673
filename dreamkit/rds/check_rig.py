"""Checks of `dreamkit check` on conventions: poses that are no camera-to-world poses, intrinsics in another order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dreamkit.rds.camera_models import CAMERA_MODELS, CameraModel
from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.labels import layer_path
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.pose_faults import motion_fault
from dreamkit.rds.rig_views import is_centre_first


def convention_findings(cameras: Mapping[str, np.ndarray], vehicle: np.ndarray | None) -> Iterator[LabelFinding]:
    """Cameras whose poses are world-to-camera or camera-to-vehicle.

    Args:
        cameras: poses float64 [T, 4, 4] by camera.
        vehicle: vehicle-to-world poses float64 [T, 4, 4], or None.
    """
    if vehicle is None:
        return
    for name, track in cameras.items():
        if fault := motion_fault(track, vehicle):
            what, _, cause = fault.partition(": ")
            yield LabelFinding(ERROR, "pose", f"the poses of {name} {what}", cause, 0)


def order_findings(cameras: Mapping[str, CameraModel]) -> Iterator[LabelFinding]:
    """Pinhole vectors that were probably written as cx, cy, fx, fy, width, height."""
    swapped = [name for name, camera in cameras.items() if isinstance(camera, Pinhole) and is_centre_first(camera)]
    if swapped:
        what = f"the intrinsics of {', '.join(sorted(swapped))} begin with the picture's centre"
        cause = (
            "the order cx, cy, fx, fy instead of fx, fy, cx, cy; `dreamkit check --fix FOLDER` writes a mended copy, "
            "and a rig file can say it (order: centre_first)"
        )
        yield LabelFinding(ERROR, "pinhole_intrinsic", what, cause)


def model_findings(root: Path, clip: str) -> Iterator[LabelFinding]:
    """Folders of intrinsics of a camera model that is not known."""
    for path in sorted(Path(root).glob("*_intrinsic")):
        model = path.name.removesuffix("_intrinsic")
        if model not in CAMERA_MODELS and layer_path(root, clip, path.name).is_file():
            what = f"the camera model {model} is not known"
            cause = (
                f"the format has {' and '.join(CAMERA_MODELS)}; a rig file can draw such a camera with its view's lens"
            )
            yield LabelFinding(WARNING, path.name, what, cause)
