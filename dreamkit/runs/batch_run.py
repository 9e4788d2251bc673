"""`dreamkit batch`: plan, run what is missing, and say what was made and what was not."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import dreamkit
from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import clock
from dreamkit.runs.batch_estimate import describe_plan
from dreamkit.runs.batch_events import EventLog, read_events, who_runs
from dreamkit.runs.batch_params import BatchParams
from dreamkit.runs.batch_plan import BatchPlan, make_batch_plan, states_by_stage, write_plan
from dreamkit.runs.batch_queue import BatchQueue
from dreamkit.runs.batch_report import write_batch_report
from dreamkit.runs.batch_store import Store, result_patterns
from dreamkit.runs.batch_units import DONE, GENERATION, BatchFolder, Target, Unit, link_inputs
from dreamkit.runs.engine_local import Engine, LocalEngine, machine_gpus
from dreamkit.workspace.files import write_json
from dreamkit.workspace.locks import file_lock
from dreamkit.workspace.workspace import Workspace

INTERRUPTED = 130


def run_batch(batch: BatchParams, dry_run: bool = False) -> int:
    """Plan a batch, print the plan, and run what is missing.

    Args:
        batch: the parameters.
        dry_run: stop after the plan.

    Returns:
        The exit code: 0, 1 where something was not made, 130 after Ctrl-C.

    Raises:
        DreamkitError: the batch cannot start: an unknown clip, missing model files, a folder that cannot be written; or
            the same batch runs already.
    """
    ws = Workspace(batch.workspace)
    store = Store(batch.store, ws.root) if batch.store else None
    if store and not dry_run:
        print(f"{store.pull()} files copied from {store.url}", flush=True)
    ws.must_exist()
    folder = BatchFolder(ws.batch_folder(batch.name))
    if dry_run:
        print(describe_plan(make_batch_plan(batch, ws, fallen_back(folder))))
        return 0
    with _only_one(folder):
        for seed in batch.seeds[1:]:
            link_inputs(ws, Workspace(ws.seed_folder(seed), ws.folders))
        plan = make_batch_plan(batch, ws, fallen_back(folder))
        print(describe_plan(plan), flush=True)
        return _run(plan, store)


def fallen_back(folder: BatchFolder) -> dict[Target, str]:
    """Result -> memory preset that earlier starts fell back to, so that it counts as done with that preset."""
    presets: dict[Target, str] = {}
    for event in read_events(folder.events):
        if event["event"] == "retry" and isinstance(event.get("preset"), str):
            presets |= {Target(*row): event["preset"] for row in event.get("results", [])}
    return presets


@contextmanager
def _only_one(folder: BatchFolder) -> Iterator[None]:
    """Hold the lock of a batch.

    Raises:
        DreamkitError: another process holds it, or the folder cannot be written.
    """
    write_json(folder.root / ".started.json", who_runs())  # raises where the folder cannot be written
    with file_lock(folder.lock, folder.root.name, wait=1.0) as held:  # `batch status` holds it for a moment
        if not held:
            raise DreamkitError(
                f"The batch {folder.root.name} runs already in {folder.root}.",
                "Watch it with `dreamkit batch status --watch`, or give this one another name with --name.",
            )
        yield


def make_engine(batch: BatchParams) -> Engine:
    """The engine of a batch.

    Raises:
        DreamkitError: Ray is not installed, or its cluster does not answer.
    """
    if batch.engine == "ray":
        from dreamkit.runs.engine_ray import RayEngine

        return RayEngine(batch.address, batch.workers, batch.cpus_per_unit, batch.store)
    gpus = machine_gpus()
    return LocalEngine(gpus, batch.workers or len(gpus) or 1)


class _Signals:
    """Ctrl-C once: no further unit starts; twice, or SIGTERM: the running units are killed."""

    def __init__(self, queue: BatchQueue) -> None:
        self.queue = queue
        self.count = 0

    def __call__(self, number: int, _: FrameType | None) -> None:
        self.count += 1
        self.queue.stopping = True
        if number == signal.SIGTERM or self.count > 1:
            raise KeyboardInterrupt
        running = "the running units finish first; press Ctrl-C again to stop them now (finished videos are kept)"
        print(f"\ninterrupted: {running}", file=sys.stderr, flush=True)


def _run(plan: BatchPlan, store: Store | None) -> int:
    batch, folder, began = plan.batch, plan.folder, time.time()
    write_json(folder.params, batch.model_dump())
    write_plan(plan)
    plan.memory.save()
    events = EventLog(folder.events)
    engine = make_engine(batch) if plan.units else LocalEngine([], 1)
    states = states_by_stage(plan)
    events.write(
        "started",
        **who_runs(),
        version=dreamkit.__version__,
        engine=engine.summary,
        states=states,
        units=len(plan.units),
    )
    queue = BatchQueue(plan, engine, events, lambda line: print(line, flush=True), _settle(store, batch.engine))
    signals = _Signals(queue)
    before = {number: signal.signal(number, signals) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if plan.units:
            print(engine.summary, flush=True)
            queue.run()
    except KeyboardInterrupt:
        print("stopping the running units", file=sys.stderr, flush=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        queue.abandon()
        engine.stop()
        for seed in batch.seeds:
            own = plan.workspace_of(seed)
            if own.manifest.exists() or any(unit.stage in GENERATION for unit in plan.units):
                own.write_manifest()
        events.write("ended", seconds=round(time.time() - began, 2), states=states_by_stage(plan))
        plan.memory.save()
        write_batch_report(plan)
        unsaved = _push_records(store, folder) if store else False
    return max(_finish(plan, time.time() - began, bool(signals.count)), int(unsaved))


def _push_records(store: Store, folder: BatchFolder) -> bool:
    """Copy manifest and records out; returns whether that failed, which is printed."""
    try:
        store.push(("manifest.jsonl", f"runs/{folder.root.name}/*"))
    except DreamkitError as error:
        print(f"the records of the batch were not copied out: {error}", file=sys.stderr)
        return True
    return False


def _settle(store: Store | None, engine: str) -> Callable[[Unit], object]:
    """What is done when a unit has ended, before it is judged: its files are copied in from, or out to, the store."""
    if store is None:
        return lambda unit: None
    if engine == "ray":
        return lambda unit: store.pull(result_patterns(unit))
    return lambda unit: store.push(result_patterns(unit))


def _finish(plan: BatchPlan, seconds: float, interrupted: bool) -> int:
    """Print what was made and what was not; returns the exit code."""
    not_done = {target: v for target, v in plan.judged.items() if v.state != DONE}
    print(f"\n{len(plan.judged) - len(not_done)} of {len(plan.judged)} results are done, {clock(seconds)}.")
    for target, judgement in not_done.items():
        reason = judgement.reason
        print(f"  {judgement.state}: {target.name}" + (f": {reason.message}" if reason else ""))
        if reason and reason.hint:
            print(f"    -> {reason.hint}")
    print(f"report: {plan.folder.report}")
    if interrupted:
        print("interrupted: run the same command again to continue", file=sys.stderr)
        return INTERRUPTED
    return 1 if not_done else 0
