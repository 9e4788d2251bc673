"""The local engine: a process for each unit, on the GPUs of this machine or on its CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import MODE
from dreamkit.runs.batch_units import BatchFolder, Unit
from dreamkit.runs.child_process import PARENT
from dreamkit.workspace.processes import SAFE_PATH


@dataclass(frozen=True)
class Ended:
    """A unit whose process has ended.

    Attributes:
        key: the unit.
        attempt: number of the attempt.
        code: exit code of the process, negative for a signal; None where its machine was lost.
    """

    key: str
    attempt: int
    code: int | None


class Engine(Protocol):
    """Where units run."""

    @property
    def summary(self) -> str:
        """What it runs on, for the reader."""
        ...

    def has_room(self, unit: Unit) -> bool:
        """Whether a unit can start now.

        Raises:
            DreamkitError: it can never start here.
        """
        ...

    def start(self, folder: BatchFolder, unit: Unit, attempt: int) -> str:
        """Start a unit; returns where it runs, for the reader."""
        ...

    def ended(self) -> list[Ended]:
        """The units that have ended since the last call."""
        ...

    def stop(self) -> None:
        """Kill everything that runs, and free what it holds."""
        ...


class LocalEngine:
    """Units as processes of this machine; each has its GPUs for itself.

    Args:
        gpus: names of the GPUs, as CUDA_VISIBLE_DEVICES has them.
        workers: units at a time.
    """

    def __init__(self, gpus: Sequence[str], workers: int) -> None:
        self.gpus = list(gpus)
        self.workers = workers
        self._running: dict[str, _Running] = {}

    @property
    def summary(self) -> str:
        """What it runs on."""
        where = f"{len(self.gpus)} GPU{'s' if len(self.gpus) > 1 else ''}" if self.gpus else "the CPU"
        return f"{self.workers} unit{'s' if self.workers > 1 else ''} at a time on {where}"

    def _free(self) -> list[str]:
        taken = {gpu for running in self._running.values() for gpu in running.gpus}
        return [gpu for gpu in self.gpus if gpu not in taken]

    def has_room(self, unit: Unit) -> bool:
        """Whether a unit can start now.

        Raises:
            DreamkitError: it needs more GPUs than this machine has.
        """
        if self.gpus and unit.gpus > len(self.gpus):
            raise DreamkitError(
                f"A unit of the stage {unit.stage} needs {unit.gpus} GPUs, and this machine has {len(self.gpus)}.",
                "Lower num_gpus, or run the batch on a machine or cluster that has them.",
            )
        needed = unit.gpus if self.gpus else 0
        return len(self._running) < self.workers and len(self._free()) >= needed

    def start(self, folder: BatchFolder, unit: Unit, attempt: int) -> str:
        """Start a unit's process; returns its process id and GPUs."""
        gpus = self._free()[: unit.gpus]
        environment = {**os.environ, **SAFE_PATH, PARENT: str(os.getpid()), MODE: "lines"}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        else:
            threads = max(1, (os.cpu_count() or 1) // self.workers)
            environment.setdefault("OMP_NUM_THREADS", str(threads))
        log = folder.log(unit.key, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dreamkit.runs.batch_worker", str(folder.root), unit.key, str(attempt)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the batch alone, which lets running units finish
            )
        self._running[unit.key] = _Running(process, attempt, tuple(gpus))
        return f"process {process.pid}" + (f" on GPU {', '.join(gpus)}" if gpus else "")

    def ended(self) -> list[Ended]:
        """The units that have ended since the last call."""
        over = [(key, running) for key, running in self._running.items() if running.process.poll() is not None]
        for key, _ in over:
            del self._running[key]
        return [Ended(key, running.attempt, running.process.returncode) for key, running in over]

    def stop(self) -> None:
        """Kill the processes that run; their kernels end with them."""
        for running in self._running.values():
            running.process.kill()
        for running in self._running.values():
            running.process.wait()
        self._running.clear()


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    attempt: int
    gpus: tuple[str, ...]


def machine_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(index) for index in range(count)]
