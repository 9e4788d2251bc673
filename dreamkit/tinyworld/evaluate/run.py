"""Make videos of held-out scenes and measure them, one row a video, so that a run can stop and go on."""

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
from dreamkit.styles.rules.rewriter import stable_seed
from dreamkit.tinyworld.evaluate import figures
from dreamkit.tinyworld.evaluate.figures import Row
from dreamkit.tinyworld.evaluate.held_out import ConditionCache, GroundTruth, HeldOutScene, scene_seed
from dreamkit.tinyworld.evaluate.models import TinyModels
from dreamkit.tinyworld.render.style_presets import STYLES

# The kinds of videos: the front one; with the next scene's map; without the map; with another seed; six views after the
# front one, and these with the next scene's maps and without.
KINDS = ("front", "swapped", "uncontrolled", "reseeded", "six", "six_swapped", "six_uncontrolled")
USUAL = KINDS[:5]


@dataclass(frozen=True)
class EvaluationPlan:
    """What to measure: how many scenes, which styles and kinds, of which seed; the first `frames` frames of each video,
    measured every `every` frames."""

    scenes: int = 20
    styles: tuple[str, ...] = STYLES
    kinds: tuple[str, ...] = USUAL
    seed: int = 0
    frames: int | None = None
    every: int = 5

    def videos(self) -> list[tuple[int, str, str]]:
        """(scene number, style, kind) in the order they are made: all of a scene before the next one."""
        return [
            (number, style, kind)
            for number in range(self.scenes)
            for style in self.styles
            for kind in KINDS
            if kind in self.kinds
        ]


def identity(models: TinyModels, plan: EvaluationPlan) -> str:
    """Twelve characters for what makes rows comparable: bundle, settings, seed and frames, not device and styles."""
    facts = [models.fingerprint(), asdict(models.settings), plan.seed, asdict(models.sizes(plan.frames)), plan.every]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def read_rows(paths: Iterable[Path], run: str | None = None) -> list[Row]:
    """Rows of files that are there, of each video the first; a line that was cut off is left out.

    Raises:
        DreamkitError: rows of another bundle or other settings than `run`, or of several.
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
                        "Name another file for these, or delete it.",
                    )
                found.setdefault((row["scene"], row["style"], row["kind"]), row)
    return list(found.values())


def append_row(path: Path, row: Row) -> None:
    """Add a row to a file, after a line break where the last one was cut off."""
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
    """Says how far a run is, and when it should stop."""

    total: int
    minutes: float | None
    say: Callable[[str], None]
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def out_of_time(self) -> bool:
        """Whether the minutes are over."""
        return self.minutes is not None and time.monotonic() - self.began > 60 * self.minutes

    def made(self, row: Row) -> None:
        """Note a video."""
        self.done += 1
        left = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        told = [f"{row['seconds']:.1f} s"]
        told += [f"{row[key]:.1f} {unit}" for key, unit in (("psnr", "dB"), ("difference", "apart")) if row.get(key)]
        self.say(
            f"{self.done}/{self.total}  scene {row['scene']} {row['style']} {row['kind']}: {', '.join(told)}; "
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
    """Make and measure what is missing, and append it to `path`.

    Args:
        models: the bundle.
        plan: what to measure.
        path: file of rows, one JSON object a line.
        others: more such files, whose videos are not made again.
        minutes: no further video is begun after these.
        pool: processes that draw the conditions of the next scene meanwhile; for a GPU.
        say: told about every video.

    Returns:
        All rows, those of the other files too.

    Raises:
        DreamkitError: the files' rows belong to another bundle or other settings.
    """
    run = identity(models, plan)
    rows = read_rows([path, *others], run)
    there = {(row["scene"], row["style"], row["kind"]) for row in rows}
    todo = [video for video in plan.videos() if video not in there]
    say(f"{len(todo)} videos to make, {len(plan.videos()) - len(todo)} are there; run {run}")
    watch = EvaluationProgress(len(todo), minutes, say)
    sizes = models.sizes(plan.frames)
    drawn = ConditionCache(sizes, pool)
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
            for kind, made in _videos(models, scene, following, drawn, style, kinds, plan.seed, watch):
                row = {"run": run, "kind": kind, "scene": number, "style": style, **made, **_machine(models)}
                append_row(path, row)
                rows.append(row)
                watch.made(row)
            if watch.out_of_time():
                say(f"stopped after {minutes:g} minutes; run the same again for the rest")
                return rows
    return rows


def _videos(
    models: TinyModels,
    scene: HeldOutScene,
    following: int,
    drawn: ConditionCache,
    style: str,
    kinds: Sequence[str],
    seed: int,
    watch: EvaluationProgress,
) -> Iterator[tuple[str, Row]]:
    """Make one scene's videos of these kinds in one style; the front video is made anyway, others follow it."""
    caption, noise = scene.captions[style], _noise_seed(seed, scene.seed, style)
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
        yield kind, {"frames": made.shape[-4], "seconds": round(seconds, 3), **measured}
        if watch.out_of_time():
            return


def _noise_seed(seed: int, scene: int, style: str) -> int:
    return stable_seed(seed, scene, style) % (2**31 - 2**16)


def _machine(models: TinyModels) -> Row:
    cuda = models.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(models.device) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3),
    }
