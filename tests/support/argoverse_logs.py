"""A small made-up log in the form of the Argoverse 2 sensor data set: feather tables and a JSON map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import feather
from rds_clips import camera_to_vehicle

from dreamkit.rds.poses import quaternions

LOG = "11111111-2222-3333-4444-555555555555"
CITY = np.array([4000.0, 1500.0, 20.0])
CAMERAS = {
    "ring_front_center": (0, 1780, 1550, 2048),
    "ring_front_left": (45, 1690, 2048, 1550),
    "ring_front_right": (-45, 1690, 2048, 1550),
    "ring_rear_left": (153, 1690, 2048, 1550),
    "ring_rear_right": (-153, 1690, 2048, 1550),
    "ring_side_left": (99, 1690, 2048, 1550),
    "ring_side_right": (-99, 1690, 2048, 1550),
}


def _columns(poses: np.ndarray) -> dict[str, np.ndarray]:
    """Columns qw to tz_m of poses [N, 4, 4]."""
    x, y, z, w = quaternions(poses[:, :3, :3]).T
    return {"qw": w, "qx": x, "qy": y, "qz": z} | dict(zip(("tx_m", "ty_m", "tz_m"), poses[:, :3, 3].T, strict=True))


def _write(path: Path, columns: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    feather.write_feather(pa.table({name: pa.array(values) for name, values in columns.items()}), str(path))


def ego_at(seconds: np.ndarray) -> np.ndarray:
    """Ego poses [N, 4, 4] of a straight drive at 10 m/s."""
    poses = np.tile(np.eye(4), (len(seconds), 1, 1))
    poses[:, :3, 3] = CITY
    poses[:, 0, 3] += 10 * seconds
    return poses


def write_log(folder: Path, seconds: float = 4.2, calibrated: bool = True) -> Path:
    """Write the log and return its folder."""
    log = folder / LOG
    sweeps = np.arange(0.1, seconds - 0.1, 0.1)
    moments = np.unique(np.round(np.concatenate([np.arange(0, seconds, 0.02), sweeps]), 6))
    clock = 315_966_253_000_000_000
    stamps = clock + np.round(moments * 1e9).astype(np.int64)
    _write(log / "city_SE3_egovehicle.feather", {"timestamp_ns": stamps, **_columns(ego_at(moments))})
    rows = []
    for moment in sweeps:
        ego = ego_at(np.array([moment]))[0, :3, 3]
        for track, category, place, size in (
            ("car", "REGULAR_VEHICLE", np.add(CITY, [15 + 12 * moment, 3.5, 0.9]), (4.5, 1.9, 1.8)),
            ("bus", "BUS", np.add(CITY, [40, -7, 1.6]), (12.0, 2.5, 3.2)),
            ("sign", "STOP_SIGN", np.add(CITY, [30, -6, 2.5]), (0.1, 0.8, 0.8)),
            ("odd", "HOVERCRAFT", np.add(CITY, [25, 8, 0.5]), (2.0, 2.0, 1.0)),
        ):
            pose = np.eye(4)
            pose[:3, 3] = place - ego
            rows.append((clock + round(moment * 1e9), track, category, size, pose))
    poses = np.array([row[4] for row in rows])
    sizes = np.array([row[3] for row in rows])
    _write(
        log / "annotations.feather",
        {
            "timestamp_ns": np.array([row[0] for row in rows], np.int64),
            "track_uuid": [row[1] for row in rows],
            "category": [row[2] for row in rows],
            **dict(zip(("length_m", "width_m", "height_m"), sizes.T, strict=True)),
            **_columns(poses),
        },
    )
    if calibrated:
        mounts = np.array([camera_to_vehicle(row[0]) for row in CAMERAS.values()])
        names = list(CAMERAS)
        _write(log / "calibration/egovehicle_SE3_sensor.feather", {"sensor_name": names, **_columns(mounts)})
        focal, width, height = np.array([row[1:] for row in CAMERAS.values()], float).T
        lens = {"fx_px": focal, "fy_px": focal, "cx_px": width / 2, "cy_px": height / 2}
        size = {"width_px": width.astype(int), "height_px": height.astype(int)}
        _write(log / "calibration/intrinsics.feather", {"sensor_name": names, **lens, "k1": focal * 0 - 0.2, **size})
    (log / "map").mkdir(parents=True, exist_ok=True)
    (log / f"map/log_map_archive_{LOG}____PIT_city_1.json").write_text(json.dumps(city_map()))
    return log


def _vertices(points) -> list[dict[str, float]]:
    return [dict(zip("xyz", (CITY + point).tolist(), strict=True)) for point in points]


def city_map() -> dict:
    """Two lanes side by side that share a painted line, two drivable areas that share an edge, and a crossing."""
    line = {y: _vertices([(-20, y, 0), (40, y, 0), (100, y, 0)]) for y in (-3.5, 0.0, 3.5)}
    lanes = {
        "1": {
            "left_lane_boundary": line[0.0],
            "right_lane_boundary": line[-3.5],
            "left_lane_mark_type": "DASHED_WHITE",
        },
        "2": {"left_lane_boundary": line[3.5], "right_lane_boundary": line[0.0][::-1], "left_lane_mark_type": "NONE"},
    }
    lanes["1"]["right_lane_mark_type"] = "SOLID_WHITE"
    lanes["2"]["right_lane_mark_type"] = "DASHED_WHITE"
    areas = [[(-20, -5, 0), (40, -5, 0), (40, 5, 0), (-20, 5, 0)], [(40, -5, 0), (100, -5, 0), (100, 5, 0), (40, 5, 0)]]
    return {
        "lane_segments": lanes,
        "drivable_areas": {str(i): {"area_boundary": _vertices(area)} for i, area in enumerate(areas)},
        "pedestrian_crossings": {
            "3": {"edge1": _vertices([(50, -5, 0), (50, 5, 0)]), "edge2": _vertices([(53, -5, 0), (53, 5, 0)])}
        },
    }
