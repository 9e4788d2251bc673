"""Logs of the Argoverse 2 sensor data set, read from their own files (feather and JSON) without its devkit.

A log is a folder `<log id>/` with city_SE3_egovehicle.feather, annotations.feather, map/log_map_archive_*.json and
calibration/. Form of the files: docs and src/av2 of github.com/argoverse/av2-api (MIT). Its devkit projects with the
focal lengths and the centre alone, so the distortion coefficients k1 to k3 of intrinsics.feather are not used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.convert.drive import Drive, DriveCamera, TrackedBox, nominal_cameras
from dreamkit.rds.convert.map_areas import lines_once, outer_edges
from dreamkit.rds.convert.object_types import kind_of
from dreamkit.rds.convert.timelines import rising
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.poses import rotations
from dreamkit.workspace.files import read_json

FORMAT = "argoverse2"
_POSES, _LABELS = "city_SE3_egovehicle.feather", ("annotations.feather", "annotations_with_ego.feather")
_SIGNS = ("SIGN", "STOP_SIGN")
_EGO = "EGO_VEHICLE"
_UNPAINTED = ("NONE", "UNKNOWN")
_POSE_COLUMNS = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")


def is_argoverse2(folder: Path) -> bool:
    """Whether a folder is a log of the sensor data set."""
    return (folder / _POSES).is_file()


def read_argoverse2(folder: Path) -> Drive:
    """A log as a drive; without calibration the six nominal cameras stand in.

    Frame 0 is the first annotated sweep, so that every third frame is a sweep to within a millisecond or so.

    Raises:
        DreamkitError: a file is missing, damaged, or lacks a column; or times of poses do not rise.
    """
    folder = Path(folder)
    poses = _table(folder / _POSES, ("timestamp_ns", *_POSE_COLUMNS))
    clock = int(poses["timestamp_ns"].min())
    times = rising(_seconds(poses["timestamp_ns"], clock), f"The ego poses of {folder.name}")
    ego = _pose_matrices(poses)
    labels = next((folder / name for name in _LABELS if (folder / name).is_file()), None)
    boxes, signs = _boxes(labels, clock, times, ego) if labels else ([], [])
    moments = [box.time for box in boxes]
    layers = _map(folder)
    layers["traffic_signs"] = signs
    calibrated = (folder / "calibration" / "intrinsics.feather").is_file()
    return Drive(
        clip=folder.name,
        times=times,
        ego=ego,
        cameras=_cameras(folder) if calibrated else nominal_cameras(),
        layers=layers,
        boxes=boxes,
        start=min(moments, default=None),
        end=max(moments, default=None),
        source={
            "format": FORMAT,
            "folder": str(folder),
            "calibration": "of the log" if calibrated else "nominal: the log has none",
            "labels": labels.name if labels else "none",
            "clock_ns": clock,
        },
    )


def _table(path: Path, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns of a feather file."""
    from pyarrow import ArrowException, feather

    try:
        table = feather.read_table(str(path))
    except (OSError, ArrowException) as error:
        raise DreamkitError(
            f"{path} cannot be read as a feather file: {error}", "Fetch this file of the log again."
        ) from None
    if missing := [name for name in columns if name not in table.column_names]:
        raise DreamkitError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(table.column_names)}.",
            "This is not the form of the Argoverse 2 sensor data set, or a version that is not known.",
        )
    return {name: table.column(name).to_numpy() for name in columns}


def _seconds(stamps: np.ndarray, clock: int) -> np.ndarray:
    """Nanoseconds as seconds since the log's first pose; subtracted as integers, so that nothing is rounded."""
    return (stamps.astype(np.int64) - clock) / 1e9


def _pose_matrices(rows: dict[str, np.ndarray]) -> np.ndarray:
    """Poses [N, 4, 4] of the columns qw to tz_m."""
    q = np.stack([rows[name] for name in ("qx", "qy", "qz", "qw")], 1).astype(np.float64)
    result = np.tile(np.eye(4), (len(q), 1, 1))
    result[:, :3, :3] = rotations(q / np.linalg.norm(q, axis=1, keepdims=True))
    result[:, :3, 3] = np.stack([rows[name] for name in ("tx_m", "ty_m", "tz_m")], 1)
    return result


def _boxes(path: Path, clock: int, times: np.ndarray, ego: np.ndarray) -> tuple[list[TrackedBox], list[np.ndarray]]:
    """Tracked boxes in the world, and signs as cuboids [8, 3]; annotations are in the ego axes of their sweep."""
    sizes = ("length_m", "width_m", "height_m")
    rows = _table(path, ("timestamp_ns", "track_uuid", "category", *sizes, *_POSE_COLUMNS))
    moments = _seconds(rows["timestamp_ns"], clock)
    # Every sweep has an ego pose of the very same time.
    at = np.clip(np.searchsorted(times, moments), 0, len(times) - 1)
    if len(at) and np.abs(times[at] - moments).max() > 1e-3:
        raise DreamkitError(
            f"{path} has labels at times without an ego pose.", f"Fetch {_POSES} of the same log again."
        )
    poses = ego[at] @ _pose_matrices(rows)
    size = np.stack([rows[name] for name in sizes], 1).astype(np.float64)
    boxes, signs = [], {}
    for row, category in enumerate(rows["category"]):
        track = str(rows["track_uuid"][row])
        if category == _EGO:
            continue
        if category in _SIGNS:
            signs.setdefault(track, _corners(poses[row], size[row]))
            continue
        length, width, height = size[row].tolist()
        kind = kind_of(FORMAT, str(category))
        boxes.append(TrackedBox(track, kind, float(moments[row]), poses[row], (length, width, height)))
    return boxes, list(signs.values())


def _corners(pose: np.ndarray, size: np.ndarray) -> np.ndarray:
    """World corners [8, 3] of a box, in the order of `objects.box_corners`."""
    from dreamkit.rds.objects import Boxes, box_corners

    boxes = Boxes(np.zeros(1, np.int64), ("",), pose[None], size[None], np.zeros(1, bool), ("",))
    return box_corners(boxes)[0]


def _cameras(folder: Path) -> dict[str, DriveCamera]:
    """The log's cameras by name, without its LiDARs."""
    names = ("fx_px", "fy_px", "cx_px", "cy_px", "width_px", "height_px")
    lenses = _table(folder / "calibration" / "intrinsics.feather", ("sensor_name", *names))
    mounts = _table(folder / "calibration" / "egovehicle_SE3_sensor.feather", ("sensor_name", *_POSE_COLUMNS))
    to_ego = dict(zip(mounts["sensor_name"].tolist(), _pose_matrices(mounts), strict=True))
    found = {}
    for row, name in enumerate(lenses["sensor_name"].tolist()):
        if name not in to_ego:
            raise DreamkitError(
                f"{folder / 'calibration'} has intrinsics and no pose of {name}.", "Fetch the calibration again."
            )
        found[name] = DriveCamera(to_ego[name], Pinhole.from_vector([lenses[key][row] for key in names]))
    return found


def _map(folder: Path) -> dict[str, list[np.ndarray]]:
    """Map layers of the log's vector map; no layer without a map."""
    path = next(iter(sorted((folder / "map").glob("log_map_archive_*.json"))), None)
    if path is None:
        return {}
    archive = read_json(path, "map")
    try:
        painted = [
            _points(lane[f"{side}_lane_boundary"])
            for lane in archive["lane_segments"].values()
            for side in ("left", "right")
            if lane[f"{side}_lane_mark_type"] not in _UNPAINTED
        ]
        areas = [_points(area["area_boundary"]) for area in archive["drivable_areas"].values()]
        crossings = [
            np.concatenate([_points(one["edge1"]), _points(one["edge2"])[::-1]])
            for one in archive["pedestrian_crossings"].values()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise DreamkitError(
            f"The map {path} is not in the form of the sensor data set: {error!r}.", "Fetch it again."
        ) from None
    return {"lanelines": lines_once(painted), "road_boundaries": outer_edges(areas), "crosswalks": crossings}


def _points(vertices: list[dict[str, Any]]) -> np.ndarray:
    """World vertices [n, 3]."""
    return np.array([[v["x"], v["y"], v["z"]] for v in vertices], np.float64).reshape(-1, 3)
