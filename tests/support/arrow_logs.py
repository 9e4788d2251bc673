"""A small made-up log in the form of py123d 0.7: Arrow files with packed facts, and a map."""

from __future__ import annotations

import struct
from pathlib import Path

import msgpack
import numpy as np
import pyarrow as pa
from argoverse_logs import CITY, ego_at
from rds_clips import camera_to_vehicle

from dreamkit.rds.poses import quaternions

LOG = "log_0001"
AXLE = [-1.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]
"""Rear axle in the axes of the IMU, x y z qw qx qy qz."""


def rows_of(poses: np.ndarray) -> list[list[float]]:
    """Rows x y z qw qx qy qz of poses [N, 4, 4]."""
    x, y, z, w = quaternions(poses[:, :3, :3]).T
    return np.column_stack([poses[:, :3, 3], w, x, y, z]).tolist()


def write_arrow(path: Path, columns: dict, about: dict) -> None:
    """Write an Arrow file with packed facts about itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata({b"metadata": msgpack.packb(about, use_bin_type=True)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def camera(name: str, heading: float, model: str = "pinhole", **changes) -> dict:
    """What a camera's file says about the camera."""
    values = [1000.0, 1000.0, 960.0, 540.0, 0.0]
    if model == "ftheta":
        values = [960.0, 540.0, *[0.0] * 6, 0.0, 1 / 1000, 0.0, 0.0, 0.0, 0.0]
    known = {"camera_model": model, "camera_name": name, "camera_id": 0, "intrinsics": values, "distortion": None}
    size = {"width": 1920, "height": 1080, "is_undistorted": False}
    return known | size | {"camera_to_imu_se3": rows_of(camera_to_vehicle(heading)[None])[0]} | changes


CAMERAS = (
    camera("cam_front", 0, distortion=[-0.2, 0.05, 0.0, 0.0, 0.0]),
    camera("cam_left", 70),
    camera("cam_right", -70, "ftheta"),
    camera("cam_back", 180, "fisheye_mei"),
)


def line_wkb(points, z: bool = True) -> bytes:
    """A line string in the well-known binary form."""
    flat = np.asarray(points, np.float64)[:, : 3 if z else 2]
    return struct.pack("<BII", 1, 1002 if z else 2, len(flat)) + flat.tobytes()


def _array(points) -> dict:
    values = np.asarray(points, np.float64)
    return {b"__ndarray__": True, b"dtype": "<f8", b"shape": values.shape, b"data": values.tobytes()}


def write_log_123d(
    root: Path, version: str = "0.7.0", z: bool = True, labels: str = "NuScenesBoxDetectionLabel"
) -> Path:
    """Write a log of 4 s into root/logs/made-up/ and its city's map into root/maps/; returns the log's folder."""
    log = root / "logs/made-up_train" / LOG
    about_map = {"dataset": "made-up", "location": "town", "map_has_z": z, "map_is_per_log": False}
    write_arrow(
        log / "sync.arrow",
        {"sync.timestamp_us": [0]},
        {"dataset": "made-up", "log_name": LOG, "version": version, "map_metadata": about_map},
    )
    seconds, clock = np.arange(0, 4.01, 0.05), 1_700_000_000_000_000
    stamps = (clock + np.round(seconds * 1e6)).astype(np.int64)
    write_arrow(
        log / "ego_state_se3.arrow",
        {"ego_state_se3.timestamp_us": stamps, "ego_state_se3.imu_se3": rows_of(ego_at(seconds))},
        {"vehicle_name": "made-up", "rear_axle_to_imu_se3": AXLE},
    )
    key = "box_detections_se3"
    places = [CITY + np.array([20 + 12 * t, 3.5, 0.9]) for t in seconds[::10]]
    boxes = [[[*place.tolist(), 1.0, 0.0, 0.0, 0.0, 4.5, 1.9, 1.8]] for place in places]
    write_arrow(
        log / f"{key}.arrow",
        {
            f"{key}.timestamp_us": stamps[::10],
            f"{key}.bounding_box_se3": boxes,
            f"{key}.track_token": [["car"]] * len(boxes),
            f"{key}.label": [[1]] * len(boxes),
        },
        {"box_detection_label_class": f"py123d.parser.registry.{labels}"},
    )
    for about in CAMERAS:
        write_arrow(log / f"camera.{about['camera_name']}.arrow", {"x": [0]}, about)
    edge, paint = ([CITY + np.array([x, y, 0.2]) for x in (-20.0, 100.0)] for y in (6.0, 1.75))
    zone = [CITY + np.array([x, y, 0.2]) for x, y in ((50, 0), (52, 0), (52, -3.5), (50, -3.5), (50, 0))]
    rows = [
        (8, {"road_edge_type": 1}, line_wkb(edge, z)),
        (9, {"road_line_type": 4}, line_wkb(paint, z)),
        (9, {"road_line_type": 4}, line_wkb(paint[::-1], z)),
        (9, {"road_line_type": 0}, line_wkb(edge, z)),
        (3, {"outline": _array(zone)}, b""),
        (7, {"outline": _array(zone), "stop_zone_type": 1}, b""),
        (0, {"lane_type": 1}, b""),
    ]
    write_arrow(
        root / "maps/made-up/made-up_town.arrow",
        {
            "map_layer": pa.array([row[0] for row in rows], pa.int8()),
            "features": [msgpack.packb(row[1], use_bin_type=True) for row in rows],
            "wkb": [row[2] for row in rows],
        },
        about_map,
    )
    return log
