"""Which data set a folder holds, and the drives in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.rds.convert.argoverse2 import is_argoverse2, read_argoverse2
from dreamkit.rds.convert.arrow123d import is_arrow123d, read_arrow123d
from dreamkit.rds.convert.drive import Drive, write_drive
from dreamkit.rds.tars import decoding

_DEEPEST = 8
_MOST_FOLDERS = 20_000
_HERE = "dreamkit convert reads Argoverse 2 sensor logs and the Arrow logs of py123d (123D)."
_BY_123D = "Convert it with py123d 0.7 in an environment of its own, then give dreamkit convert the folder of its logs."


@dataclass(frozen=True)
class DatasetFormat:
    """A form of recorded drives that can be converted.

    Attributes:
        name: for --format.
        title: for messages.
        is_log: whether a folder is one drive in this form.
        read: the drive of such a folder.
    """

    name: str
    title: str
    is_log: Callable[[Path], bool]
    read: Callable[[Path], Drive]


FORMATS = (
    DatasetFormat("argoverse2", "Argoverse 2 sensor log", is_argoverse2, read_argoverse2),
    DatasetFormat("123d", "log of py123d", is_arrow123d, read_arrow123d),
)
_NO_KITTI = "KITTI is not read by py123d either; write a converter of your own with convert.drive."
_PARQUET = "Convert the same drives from their tfrecord files, with py123d 0.7 in an environment of its own."
_NO_POSES = "Fetch city_SE3_egovehicle.feather of the same log, which has its ego poses."
# Name of a data set that is not read here, what to do, and patterns of files or folders that only it has.
_OTHERS = (
    ("nuScenes", _BY_123D, ("v1.0-*", "samples/CAM_*", "sweeps/CAM_*")),
    ("the tables of a nuScenes version", _BY_123D, ("sample_data.json", "scene.json", "calibrated_sensor.json")),
    ("the Waymo Open Dataset", _BY_123D, ("*.tfrecord*",)),
    ("the Waymo Open Dataset in parquet files", _PARQUET, ("camera_image/*.parquet", "lidar/*.parquet")),
    ("nuPlan", _BY_123D, ("*.db",)),
    ("KITTI-360", _BY_123D, ("data_3d_bboxes", "data_2d_raw", "data_poses", "image_0?/data_rect", "image_0?/data_rgb")),
    ("KITTI", _NO_KITTI, ("oxts/data", "velodyne_points", "image_02", "image_2")),
    ("PandaSet", _BY_123D, ("annotations/cuboids", "meta/gps.json", "camera/front_camera")),
    (
        "an Argoverse 2 sensor log without its ego poses",
        _NO_POSES,
        ("calibration/egovehicle_SE3_sensor.feather", "calibration/intrinsics.feather", "sensors/cameras"),
    ),
    ("Argoverse 1", "Take a log of the Argoverse 2 sensor data set.", ("vehicle_calibration_info.json",)),
    (
        "Argoverse 2 motion forecasting",
        "It has no sensors; take a log of the sensor data set.",
        ("scenario_*.parquet",),
    ),
    (
        "a log of py123d without its ego poses",
        "Convert this log again with py123d 0.7.",
        ("box_detections_se3.arrow",),
    ),
    (
        "RDS-HQ labels already",
        "Check them with `dreamkit check`, and draw them with `dreamkit render`.",
        ("pose/*.tar",),
    ),
    ("a workspace of dreamkit", "Give the folder of the recorded drives.", ("hdmap/*/*.mp4",)),
)


def find_logs(folder: Path, name: str | None = None) -> list[tuple[DatasetFormat, Path]]:
    """The drives in a folder or below it, each with its format, sorted by path.

    Args:
        folder: a log, or a folder of logs.
        name: name of a format; any format when left out.

    Raises:
        DreamkitError: the folder is missing, holds no drive, or is of a data set that is not read here.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DreamkitError(f"There is no folder {folder}.", "Give a log, or a folder of logs.")
    wanted = [one for one in FORMATS if name in (None, one.name)]
    if not wanted:
        raise DreamkitError(f"The format {name!r} is unknown.", f"Choose {' or '.join(one.name for one in FORMATS)}.")
    found = []
    for inside in _folders(folder):
        form = next((one for one in wanted if one.is_log(inside)), None)
        if form:
            found.append((form, inside))
    if not found:
        raise _nothing_found(folder)
    return sorted(found, key=lambda one: str(one[1]))


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and those below it, up to _DEEPEST levels; links are not followed."""
    level, count = [folder], 0
    for _ in range(_DEEPEST):
        following: list[Path] = []
        for one in level:
            count += 1
            if count > _MOST_FOLDERS:
                return
            yield one
            following += sorted(entry for entry in one.iterdir() if entry.is_dir() and not entry.is_symlink())
        level = following


def _nothing_found(folder: Path) -> DreamkitError:
    """The error for a folder without drives: of a data set that is known, in it or below it, or of none."""
    for inside in _folders(folder):
        for title, hint, patterns in _OTHERS:
            if any(next(inside.glob(pattern), None) is not None for pattern in patterns):
                return DreamkitError(f"{inside} looks like {title}, which is not converted here.", f"{hint} {_HERE}")
    entries = sorted(entry.name for entry in folder.iterdir())[:6]
    return DreamkitError(
        f"{folder} holds no drive in a known form; it has {', '.join(entries) or 'nothing'}.",
        f"{_HERE} For data of your own, README shows a converter in thirty lines.",
    )


def convert_logs(
    folder: Path, root: Path, name: str | None = None, clips: Sequence[str] | None = None
) -> Iterator[tuple[Path, dict | DreamkitError]]:
    """Convert the drives of a folder one by one; a drive that fails does not end the others.

    Args:
        folder: a log, or a folder of logs.
        root: the RDS-HQ folder to write.
        name: name of a format; any format when left out.
        clips: names of logs; all when left out.

    Yields:
        The log's folder, and the clip's record or the error.

    Raises:
        DreamkitError: as `find_logs`; or a wanted clip is not there.
    """
    logs = find_logs(folder, name)
    names = [path.name for _, path in logs]
    for clip in clips or ():
        if clip not in names:
            raise DreamkitError(f"{folder} has no log {clip!r}.", f"It has {', '.join(names[:5])}.")
    done: set[str] = set()
    for form, path in logs:
        if (clips and path.name not in clips) or path.name in done:
            continue
        done.add(path.name)
        try:
            with decoding(path, f"this {form.title}"):
                drive = form.read(path)
            yield path, write_drive(root, drive)
        except DreamkitError as error:
            yield path, error
