"""Processes: whether one still runs, children that end with their parent, and SIGTERM that ends like Ctrl-C."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux, prctl(2)
_POLL_SECONDS = 1.0
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment of child processes whose Python leaves the working folder out of its path (from Python 3.11 on), because
a file there may have the name of a module."""


def is_running(process: int) -> bool:
    """Whether a process of this number runs on this machine, whoever owns it."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def end_with_parent() -> None:
    """Let this worker of a process pool end when its parent does, however that ends; Ctrl-C is left to the parent.

    For the `initializer` of a pool whose processes are spawned.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def end_unit_with_parent(parent: int) -> None:
    """Let this process be killed when its parent ends, and end at once where that has ended already.

    On Linux the system does it (`prctl`, PR_SET_PDEATHSIG), as soon as the parent's thread that started this process
    ends; elsewhere a thread compares the parent's process id once a second.

    Args:
        parent: process id of the parent.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    else:
        threading.Thread(target=_end_without, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def end_with_this_process() -> Callable[[], object] | None:
    """The `preexec_fn` of a subprocess that gets SIGTERM when this process ends in any way; None where that fails.

    To be called by the thread that starts the subprocess, which must live as long as this process (prctl(2)).
    """
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)  # loaded before the fork, after which little may be done
    return lambda: library.prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)


def run_child(
    command: Sequence[str], folder: Path, patience: float = 10.0, environment: Mapping[str, str] | None = None
) -> int:
    """Run a program until it ends, and return its exit code; it ends with this process.

    After an exception, such as Ctrl-C, it is terminated, and killed after `patience` seconds.
    """
    process = subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=end_with_this_process())
    try:
        return process.wait()
    finally:
        for end in (process.terminate, process.kill):
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    end()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)


@contextlib.contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise KeyboardInterrupt; afterwards they end the process with exit code 143.

    A signal that is ignored (SIGHUP under nohup) stays ignored. Only the main thread can change signals; elsewhere the
    block runs without.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        if len(received) == 1:  # a second one must not break off the cleaning up
            raise KeyboardInterrupt

    signs = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before: dict[signal.Signals, Callable | int | None] = {}
    for sign in signs:
        if signal.getsignal(sign) == signal.SIG_DFL:
            before[sign] = signal.signal(sign, interrupt)
    try:
        yield
    except BaseException:
        if not received:
            raise
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    if received:
        raise SystemExit(128 + received[0])
