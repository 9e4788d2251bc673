"""Processes that end with their parent, also when it is killed: units of a batch and the kernels of their notebooks.

`python -m dreamkit.runs.child_process -f FILE` is a Jupyter kernel of this kind; `kernel_folder` makes it the kernel
`python3` for the processes that have the folder in JUPYTER_PATH.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from dreamkit.workspace.files import write_json

PARENT = "DREAMKIT_PARENT"
"""Environment variable: process id of the parent that a unit ends with."""
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 1.0


def end_unit_with_parent(parent: int) -> None:
    """Let this process be killed when its parent ends, and end at once where that has ended already.

    On Linux the system does it (`prctl`, PR_SET_PDEATHSIG), as soon as the parent's thread that started this process
    ends; elsewhere a thread compares the parent's process id once a second.

    Args:
        parent: process id of the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def kernel_folder(folder: Path) -> Path:
    """Write the specification of a kernel `python3` of this Python that ends with its parent; returns `folder`."""
    from ipykernel.kernelspec import get_kernel_dict

    spec = get_kernel_dict()
    module = "dreamkit.runs.child_process"
    spec["argv"] = [module if part == "ipykernel_launcher" else part for part in spec["argv"]]
    write_json(folder / "kernels" / "python3" / "kernel.json", spec)
    return folder


def main() -> None:
    """Run a kernel that ends with the process that started it."""
    end_unit_with_parent(int(os.environ.get("JPY_PARENT_PID", os.getppid())))
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance()


if __name__ == "__main__":
    main()
