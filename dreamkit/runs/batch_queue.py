"""The queue of a batch: starts a unit when those that it needs have ended and the engine has room; checks results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.runs.batch_events import EventLog, gpu_use
from dreamkit.runs.batch_judge import Judgement
from dreamkit.runs.batch_params import STAGE_MODELS
from dreamkit.runs.batch_plan import BatchPlan
from dreamkit.runs.batch_units import (
    BLOCKED,
    DONE,
    FAILED,
    GENERATION,
    LEFT,
    Target,
    Unit,
    UnitEnd,
    last_failure,
    unit_gpus,
    with_preset,
)
from dreamkit.runs.batch_worker import BUSY
from dreamkit.runs.engine_local import Ended, Engine
from dreamkit.workspace.failures import Failure, failure_of
from dreamkit.workspace.files import read_json
from dreamkit.workspace.sizes import GIB, free_bytes, size_text

# Preset that ran out of GPU memory -> the next memory preset; after the smallest there is none.
LOWER_PRESET = {"exact": "24gb", "fp8": "24gb", "fast": "24gb", "24gb": "16gb", "16gb": "12gb"}
POLL_SECONDS = 0.2
BUSY_SECONDS = 2.0
"""Seconds until the next attempt at a unit whose results another batch makes; doubled each time, up to BUSY_MOST."""
BUSY_MOST = 60.0
DISK_SECONDS = 5.0
GPU_SECONDS = 10.0
"""Seconds between checks of a full disk, and between samples of the GPUs' use."""
_ROOM_AGAIN = 2**20
"""Bytes that a disk must have gained, beyond what it had when a write failed, before the batch goes on."""


def lower_preset(stage: str, preset: str) -> str | None:
    """The memory preset after one that ran out of GPU memory; None where the notebook has none.

    >>> lower_preset("single", "12gb") is None
    True
    """
    field_type = STAGE_MODELS[stage].model_fields["preset"].annotation
    known = getattr(field_type, "__args__", ())
    lower = LOWER_PRESET.get(preset)
    return lower if lower in known else None


@dataclass
class _Waiting:
    """A unit in the queue.

    Attributes:
        unit: the unit.
        failed: attempts that ended without its results, through no fault of its inputs.
        since: time from which it may start.
        lowered: whether its memory preset was lowered.
        busy: how often another batch held the lock of one of its results.
    """

    unit: Unit
    failed: int = 0
    since: float = 0.0
    lowered: bool = False
    busy: int = 0


@dataclass
class BatchQueue:
    """Runs the units of a plan on an engine.

    Attributes:
        plan: the plan; its judgements are updated as units end.
        engine: where units run.
        events: the events.
        say: prints a line for the user.
        settle: called with a unit that has ended, before it is judged; copies its files where there is a store.
        stopping: no further unit starts.
    """

    plan: BatchPlan
    engine: Engine
    events: EventLog
    say: Callable[[str], None] = print
    settle: Callable[[Unit], object] = lambda unit: None
    stopping: bool = False
    _waiting: list[_Waiting] = field(default_factory=list)
    _running: dict[str, tuple[_Waiting, float]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _room_needed: float = 0.0
    _paused: bool = False
    _gpus_at: float = 0.0
    _disk_at: float = 0.0

    def run(self) -> None:
        """Run until no unit is left; after `stopping`, until those that run have ended."""
        self._waiting = [_Waiting(unit) for unit in self.plan.units]
        self._open = {unit.key for unit in self.plan.units}
        while self._running or (self._waiting and not self.stopping):
            for ended in self.engine.ended():
                self._end(ended)
            if not self.stopping and self._has_disk():
                self._start()
            self._sample_gpus()
            time.sleep(POLL_SECONDS)

    def abandon(self) -> None:
        """Kill the units that run; their finished videos stay, and nothing else does."""
        self.engine.stop()
        for key in self._running:
            self.events.write("unit_abandoned", unit=key)
        self._running.clear()

    def _start(self) -> None:
        now = time.time()
        for entry in list(self._waiting):
            unit = entry.unit
            if entry.since > now or not self._open.isdisjoint(unit.needs):
                continue
            try:
                if not self.engine.has_room(unit):
                    continue
            except DreamkitError as error:
                self._close(entry, {target: Judgement(FAILED, failure_of(error)) for target in unit.targets})
                continue
            folder = self.plan.folder
            try:
                attempt = folder.next_attempt(unit.key)
                folder.write_unit(unit)
                where = self.engine.start(folder, unit, attempt)
            except (DreamkitError, OSError) as error:
                # A full disk is waited for; any other reason is given to the user when it does not pass.
                entry.failed += 1
                entry.since = now + DISK_SECONDS
                if entry.failed > self.plan.batch.retries and not self._low_on_disk():
                    self._close(entry, {target: Judgement(FAILED, failure_of(error)) for target in unit.targets})
                return
            self._waiting.remove(entry)
            self._running[unit.key] = (entry, now)
            self.events.write("unit_started", unit=unit.key, attempt=attempt, where=where, results=len(unit.targets))
            self.say(f"{unit.key}: {len(unit.targets)} to make, {where}")

    def _low_on_disk(self) -> bool:
        needed = max(self.plan.batch.keep_free_gib * GIB, self._room_needed)
        return free_bytes(self.plan.ws.root) < needed

    def _has_disk(self) -> bool:
        """Whether the disk has room for further units; a change is printed and added to the events."""
        now = time.time()
        if self._paused and now < self._disk_at:
            return False
        self._disk_at = now + DISK_SECONDS
        low = self._low_on_disk()
        if low != self._paused:
            free = free_bytes(self.plan.ws.root)
            needed = max(self.plan.batch.keep_free_gib * GIB, self._room_needed)
            self.events.write("paused" if low else "resumed", free_bytes=free, needed_bytes=round(needed))
            if low:
                needs = f"{size_text(free)} free, {size_text(needed)} are needed"
                self.say(f"paused: the disk of {self.plan.ws.root} is full: {needs}")
                self.say("  free some space; the batch goes on by itself when there is room")
            else:
                self.say(f"the disk has {size_text(free)} free again; the batch goes on")
        self._paused = low
        if not low:
            self._room_needed = 0.0
        return not low

    def _sample_gpus(self) -> None:
        if not self._running or time.time() < self._gpus_at:
            return
        use = gpu_use()
        self._gpus_at = time.time() + (GPU_SECONDS if use else 3600)
        if use:
            self.events.write("gpus", use=use)

    def _end(self, ended: Ended) -> None:
        """Judge a unit that has ended: close it, or put it back into the queue."""
        entry, began = self._running.pop(ended.key)
        unit, fault = entry.unit, None
        try:
            self.settle(unit)
        except DreamkitError as error:
            fault = failure_of(error)
        end = self._written(ended)
        if end is not None and end.outcome == BUSY:
            entry.since = time.time() + min(BUSY_MOST, BUSY_SECONDS * 2**entry.busy)
            entry.busy += 1
            self._waiting.append(entry)  # behind the others
            self.events.write("unit_busy", unit=unit.key, attempt=ended.attempt)
            self.say(f"{unit.key}: another batch makes some of these; later")
            return
        judged = self._judged(entry, ended, end, began)
        if fault:  # what could not be copied is not done
            judged = {target: Judgement(LEFT, fault) for target in judged}
        left = {target: judgement for target, judgement in judged.items() if judgement.state == LEFT}
        again = set(entry.unit.targets) if left and self._again(entry, end, left) else set()
        judged |= {target: replace(left[target], state=FAILED) for target in left.keys() - again}
        self.events.write(
            "unit_ended",
            unit=unit.key,
            attempt=ended.attempt,
            code=ended.code,
            host=end.host if end else "",
            gpus=end.gpus if end else "",
            seconds=round(time.time() - began, 2),
            done=[list(vars(target).values()) for target, judgement in judged.items() if judgement.state == DONE],
            other=[
                [*vars(target).values(), judgement.state, vars(judgement.reason) if judgement.reason else None]
                for target, judgement in judged.items()
                if judgement.state != DONE
            ],
        )
        self.plan.memory.save()
        if again:
            self.plan.judged |= {target: judgement for target, judgement in judged.items() if target not in again}
        else:
            self._close(entry, judged)

    def _close(self, entry: _Waiting, judged: dict[Target, Judgement]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
        self._open.discard(entry.unit.key)
        self.plan.judged |= judged
        counts = {state: sum(v.state == state for v in judged.values()) for state in (DONE, FAILED, BLOCKED)}
        self.say(f"{entry.unit.key}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count))

    def _written(self, ended: Ended) -> UnitEnd | None:
        path = self.plan.folder.end(ended.key, ended.attempt)
        with contextlib.suppress(DreamkitError, TypeError):
            return UnitEnd.from_dict(read_json(path, "end of a unit")) if path.is_file() else None
        return None

    def _judged(self, entry: _Waiting, ended: Ended, end: UnitEnd | None, began: float) -> dict[Target, Judgement]:
        """Result -> judgement, with the reason of each that was not made."""
        unit, judge = entry.unit, self.plan.judge(entry.unit.seed)
        try:
            judged = judge.judge(unit.stage, unit.params, unit.targets)
        except DreamkitError as error:
            return {target: Judgement(FAILED, failure_of(error)) for target in unit.targets}
        if end and end.failure:
            why = end.failure
        elif ended.code is None:
            why = Failure("Lost", "The machine that made it was lost.")
        elif end is None:
            why = Failure("Killed", f"Its process ended with exit code {ended.code} before it was done.")
        else:
            why = Failure("NotMade", "The notebook ended without it.", f"Read {self._log(ended)}.")
        for target, judgement in judged.items():
            if judgement.state == LEFT:
                own = last_failure(judge.ws, target, since=began)
                judged[target] = replace(judgement, reason=own or why)
        return judged

    def _log(self, ended: Ended) -> str:
        return str(self.plan.folder.log(ended.key, ended.attempt))

    def _again(self, entry: _Waiting, end: UnitEnd | None, left: dict[Target, Judgement]) -> bool:
        """Put a unit back into the queue where another attempt may make what is left; returns whether it did."""
        reasons = [judgement.reason for judgement in left.values() if judgement.reason]
        if any(reason.disk_full for reason in reasons) or self._low_on_disk():
            self._room_needed = free_bytes(self.plan.ws.root) + _ROOM_AGAIN
            self.events.write("retry", unit=entry.unit.key, why="disk full")
        elif any(reason.out_of_memory for reason in reasons):
            if not self._lower(entry, [target for target, judgement in left.items() if _ran_out(judgement)]):
                return False
        elif end is None or any(reason.kind not in ("DreamkitError", "NotMade") for reason in reasons):
            entry.failed += 1
            if entry.failed > self.plan.batch.retries:
                return False
            self.events.write("retry", unit=entry.unit.key, why=reasons[0].kind if reasons else "")
            self.say(f"{entry.unit.key}: again, because: {reasons[0].message if reasons else 'its process ended'}")
        else:
            return False
        self._waiting.insert(0, entry)
        return True

    def _lower(self, entry: _Waiting, targets: Sequence[Target]) -> bool:
        """Go on with the next memory preset, once a unit; returns whether there is one."""
        unit = entry.unit
        model = STAGE_MODELS[unit.stage]
        before = str(unit.params.get("preset", model.model_fields["preset"].default))
        lower = None if entry.lowered or unit.stage not in GENERATION else lower_preset(unit.stage, before)
        if lower is None:
            return False
        own = {"clips": _clips(targets), "styles": _styles(targets)}
        params: dict[str, Any] = {**with_preset(unit.params, lower), **own}
        gpus = unit_gpus(unit.stage, params)
        entry.unit = replace(unit, params=params, targets=tuple(targets), clips=tuple(_clips(targets)), gpus=gpus)
        entry.lowered = True
        self.plan.presets |= dict.fromkeys(targets, lower)
        rows = [list(vars(target).values()) for target in targets]
        self.events.write("retry", unit=unit.key, why="out of GPU memory", preset=lower, results=rows)
        self.say(f"{unit.key}: out of GPU memory with the preset {before}; again with {lower}")
        return True


def _ran_out(judgement: Judgement) -> bool:
    return judgement.reason is not None and judgement.reason.out_of_memory


def _clips(targets: Sequence[Target]) -> list[str]:
    return list(dict.fromkeys(target.clip for target in targets))


def _styles(targets: Sequence[Target]) -> list[str]:
    return list(dict.fromkeys(target.style for target in targets))
