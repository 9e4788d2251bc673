"""The Ray engine: each unit is a task on a Ray cluster, whose nodes share the workspace's folder or a store.

A task starts the same process as the local engine. Ray finds the CPU cores and GPUs; a unit that needs several GPUs has
a placement group, so that they are on one node. A unit whose node is lost is put back into the queue.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError, first_line
from dreamkit.notebook.progress import MODE
from dreamkit.runs.batch_store import result_patterns, scratch_unit
from dreamkit.runs.batch_units import BatchFolder, Unit
from dreamkit.runs.child_process import PARENT
from dreamkit.runs.engine_local import Ended
from dreamkit.workspace.processes import SAFE_PATH

# Of the driver's environment, what the units on other nodes need too.
_PASSED_ON = ("PYTHONPATH", "DREAMKIT_CACHE", "HF_HOME")


def store_process(
    url: str, workspace: str, name: str, unit: dict[str, Any], attempt: int, environment: Mapping[str, str]
) -> int:
    """Run a unit in a scratch folder of this node: copy its inputs in, and what it made out; returns its exit code.

    Args:
        url: URL of the store.
        workspace: the workspace folder of the machine that runs the batch.
        name: name of the batch.
        unit: the unit, as JSON values.
        attempt: number of the attempt.
        environment: variables to add.
    """
    own = Unit.from_dict(unit)
    store, folder = scratch_unit(url, Path(workspace), name, own)
    try:
        return unit_process(str(folder.root), own.key, attempt, str(store.root), environment)
    finally:
        store.push(result_patterns(own))


def unit_process(root: str, key: str, attempt: int, folder: str, environment: Mapping[str, str]) -> int:
    """Run a unit's process on this node and wait for it; returns its exit code.

    Args:
        root: folder of the batch.
        key: the unit.
        attempt: number of the attempt.
        folder: working folder.
        environment: variables to add.
    """
    own = {**os.environ, **environment, **SAFE_PATH, PARENT: str(os.getpid()), MODE: "lines"}
    log = BatchFolder(Path(root)).log(key, attempt)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.call(
            [sys.executable, "-m", "dreamkit.runs.batch_worker", root, key, str(attempt)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=own,
            start_new_session=True,
        )


class RayEngine:
    """Units as tasks of a Ray cluster.

    Args:
        address: the cluster's address, or "auto".
        workers: units at a time; 0 for as many as the cluster has room for, and one in reserve.
        cpus: CPU cores of a unit.
        store: URL that units copy their files from and to; empty where all nodes share the workspace's folder.

    Raises:
        DreamkitError: Ray is not installed, or the cluster does not answer.
    """

    def __init__(self, address: str, workers: int, cpus: int, store: str = "") -> None:
        try:
            import ray  # pyright: ignore[reportMissingImports]  # optional extra
        except ImportError:
            raise DreamkitError(
                "The engine ray needs the package ray, which is not installed.",
                "Install it: pip install 'dreamkit[ray]'.",
            ) from None
        self._ray = ray
        self.workers = workers
        self.cpus = cpus
        self.store = store
        self._running: dict[str, _Task] = {}
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise DreamkitError(
                    f"There is no Ray cluster at the address {address!r}: {first_line(error)}.",
                    "Start one with `ray start --head` and join the other nodes, or use --engine local.",
                ) from None

    @property
    def summary(self) -> str:
        """What it runs on."""
        nodes = sum(bool(node["Alive"]) for node in self._ray.nodes())
        return f"Ray cluster: {nodes} nodes, {self._total('CPU'):g} CPU cores, {self._total('GPU'):g} GPUs"

    def _total(self, kind: str) -> float:
        return float(self._ray.cluster_resources().get(kind, 0))

    def _gpus(self, unit: Unit) -> int:
        """GPUs of a unit; 0 on a cluster without any, where its notebook runs on the CPU."""
        return unit.gpus if self._total("GPU") else 0

    def has_room(self, unit: Unit) -> bool:
        """Whether a unit can be submitted to Ray now; Ray starts it when a node has room."""
        if self.workers:
            return len(self._running) < self.workers
        gpus = self._gpus(unit)
        places = self._total("GPU") // gpus if gpus else self._total("CPU") // self.cpus
        return len(self._running) < max(1, places) + 1

    def start(self, folder: BatchFolder, unit: Unit, attempt: int) -> str:
        """Submit a unit to Ray; returns where it runs, for the reader."""
        from ray.util.placement_group import placement_group  # pyright: ignore[reportMissingImports]  # optional extra
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # pyright: ignore[reportMissingImports]  # optional extra

        gpus, group = self._gpus(unit), None
        folder.log(unit.key, attempt).parent.mkdir(parents=True, exist_ok=True)
        folder.log(unit.key, attempt).touch()  # counts as an attempt, also where no node ever starts it
        options: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": gpus, "max_retries": 0}
        if gpus > 1:
            group = placement_group([{"CPU": self.cpus, "GPU": gpus}], strategy="STRICT_PACK")
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(placement_group=group)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        if self.store:
            task = self._ray.remote(store_process).options(**options)
            workspace = str(folder.root.parents[1])
            reference = task.remote(self.store, workspace, folder.root.name, unit.as_dict(), attempt, environment)
        else:
            task = self._ray.remote(unit_process).options(**options)
            reference = task.remote(str(folder.root), unit.key, attempt, str(Path.cwd()), environment)
        self._running[unit.key] = _Task(reference, attempt, group)
        return "Ray" + (f", {gpus} GPU{'s' if gpus > 1 else ''}" if gpus else "")

    def ended(self) -> list[Ended]:
        """The units that have ended since the last call; `code` is None for one whose worker or node was lost."""
        from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]  # optional extra

        if not self._running:
            return []
        references = {task.reference: key for key, task in self._running.items()}
        ready, _ = self._ray.wait(list(references), num_returns=len(references), timeout=0)
        over = []
        for reference in ready:
            key = references[reference]
            task = self._running.pop(key)
            try:
                code = int(self._ray.get(reference))
            except RayError:
                code = None
            self._remove(task)
            over.append(Ended(key, task.attempt, code))
        return over

    def _remove(self, task: _Task) -> None:
        if task.group is not None:
            from ray.util.placement_group import remove_placement_group  # pyright: ignore[reportMissingImports]  # optional extra

            remove_placement_group(task.group)

    def stop(self) -> None:
        """Cancel the tasks; the processes of units and kernels end with Ray's workers."""
        for task in self._running.values():
            self._ray.cancel(task.reference, force=True)
            self._remove(task)
        self._running.clear()


@dataclass(frozen=True)
class _Task:
    """A unit submitted to Ray: its object reference, the attempt, and its placement group."""

    reference: Any
    attempt: int
    group: Any
