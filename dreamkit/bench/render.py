"""`dreamkit bench render`: dreamkit's HDMap renderer and the reference renderer, timed, and their pictures compared.

The reference is NVIDIA's toolkit (nv-tlabs/cosmos-av-sample-toolkits, or cosmos-drive-dreams-toolkits), fetched
by the user. It runs without Ray in plain processes, each of which draws a share of the frames. Both sides are timed
from projection to the Lanczos resize to 1280x704, without starting processes, reading labels, or encoding.
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
from dreamkit.rds.drawing import draw_pool, read_clip, shared_hdmap
from dreamkit.rds.labels import list_clips
from dreamkit.rds.plan import Options

_DRIVER = Path(__file__).with_name("render_reference.py")
_LIT = 16  # a pixel counts as drawn when its largest channel is above this


@dataclass(frozen=True)
class RenderTimes:
    """Measurements for one camera.

    Attributes:
        camera: name of the camera.
        frames: number of frames.
        reference: seconds of the reference renderer, for each repeat.
        ours: seconds of dreamkit, for each repeat.
        difference: mean absolute difference of the pictures, 0 to 255, of the worst frame.
        overlap: intersection over union of the drawn pixels, 0 to 1, of the worst frame.
    """

    camera: str
    frames: int
    reference: tuple[float, ...]
    ours: tuple[float, ...]
    difference: float
    overlap: float

    @property
    def ratio(self) -> float:
        """Median time of the reference divided by that of dreamkit."""
        return statistics.median(self.reference) / statistics.median(self.ours)


def compare_pictures(reference: np.ndarray, ours: np.ndarray) -> tuple[float, float]:
    """Difference and overlap of the worst frame of two videos, uint8 [T, H, W, 3]; see `RenderTimes`."""
    difference = max(float(np.abs(a.astype(np.int16) - b).mean()) for a, b in zip(reference, ours, strict=True))
    overlaps = []
    for a, b in zip(reference.max(-1) > _LIT, ours.max(-1) > _LIT, strict=True):
        union = (a | b).sum()
        overlaps.append(float((a & b).sum() / union) if union else 1.0)
    return difference, min(overlaps)


def time_renderers(
    root: Path,
    reference: Path,
    cameras: Sequence[str] | None = None,
    frames: int = 121,
    repeats: int = 3,
    processes: int = 2,
    python: str = sys.executable,
    clip: str | None = None,
) -> list[RenderTimes]:
    """Time both renderers, in turn in each repeat, so that other load on the machine affects both.

    Args:
        root: the RDS-HQ folder.
        reference: the toolkit's folder, which contains render_from_rds_hq.py.
        cameras: names of the cameras; the six views when left out.
        frames: number of frames, from the first.
        repeats: number of measurements.
        processes: number of processes of each renderer.
        python: an interpreter with the toolkit's dependencies (shapely, webdataset, python-pycg, ...).
        clip: name of the clip; the first one when left out.

    Returns:
        One entry for each camera.

    Raises:
        DreamkitError: the folder is not the toolkit's, a number is below 1, or the reference renderer fails.
    """
    if not (reference / "render_from_rds_hq.py").is_file():
        raise DreamkitError(
            f"{reference} does not contain render_from_rds_hq.py.",
            "Give the toolkit's folder, for instance cosmos-drive-dreams-toolkits.",
        )
    if min(frames, repeats, processes) < 1:
        raise DreamkitError(
            f"{frames} frames, {repeats} repeats and {processes} processes cannot be measured.",
            "Set all three to 1 or more.",
        )
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
                with shared_hdmap(read, camera, numbers, options, pool) as drawn:
                    ours.append(time.perf_counter() - begun)
                    apart = compare_pictures(expected, drawn)
            rows.append(RenderTimes(camera, len(numbers), tuple(theirs), tuple(ours), *apart))
    return rows


def _reference(
    root: Path,
    reference: Path,
    clip: str,
    camera: str,
    numbers: list[int],
    processes: int,
    python: str,
    folder: Path,
) -> tuple[float, np.ndarray]:
    """Seconds until all processes have drawn their frames, and the pictures, uint8 [T, H, W, 3]."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    running: list[subprocess.Popen[str]] = []
    for index, share in enumerate(np.array_split(numbers, processes)):
        job = {
            "reference": str(reference.resolve()),
            "root": str(root.resolve()),
            "clip": clip,
            "camera": camera,
            "frames": share.tolist(),
            "out": str(folder / f"{index}.npy"),
        }
        running.append(
            subprocess.Popen(
                [python, str(_DRIVER), json.dumps(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                text=True,
            )
        )
    try:
        for process in running:
            _wait_for(process, "ready")
        begun = time.perf_counter()
        for process in running:
            assert process.stdin is not None  # a pipe
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            _wait_for(process, "drawn")
        seconds = time.perf_counter() - begun
        for process in running:
            process.communicate("save\n")
    finally:
        for process in running:
            process.kill()
            process.wait()
    return seconds, np.concatenate([np.load(folder / f"{index}.npy") for index in range(processes)])


def _wait_for(process: subprocess.Popen[str], word: str) -> None:
    """Read the process's output up to the line `word`; DreamkitError with its last error line when it ends before."""
    assert process.stdout is not None and process.stderr is not None  # both are pipes
    for line in process.stdout:
        if line.strip() == word:
            return
    errors = (process.stderr.read() or "").strip().splitlines()
    raise DreamkitError(
        f"The reference renderer stopped before it was {word}: {errors[-1] if errors else 'no message'}.",
        "Name a Python that can import the toolkit with --reference-python.",
    )


def render_table(rows: Sequence[RenderTimes], processes: int) -> str:
    """The measurements as a Markdown table, in milliseconds a frame: medians over the repeats, and all cameras."""
    lines = [
        f"{processes} processes each, milliseconds a frame (median of {len(rows[0].ours)}), wall clock",
        "| camera | frames | reference | ours | ratio | worst mean difference | worst overlap |",
        "|---|---|---|---|---|---|---|",
    ]
    totals = [0.0, 0.0]
    for row in rows:
        medians = [statistics.median(times) for times in (row.reference, row.ours)]
        totals = [total + median for total, median in zip(totals, medians, strict=True)]
        lines.append(_table_line(row.camera, row.frames, medians, row.difference, row.overlap))
    lines.append(
        _table_line(
            "all",
            sum(row.frames for row in rows),
            totals,
            max(row.difference for row in rows),
            min(row.overlap for row in rows),
        )
    )
    return "\n".join(lines)


def _table_line(camera: str, frames: int, seconds: Sequence[float], difference: float, overlap: float) -> str:
    theirs, ours = (1000 * each / frames for each in seconds)
    return (
        f"| {camera} | {frames} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.1f} | {difference:.4f} | {overlap:.5f} |"
    )
