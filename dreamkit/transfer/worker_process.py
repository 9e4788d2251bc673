"""One worker process: it joins the others, loads a pipeline, and runs functions for the process that started it.

It ends with that process also when that is killed: Linux sends it SIGKILL (prctl, PR_SET_PDEATHSIG), and on every
system a thread ends it when the pipe from that process closes.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from dreamkit.errors import DreamkitError, OutOfGpuMemory
from dreamkit.transfer.memory import explain_out_of_memory
from dreamkit.transfer.messages import receive_from, send_to
from dreamkit.transfer.parallel import Ranks, join_ranks, unlinked_gpus, warn_of_unlinked
from dreamkit.transfer.reports import Progress

_PR_SET_PDEATHSIG = 1
WORKER_HINT = "Set num_gpus to 1 for a run without workers; if that works, report this with the message above."
MEMORY_HINT = "Set offload: true, free the GPUs, or use larger ones."


class RunStopped(Exception):
    """Raised in all workers, at the same step, when the process that started them stops the running function."""


@dataclass(frozen=True)
class WorkerFailure:
    """What went wrong in a worker.

    Attributes:
        message: a sentence, or a traceback.
        hint: what to do next; empty for a traceback.
        stopped: whether the function was stopped on request.
        in_step: whether the worker can go on, if all others failed alike: it was not cut off inside an exchange.
        error: class of the exception that the parent raises.
    """

    message: str
    hint: str = ""
    stopped: bool = False
    in_step: bool = False
    error: type[DreamkitError] = DreamkitError


@dataclass(frozen=True)
class Message:
    """A message from a worker: `kind` is ready, report, frame, log, done or failed; `value` belongs to it."""

    kind: str
    value: Any = None


@dataclass(frozen=True)
class Start:
    """The arguments with which a worker starts.

    Attributes:
        rank: its number.
        size: how many workers there are.
        device: cuda or cpu.
        store: file over which the workers find each other.
        parent: process id of the one that starts it.
        die_with_parent: whether Linux may end the worker when the thread that started it ends.
        build: makes the pipeline, from the ranks and the device.
    """

    rank: int
    size: int
    device: str
    store: Path
    parent: int
    die_with_parent: bool
    build: Callable[[Ranks, torch.device], Any]


class Worker:
    """One worker, the first argument of every function that runs in it.

    Attributes:
        ranks: this worker among the others.
        device: its device.
        pipeline: what `build` made.
    """

    def __init__(self, ranks: Ranks, device: torch.device, connection: Connection) -> None:
        self.ranks, self.device = ranks, device
        self.pipeline: Any = None
        self._connection = connection

    def send(self, kind: str, value: Any = None) -> None:
        """Send a message to the process that started the worker."""
        send_to(self._connection, Message(kind, value), os.getppid())

    def report(self, progress: Progress) -> None:
        """Progress listener of a pipeline: report, and wait until the run may go on.

        Every worker waits at the same steps, so that all stop at the same one.

        Raises:
            RunStopped: the run is to stop here.
        """
        preview = progress.preview_frame
        plain = Progress(
            progress.stage, progress.step, progress.steps, progress.window, progress.windows, progress.seconds
        )
        self.send("report", (plain, preview is not None))
        while (answer := receive_from(self._connection)) != "go":
            if answer == "stop":
                raise RunStopped
            self.send("frame", preview() if preview else None)

    def run(self, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
        """Run one function and send its result or failure."""
        try:
            with explain_out_of_memory(self.device, MEMORY_HINT):
                self.send("done", function(self, *given))
        except RunStopped:
            self.send("failed", WorkerFailure("The run was stopped.", stopped=True, in_step=True))
        except DreamkitError as error:
            memory = isinstance(error.__cause__, torch.cuda.OutOfMemoryError)
            # A pipeline's own hint names smaller presets, which take one GPU.
            hint = MEMORY_HINT if memory else error.hint or WORKER_HINT
            kind = OutOfGpuMemory if memory else DreamkitError
            self.send("failed", WorkerFailure(error.message, hint, in_step=not memory, error=kind))
        except Exception:
            self.send("failed", WorkerFailure(traceback.format_exc()))


class _LogToParent(logging.Handler):
    """Sends log records to the process that started the worker."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            self.worker.send("log", (record.name, record.levelno, record.getMessage()))


def worker_main(start: Start, connection: Connection, lifeline: Connection) -> None:
    """Run a worker until the process that started it closes `connection` or ends."""
    _end_with_parent(start, lifeline)
    # An interrupt from the keyboard reaches every process of a terminal; the parent's request to stop comes by pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Inductor's own processes would outlive a killed worker for a while; it has six small kernels to compile.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    cuda = start.device == "cuda"
    device = torch.device("cuda", start.rank) if cuda else torch.device("cpu")
    worker = None
    try:
        if cuda:
            torch.cuda.set_device(device)
        else:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // start.size))
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            store=dist.FileStore(str(start.store), start.size),  # pyright: ignore[reportPrivateImportUsage] - torch's stub lacks it
            rank=start.rank,
            world_size=start.size,
            device_id=device if cuda else None,
        )
        unlinked = unlinked_gpus(start.size) if cuda else []
        worker = Worker(join_ranks(start.rank, start.size, not unlinked), device, connection)
        logger = logging.getLogger("dreamkit")
        logger.propagate = False
        logger.addHandler(_LogToParent(worker) if start.rank == 0 else logging.NullHandler())
        logger.setLevel(logging.INFO)
        warn_of_unlinked(unlinked)
        worker.pipeline = start.build(worker.ranks, device)
        worker.send("ready")
    except DreamkitError as error:
        send_to(connection, Message("failed", WorkerFailure(error.message, error.hint or WORKER_HINT)), start.parent)
        return
    except Exception:
        send_to(connection, Message("failed", WorkerFailure(traceback.format_exc())), start.parent)
        return
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, given = receive_from(connection)
            worker.run(function, given)
            del function, given


def _end_with_parent(start: Start, lifeline: Connection) -> None:
    """Make this process end when the one that started it does."""
    if start.die_with_parent and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != start.parent:  # it ended before the call above
        os._exit(1)

    def wait_for_end() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv_bytes()  # nothing is ever sent; it returns when the other end closes
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait_for_end, daemon=True).start()
