"""The plan of a batch as text: results, windows, time and disk, estimated from the workspace's own results."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from dreamkit.generate import estimate
from dreamkit.generate.params import Params
from dreamkit.notebook.progress import clock
from dreamkit.runs.batch_params import STAGE_MODELS
from dreamkit.runs.batch_plan import BatchPlan, states_by_stage
from dreamkit.runs.batch_units import BLOCKED, DONE, FAILED, GENERATION, LEFT
from dreamkit.workspace.sizes import GIB, free_bytes, size_text
from dreamkit.workspace.workspace import Workspace

_SAMPLED = 50
"""Results whose files are measured for the estimate of disk space."""


@dataclass(frozen=True)
class StageCost:
    """What the missing results of a stage need.

    Attributes:
        left: how many are missing.
        windows: windows that they are generated in; of results whose inputs are not there yet, one each.
        seconds: for all of them; None without earlier results of this preset and device.
        size: bytes of all of them; None without earlier results.
        device: the device of the estimate.
    """

    left: int
    windows: int
    seconds: float | None
    size: float | None
    device: str


def stage_cost(plan: BatchPlan, stage: str) -> StageCost:
    """What the missing results of a generation stage need."""
    judged = [(target, v) for target, v in plan.judged.items() if target.stage == stage and v.state == LEFT]
    windows = sum(max(1, judgement.windows) for _, judgement in judged)
    model, first = STAGE_MODELS[stage], plan.clips[0]
    own = {"clips": [first], "styles": ["one"], "chunks": [0]}
    p = model(**{**plan.params_for(stage, plan.batch.seeds[0], first), **own})
    assert isinstance(p, Params)
    found = estimate.estimate(plan.ws, p)
    count = len(judged)
    sizes = _result_sizes(plan.ws, GENERATION[stage])
    seconds = found.seconds * count if found.seconds is not None else None
    return StageCost(count, windows, seconds, statistics.median(sizes) * count if sizes else None, found.device)


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
        else:
            time = f"about {clock(cost.seconds)} on one {cost.device} ({cost.seconds / 3600:.2f} hours)"
        lines.append(f"time of {stage}: {time}")
    free = free_bytes(plan.ws.root)
    known = [cost.size for cost in costs.values() if cost.size is not None]
    if known and len(known) == len(costs):
        needed = sum(known)
        lines.append(f"disk: about {size_text(needed)} of {size_text(free)} free, as earlier results here take")
        if needed + plan.batch.keep_free_gib * GIB > free:
            lines.append("  that is more than is free; the batch pauses when the disk is nearly full")
    elif costs:
        lines.append(f"disk: {size_text(free)} free; the need is not known before the first result of each stage")
    return lines
