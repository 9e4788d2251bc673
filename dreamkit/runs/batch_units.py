"""What a batch consists of: results to make, units that make them, and the folder in which a batch keeps its records.

<workspace>/runs/<name>/batch.json       parameters of the last start
                        plan.json        every result, with its state when the batch was planned
                        events.jsonl     what happened, a JSON line each
                        units/<key>.json, <key>.<attempt>.log, <key>.<attempt>.json     a unit, its log, its end
                        notebooks/<key>.<attempt>.ipynb     the executed notebooks
                        report.md        starts, results and units, for a reader
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dreamkit.transfer.presets import find_preset
from dreamkit.workspace.failures import Failure, read_failure
from dreamkit.workspace.files import read_json, write_json
from dreamkit.workspace.workspace import Chunk, Workspace

DONE, LEFT, RUNNING, FAILED, BLOCKED = "done", "left", "running", "failed", "blocked"
GENERATION = {"single": "single_view", "multi": "multi_view"}
"""Stage of a batch -> stage of the workspace, for the stages that make a video for each clip, chunk and style."""


@dataclass(frozen=True)
class Target:
    """One result of a batch.

    Attributes:
        stage: stage of the batch.
        seed: seed of the run.
        clip: name of the clip; empty for the stage review.
        chunk: number of the chunk.
        style: style of the caption; empty for stages without styles.
    """

    stage: str
    seed: int
    clip: str = ""
    chunk: int = 0
    style: str = ""

    @property
    def result(self) -> str:
        """Name of the result in the workspace's folder of the stage."""
        return "_".join(filter(None, (Chunk(self.clip, self.chunk).name, self.style)))

    @property
    def name(self) -> str:
        """`<stage>/<result>` and the seed, for a reader."""
        return f"{self.stage}/{self.result or 'report'} (seed {self.seed})"


@dataclass(frozen=True)
class Unit:
    """One notebook over some clips and styles, or one call of the renderer.

    Attributes:
        key: name of the unit, unique in a batch and the same in every start with the same clips.
        stage: stage of the batch.
        seed: seed of the run.
        workspace: workspace folder of that seed.
        clips: clips of the unit.
        params: parameters of the notebook, or of the renderer.
        targets: the results that are to be made.
        needs: keys of the units that come before it.
        gpus: GPUs of the unit; 0 for one that needs none.
    """

    key: str
    stage: str
    seed: int
    workspace: str
    clips: tuple[str, ...]
    params: dict[str, Any]
    targets: tuple[Target, ...]
    needs: tuple[str, ...] = ()
    gpus: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The unit as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Unit:
        """The unit of JSON values."""
        targets = tuple(Target(**target) for target in values["targets"])
        lists = {name: tuple(values[name]) for name in ("clips", "needs")}
        return cls(**{**values, **lists, "targets": targets})


@dataclass(frozen=True)
class UnitEnd:
    """How an attempt at a unit ended, as its process wrote it; whether its results are there is judged on disk.

    Attributes:
        outcome: "finished", "failed", or "busy" where another batch makes some of its results.
        seconds: time that it took.
        failure: why it failed.
        host: machine.
        gpus: the GPUs that it had, as CUDA_VISIBLE_DEVICES.
    """

    outcome: str
    seconds: float = 0.0
    failure: Failure | None = None
    host: str = ""
    gpus: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The end as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> UnitEnd:
        """The end of JSON values."""
        failure = values.get("failure")
        return cls(**{**values, "failure": Failure(**failure) if failure else None})


@dataclass(frozen=True)
class BatchFolder:
    """The files of a batch; the module's docstring lists them."""

    root: Path

    @property
    def events(self) -> Path:
        """The events, a JSON line each."""
        return self.root / "events.jsonl"

    @property
    def plan(self) -> Path:
        """Every result with its state when the batch was planned."""
        return self.root / "plan.json"

    @property
    def params(self) -> Path:
        """The parameters of the last start."""
        return self.root / "batch.json"

    @property
    def report(self) -> Path:
        """The report of `batch_report`."""
        return self.root / "report.md"

    @property
    def lock(self) -> Path:
        """Locked while the batch runs."""
        return self.root / ".lock"

    def unit(self, key: str) -> Path:
        """A unit."""
        return self.root / "units" / f"{key}.json"

    def end(self, key: str, attempt: int) -> Path:
        """The end of an attempt at a unit, written by its process."""
        return self.root / "units" / f"{key}.{attempt}.json"

    def log(self, key: str, attempt: int) -> Path:
        """What an attempt at a unit printed."""
        return self.root / "units" / f"{key}.{attempt}.log"

    def notebook(self, key: str, attempt: int) -> Path:
        """The executed notebook of an attempt at a unit."""
        return self.root / "notebooks" / f"{key}.{attempt}.ipynb"

    def next_attempt(self, key: str) -> int:
        """Number of the next attempt at a unit, from 1, over all starts of the batch."""
        numbers = [int(path.suffixes[-2][1:]) for path in (self.root / "units").glob(f"{key}.*.log")]
        return max(numbers, default=0) + 1

    def write_unit(self, unit: Unit) -> Path:
        """Write a unit for its process."""
        write_json(self.unit(unit.key), unit.as_dict())
        return self.unit(unit.key)

    def read_unit(self, key: str) -> Unit:
        """The unit that `write_unit` wrote."""
        return Unit.from_dict(read_json(self.unit(key), "unit of a batch"))


def with_preset(params: dict[str, Any], preset: str) -> dict[str, Any]:
    """The parameters of a notebook with another preset; with one GPU where it is a memory preset, which takes one."""
    one = {"num_gpus": 1} if "num_gpus" in params and find_preset(preset).memory_gib is not None else {}
    return {**params, "preset": preset, **one}


def unit_gpus(stage: str, params: Mapping[str, Any]) -> int:
    """GPUs of a unit: none where the parameters put it on the CPU, or where its notebook uses none."""
    if stage in GENERATION:
        return 0 if params.get("device") == "cpu" else int(params.get("num_gpus", 1))
    return int(params.get("rewriter") == "vllm")


def seed_workspace(ws: Workspace, seed: int, seeds: list[int]) -> Workspace:
    """The workspace of a seed: the batch's own for the first, a folder inside it for each further one."""
    return ws if seed == seeds[0] else Workspace(ws.seed_folder(seed), ws.folders)


def link_inputs(ws: Workspace, inner: Workspace) -> None:
    """Link captions, condition videos and control specs of a workspace into that of a further seed."""
    inner.root.mkdir(parents=True, exist_ok=True)
    shared = ("captions", "styles", "hdmap", "lidar", *(f"{stage}_spec.json" for stage in GENERATION.values()))
    for name in shared:
        link = inner.root / name
        if not link.exists() and not link.is_symlink() and (ws.root / name).exists():
            link.symlink_to(Path("..", "..", name), target_is_directory=(ws.root / name).is_dir())


def last_failure(ws: Workspace, target: Target, since: float) -> Failure | None:
    """Why a result was not made, as a notebook recorded it after the time `since`, in seconds since 1970."""
    path = ws.failure(GENERATION.get(target.stage, target.stage), target.result)
    if not path.is_file() or path.stat().st_mtime < since - 1:
        return None
    return read_failure(path)
