"""Kills a batch at random moments, restarts it each time, and checks that nothing is lost, done twice or left behind.

By hand: `PYTHONPATH=.:tests/support python tests/support/batch_kills.py FOLDER --clips 24 --kills 20`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml
from fakes import put_clip

from dreamkit.workspace import video
from dreamkit.workspace.files import sha256
from dreamkit.workspace.workspace import Workspace

STYLES = ("Original", "Night", "Rainy", "Snowy")
KINDS = ("worker", "parent", "everything")


def put_batch(root: Path, clips: int, styles=STYLES, stages=("single",), checkpoints="tiny", **entries) -> Path:
    """A workspace of `clips` short clips, and a batch file over them."""
    ws = Workspace(root / "outputs")
    put_clip(ws, "clip000", frames=entries.pop("frames", 9), styles=styles)
    files = [*ws.root.glob("hdmap/*/clip000_0.mp4"), ws.captions / "clip000.json"]
    for number in range(1, clips):
        for file in files:
            shutil.copy(file, file.with_name(file.name.replace("clip000", f"clip{number:03d}")))
    params = {"checkpoints": str(checkpoints), "num_steps": 1, "guidance": 0.0, "device": "cpu"}
    values = {"workspace": str(ws.root), "stages": list(stages), "keep_free_gib": 0, "retries": 50}
    path = root / "batch.yaml"
    path.write_text(yaml.safe_dump({**values, "params": {"single": params, "multi": params}, **entries}))
    return path


def start(path: Path, *options: str, **settings) -> subprocess.Popen:
    """The batch, in a process of its own; what it prints goes to a file beside the batch file."""
    command = [sys.executable, "-m", "dreamkit.cli", "batch", str(path), *options]
    with path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=path.parent, start_new_session=True, **settings)


def descendants(process: subprocess.Popen) -> list[psutil.Process]:
    """Every unit and kernel below a batch."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(process: subprocess.Popen, kind: str, chance: random.Random) -> None:
    """SIGKILL to one unit, to the batch, or to all; after the latter two nothing may be left within some seconds."""
    below = descendants(process)
    if kind == "worker":
        units = [child for child in below if child.ppid() == process.pid]
        if units:
            unit = chance.choice(units)
            kernels = unit.children(recursive=True)
            unit.kill()
            gone(kernels)
        return
    process.kill()
    if kind == "everything":
        for child in below:
            child.kill() if child.is_running() else None
    process.wait()
    gone(below)


def gone(processes: list[psutil.Process], seconds: float = 5.0) -> None:
    """Fail where a process is still there."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    alive = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not alive, f"left behind: {alive}"


@dataclass
class Recorded:
    """Results that were recorded, with their video's inode and time, which must never change again."""

    ws: Workspace
    videos: dict[str, tuple[int, int]] = field(default_factory=dict)

    def look(self, stages=("single_view", "multi_view")) -> None:
        for stage in stages:
            for sidecar in (self.ws.root / stage).glob("[!.]*.json"):
                record = json.loads(sidecar.read_text())
                place = sidecar.parent if stage == "single_view" else sidecar.with_suffix("")
                files = {place / name: total for name, total in record["outputs"].items()}
                if "replacing" in record or not all(f.is_file() and sha256(f) == s for f, s in files.items()):
                    continue
                for path in files:
                    stat = path.stat()
                    now = (stat.st_ino, stat.st_mtime_ns)
                    before = self.videos.setdefault(str(path), now)
                    assert before == now, f"{path} was made again"


def check_whole(ws: Workspace, count: int) -> None:
    """Every video decodes, the manifest has what the sidecars have, and no partial file is left."""
    records = [record for stage in ("single_view", "multi_view") for record in ws.sidecars(stage)]
    assert len(records) == count
    for stage in ("single_view", "multi_view"):
        for path in ws.result_videos(stage):
            info = video.probe(path)
            video.check_decodes(path, info, info.frames)
    rows = [json.loads(line) for line in ws.manifest.read_text().splitlines()]
    assert sorted(map(json.dumps, rows)) == sorted(map(json.dumps, records))
    assert not list(ws.root.glob("*_view/**/.partial-*"))


def run_with_kills(path: Path, kills: int, longest: float, seed: int, say=print) -> dict[str, int]:
    """Start the batch, kill at random moments, restart, and let it end; returns the kills by kind."""
    chance, counts = random.Random(seed), dict.fromkeys(KINDS, 0)
    ws = Workspace(yaml.safe_load(path.read_text())["workspace"])
    recorded, process = Recorded(ws), start(path)
    for number in range(kills):
        time.sleep(chance.uniform(0.2, longest))
        recorded.look()
        if process.poll() is not None:
            say(f"ended after {number} kills with {process.returncode}")
            break
        kind = KINDS[number % len(KINDS)] if number < len(KINDS) else chance.choice(KINDS)
        kill(process, kind, chance)
        counts[kind] += 1
        recorded.look()
        say(f"kill {number + 1}: {kind}; {len(recorded.videos)} videos recorded")
        if kind != "worker":
            process = start(path)
    below = descendants(process)
    code = process.wait()
    gone(below)
    assert code == 0, path.with_suffix(".log").read_text()[-3000:]
    recorded.look()
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    began = time.time()
    batch = put_batch(options.folder.resolve(), options.clips, workers=2, clips_per_unit=4)
    print(run_with_kills(batch, options.kills, options.longest, options.seed), flush=True)
    check_whole(Workspace(options.folder.resolve() / "outputs"), options.clips * len(STYLES))
    print(f"whole, after {time.time() - began:.0f} s")
