"""Damage of RDS-HQ clips as converters, disks and downloads do it, and what `dreamkit check` and `dreamkit render` say.

`python tests/support/label_damage.py CLIP_FOLDER[:pinhole] ... --copies 200` prints the table of kinds.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import shutil
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.check import check_clip
from dreamkit.rds.check_report import ERROR, NOTE
from dreamkit.rds.labels import list_clips
from dreamkit.rds.plan import Options
from dreamkit.rds.render import render_clips
from dreamkit.rds.tars import decode_npy, encode_npy, open_tar, write_tar

MAPS = ("3d_lanelines", "3d_road_boundaries", "3d_crosswalks", "3d_traffic_signs")
KINDS = {}


def kind(*folders):
    """Registers a function (members, rng) -> members as a kind of damage of one of these folders."""
    return lambda function: KINDS.setdefault(function.__name__, (folders, function)) and function


def _arrays(members, change, part=""):
    return {
        k: encode_npy(change(decode_npy(d), k)) if k.endswith(".npy") and part in k else d for k, d in members.items()
    }


def _numbers(members):
    return sorted({int(k.partition(".")[0]) for k in members if k.partition(".")[0].isdigit()})


def _renumber(members, new):
    """Members with frame numbers changed; those for which `new` gives None are left out."""
    out = {}
    for key, data in members.items():
        number, _, rest = key.partition(".")
        if (changed := new(int(number))) is not None:
            out[f"{changed:06d}.{rest}"] = data
    return out


def _json(members, change):
    return {k: json.dumps(change(json.loads(d))).encode() if k.endswith(".json") else d for k, d in members.items()}


def _vertices(members, change):
    def walk(value):
        if isinstance(value, dict):
            return {k: change(v) if k == "vertices" and isinstance(v, list) else walk(v) for k, v in value.items()}
        return [walk(v) for v in value] if isinstance(value, list) else value

    return _json(members, walk)


def _moved(step):
    def change(vertices):
        if not vertices or not isinstance(vertices[0], list):
            return vertices
        return (np.array(vertices) + step).tolist()

    return change


def _objects(members, change):
    return _json(members, lambda table: {k: change(dict(v)) for k, v in table.items()})


EVERYTHING = ("pose", "vehicle_pose", "all_object_info", *MAPS, "*_intrinsic", "lidar_raw")


@kind(*EVERYTHING)
def missing_tar(members, rng):
    return None


@kind(*EVERYTHING)
def cut_off(members, rng):
    return lambda data: data[: int(rng.integers(1, len(data)))]


@kind(*EVERYTHING)
def flipped_bytes(members, rng):
    def flip(data):
        out = bytearray(data)
        for at in rng.integers(0, len(data), 8):
            out[at] ^= int(rng.integers(1, 256))
        return bytes(out)

    return flip


@kind(*EVERYTHING)
def page_instead(members, rng):
    return lambda data: b"<html>Please log in</html>"


@kind(*EVERYTHING)
def no_members(members, rng):
    return {}


@kind(*EVERYTHING)
def other_names(members, rng):
    return {f"x{key.replace('.', '_')}": data for key, data in members.items()}


@kind("pose", "vehicle_pose")
def not_a_number(members, rng):
    chosen = list(members)[int(rng.integers(len(members)))]
    return _arrays(members, lambda a, k: np.full_like(a, np.nan) if k == chosen else a)


@kind("pose", "vehicle_pose")
def transposed_pose(members, rng):
    return _arrays(members, lambda a, k: a.T)


@kind("pose", "vehicle_pose")
def world_to_camera(members, rng):
    return _arrays(members, lambda a, k: np.linalg.inv(a))


@kind("pose", "vehicle_pose")
def millimetres(members, rng):
    return _arrays(members, lambda a, k: a * np.array([1, 1, 1, 1000])[None] ** (np.arange(4) < 3)[:, None])


@kind("pose")
def opengl_axes(members, rng):
    return _arrays(members, lambda a, k: a @ np.diag([1.0, -1, -1, 1]))


@kind("pose", "vehicle_pose")
def utm_in_float32(members, rng):
    def far(a, k):
        a = a.copy()
        a[:3, 3] += [692_000, 4_649_000, 0]
        return a.astype(np.float32)

    return _arrays(members, far)


@kind("pose")
def three_times_each(members, rng):
    return {k: members[f"{int(k[:6]) // 3 * 3:06d}{k[6:]}"] for k in members}


@kind("pose")
def lost_frame(members, rng):
    numbers = _numbers(members)
    lost = int(rng.integers(10, len(numbers) - 10))
    return _renumber(members, lambda n: n if n < lost else None if n == lost else n - 1)


@kind("pose")
def gap_in_numbers(members, rng):
    lost = int(rng.integers(1, len(_numbers(members)) - 1))
    return _renumber(members, lambda n: None if n == lost else n)


@kind("pose")
def ten_hertz_numbered_from_zero(members, rng):
    return _renumber(members, lambda n: n // 3 if n % 3 == 0 else None)


@kind("pose")
def short_clip(members, rng):
    return _renumber(members, lambda n: n if n < 50 else None)


@kind("pose")
def one_camera_shorter(members, rng):
    name = next(iter(members)).split(".")[2]
    return {k: d for k, d in members.items() if name not in k or int(k[:6]) < 60}


@kind("*_intrinsic")
def wrong_length(members, rng):
    return _arrays(members, lambda a, k: a[:-1])


@kind("*_intrinsic")
def matrix_instead_of_vector(members, rng):
    return _arrays(members, lambda a, k: np.eye(3) * 1000)


@kind("*_intrinsic")
def backwards(members, rng):
    return _arrays(members, lambda a, k: a[::-1].copy())


@kind("*_intrinsic")
def nan_intrinsics(members, rng):
    return _arrays(members, lambda a, k: a * np.nan)


@kind("*_intrinsic")
def half_the_resolution(members, rng):
    def half(a, k):
        a = a.copy()
        a[2 if len(a) > 6 else 4 :][:2] /= 2
        return a

    return _arrays(members, half)


@kind("all_object_info")
def numbered_by_label(members, rng):
    numbers = {
        n: i for i, n in enumerate(_numbers(members)[::3] if len(_numbers(members)) > 300 else _numbers(members))
    }
    return _renumber(members, numbers.get)


@kind("all_object_info")
def own_types(members, rng):
    return _objects(members, lambda o: o | {"object_type": f"vehicle.{o['object_type']}"})


@kind("all_object_info")
def field_missing(members, rng):
    return _objects(members, lambda o: {k: v for k, v in o.items() if k != "object_is_moving"})


@kind("all_object_info")
def size_not_a_number(members, rng):
    return _objects(members, lambda o: o | {"object_lwh": [float("nan"), 1, 1]})


@kind("all_object_info")
def sizes_in_millimetres(members, rng):
    return _objects(members, lambda o: o | {"object_lwh": [1000 * n for n in o["object_lwh"]]})


@kind("all_object_info")
def boxes_under_the_road(members, rng):
    def sink(o):
        pose = np.array(o["object_to_world"], float)
        pose[2, 3] -= 3
        return o | {"object_to_world": pose.tolist()}

    return _objects(members, sink)


@kind("all_object_info")
def transposed_boxes(members, rng):
    return _objects(members, lambda o: o | {"object_to_world": np.array(o["object_to_world"]).T.tolist()})


@kind("all_object_info")
def second_half_only(members, rng):
    numbers = _numbers(members)
    return _renumber(members, lambda n: n if n > numbers[len(numbers) // 2] else None)


@kind(*MAPS)
def two_columns(members, rng):
    return _vertices(members, lambda v: [p[:2] if isinstance(p, list) else p for p in v])


@kind(*MAPS)
def four_columns(members, rng):
    return _vertices(members, lambda v: [[*p, 0.5] if isinstance(p, list) else p for p in v])


@kind(*MAPS)
def text_for_numbers(members, rng):
    return _vertices(members, lambda v: ["a", "b", "c"])


@kind(*MAPS)
def infinite_vertex(members, rng):
    return _vertices(members, lambda v: [[float("inf")] * 3, *v])


@kind(*MAPS)
def no_labels(members, rng):
    return _json(members, lambda v: {"features": []})


@kind("3d_*")
def map_elsewhere(members, rng):
    return _vertices(members, _moved([10_000.0, 5_000.0, 0]))


@kind("3d_*")
def flat_map(members, rng):
    return _vertices(members, _moved([0, 0, -300.0]))


@kind("lidar_raw")
def sweeps_numbered_one_by_one(members, rng):
    return _renumber(members, lambda n: n // 3)


def _sweeps(members, change):
    out = {}
    for key, data in members.items():
        with np.load(io.BytesIO(data)) as arrays:
            values = change(dict(arrays))
        stream = io.BytesIO()
        np.savez(stream, **values)
        out[key] = stream.getvalue()
    return out


@kind("lidar_raw")
def four_columns_of_points(members, rng):
    return _sweeps(members, lambda s: s | {"xyz": np.pad(s["xyz"], ((0, 0), (0, 1)))})


@kind("lidar_raw")
def transposed_points(members, rng):
    return _sweeps(members, lambda s: s | {"xyz": s["xyz"].T})


@kind("lidar_raw")
def points_in_the_world(members, rng):
    return _sweeps(
        members, lambda s: s | {"xyz": (s["xyz"] @ s["lidar_to_world"][:3, :3].T + s["lidar_to_world"][:3, 3])}
    )


@kind("lidar_raw")
def one_sweep_damaged(members, rng):
    chosen = list(members)[int(rng.integers(len(members)))]
    return {k: b"soup" if k == chosen else d for k, d in members.items()}


@kind("timestamp")
def stamps_at_ten_hertz(members, rng):
    return {f"{n:06d}.timestamp_micros.txt": str(10**15 + n * 100_000).encode() for n in range(121)}


@kind("timestamp")
def stamps_out_of_order(members, rng):
    return {f"{n:06d}.timestamp_micros.txt": str(10**15 - n * 33_333).encode() for n in range(121)}


@kind("timestamp")
def stamps_that_are_text(members, rng):
    return {f"{n:06d}.timestamp_micros.txt": b"12:30:01" for n in range(121)}


@dataclass(frozen=True)
class Outcome:
    """What check and render said about a damaged copy: the first finding that the clean clip does not have."""

    kind: str
    folder: str
    said: str
    errors: bool
    refused: str
    trace: str = ""

    @property
    def passed_silently(self):
        return bool(self.refused) and not self.errors


def damage(root, clip, name, folder, rng):
    """Damage a copy in place."""
    function = KINDS[name][1]
    for path in sorted((root / part) for part in _folders(root, folder)):
        tar = path / f"{clip}.tar"
        index = open_tar(tar, clip) if tar.is_file() else None
        result = function({key: index.read(key) for key in index.members} if index else {}, rng)
        if result is None:
            tar.unlink()
        elif callable(result):
            tar.write_bytes(result(tar.read_bytes()))
        else:
            write_tar(tar, clip, result)


def _folders(root, folder):
    if folder == "timestamp":
        return [folder]
    return [path.name for path in root.glob(folder) if path.is_dir()]


def inspect(root, clip, model, out, clean, name, folder):
    """Check and render a copy; a traceback is kept, not raised."""
    try:
        findings = [f for f in check_clip(root, clip, model) if (f.what, f.layer) not in clean and f.severity != NOTE]
    except Exception:
        return Outcome(name, folder, "", False, "", traceback.format_exc())
    refused = trace = ""
    small = {"drawn": (320, 180), "size": (160, 88)}
    options = Options(clips=(clip,), model=model, chunk_frames=2, max_chunks=1, workers=1, **small)
    try:
        render_clips(root, out, options)
    except DreamkitError as error:
        refused = error.message
    except Exception:
        trace = traceback.format_exc()
    said = f"{findings[0].severity}: {findings[0].what}".replace(str(root), "") if findings else ""
    return Outcome(name, folder, said, any(f.severity == ERROR for f in findings), refused, trace)


def damaged_copies(sources, copies, seed=0):
    """Outcomes of damaged copies of clips.

    Args:
        sources: (RDS-HQ folder, camera model) of each.
        copies: how many; every kind comes about as often.
        seed: of the random choices.
    """
    rng = np.random.default_rng(seed)
    clips = [(Path(root), clip, model) for root, model in sources for clip in list_clips(Path(root))]
    clean = {(root, clip): {(f.what, f.layer) for f in check_clip(root, clip, model)} for root, clip, model in clips}
    for number in range(copies):
        name = list(KINDS)[number % len(KINDS)]
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(20):
                root, clip, model = clips[int(rng.integers(len(clips)))]
                part = KINDS[name][0][int(rng.integers(len(KINDS[name][0])))]
                if (
                    any((root / found / f"{clip}.tar").is_file() for found in _folders(root, part))
                    or part == "timestamp"
                ):
                    break
            else:
                continue
            copy = Path(folder) / "rds"
            for tar in root.glob(f"*/{clip}.tar"):
                (copy / tar.parent.name).mkdir(parents=True)
                shutil.copyfile(tar, copy / tar.parent.name / tar.name)
            damage(copy, clip, name, part, rng)
            known = {(what.replace(str(root), str(copy)), layer) for what, layer in clean[root, clip]}
            yield inspect(copy, clip, model, Path(folder) / "out", known, name, part)


def table(outcomes):
    """Rows of text: kind, copies, refused by render, told by check, and an example of what was said."""
    by_kind = collections.defaultdict(list)
    for one in outcomes:
        by_kind[one.kind].append(one)
    rows = [
        "| damage | copies | check: error | check: other | check: silent | render refuses | said |",
        "|---|" + "---|" * 6,
    ]
    for name, ones in by_kind.items():
        errors, told = sum(o.errors for o in ones), sum(bool(o.said) for o in ones)
        said = next((o.said for o in ones if o.said), "")[:150]
        refused = sum(bool(o.refused) for o in ones)
        numbers = (len(ones), errors, told - errors, len(ones) - told, refused)
        rows.append(f"| {name.replace('_', ' ')} | {' | '.join(map(str, numbers))} | {said} |")
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", help="RDS-HQ folders, with :pinhole for pinhole cameras")
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pairs = [(source.partition(":")[0], source.partition(":")[2] or "ftheta") for source in given.sources]
    results = list(damaged_copies(pairs, given.copies, given.seed))
    print(table(results))
    for one in results:
        if one.trace or one.passed_silently:
            print(f"\n{one.kind} of {one.folder}: {one.trace or 'check passed, render refused: ' + one.refused}")
