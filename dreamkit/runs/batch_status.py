"""The state of a batch, read from its plan, events and results on disk; works while it runs and after a crash."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import clock
from dreamkit.runs.batch_events import event_time, read_events
from dreamkit.runs.batch_units import (
    BLOCKED,
    DONE,
    FAILED,
    GENERATION,
    LEFT,
    RUNNING,
    BatchFolder,
    Target,
    seed_workspace,
)
from dreamkit.workspace.files import nearest, read_json, read_yaml
from dreamkit.workspace.locks import is_locked
from dreamkit.workspace.workspace import Workspace, from_home

STATES = (DONE, RUNNING, FAILED, BLOCKED, LEFT)
WATCH_SECONDS = 3.0
_SHOWN = 20


@dataclass(frozen=True)
class BatchStatus:
    """The state of a batch at one moment.

    Attributes:
        name: name of the batch.
        alive: whether a process runs it.
        paused: whether it waits for room on the disk.
        states: stage -> state -> number of results.
        reasons: (result, state, reason) of each that failed or is blocked.
        running: units that run, with the seconds since their start.
        seconds: since the last start.
        seconds_left: estimate from the results of the last start; None where there is none.
    """

    name: str
    alive: bool
    paused: bool
    states: dict[str, dict[str, int]]
    reasons: list[tuple[str, str, str]]
    running: dict[str, float]
    seconds: float
    seconds_left: float | None

    def count(self, state: str) -> int:
        """Number of results in a state."""
        return sum(states.get(state, 0) for states in self.states.values())

    def __str__(self) -> str:
        heads = ("stage", *STATES)
        rows = [heads, *((stage, *(s.get(state, 0) for state in STATES)) for stage, s in self.states.items())]
        widths = [max(len(str(row[k])) for row in rows) for k in range(len(heads))]
        lines = [f"batch {self.name}: {self.heading}"]
        for row in rows:
            lines.append("  ".join([f"{row[0]:<{widths[0]}}", *(f"{row[k]!s:>{widths[k]}}" for k in range(1, 6))]))
        lines += [f"running: {unit}, {clock(seconds)}" for unit, seconds in self.running.items()]
        lines += [f"{state}: {name}: {reason}" for name, state, reason in self.reasons[:_SHOWN]]
        if len(self.reasons) > _SHOWN:
            lines.append(f"and {len(self.reasons) - _SHOWN} more in the report")
        return "\n".join(lines)

    @property
    def heading(self) -> str:
        """One line: whether it runs, since when, and the time left."""
        if not self.alive:
            over = self.count(LEFT) == 0
            return "ended" if over else "not running; start the same command again to go on"
        if self.paused:
            return "paused, the disk is full; it goes on by itself when there is room"
        left = "" if self.seconds_left is None else f", about {clock(self.seconds_left)} left"
        return f"running for {clock(self.seconds)}{left}"

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {**vars(self), "reasons": [list(row) for row in self.reasons]}


def find_batch(asked: str, workspace: str = "") -> BatchFolder:
    """The folder of a batch.

    Args:
        asked: its name, its folder, its batch file; empty for the one that was started last.
        workspace: the workspace folder; empty for `outputs`, or that of the batch file.

    Raises:
        DreamkitError: there is none.
    """
    given = from_home(asked) if asked else None
    if given and (given / "plan.json").is_file():
        return BatchFolder(given)
    root, name = workspace or "outputs", asked
    if given and given.is_file():
        values = read_yaml(given, "batch file")
        root = workspace or str(values.get("workspace", root))
        name = str(values.get("name") or given.name.removesuffix(given.suffix))
    runs = Workspace(root).root / "runs"
    found = {path.parent.name: path.stat().st_mtime for path in runs.glob("*/plan.json")}
    if name in found or (found and not name):
        return BatchFolder(runs / (name or max(found, key=found.__getitem__)))
    close = nearest(name, found)
    raise DreamkitError(
        f"There is no batch {name or ''} in {runs}.".replace("  ", " "),
        f"Did you mean {close}?" if close else "Give its name, its folder or its batch file, or set --workspace.",
    )


def read_status(folder: BatchFolder) -> BatchStatus:
    """The state of a batch.

    Results that were left when it was planned count as done as soon as their sidecar and video are there.

    Raises:
        DreamkitError: its plan is missing or damaged.
    """
    values = read_json(folder.plan, "plan of a batch")
    history = _History.read(read_events(folder.events))
    alive = is_locked(folder.lock)
    ws, seeds = Workspace(values["workspace"]), values["seeds"]
    own = {seed: seed_workspace(ws, seed, seeds) for seed in seeds}
    states: dict[str, dict[str, int]] = {}
    reasons = []
    running = {target for unit in history.running for target in _targets(folder, unit)} if alive else set()
    made = 0
    for row in values["results"]:
        target, state, reason = Target(*row[:5]), row[5], row[6]
        if state != DONE:
            state, reason = history.ended.get(target, (state, reason))
            if state not in (DONE, FAILED) and _is_there(own[target.seed], target, values["written"]):
                state, reason = DONE, None
            elif state not in (DONE, FAILED) and target in running:
                state = RUNNING
            if state == DONE:
                made += 1
        found = states.setdefault(target.stage, {})
        found[state] = found.get(state, 0) + 1
        if state in (FAILED, BLOCKED) and reason:
            reasons.append((target.name, state, reason.get("message", "")))
    now = time.time()
    elapsed = now - (history.started or now)
    left = sum(found.get(state, 0) for found in states.values() for state in (LEFT, RUNNING))
    ahead = elapsed / made * left if alive and made else None
    units = {unit: now - began for unit, began in history.running.items()} if alive else {}
    return BatchStatus(folder.root.name, alive, history.paused and alive, states, reasons, units, elapsed, ahead)


@dataclass
class _History:
    """The last start of a batch, from its events.

    Attributes:
        started: time of the start; 0 without one.
        running: unit -> time of its start.
        ended: result -> its state and reason when its unit ended.
        paused: whether the last event about the disk is that it is full.
    """

    started: float
    running: dict[str, float]
    ended: dict[Target, tuple[str, dict[str, Any] | None]]
    paused: bool

    @classmethod
    def read(cls, events: Iterable[dict[str, Any]]) -> _History:
        found = cls(0.0, {}, {}, False)
        for event in events:
            kind = event["event"]
            if kind == "started":
                found = cls(event_time(event), {}, {}, False)
            elif kind == "unit_started":
                found.running[event["unit"]] = event_time(event)
            elif kind in ("unit_ended", "unit_busy", "unit_abandoned"):
                found.running.pop(event["unit"], None)
                found.ended |= {Target(*row): (DONE, None) for row in event.get("done", [])}
                found.ended |= {Target(*row[:5]): (row[5], row[6]) for row in event.get("other", [])}
            elif kind in ("paused", "resumed"):
                found.paused = kind == "paused"
        return found


def _targets(folder: BatchFolder, unit: str) -> tuple[Target, ...]:
    try:
        return folder.read_unit(unit).targets
    except DreamkitError:
        return ()


def _is_there(ws: Workspace, target: Target, written: float) -> bool:
    """Whether a result was written since the plan: its sidecar is newer, is the final one, and its video is there."""
    if target.stage not in GENERATION:
        return False
    stage = GENERATION[target.stage]
    sidecar = ws.result_sidecar(stage, target.result)
    try:
        if sidecar.stat().st_mtime < written:
            return False
        record = read_json(sidecar, "sidecar")
    except (OSError, DreamkitError):
        return False
    place = sidecar.parent if target.stage == "single" else sidecar.with_suffix("")
    return "replacing" not in record and all((place / name).is_file() for name in record.get("outputs", {}))


def show_status(asked: str, workspace: str, watch: bool, as_json: bool) -> None:
    """Print the state of a batch; with `watch` again every few seconds until no process runs it.

    Raises:
        DreamkitError: there is no such batch.
    """
    folder = find_batch(asked, workspace)
    while True:
        status = read_status(folder)
        text = json.dumps(status.as_dict(), ensure_ascii=False) if as_json else str(status)
        print(("\033[2J\033[H" if watch and not as_json else "") + text, flush=True)
        if not watch or not status.alive:
            return
        time.sleep(WATCH_SECONDS)
