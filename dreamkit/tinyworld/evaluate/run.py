"""Generates and measures videos of held-out scenes; writes a row after each video, so that a run can be resumed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.evaluate import figures
from dreamkit.tinyworld.evaluate.figures import Row
from dreamkit.tinyworld.evaluate.held_out import ConditionCache, GroundTruth, HeldOutScene, noise_seed, scene_seed
from dreamkit.tinyworld.evaluate.models import TinyModels
from dreamkit.tinyworld.evaluate.vehicles import count_vehicles
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.vehicle_judge import JUDGE_FILE, VehicleJudge, judged_classes, load_judge
from dreamkit.workspace.files import sha256

# Kinds of videos. Front: as it is; with the next scene's map; with control weight 0; with another seed. Six views from
# the front video: as they are; with the next scene's maps; with control weight 0.
KINDS = ("front", "swapped", "uncontrolled", "reseeded", "six", "six_swapped", "six_uncontrolled")
USUAL = KINDS[:5]


@dataclass(frozen=True)
class EvaluationPlan:
    """What to measure.

    Attributes:
        scenes: number of held-out scenes.
        styles: style names.
        kinds: of KINDS.
        seed: of scenes and noise.
        frames: number of frames of each video; whole windows when None.
        every: measure every Nth frame.
    """

    scenes: int = 20
    styles: tuple[str, ...] = STYLES
    kinds: tuple[str, ...] = USUAL
    seed: int = 0
    frames: int | None = None
    every: int = 5

    def videos(self) -> list[tuple[int, str, str]]:
        """(scene number, style, kind) of all videos, scene by scene."""
        return [
            (number, style, kind)
            for number in range(self.scenes)
            for style in self.styles
            for kind in KINDS
            if kind in self.kinds
        ]


def identity(models: TinyModels, plan: EvaluationPlan) -> str:
    """Twelve hex digits of what must be equal to compare rows: bundle, settings, seed, frames and vehicle judge."""
    sizes = asdict(models.sizes(plan.frames))
    facts = [models.fingerprint(), asdict(models.settings), plan.seed, sizes, plan.every, sha256(JUDGE_FILE)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def read_rows(paths: Iterable[Path], run: str | None = None) -> list[Row]:
    """Rows of the files that exist, the first of each video; incomplete lines are left out.

    Raises:
        DreamkitError: rows differ in their run, from `run` or from each other.
    """
    found: dict[tuple[int, str, str], Row] = {}
    for path in paths:
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                row = json.loads(line)
                run = run or row["run"]
                if row["run"] != run:
                    raise DreamkitError(
                        f"{path} holds results of another bundle, other settings, or another seed.",
                        "Name another file of results, or delete this one.",
                    )
                found.setdefault((row["scene"], row["style"], row["kind"]), row)
    return list(found.values())


def append_row(path: Path, row: Row) -> None:
    """Append a row to a file, on a new line if the last line is incomplete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
            file.write(b"\n" if torn else b"")
        file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


@dataclass
class EvaluationProgress:
    """Progress and time limit of a run.

    Attributes:
        total: number of videos to make.
        minutes: time limit; None for no limit.
        say: receives a line per video.
        done: number of videos made.
        began: `time.monotonic` at the start.
    """

    total: int
    minutes: float | None
    say: Callable[[str], None]
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def out_of_time(self) -> bool:
        """Whether the time limit is reached."""
        return self.minutes is not None and time.monotonic() - self.began > 60 * self.minutes

    def count(self, row: Row) -> None:
        """Count a video and report it."""
        self.done += 1
        left = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        parts = [f"{row['seconds']:.1f} s"]
        parts += [
            f"{row[key]:.1f} {unit}"
            for key, unit in (("psnr", "dB"), ("difference", "of 255 from the other seed"))
            if row.get(key)
        ]
        self.say(
            f"{self.done}/{self.total}  scene {row['scene']} {row['style']} {row['kind']}: {', '.join(parts)}; "
            f"{left / 60:.1f} minutes left"
        )


def measure_bundle(
    models: TinyModels,
    plan: EvaluationPlan,
    path: Path,
    others: Sequence[Path] = (),
    minutes: float | None = None,
    pool: Executor | None = None,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Make and measure the videos of a plan that have no row yet, and append their rows to `path`.

    Args:
        models: the bundle.
        plan: what to measure.
        path: file of rows, one JSON object a line.
        others: further such files, whose videos are not made again.
        minutes: start no video after this time.
        pool: processes that draw the next scene's condition videos in the background; for a GPU.
        say: receives progress lines.

    Returns:
        All rows, including those of the other files.

    Raises:
        DreamkitError: the files have rows of another bundle or other settings.
    """
    run = identity(models, plan)
    rows = read_rows([path, *others], run)
    there = {(row["scene"], row["style"], row["kind"]) for row in rows}
    todo = [video for video in plan.videos() if video not in there]
    say(f"{len(todo)} videos to make, {len(plan.videos()) - len(todo)} done before; run {run}")
    progress = EvaluationProgress(len(todo), minutes, say)
    sizes = models.sizes(plan.frames)
    drawn, judge = ConditionCache(sizes, pool), load_judge(models.device)
    for number in sorted({number for number, _, _ in todo}):
        if pool:
            for six, near in ((False, number), (True, number), (False, number + 1), (True, number + 1)):
                drawn.request(scene_seed(plan.seed, near), six)
        mine = [(style, kind) for of, style, kind in todo if of == number]
        scene = HeldOutScene(scene_seed(plan.seed, number), sizes, plan.every, models.device)
        models.encode({style: scene.captions[style] for style in dict.fromkeys(style for style, _ in mine)})
        for style in dict.fromkeys(style for style, _ in mine):
            kinds = [kind for of, kind in mine if of == style]
            following = scene_seed(plan.seed, number + 1)
            for kind, made in _videos(models, judge, scene, following, drawn, style, kinds, plan.seed, progress):
                row = {"run": run, "kind": kind, "scene": number, "style": style, **made, **_machine(models)}
                append_row(path, row)
                rows.append(row)
                progress.count(row)
            if progress.out_of_time():
                say(f"stopped after {minutes:g} minutes; run the same command again for the rest")
                return rows
    return rows


def _videos(
    models: TinyModels,
    judge: VehicleJudge,
    scene: HeldOutScene,
    following: int,
    drawn: ConditionCache,
    style: str,
    kinds: Sequence[str],
    seed: int,
    progress: EvaluationProgress,
) -> Iterator[tuple[str, Row]]:
    """Make and measure videos of one scene in one style, by kind; the front video is always made."""
    caption, noise = scene.captions[style], noise_seed(seed, scene.seed, style)
    wanted = [kind for kind in KINDS if kind in kinds]
    front, seconds = models.front(caption, drawn.get(scene.seed, False)[0], noise)
    true_front: GroundTruth | None = None
    true_six: GroundTruth | None = None
    for kind in wanted:
        if kind.startswith("six"):
            true_six = true_six or scene.truth(style, True)
            condition = drawn.get(following if kind == "six_swapped" else scene.seed, True)
            weight = 0.0 if kind == "six_uncontrolled" else None
            made, seconds = models.six(caption, style, front, condition, noise, weight)
            measured = figures.of_six(made[:, scene.six_frames], true_six, scene.pairs(true_six))
            if kind == "six":
                measured |= _vehicles(judge, made[1:, scene.six_frames], scene, figures.side_views(true_six))
        elif kind == "reseeded":
            made, seconds = models.front(caption, drawn.get(scene.seed, False)[0], noise + 1)
            measured = {"difference": float(np.abs(made.astype(np.int16) - front).mean())}
        else:
            true_front = true_front or scene.truth(style, False)
            made = front
            if kind != "front":
                condition = drawn.get(following if kind == "swapped" else scene.seed, False)[0]
                weight = 0.0 if kind == "uncontrolled" else None
                made, seconds = models.front(caption, condition, noise, weight)
            measured = figures.of_front(made[scene.front_frames], true_front)
            if kind == "front":
                measured |= _vehicles(judge, made[None, scene.front_frames], scene, true_front)
        yield kind, {"frames": made.shape[-4], "seconds": round(seconds, 3), **measured}
        if progress.out_of_time():
            return


def _vehicles(judge: VehicleJudge, made: np.ndarray, scene: HeldOutScene, truth: GroundTruth) -> Row:
    """What the judge finds in generated and true pictures, see `count_vehicles`."""
    classes = judged_classes(scene.scene)
    true = count_vehicles(judge, truth.colour, truth, classes)
    return {
        **count_vehicles(judge, made, truth, classes),
        **{f"true_{name}": value for name, value in true.items()},
    }


def _machine(models: TinyModels) -> Row:
    cuda = models.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(models.device) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3),
    }
