"""The process of one unit: `python -m dreamkit.runs.batch_worker FOLDER KEY ATTEMPT`.

It ends with the process that started it, and so does the kernel of its notebook. It holds a lock for each result, so
that two batches do not make the same ones, and writes how it ended; whether the results are there is judged on disk.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.runs.batch_params import STAGE_MODELS, render_options
from dreamkit.runs.batch_units import BatchFolder, Unit, UnitEnd
from dreamkit.runs.child_process import PARENT, kernel_folder
from dreamkit.workspace.failures import Failure, failure_of
from dreamkit.workspace.files import write_json
from dreamkit.workspace.locks import file_lock
from dreamkit.workspace.processes import end_unit_with_parent
from dreamkit.workspace.workspace import Workspace, from_home

BUSY, FINISHED, STOPPED = "busy", "finished", "failed"
_WHOLE = "_whole"
"""In place of a result in the lock of the stages whose notebook works on all clips."""


@contextlib.contextmanager
def unit_locks(ws: Workspace, unit: Unit) -> Iterator[bool]:
    """Hold the locks of a unit's results; yields False, without any, where another process holds one of them."""
    whole = unit.stage in ("captions", "review")
    names = {_WHOLE} if whole else {target.result for target in unit.targets}
    with contextlib.ExitStack() as stack:
        paths = [ws.lock_file(f"batch-{unit.stage}", name) for name in sorted(names)]
        if all(stack.enter_context(file_lock(path, path.stem, wait=False)) for path in paths):
            yield True
            return
    yield False  # outside the stack, which has released those that were free


def run_unit(folder: BatchFolder, unit: Unit, attempt: int) -> UnitEnd:
    """Execute a unit's notebook, or render its clips; an exception is part of the returned value."""
    began, host, gpus = time.monotonic(), socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    ws = Workspace(unit.workspace)
    failure = None
    try:
        with unit_locks(ws, unit) as ours:
            if not ours:
                return UnitEnd(BUSY, host=host, gpus=gpus)
            _execute(folder, ws, unit, attempt)
    except Exception as error:  # whatever it is, the batch goes on and reports it
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        failure = _failure(error)
    outcome = STOPPED if failure else FINISHED
    return UnitEnd(outcome, round(time.monotonic() - began, 3), failure, host, gpus)


def _execute(folder: BatchFolder, ws: Workspace, unit: Unit, attempt: int) -> None:
    if unit.stage == "render":
        from dreamkit.rds.render import render_clips

        values = dict(unit.params)
        labels = from_home(values.pop("labels"))
        render_clips(labels, ws.root, render_options(values, unit.clips))
        return
    from dreamkit.notebook.params import parse_params
    from dreamkit.runs.notebook import run_notebook

    model = STAGE_MODELS[unit.stage]
    params = parse_params(model, unit.params, f"Unit {unit.key}")
    run_notebook(model.notebook, params, folder.notebook(unit.key, attempt))


def _failure(error: Exception) -> Failure:
    """The failure of an exception; of one in a notebook, the kind is the class that the kernel reported."""
    found = failure_of(error)
    kind = getattr(error.__context__, "ename", None)
    return Failure(kind, found.message, found.hint, found.number) if isinstance(kind, str) else found


def main(arguments: list[str] | None = None) -> None:
    """Run a unit in this process and write its end."""
    root, key, attempt = arguments or sys.argv[1:]
    if PARENT in os.environ:
        end_unit_with_parent(int(os.environ[PARENT]))
    folder = BatchFolder(Path(root))
    unit = folder.read_unit(key)
    try:
        kernels = kernel_folder(Workspace(unit.workspace).cache(f"kernels/{socket.gethostname()}"))
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (str(kernels), before)))
        end = run_unit(folder, unit, int(attempt))
    except DreamkitError as error:
        end = UnitEnd(STOPPED, failure=failure_of(error))
    write_json(folder.end(key, int(attempt)), end.as_dict())


if __name__ == "__main__":
    main()
