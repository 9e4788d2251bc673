"""The plan of a batch as text: results, windows, time and disk, estimated from the workspace's own results."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dreamkit.generate import estimate
from dreamkit.generate.params import Params
from dreamkit.generate.reference_pace import on_reference, reference_bytes, reference_seconds
from dreamkit.notebook.progress import clock
from dreamkit.runs.batch_params import STAGE_MODELS
from dreamkit.runs.batch_plan import BatchPlan, states_by_stage
from dreamkit.runs.batch_units import BLOCKED, DONE, FAILED, GENERATION, LEFT
from dreamkit.workspace.sizes import GIB, free_bytes, size_text
from dreamkit.workspace.workspace import Chunk, Workspace

_SAMPLED = 50
"""Results whose files are measured for the estimate of disk space."""


@dataclass(frozen=True)
class StageCost:
    """What the missing results of a stage need.

    Attributes:
        left: how many are missing.
        windows: windows that they are generated in, by the length of the condition videos; one where not drawn.
        seconds: for all of them; None where one has a preset without earlier results on this device.
        gpu_seconds: those seconds, each times the GPUs of its unit.
        size: bytes of all of them; None without earlier results.
        device: the device of the estimate.
        reference: seconds of GPU time for all of them on H100s; None where something was not measured.
        least_size: bytes of all of them by `reference_bytes`; None for other models than the released ones.
    """

    left: int
    windows: int
    seconds: float | None
    gpu_seconds: float
    size: float | None
    device: str
    reference: float | None = None
    least_size: int | None = None


def stage_cost(plan: BatchPlan, stage: str) -> StageCost:
    """What the missing results of a generation stage need: those of its units, with their presets and windows."""
    records = plan.ws.sidecars(GENERATION[stage])
    paces: dict[tuple[Any, ...], float | None] = {}  # None where there is no earlier result
    count, windows, device, needs, references, sizes = 0, 0, "", [], [], []
    for unit in (unit for unit in plan.units if unit.stage == stage):
        p = STAGE_MODELS[stage](**unit.params)
        assert isinstance(p, Params)
        key = (p.preset, p.device, p.num_gpus, p.checkpoints)
        device = device or estimate.device_name(p)
        if key not in paces:
            paces[key] = _median(estimate.evaluation_seconds(records, p, estimate.device_name(p)))
        lengths = estimate.condition_lengths(plan.ws, p)
        guess, frames = estimate.chunk_windows(p, lengths), estimate.result_frames(p, lengths)
        own = sum(plan.judged[t].windows or guess(Chunk(t.clip, t.chunk)) for t in unit.targets)
        needs.append((own * (p.num_steps + 1), paces[key], max(1, unit.gpus)))
        one = reference_seconds(p, own)
        references.append(None if one is None else one * max(1, unit.gpus))
        sizes.append(reference_bytes(p, sum(frames(Chunk(t.clip, t.chunk)) for t in unit.targets)))
        count, windows = count + len(unit.targets), windows + own
    known = all(pace is not None for _, pace, _ in needs)
    seconds = sum(evaluations * (pace or 0) for evaluations, pace, _ in needs) if known else None
    gpu_seconds = sum(evaluations * (pace or 0) * gpus for evaluations, pace, gpus in needs)
    size = _median(_result_sizes(plan.ws, GENERATION[stage]))
    on_h100 = None if None in references else sum(one or 0 for one in references)
    least = None if None in sizes else sum(one or 0 for one in sizes)
    whole = None if size is None else size * count
    return StageCost(count, windows, seconds, gpu_seconds, whole, device, on_h100, least)


def _median(values: Sequence[float]) -> float | None:
    """The median; None of no values."""
    return statistics.median(values) if values else None


def _result_sizes(ws: Workspace, stage: str) -> list[float]:
    """Bytes of the first results of a stage, all their files together."""
    sizes = []
    for name in ws.result_names(stage)[:_SAMPLED]:
        path = ws.root / stage / name
        files = [path.with_name(f"{name}.mp4")] if stage == "single_view" else [*path.glob("*.mp4")]
        sizes.append(float(sum(file.stat().st_size for file in files if file.is_file())))
    return sizes


def describe_plan(plan: BatchPlan) -> str:
    """The plan for a reader: counts of each stage, then time and disk space, then what cannot be made."""
    batch = plan.batch
    seeds = f", seeds {', '.join(map(str, batch.seeds))}" if len(batch.seeds) > 1 else ""
    lines = [f"batch {batch.name}: {len(plan.clips)} clips in {plan.ws.root}{seeds}", ""]
    rows: list[tuple[Any, ...]] = [("stage", "results", DONE, LEFT, FAILED, BLOCKED, "units", "windows left")]
    states = states_by_stage(plan)
    costs = {stage: stage_cost(plan, stage) for stage in GENERATION if stage in states and states[stage][LEFT]}
    for stage, counts in states.items():
        units = sum(unit.stage == stage for unit in plan.units)
        windows = costs[stage].windows if stage in costs else ""
        states = [counts.get(state, 0) for state in (DONE, LEFT, FAILED, BLOCKED)]
        rows.append((stage, counts["all"], *states, units, windows))
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [f"{row[0]:<{widths[0]}}", *(f"{row[k]!s:>{widths[k]}}" for k in range(1, len(row)))]
        lines.append("  ".join(cells))
    lines += ["", *_needs(plan, costs)]
    failed = [(target, v) for target, v in plan.judged.items() if v.reason]
    lines += [f"  {v.state}: {target.name}: {v.reason.message}" for target, v in failed[:20] if v.reason]
    if len(failed) > 20:
        lines.append(f"  and {len(failed) - 20} more")
    return "\n".join(lines)


def _needs(plan: BatchPlan, costs: dict[str, StageCost]) -> list[str]:
    """Lines on time and disk space."""
    lines = []
    for stage, cost in costs.items():
        if cost.seconds is None:
            time = "not known before the first result of this preset and device"
            if cost.reference is not None:
                time += f"; on {on_reference(cost.reference, 1)}"
        else:
            one = cost.gpu_seconds == cost.seconds
            where = f"on one {cost.device}" if one else f"one unit after another, on several {cost.device}"
            time = (
                f"about {clock(cost.seconds)} {where} ({cost.gpu_seconds / 3600:.2f} hours{'' if one else ' of one'})"
            )
        lines.append(f"time of {stage}: {time}")
    free = free_bytes(plan.ws.root)
    own = all(cost.size is not None for cost in costs.values())
    sizes = [cost.least_size if cost.size is None else cost.size for cost in costs.values()]
    if sizes and None not in sizes:
        needed = sum(size or 0 for size in sizes)
        about, source = ("about", "as earlier results here take") if own else ("from about", estimate.AS_PUBLISHED)
        lines.append(f"disk: {about} {size_text(needed)} of {size_text(free)} free, {source}")
        if needed + plan.batch.keep_free_gib * GIB > free:
            lines.append("  that is more than is free; the batch pauses when the disk is nearly full")
    elif costs:
        lines.append(f"disk: {size_text(free)} free; the need is not known before the first result of each stage")
    return lines
