"""Arrays in tars: .npy poses and .npz LiDAR sweeps, with bombs."""

import io
import zipfile

import numpy as np

from dreamkit.rds import lidar, lidar_labels, tars
from dreamkit.rds.objects import no_boxes
from tests.fuzz import mutate
from tests.fuzz.driver import refused

CLIP = "clip"


def seeds(folder):
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 20, (200, 3)).astype(np.float32)
    return xyz, tars.encode_npz({"xyz": xyz, "lidar_to_world": np.eye(4)}), tars.encode_npy(np.eye(4))


def case(rng, folder, good):
    xyz, npz, npy = good
    with refused(), tars.decoding(folder / "a.npy", "this array"):
        tars.decode_npy(mutate.damage(rng, npy))
    kind = rng.randrange(5)
    if kind == 0:
        data = mutate.damage(rng, npz)
    elif kind == 1:
        data = _bomb(rng)
    elif kind == 2:
        pose = np.eye(4)
        pose[rng.randrange(4), rng.randrange(4)] = rng.choice((0.0, 1e-9, 1e9, 1e308, float("nan"), -1.0))
        data = tars.encode_npz({"xyz": xyz, "lidar_to_world": pose})
    elif kind == 3:
        odd = rng.choice(
            (np.zeros((2, 2, 3)), np.zeros(7), np.array(1.0), np.full((4, 3), np.inf), np.array(["a"]), xyz[:0])
        )
        data = tars.encode_npz({"xyz": odd, "lidar_to_world": np.eye(4), "intensity": np.zeros(3)})
    else:
        data = _raw_zip(rng, npy)
    (folder / "lidar_raw").mkdir()
    tars.write_tar(folder / "lidar_raw" / f"{CLIP}.tar", CLIP, {"000000.lidar_raw.npz": data})
    with refused():
        sweeps = lidar.Sweeps(lidar_labels.read_lidar(folder, CLIP), no_boxes(), 6)
        sweeps.around(0)


def _bomb(rng):
    """Zeros that compress a thousandfold."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xyz.npy", "w") as entry:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**8, 3)})
        entry.write(header.getvalue())
        for _ in range(rng.choice((1, 150))):
            entry.write(bytes(2**20))
    return stream.getvalue()


def _raw_zip(rng, npy):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("xyz.npy", "lidar_to_world.npy", rng.choice(("../../evil.npy", "xyz.npy", "xyz", ""))):
            archive.writestr(name or "x", mutate.damage(rng, npy) if rng.random() < 0.5 else npy)
    return stream.getvalue()
