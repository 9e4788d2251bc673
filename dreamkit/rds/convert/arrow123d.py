"""Logs of py123d (123D) as drives: Arrow files of one form for Waymo, nuScenes, nuPlan, Argoverse 2, PandaSet and more.

py123d 0.7 converts a data set in an environment of its own; its logs are read here with pyarrow and msgpack. A log is a
folder with ego_state_se3.arrow, box_detections_se3.arrow, a file a camera, and map.arrow; maps of whole cities lie in
maps/<data set>/ beside logs/. Poses are x y z qw qx qy qz to the world, times microseconds. Form: api/ and datatypes/
of py123d 0.7.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.convert.arrow_maps import read_arrow_map
from dreamkit.rds.convert.distortion import ftheta_of_distorted
from dreamkit.rds.convert.drive import Drive, DriveCamera, TrackedBox, nominal_cameras
from dreamkit.rds.convert.label_tables import LABELS, types_of
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.poses import rotations

FORMAT = "123d"
_EGO, _BOXES = "ego_state_se3", "box_detections_se3"
_VERSIONS = ("0.7",)
_EGO_LABEL = "Ego"


def is_arrow123d(folder: Path) -> bool:
    """Whether a folder is a log of py123d."""
    return (folder / f"{_EGO}.arrow").is_file()


def read_arrow123d(folder: Path) -> Drive:
    """A log as a drive; cameras of a model that the format does not have get no lens, and a log without cameras the six
    nominal ones.

    Raises:
        DreamkitError: a file is missing or damaged, or of another version of py123d.
    """
    folder = Path(folder)
    log, _ = _open(folder / "sync.arrow") if (folder / "sync.arrow").is_file() else ({}, None)
    _check_version(folder, log)
    about, table = _open(folder / f"{_EGO}.arrow")
    stamps, imu = _column(table, f"{_EGO}.timestamp_us"), _poses(_column(table, f"{_EGO}.imu_se3"))
    axle = _poses([about["rear_axle_to_imu_se3"]])[0] if about.get("rear_axle_to_imu_se3") else np.eye(4)
    clock = int(min(stamps))
    times = (np.array(stamps, np.int64) - clock) / 1e6
    order = np.unique(times, return_index=True)[1]
    ego = (imu @ axle)[order]
    boxes = _boxes(folder, clock)
    cameras, notes = _cameras(folder, np.linalg.inv(axle))
    moments = [box.time for box in boxes]
    source = {"format": FORMAT, "data_set": log.get("dataset"), "version": log.get("version"), "folder": str(folder)}
    return Drive(
        clip=folder.name,
        times=times[order],
        ego=ego,
        cameras=cameras or nominal_cameras(),
        layers=read_arrow_map(folder, log, ego),
        boxes=boxes,
        start=min(moments, default=None),
        end=max(moments, default=None),
        source={**source, "clock_us": clock, "cameras": notes or "of the log"},
    )


def _check_version(folder: Path, log: dict[str, Any]) -> None:
    """Raise where another version of py123d wrote the log."""
    version = str(log.get("version", "unknown"))
    if log and not version.startswith(tuple(f"{known}." for known in _VERSIONS)):
        raise DreamkitError(
            f"The log {folder} was written by py123d {version}; versions {', '.join(_VERSIONS)} are known here.",
            "Convert the data set again with py123d 0.7.",
        )


def _open(path: Path) -> tuple[dict[str, Any], Any]:
    """What an Arrow file says about itself, and its table."""
    import pyarrow as pa

    from dreamkit.rds.convert.arrow_maps import unpacked

    if not path.is_file():
        raise DreamkitError(f"{path} is missing.", "Give a log of py123d: a folder with ego_state_se3.arrow.")
    try:
        with pa.memory_map(str(path), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException) as error:
        raise DreamkitError(f"{path} cannot be read as an Arrow file: {error}", "Convert this log again.") from None
    packed = (table.schema.metadata or {}).get(b"metadata")
    return (unpacked(packed, path) if packed else {}), table


def _column(table: Any, name: str) -> list[Any]:
    """Values of a column."""
    if name not in table.column_names:
        raise DreamkitError(
            f"A log has no column {name}; it has {', '.join(table.column_names)}.",
            "It is of another version of py123d; convert the data set again with py123d 0.7.",
        )
    return table.column(name).to_pylist()


def _poses(rows: Any) -> np.ndarray:
    """Poses [N, 4, 4] of rows x y z qw qx qy qz."""
    values = np.array(rows, np.float64).reshape(-1, 7)
    result = np.tile(np.eye(4), (len(values), 1, 1))
    q = values[:, [4, 5, 6, 3]]
    result[:, :3, :3] = rotations(q / np.linalg.norm(q, axis=1, keepdims=True))
    result[:, :3, 3] = values[:, :3]
    return result


def _boxes(folder: Path, clock: int) -> list[TrackedBox]:
    """Tracked boxes; none where the log has no boxes."""
    path = folder / f"{_BOXES}.arrow"
    if not path.is_file():
        return []
    about, table = _open(path)
    name = str(about.get("box_detection_label_class", ""))
    types = types_of(name)
    if types is None:
        raise DreamkitError(f"{path} has labels of the unknown class {name!r}.", f"Known are {', '.join(LABELS)}.")
    stamps = _column(table, f"{_BOXES}.timestamp_us")
    columns = [_column(table, f"{_BOXES}.{part}") for part in ("bounding_box_se3", "track_token", "label")]
    found: dict[tuple[str, int], TrackedBox] = {}
    for stamp, boxes, tracks, labels in zip(stamps, *columns, strict=True):
        if not boxes:
            continue
        values = np.array(boxes, np.float64).reshape(-1, 10)
        poses = _poses(values[:, :7])
        for row, (track, label) in enumerate(zip(tracks, labels, strict=True)):
            kind = types[label] if label < len(types) else "Unknown"
            if kind != _EGO_LABEL:
                length, width, height = values[row, 7:].tolist()
                time = (stamp - clock) / 1e6
                found[str(track), stamp] = TrackedBox(str(track), kind, time, poses[row], (length, width, height))
    return list(found.values())


def _cameras(folder: Path, imu_to_ego: np.ndarray) -> tuple[dict[str, DriveCamera], dict[str, str]]:
    """Cameras by the data set's own names, and a note on each that is not an undistorted pinhole or f-theta camera."""
    found, notes = {}, {}
    for path in sorted(folder.glob("camera.*.arrow")):
        about, _ = _open(path)
        name = str(about.get("camera_name") or path.stem.partition(".")[2]).replace(".", "_")
        lens, note = _lens(about)
        found[name] = DriveCamera(imu_to_ego @ _poses([about["camera_to_imu_se3"]])[0], lens)
        if note:
            notes[name] = note
    return found, notes


def _lens(about: dict[str, Any]) -> tuple[CameraModel | None, str]:
    """The camera's intrinsics, or None; and a note on them."""
    values, model = about.get("intrinsics"), str(about.get("camera_model", "")).rpartition(".")[2].lower()
    size = (int(about["width"]), int(about["height"]))
    if values is None:
        return None, "no intrinsics"
    if model == "ftheta":
        cx, cy, *polynomial = values
        return FTheta(cx, cy, *size, tuple(polynomial[6:12]), True), ""
    if model != "pinhole":
        return None, f"the camera model {model} is not known: draw it with the view's own lens (as_model: ftheta)"
    fx, fy, cx, cy, *_ = values
    camera, k = Pinhole(fx, fy, cx, cy, *size), about.get("distortion")
    if about.get("is_undistorted") or not k or not any(k):
        return camera, ""
    k1, k2, p1, p2, k3 = k
    try:
        lens, error = ftheta_of_distorted(camera, (k1, k2, k3))
    except DreamkitError as fault:
        return None, f"{fault.message} Draw it with the view's own lens (as_model: ftheta)"
    tangential = f", p1 = {p1:g} and p2 = {p2:g} left out" if p1 or p2 else ""
    return lens, f"distorted pinhole, as f-theta within {error:.2f} pixels{tangential}"
