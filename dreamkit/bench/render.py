"""Our HDMap drawing timed beside the reference renderer's: same frames, same cores, pictures compared in the same run.

The reference is NVIDIA's toolkit (nv-tlabs/cosmos-av-sample-toolkits, or cosmos-drive-dreams-toolkits) in a folder that
the user names; nothing of it is shipped. It runs as plain processes, without Ray and so without Ray's start-up; each
draws its share of the frames. Timed on both sides: projecting, drawing, joining layers, and the Lanczos resize to
1280x704. Not timed on either side: starting processes, reading labels, encoding.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.drawing import draw_pool, drawn_hdmap, read_clip
from dreamkit.rds.labels import list_clips
from dreamkit.rds.plan import Options

_DRIVER = Path(__file__).with_name("render_reference.py")
_LIT = 16


@dataclass(frozen=True)
class Row:
    """One camera: seconds of each repeat, and how far the pictures are apart (worst frame)."""

    camera: str
    frames: int
    reference: tuple[float, ...]
    ours: tuple[float, ...]
    difference: float
    overlap: float

    @property
    def ratio(self) -> float:
        """How many times as fast, from the medians."""
        return statistics.median(self.reference) / statistics.median(self.ours)


def compare(reference: np.ndarray, ours: np.ndarray) -> tuple[float, float]:
    """Largest mean absolute difference and smallest overlap of lit pixels over the frames of two uint8 [T, H, W, 3]."""
    difference = max(float(np.abs(a.astype(np.int16) - b).mean()) for a, b in zip(reference, ours, strict=True))
    overlaps = []
    for a, b in zip(reference.max(-1) > _LIT, ours.max(-1) > _LIT, strict=True):
        union = (a | b).sum()
        overlaps.append(float((a & b).sum() / union) if union else 1.0)
    return difference, min(overlaps)


def run(
    root: Path,
    reference: Path,
    cameras: Sequence[str] | None = None,
    frames: int = 121,
    repeats: int = 3,
    processes: int = 2,
    python: str = sys.executable,
    clip: str | None = None,
) -> list[Row]:
    """Time both renderers, one after the other for each repeat, so that whatever else the machine does hits both.

    Args:
        root: the RDS-HQ folder.
        reference: the toolkit's folder, the one that holds render_from_rds_hq.py.
        cameras: names; the six views when left out.
        frames: how many, from the first.
        repeats: how often; the table shows medians.
        processes: how many each side uses.
        python: an interpreter that has what the toolkit imports (shapely, webdataset, python-pycg, ...).
        clip: the first one when left out.
    """
    if not (reference / "render_from_rds_hq.py").is_file():
        raise DreamkitError(f"{reference} does not hold render_from_rds_hq.py",
                            "Give the toolkit's folder, for instance cosmos-drive-dreams-toolkits.")  # fmt: skip
    if min(frames, repeats, processes) < 1:
        raise DreamkitError(f"{frames} frames, {repeats} repeats, {processes} processes; all must be 1 or more")
    name = clip or list_clips(root)[0]
    options = Options(conditions=("hdmap",), cameras=tuple(cameras) if cameras else None)
    read = read_clip(root, name, options)
    rows = []
    with draw_pool(processes) as pool, tempfile.TemporaryDirectory() as folder:
        for camera, track in read.poses.items():
            numbers = list(range(min(frames, len(track))))
            theirs, ours = [], []
            for _ in range(repeats):
                seconds, expected = _reference(root, reference, name, camera, numbers, processes, python, Path(folder))
                theirs.append(seconds)
                begun = time.perf_counter()
                with drawn_hdmap(read, camera, numbers, options, pool) as drawn:
                    ours.append(time.perf_counter() - begun)
                    apart = compare(expected, drawn)
            rows.append(Row(camera, len(numbers), tuple(theirs), tuple(ours), *apart))
    return rows


def _reference(root: Path, reference: Path, clip: str, camera: str, numbers: list[int], processes: int, python: str,
               folder: Path) -> tuple[float, np.ndarray]:  # fmt: skip
    """Seconds from the common start to the last process's last frame, and the pictures."""
    shares = [part.tolist() for part in np.array_split(numbers, processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    running = []
    for index, share in enumerate(shares):
        job = {"reference": str(reference.resolve()), "root": str(root.resolve()), "clip": clip, "camera": camera,
               "frames": share, "out": str(folder / f"{index}.npy")}  # fmt: skip
        running.append(subprocess.Popen([python, str(_DRIVER), json.dumps(job)], stdin=subprocess.PIPE, env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))  # fmt: skip
    try:
        for process in running:
            _expect(process, "ready")
        begun = time.perf_counter()
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            _expect(process, "drawn")
        seconds = time.perf_counter() - begun
        for process in running:
            process.communicate("save\n")
    finally:
        for process in running:
            process.kill()
            process.wait()
    return seconds, np.concatenate([np.load(folder / f"{index}.npy") for index in range(processes)])


def _expect(process: subprocess.Popen, word: str) -> None:
    for line in process.stdout:
        if line.strip() == word:
            return
    told = (process.stderr.read() or "").strip().splitlines()
    raise DreamkitError(f"the reference renderer stopped before it was {word}: {told[-1] if told else 'no message'}",
                        "Name a Python that can import the toolkit with --reference-python.")  # fmt: skip


def table(rows: Sequence[Row], processes: int) -> str:
    """The rows as Markdown: milliseconds a frame on all cores together, medians over the repeats."""
    lines = [f"{processes} processes each, milliseconds a frame (median of {len(rows[0].ours)}), wall clock",
             "| camera | frames | reference | ours | ratio | worst mean difference | worst overlap |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        theirs, ours = (1000 * statistics.median(times) / row.frames for times in (row.reference, row.ours))
        lines.append(f"| {row.camera} | {row.frames} | {theirs:.1f} | {ours:.1f} | {row.ratio:.1f} "
                     f"| {row.difference:.4f} | {row.overlap:.5f} |")  # fmt: skip
    theirs, ours = (sum(statistics.median(times) for times in side) for side in
                    ([row.reference for row in rows], [row.ours for row in rows]))  # fmt: skip
    count = sum(row.frames for row in rows)
    lines.append(f"| all | {count} | {1000 * theirs / count:.1f} | {1000 * ours / count:.1f} | {theirs / ours:.1f} | "
                 f"{max(row.difference for row in rows):.4f} | {min(row.overlap for row in rows):.5f} |")  # fmt: skip
    return "\n".join(lines)
