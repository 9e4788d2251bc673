"""`dreamkit lab`: JupyterLab on working copies of the notebooks, at the folder that it is started in."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.notebook.interruption import KERNEL_LINE
from dreamkit.notebook.param_values import PARAMS_VARIABLE, find_params_folder
from dreamkit.runs import notebook_files
from dreamkit.runs.notebook import can_encrypt, gather_params
from dreamkit.workspace.paths import HOME, home
from dreamkit.workspace.processes import SAFE_PATH, run_child

FIRST = "00_setup"


def open_lab(params: str = "", notebook: str = FIRST, arguments: Sequence[str] = ()) -> int:
    """Open JupyterLab at a notebook; returns its exit code when it is closed.

    Its kernels are this Python, and relative paths in them start from the folder that this is started in.

    Args:
        params: folder of a parameter set, for the notebooks whose cell names none; "" for none.
        notebook: name of the notebook to open, as for `notebook_name`.
        arguments: passed to `jupyter lab`.

    Raises:
        DreamkitError: the notebooks are not there, the folder cannot be written, or a parameter cannot be used.
    """
    folder, name = home(), notebook_files.params_model(notebook).notebook
    if params:
        check_params(params)
    for kept in notebook_files.make_working_copies(folder):
        print(f"{notebook_files.COPIES}/{kept}.ipynb is your own version, which differs from the shipped notebook.")
    with tempfile.TemporaryDirectory(prefix="dreamkit-lab-") as kernels:
        _write_kernel(Path(kernels), folder, params)
        paths = [kernels, *filter(None, [os.environ.get("JUPYTER_PATH")])]
        environment = {**os.environ, "JUPYTER_PATH": os.pathsep.join(paths)}
        for variable in SAFE_PATH:  # terminals of JupyterLab run the user's own scripts; kernels have it, see below
            environment.pop(variable, None)
        safe = ["-P"] if sys.version_info >= (3, 11) else []
        command = [sys.executable, *safe, "-m", "jupyter", "lab", *_options(folder, name), *arguments]
        try:
            return run_child(command, folder, environment=environment)
        except KeyboardInterrupt:  # how JupyterLab is usually closed
            return 0


def check_params(params: str) -> None:
    """Check every value of a parameter set.

    Args:
        params: the folder, or `params/demo` or `params/cosmos` of the package.

    Raises:
        DreamkitError: it is no folder, has no file for any notebook, or a value cannot be used.
    """
    folder = find_params_folder(params)
    models = [model for name, model in notebook_files.MODELS.items() if (folder / f"{name}.yaml").is_file()]
    if not models:
        raise DreamkitError(
            f"The folder {folder} has no parameter file that is named after a notebook.",
            f"Name its files {', '.join(f'{name}.yaml' for name in notebook_files.MODELS)}, as far as you need them.",
        )
    for model in models:
        gather_params(model, folder, {})


def _options(folder: Path, notebook: str) -> list[str]:
    """Options of `jupyter lab`: the root folder, the page, and what the form in the notebooks needs."""
    return [
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{notebook_files.COPIES}/{notebook}.ipynb",
        "--LabApp.expose_app_in_browser=True",  # the parameter form writes the parameters cell through it
        *(["--KernelManager.transport_encryption=auto"] if can_encrypt() else []),
    ]


def _write_kernel(folder: Path, start: Path, params: str) -> None:
    """Write the specification of the kernel `python3`: this Python, with the folder and parameters of this command.

    The notebook's folder comes last on Python's path: the user's own modules there are found, and a file with the name
    of a library is not imported instead of it.

    JupyterLab opens a widget channel before the first cell runs; ipykernel logs an error unless ipywidgets, which
    answers it, is imported by then.
    """
    from ipykernel.kernelspec import get_kernel_dict

    spec = get_kernel_dict()
    lines = ["import ipywidgets as _widgets", KERNEL_LINE, "__import__('sys').path.append('')"]
    options = ["--InteractiveShellApp.ignore_cwd=True", *(f"--IPKernelApp.exec_lines={line}" for line in lines)]
    spec["argv"] = [sys.executable, *spec["argv"][1:], *options]
    spec["env"] = {HOME: str(start), PARAMS_VARIABLE: params, **SAFE_PATH}
    target = folder / "kernels" / "python3"
    target.mkdir(parents=True)
    (target / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
