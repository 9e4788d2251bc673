"""Kernels of a batch's notebooks that end with the unit that started them, also when it is killed.

`python -m dreamkit.runs.child_process -f FILE` is a Jupyter kernel of this kind; `kernel_folder` makes it the kernel
`python3` for the processes that have the folder in JUPYTER_PATH.
"""

from __future__ import annotations

import os
from pathlib import Path

from dreamkit.workspace.files import write_json
from dreamkit.workspace.processes import end_unit_with_parent

PARENT = "DREAMKIT_PARENT"
"""Environment variable: process id of the parent that a unit ends with."""


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
