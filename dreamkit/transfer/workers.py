"""The worker processes of several GPUs, seen from the process that starts them: start, run, stop, failures."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing

from dreamkit.errors import DreamkitError, ProcessKilled
from dreamkit.transfer.messages import receive_from, send_to
from dreamkit.transfer.parallel import Ranks
from dreamkit.transfer.reports import Listener
from dreamkit.transfer.worker_process import Message, Start, WorkerFailure, worker_main

log = logging.getLogger("dreamkit")

# Seconds that the other workers have to answer after one has failed; those that wait for it in an exchange never do.
GRACE = 5.0
# Seconds between checks for Ctrl-C.
POLL = 0.2
# Seconds until the next step after an interrupt; a step of six views takes 13 s on one H200.
STOP_WITHIN = 120.0


class WorkerPool:
    """Worker processes that run functions together; started at once, ended by `close`, with this object, or with this
    process.

    Args:
        build: makes a worker's pipeline from its ranks and device; a function at the top of a module, or a
            functools.partial of one.
        size: number of workers, one for each GPU.
        device: `cuda`, or `cpu` for tests.

    Raises:
        DreamkitError: a worker failed before it was ready.
    """

    def __init__(self, build: Callable[[Ranks, torch.device], Any], size: int, device: str) -> None:
        self.size = size
        folder = Path(tempfile.mkdtemp(prefix="dreamkit-"))
        context = torch.multiprocessing.get_context("spawn")
        self._processes: list[Any] = []
        self._connections: list[Connection] = []
        lifelines: list[Connection] = []
        # Linux ends a worker with the thread that started it, so that this may only be used from the main thread.
        main = threading.current_thread() is threading.main_thread()
        for rank in range(size):
            here, there = context.Pipe()
            life_there, life_here = context.Pipe(duplex=False)
            start = Start(rank, size, device, folder / "store", os.getpid(), main, build)
            process = context.Process(
                target=worker_main, args=(start, there, life_there), name=f"dreamkit-{rank}", daemon=True
            )
            process.start()
            there.close()
            life_there.close()
            self._processes.append(process)
            self._connections.append(here)
            lifelines.append(life_here)
        self._finalizer = weakref.finalize(self, _end, self._processes, [*self._connections, *lifelines], folder)
        try:
            with _counted_interrupts() as interrupts:
                self._collect(set(range(size)), None, interrupts, stop_within=0)
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether the workers have ended."""
        return not self._finalizer.alive

    def close(self) -> None:
        """End the workers; their GPU memory is free afterwards."""
        self._finalizer()

    def run(self, function: Callable[..., Any], *given: Any, listener: Listener | None = None) -> list[Any]:
        """Results of `function(worker, *given)` from all workers, in their order.

        Args:
            function: at the top of a module; its first argument is a `worker_process.Worker`.
            given: further arguments, which can be pickled.
            listener: called with the first worker's progress.

        Raises:
            DreamkitError: a worker failed or ended. All workers end with it, except where every one reports a failure.
            KeyboardInterrupt: after all workers have stopped at the same step; they can be used again.
        """
        return self.run_each(function, [given] * self.size, listener)

    def run_each(
        self, function: Callable[..., Any], given: Sequence[tuple[Any, ...]], listener: Listener | None = None
    ) -> list[Any]:
        """As `run`, with arguments of its own for each worker; with fewer of them, only the first workers run."""
        if self.closed:
            raise DreamkitError("The worker processes have ended.", "Load the pipeline again.")
        with _counted_interrupts() as interrupts:
            for rank, own in enumerate(given):
                with contextlib.suppress(OSError):  # that a worker has ended is found out by `_collect`
                    send_to(self._connections[rank], (function, own), self._processes[rank].pid)
            results = self._collect(set(range(len(given))), listener, interrupts)
        return [results[rank] for rank in range(len(given))]

    def _collect(
        self,
        everyone: set[int],
        listener: Listener | None,
        interrupts: list[int],
        stop_within: float = STOP_WITHIN,
    ) -> dict[int, Any]:
        """Results by rank of the functions that run, after all have ended; `interrupts` grows with each Ctrl-C."""
        results: dict[int, Any] = {}
        failures: dict[int, WorkerFailure] = {}
        waiting: dict[int, tuple[Any, bool]] = {}
        stopping: BaseException | None = None
        deadline = math.inf
        while (running := everyone - set(results) - set(failures)) and time.monotonic() < deadline:
            if interrupts and stopping is None:
                stopping, deadline = KeyboardInterrupt(), time.monotonic() + stop_within
            if len(interrupts) > 1:
                break  # the second one: do not wait
            self._receive(running - set(waiting), results, failures, waiting)
            if failures:
                deadline = min(deadline, time.monotonic() + GRACE)
            if waiting and set(waiting) == everyone - set(results) - set(failures):
                answer = "go" if stopping is None and not failures else "stop"
                if answer == "go" and listener is not None and 0 in waiting:
                    progress, has_preview = waiting[0]
                    try:
                        listener(replace(progress, preview_frame=self._preview if has_preview else None))
                    except BaseException as error:
                        stopping, deadline, answer = error, time.monotonic() + stop_within, "stop"
                self._answer(waiting, "stop" if interrupts else answer)
        if interrupts and stopping is None:
            stopping = KeyboardInterrupt()
        if stopping is not None:
            if set(results) | set(failures) != everyone or not all(f.in_step for f in failures.values()):
                self.close()
            raise stopping
        if failures:
            self._give_up(failures, everyone)
        return results

    def _receive(
        self,
        ranks: set[int],
        results: dict[int, Any],
        failures: dict[int, WorkerFailure],
        waiting: dict[int, tuple[Any, bool]],
    ) -> None:
        """Wait up to POLL seconds for messages of `ranks`, and add each to the results, failures or waiting workers."""
        by_object = {self._connections[r]: r for r in ranks} | {self._processes[r].sentinel: r for r in ranks}
        for ready in wait(list(by_object), POLL) if ranks else ():
            rank = by_object[ready]
            if rank in results or rank in failures or rank in waiting:
                continue
            try:
                if not self._connections[rank].poll():
                    raise EOFError
                message: Message = receive_from(self._connections[rank])
            except (EOFError, OSError):
                failures[rank] = self._ended(rank)
                continue
            if message.kind == "report":
                waiting[rank] = message.value
            elif message.kind == "log":
                name, level, text = message.value
                logging.getLogger(name).log(level, "%s", text)
            elif message.kind == "failed":
                failures[rank] = message.value
            elif message.kind != "frame":  # a frame is left over where its preview was interrupted
                results[rank] = message.value

    def _answer(self, waiting: dict[int, tuple[Any, bool]], answer: str) -> None:
        for rank in list(waiting):
            del waiting[rank]
            with contextlib.suppress(OSError):  # that it has ended is found out at its next message
                send_to(self._connections[rank], answer, self._processes[rank].pid)

    def _preview(self) -> np.ndarray | None:
        """The preview frame of the present step, decoded by the first worker, which waits for an answer."""
        send_to(self._connections[0], "preview", self._processes[0].pid)
        while (message := receive_from(self._connections[0])).kind != "frame":
            pass
        return message.value

    def _ended(self, rank: int) -> WorkerFailure:
        process = self._processes[rank]
        process.join(5)
        code = process.exitcode
        if code and code < 0:
            return WorkerFailure(
                f"The worker process of GPU {rank} was ended by signal {-code}.",
                "Signal 9 often means that the machine ran out of memory; look at its log, and run again.",
                error=ProcessKilled,
            )
        return WorkerFailure(
            f"The worker process of GPU {rank} ended with exit code {code}.",
            "Its own message stands above; a script of your own needs `if __name__ == '__main__':` around its calls.",
        )

    def _give_up(self, failures: dict[int, WorkerFailure], everyone: set[int]) -> None:
        """Raise the first failure that has a hint (an error of the user, an ended process), else the first of all.

        Workers that were cut off in the middle of an exchange cannot go on and are ended.
        """
        if set(failures) != everyone or not all(failure.in_step for failure in failures.values()):
            self.close()
        rank, failure = min(failures.items(), key=lambda item: not item[1].hint)
        if failure.hint:
            raise failure.error(failure.message, failure.hint)
        log.error("In the worker process of GPU %d:\n%s", rank, failure.message.rstrip())
        last = failure.message.strip().splitlines()[-1]
        raise DreamkitError(
            f"The worker process of GPU {rank} failed: {last.rstrip('.')}.",
            "The log has its traceback; set num_gpus to 1 for a run without workers.",
        )


@contextlib.contextmanager
def _counted_interrupts() -> Iterator[list[int]]:
    """Count Ctrl-C instead of raising KeyboardInterrupt, which could cut a message to a worker in two."""
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield seen
        return
    signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _end(processes: Sequence[Any], connections: Sequence[Connection], folder: Path) -> None:
    """End the processes, and remove the folder over which they found each other."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.close()
    for process in processes:
        process.kill()
    for process in processes:
        process.join(10)
    shutil.rmtree(folder, ignore_errors=True)
