"""The report of a batch in Markdown: its starts by user and machine, results, units, and the files with the details."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import clock
from dreamkit.runs.batch_events import read_events
from dreamkit.runs.batch_plan import BatchPlan, states_by_stage
from dreamkit.runs.batch_units import BLOCKED, DONE, FAILED, LEFT
from dreamkit.workspace.files import write_text


def write_batch_report(plan: BatchPlan) -> None:
    """Write `report.md`; where the disk is full, it is written by the next start."""
    try:
        write_text(plan.folder.report, batch_report(plan))
    except DreamkitError as error:
        print(f"no report: {error.message}")


def batch_report(plan: BatchPlan) -> str:
    """The report as Markdown."""
    events = list(read_events(plan.folder.events))
    starts = [event for event in events if event["event"] == "started"]
    ends = [event for event in events if event["event"] == "unit_ended"]
    counts = [
        (stage, *(found.get(state, 0) for state in ("all", DONE, LEFT, FAILED, BLOCKED)))
        for stage, found in states_by_stage(plan).items()
    ]
    unit_rows = [
        (
            event["unit"],
            event["attempt"],
            event.get("host", ""),
            event.get("gpus", ""),
            clock(float(event.get("seconds", 0))),
            len(event.get("done", [])),
            len(event.get("other", [])),
            f"notebooks/{event['unit']}.{event['attempt']}.ipynb",
        )
        for event in ends
    ]
    not_done = [
        (target.name, judgement.state, judgement.reason.message if judgement.reason else "")
        for target, judgement in plan.judged.items()
        if judgement.state != DONE
    ]
    who = [(e["time"], e.get("user", ""), e.get("host", ""), e.get("version", ""), e.get("engine", "")) for e in starts]
    parts = [
        f"# Batch {plan.batch.name}",
        "Parameters: `batch.json`. Every result: its sidecar beside the video, and `manifest.jsonl` of the workspace,"
        " with prompt, seed, inputs and model files by checksum. Every notebook, as it was executed: `notebooks/`.",
        "## Starts",
        _table(("time", "user", "machine", "dreamkit", "engine"), who),
        "## Results",
        _table(("stage", "results", DONE, LEFT, FAILED, BLOCKED), counts),
        "## Not done",
        _table(("result", "state", "reason"), not_done) if not_done else "Nothing.",
        "## Units",
        _table(("unit", "attempt", "machine", "GPU", "time", "done", "not done", "notebook"), unit_rows),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
