"""RDS-HQ tars: poses, map, objects, intrinsics."""

import io
import shutil
import tarfile
from pathlib import Path

import dreamkit
from dreamkit.rds import hdmap, labels, objects, rig
from dreamkit.rds.check import check_clip
from tests.fuzz import mutate
from tests.fuzz.driver import refused

CLIP = "tiny_junction"
FOLDERS = (
    "pose",
    "vehicle_pose",
    "3d_lanelines",
    "3d_crosswalks",
    "3d_traffic_signs",
    "all_object_info",
    "ftheta_intrinsic",
)
KEYS = (
    *("000000.pose.camera_front_wide_120fov.npy", "99999999999999999999.pose.camera_front_wide_120fov.npy"),
    *("../../evil.lanelines.json", "1e20.all_object_info.json", "9" * 90 + ".all_object_info.json", "lanelines.json"),
)


def seeds(folder):
    return Path(dreamkit.__file__).parent / "tiny" / "clips"


def case(rng, folder, source):
    for name in FOLDERS:
        (folder / name).mkdir()
        shutil.copy(source / name / f"{CLIP}.tar", folder / name)
    path = folder / rng.choice(FOLDERS) / f"{CLIP}.tar"
    kind = rng.randrange(4)
    if kind < 2:
        path.write_bytes(mutate.damage(rng, path.read_bytes()))
    else:
        path.write_bytes(_rebuilt(rng, path))
    with refused():
        rig.read_camera_poses(folder, CLIP)
    with refused():
        rig.read_cameras(folder, CLIP)
    boxes = objects.no_boxes()
    with refused():
        boxes = objects.every_frame(objects.hold_static(labels.read_objects(folder, CLIP)), 60)
    with refused():
        hdmap.build_scene(labels.read_map(folder, CLIP), boxes)
    if rng.random() < 0.1:
        with refused():
            check_clip(folder, CLIP)


def _rebuilt(rng, path):
    """The tar with one member's content or name changed, JSON by its values."""
    stream = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=stream, mode="w") as new:
        members = [(member.name, old.extractfile(member).read()) for member in old if member.isfile()]
        at = rng.randrange(len(members))
        name, data = members[at]
        if name.endswith(".json") and rng.random() < 0.8:
            data = mutate.hostile_json(rng, __import__("json").loads(data))
        elif rng.random() < 0.5:
            data = mutate.damage(rng, data)
        else:
            name = f"{CLIP}.{rng.choice(KEYS)}"
        members[at] = (name, data)
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            new.addfile(info, io.BytesIO(data))
    return stream.getvalue()
