"""Maps of py123d's logs: rows of Arrow files with a layer's number, packed features, and a shape as WKB."""

from __future__ import annotations

import importlib
import struct
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.convert.map_areas import lines_once

# Numbers of MapLayer in py123d 0.7.
_CROSSWALK, _STOP_ZONE, _ROAD_EDGE, _ROAD_LINE = 3, 7, 8, 9
_NO_PAINT = 0
_TURN_STOP = 5
_LINE_STRING = 2


def unpacked(data: bytes, path: Path) -> dict[str, Any]:
    """A table packed with msgpack, arrays as numpy.

    Raises:
        DreamkitError: msgpack is not installed, or the data is damaged.
    """
    try:
        msgpack = importlib.import_module("msgpack")  # an extra: the package runs without it
    except ImportError:
        raise DreamkitError(
            "Logs of py123d are read with msgpack, which is not installed.", "Run `pip install msgpack`."
        ) from None
    try:
        value = msgpack.unpackb(data, object_hook=_array, raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DreamkitError(f"{path} has packed data that cannot be read: {error}", "Convert this log again.") from None
    return value if isinstance(value, dict) else {}


def _array(table: dict[Any, Any]) -> Any:
    """A packed numpy array as one; any other table as it is."""
    if b"__ndarray__" not in table:
        return table
    kind = np.dtype(table[b"dtype"])
    if kind.hasobject:
        raise ValueError("an array of objects")
    return np.frombuffer(table[b"data"], kind).reshape(table[b"shape"])


def read_arrow_map(folder: Path, log: dict[str, Any], ego: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Map layers around a log by name; none where the log has no map.

    Args:
        folder: the log's folder.
        log: what sync.arrow says about the log.
        ego: ego-to-world poses [N, 4, 4]; a map without heights gets those of the ego's path.
    """
    about = log.get("map_metadata") or {}
    path = _map_path(folder, about)
    if path is None:
        return {}
    import pyarrow as pa

    try:
        with pa.memory_map(str(path), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException) as error:
        raise DreamkitError(f"{path} cannot be read as an Arrow file: {error}", "Convert this map again.") from None
    flat = not about.get("map_has_z", True)
    found: dict[str, list[np.ndarray]] = {"lanelines": [], "road_boundaries": [], "crosswalks": [], "wait_lines": []}
    for row in table.select(["map_layer", "features", "wkb"]).to_pylist():
        layer = row["map_layer"]
        if layer not in (_CROSSWALK, _STOP_ZONE, _ROAD_EDGE, _ROAD_LINE):
            continue
        features = unpacked(row["features"], path)
        if layer == _ROAD_LINE and features.get("road_line_type") != _NO_PAINT:
            found["lanelines"].append(_line(row["wkb"], path))
        elif layer == _ROAD_EDGE:
            found["road_boundaries"].append(_line(row["wkb"], path))
        elif layer == _CROSSWALK:
            found["crosswalks"].append(_open_ring(features["outline"]))
        elif layer == _STOP_ZONE and features.get("stop_zone_type") != _TURN_STOP:
            found["wait_lines"].append(_across(_open_ring(features["outline"])))
    found["lanelines"] = lines_once(found["lanelines"])
    if flat:
        found = {name: [_raised(shape, ego) for shape in shapes] for name, shapes in found.items()}
    return found


def _map_path(folder: Path, about: dict[str, Any]) -> Path | None:
    """The log's own map, or that of its city in maps/ beside logs/."""
    if (folder / "map.arrow").is_file():
        return folder / "map.arrow"
    data_set, place = str(about.get("dataset", "")), str(about.get("location", ""))
    name = f"{data_set}_{place}.arrow"
    if "/" in data_set + place or not data_set:
        return None
    places = (parent / "maps" / data_set / name for parent in list(folder.parents)[:3])
    return next((path for path in places if path.is_file()), None)


def _line(wkb: bytes, path: Path) -> np.ndarray:
    """Vertices [n, 3] of a line string in the well-known binary form; height 0 where it has none."""
    try:
        order = "<" if wkb[0] == 1 else ">"
        kind, count = struct.unpack_from(f"{order}II", wkb, 1)
        width = 3 if kind & 0x80000000 or kind // 1000 == 1 else 2
        if (kind & 0xFFFF) % 1000 != _LINE_STRING:
            raise ValueError(f"a shape of type {kind} instead of a line")
        points = np.frombuffer(wkb, f"{order}f8", count * width, 9).reshape(count, width).astype(np.float64)
    except (struct.error, ValueError, IndexError) as error:
        raise DreamkitError(f"{path} has a line that cannot be read: {error}", "Convert this map again.") from None
    return np.column_stack([points, np.zeros(count)]) if width == 2 else points


def _open_ring(outline: Any) -> np.ndarray:
    """Vertices [n, 3] of a polygon without the last one that repeats the first."""
    points = np.asarray(outline, np.float64).reshape(-1, 3)
    return points[:-1] if len(points) > 1 and np.allclose(points[0], points[-1]) else points


def _across(zone: np.ndarray) -> np.ndarray:
    """The longest edge of a stop zone [n, 3] as a line [2, 3], at the middle of the zone: where to stop."""
    edges = np.roll(zone, -1, 0) - zone
    longest = int(np.linalg.norm(edges, axis=1).argmax())
    middle, half = zone.mean(0), edges[longest] / 2
    return np.stack([middle - half, middle + half])


def _raised(points: np.ndarray, ego: np.ndarray) -> np.ndarray:
    """Points with the height of the nearest ego position."""
    path = ego[:: max(1, len(ego) // 200), :3, 3]
    nearest = np.linalg.norm(points[:, None, :2] - path[None, :, :2], axis=2).argmin(1)
    return np.column_stack([points[:, :2], path[nearest, 2]])
