"""The plan of a batch: its results with their state on disk, and the units that make what is missing."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dreamkit.captions import files as caption_files
from dreamkit.errors import DreamkitError
from dreamkit.generate import specs
from dreamkit.runs.batch_judge import Judge, Judgement
from dreamkit.runs.batch_params import STAGE_MODELS, BatchParams, batch_clips
from dreamkit.runs.batch_units import (
    DONE,
    GENERATION,
    LEFT,
    BatchFolder,
    Target,
    Unit,
    seed_workspace,
    unit_gpus,
    with_preset,
)
from dreamkit.workspace.file_memory import FileMemory
from dreamkit.workspace.files import read_json, write_json
from dreamkit.workspace.workspace import Workspace


@dataclass
class BatchPlan:
    """A batch, ready to run.

    Attributes:
        batch: its parameters.
        ws: its workspace.
        folder: where it keeps its records.
        clips: its clips.
        judged: every result and its state on disk, stage by stage.
        units: the units that make what is left, in the order in which they start.
        presets: result -> memory preset that an earlier start fell back to.
        memory: checksums of videos.
        specs: (stage of the workspace, spec of the parameters) -> spec to use instead, or None.
    """

    batch: BatchParams
    ws: Workspace
    folder: BatchFolder
    clips: list[str]
    judged: dict[Target, Judgement] = field(default_factory=dict)
    units: list[Unit] = field(default_factory=list)
    presets: dict[Target, str] = field(default_factory=dict)
    memory: FileMemory = field(default_factory=lambda: FileMemory(Path()))
    specs: dict[tuple[str, str], Path | None] = field(default_factory=dict)

    def workspace_of(self, seed: int) -> Workspace:
        """The workspace of a seed's results."""
        return seed_workspace(self.ws, seed, self.batch.seeds)

    def judge(self, seed: int) -> Judge:
        """The judge of a seed's results."""
        return Judge(self.workspace_of(seed), self.batch.labels, self.memory, self.presets)

    def params_for(self, stage: str, seed: int, clip: str) -> dict[str, Any]:
        """The parameters of a stage for a clip; for a notebook, with those that the batch sets itself."""
        values = self.batch.for_clip(stage, clip)
        if stage not in STAGE_MODELS:
            return values
        values["workspace"] = str(self.workspace_of(seed).root)
        if stage in GENERATION:
            values |= {"seed": seed, "skip_bad": True}
            asked = (GENERATION[stage], str(values.get("spec", "")))
            if asked not in self.specs:
                self.specs[asked] = self._spec_of_all(*asked)
            if spec := self.specs[asked]:
                values["spec"] = str(spec)
        return values

    def _spec_of_all(self, stage: str, asked: str) -> Path | None:
        """A copy of the control spec without the paths of one clip, where the spec has such and the batch several.

        A path without `<sample_name>` is of one clip. A notebook ignores it when it runs several clips, but a unit
        may have one clip only.
        """
        path = specs.find_spec(stage, asked, self.ws) if len(self.clips) > 1 else None
        if path is None:
            return None
        values = read_json(path, "control spec")
        controls = specs.read_spec(path).controls
        if all(specs.SAMPLE_NAME in place for control in controls.values() for place in control.inputs):
            return path if asked else None
        for name, control in controls.items():
            entry = values[name]
            if any(specs.SAMPLE_NAME not in place for place in control.inputs):
                entry.pop("input_control", None)
            for key in ("ckpt_path", "control_weight"):
                found = specs.resolve(entry[key], path, self.ws.root) if isinstance(entry.get(key), str) else None
                if found:
                    entry[key] = str(found)
        copy = self.folder.root / f"{stage}_spec.json"
        if not copy.is_file() or read_json(copy, "control spec") != values:
            write_json(copy, values)
        return copy

    @property
    def left(self) -> list[Target]:
        """The results that the units are to make."""
        return [target for unit in self.units for target in unit.targets]


def make_batch_plan(batch: BatchParams, ws: Workspace, presets: Mapping[Target, str] | None = None) -> BatchPlan:
    """The plan of a batch; every result is judged by its sidecar and files.

    Args:
        batch: the parameters.
        ws: the workspace.
        presets: result -> memory preset that an earlier start fell back to.

    Raises:
        DreamkitError: no clip, an unknown one, or what no result can be made without.
    """
    folder = BatchFolder(ws.batch_folder(batch.name))
    plan = BatchPlan(
        *(batch, ws, folder, batch_clips(batch, ws)),
        presets=dict(presets or {}),
        memory=FileMemory(ws.cache("batch_videos.json")),
    )
    for stage, seed in _stages_and_seeds(batch):
        targets = list(_targets(plan, stage, seed))
        plan.judged |= _judged(plan, stage, seed, targets)
        plan.units += _units(plan, stage, seed, targets)
    plan.units = [_with_needs(unit, plan.units, batch) for unit in plan.units]
    return plan


def _stages_and_seeds(batch: BatchParams) -> Iterator[tuple[str, int]]:
    """Every stage, with every seed where its results depend on it; the others with the first seed."""
    for stage in batch.stages:
        for seed in batch.seeds if stage in GENERATION or stage == "review" else batch.seeds[:1]:
            yield stage, seed


def _targets(plan: BatchPlan, stage: str, seed: int) -> Iterator[Target]:
    """Every result of a stage and a seed."""
    if stage == "review":
        yield Target(stage, seed)
        return
    for clip in plan.clips:
        if stage not in GENERATION:
            yield Target(stage, seed, clip)
            continue
        asked = plan.batch.for_clip(stage, clip).get("chunks", [0])
        chunks = ([asked] if isinstance(asked, int) else asked) or [c.index for c in plan.ws.chunks(clip)] or [0]
        for chunk, style in itertools.product(chunks, _styles(plan, clip)):
            yield Target(stage, seed, clip, chunk, style)


def _styles(plan: BatchPlan, clip: str) -> Sequence[str]:
    """Styles of a clip: those of the batch, those that its stage styles writes, or those of its caption file."""
    if plan.batch.styles:
        return plan.batch.styles
    if "styles" in plan.batch.stages:
        return caption_files.STYLES
    try:
        return list(caption_files.read_captions(plan.ws.captions, clip))
    except DreamkitError:  # the judge reports it
        return [caption_files.ORIGINAL]


def _judged(plan: BatchPlan, stage: str, seed: int, targets: Sequence[Target]) -> dict[Target, Judgement]:
    """Result -> judgement; LEFT, without reading files, where an earlier stage has something to make for it."""
    judged = {target: Judgement(LEFT) for target in targets}
    if not plan.workspace_of(seed).root.is_dir():
        return judged
    settled = [target for target in targets if not _waits(plan, target)]
    for params, group in _by_params(plan, stage, seed, settled):
        judged |= plan.judge(seed).judge(stage, params, group)
    return judged


def _waits(plan: BatchPlan, target: Target) -> bool:
    """Whether an earlier stage has something to make for the result."""
    first = plan.batch.seeds[0]
    if target.stage == "review":
        return any(v.state == LEFT for other, v in plan.judged.items() if other.seed == target.seed)
    before = [Target(stage, first, target.clip) for stage in ("render", "captions", "styles") if stage != target.stage]
    if target.stage == "multi":
        before.append(Target("single", target.seed, target.clip, target.chunk, target.style))
    return any(other in plan.judged and plan.judged[other].state == LEFT for other in before)


def _by_params(
    plan: BatchPlan, stage: str, seed: int, targets: Sequence[Target]
) -> list[tuple[dict[str, Any], list[Target]]]:
    """The results, grouped by the parameters of their clips."""
    groups: dict[str, list[Target]] = {}
    found: dict[str, str] = {}
    for target in targets:
        if target.clip not in found:
            found[target.clip] = json.dumps(plan.params_for(stage, seed, target.clip), sort_keys=True)
        groups.setdefault(found[target.clip], []).append(target)
    return [(json.loads(text), group) for text, group in groups.items()]


def _units(plan: BatchPlan, stage: str, seed: int, targets: Sequence[Target]) -> list[Unit]:
    """The units that make what is left of a stage and a seed.

    Captions and review are one unit each, because their notebooks work on a whole. The clips of a unit have the same
    styles: a notebook leaves a clip out that lacks one of the styles asked for.
    """
    styles: dict[str, list[str]] = {}
    for target in targets:
        found = styles.setdefault(target.clip, [])
        if target.style not in found and plan.judged[target].state in (DONE, LEFT):
            found.append(target.style)
    left = [target for target in targets if plan.judged[target].state == LEFT]
    numbers = {clip: index // plan.batch.clips_per_unit for index, clip in enumerate(plan.clips)}
    shards: dict[tuple[int, tuple[str, ...], str], list[Target]] = {}
    for params, group in _by_params(plan, stage, seed, left):
        for target in group:
            shard = 0 if stage in ("captions", "review") else numbers[target.clip]
            own = styles[target.clip]
            most = plan.batch.styles_per_unit or len(own)
            first = own.index(target.style) // most * most
            used = with_preset(params, plan.presets[target]) if target in plan.presets else params
            part = (shard, tuple(own[first : first + most]), json.dumps(used, sort_keys=True))
            shards.setdefault(part, []).append(target)
    units, counts = [], dict.fromkeys(range(len(plan.clips)), 0)
    for (shard, part_styles, text), part_targets in sorted(shards.items(), key=lambda item: item[0]):
        params = json.loads(text)
        clips = tuple(dict.fromkeys(target.clip for target in part_targets if target.clip))
        if stage == "render":
            params["labels"] = plan.batch.labels
        else:
            params["clips"] = plan.clips if stage == "review" else list(clips)
        if stage in GENERATION:
            params["styles"] = list(part_styles)
        elif stage in ("styles", "review"):
            params["styles"] = plan.batch.styles
        key, root = f"{stage}-{seed}-{shard:04d}-{counts[shard]}", str(plan.workspace_of(seed).root)
        counts[shard] += 1
        units.append(Unit(key, stage, seed, root, clips, params, tuple(part_targets), (), unit_gpus(stage, params)))
    return units


def _with_needs(unit: Unit, units: Sequence[Unit], batch: BatchParams) -> Unit:
    """The unit with the keys of the units before it: those of earlier stages that share a clip with it."""
    order: dict[str, int] = {stage: number for number, stage in enumerate(batch.stages)}
    clips, needs = set(unit.clips), []
    for other in units:
        same_seed = other.stage not in GENERATION or other.seed == unit.seed
        shares = not unit.clips or not clips.isdisjoint(other.clips)
        if order[other.stage] < order[unit.stage] and same_seed and shares:
            needs.append(other.key)
    return Unit(**{**vars(unit), "needs": tuple(needs)})


def write_plan(plan: BatchPlan) -> None:
    """Write the plan for status and widget: every result with its state."""
    rows = [
        [*vars(target).values(), judgement.state, vars(judgement.reason) if judgement.reason else None]
        for target, judgement in plan.judged.items()
    ]
    write_json(
        plan.folder.plan,
        {
            "workspace": str(plan.ws.root),
            "written": time.time(),
            "seeds": plan.batch.seeds,
            "results": rows,
            "presets": [[*vars(target).values(), preset] for target, preset in plan.presets.items()],
        },
    )


def states_by_stage(plan: BatchPlan) -> dict[str, dict[str, int]]:
    """Stage -> state -> number of results."""
    counts: dict[str, dict[str, int]] = {}
    for target, judgement in plan.judged.items():
        found = counts.setdefault(target.stage, {})
        found[judgement.state] = found.get(judgement.state, 0) + 1
        found["all"] = found.get("all", 0) + 1
    return {stage: {DONE: 0, LEFT: 0, **found} for stage, found in counts.items()}
