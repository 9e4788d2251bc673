"""Run a notebook without a browser: check its parameters, execute it with papermill, keep the executed copy."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamkit.errors import DreamkitError, ProcessKilled, first_line
from dreamkit.notebook.interruption import KERNEL_LINE
from dreamkit.notebook.param_values import (
    ALIASES,
    PARAMS_FILE,
    PARAMS_VARIABLE,
    find_params_file,
    given_over,
    read_params_file,
)
from dreamkit.notebook.params import NotebookParams, P, params_table, parse_params
from dreamkit.notebook.progress import MODE
from dreamkit.notebook.text_values import ESCAPED, as_written, is_text, shorten
from dreamkit.runs.notebook_files import MODELS, find_notebook, notebook_name, params_model
from dreamkit.workspace.files import replacing
from dreamkit.workspace.parsing import parse_yaml
from dreamkit.workspace.paths import remember_start

if TYPE_CHECKING:
    from papermill import PapermillExecutionError

KERNEL = "python3"
__all__ = [
    "MODELS",
    "describe_params",
    "find_notebook",
    "gather_params",
    "params_model",
    "read_pairs",
    "run_notebook",
]


def gather_params(
    model: type[P], file: Path | None, pairs: Mapping[str, Any], cell: Mapping[str, Any] | None = None
) -> P:
    """Parameters from a YAML file and from the command line, checked before a kernel starts.

    Where both give a parameter, the command line's value counts. The given parameters are the result's
    `model_fields_set`; they take precedence over a control spec, also where they equal their default.

    Args:
        model: the notebook's model.
        file: the YAML file, or a folder of them, or None.
        pairs: parameter -> value, from the command line.
        cell: parameter -> value, from the notebook's own cells; those of file and command line take precedence.

    Raises:
        DreamkitError: as `find_params_file`, `read_params_file` and `parse_params`; or the file is another notebook's.
    """
    values, origins = dict(cell or {}), dict.fromkeys(cell or {}, "the notebook's cell")
    if file:
        path = find_params_file(model, file)
        in_file = read_params_file(model, path)
        _check_is_of(model, path, in_file)
        values, origins = given_over(values, in_file), origins | dict.fromkeys(in_file, str(path))
    values = given_over(values, pairs)
    return parse_params(model, values, f"Notebook {model.notebook}", origins | dict.fromkeys(pairs, "command line"))


def _check_is_of(model: type[NotebookParams], file: Path, values: Mapping[str, Any]) -> None:
    """Refuse a file with parameters that this notebook does not have, and all of which another notebook has.

    Raises:
        DreamkitError: it is the other notebook's.
    """
    names = {ALIASES.get(name, name) for name in values}
    if names <= set(model.model_fields):
        return
    others = [name for name, other in MODELS.items() if names <= set(other.model_fields)]
    if others:
        other = next((name for name in others if name in file.stem), others[0])
        strange = next(name for name in names if name not in model.model_fields)
        raise DreamkitError(
            f"{file} is a parameter file of notebook {other}, not of {model.notebook}, which has no {strange}.",
            f"Run `dreamkit run {other} -f {file}`, or give a file of {model.notebook}.",
        )


def read_pairs(model: type[NotebookParams], pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE arguments, the values read as YAML: `clips=[a, b]`, `control_weight={hdmap: 0.3, lidar: 0.7}`.

    Args:
        model: the notebook's model; its fields declared as text keep their text.
        pairs: the arguments.

    Raises:
        DreamkitError: no `=`, or a value that is not YAML.
    """
    values, texts = {}, {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        field = model.model_fields.get(ALIASES.get(name, name))
        try:
            texts[name] = parse_yaml(text, name, as_text=True)
            # A text needs no reading as a number or a date, which fails for 2026-13-45.
            texts_only = field is not None and is_text(field) and text.strip().lower() != "null"
            values[name] = parse_yaml(text, name, as_text=texts_only) if text.strip() else ""
        except DreamkitError:
            equals = ""
        if not equals or not name:
            hint = "Write, for example, -p num_steps=20 or -p 'styles=[Night, Rainy]'."
            if "\\" in text:
                hint = f"In that value {ESCAPED}."
            raise DreamkitError(f"{shorten(repr(pair))} after -p is not KEY=VALUE.", hint)
    return as_written(model, values, texts, ALIASES)


def describe_params(notebook: str) -> str:
    """The parameters of a notebook as a table of text: name, default, bounds, meaning."""
    rows = [("parameter", "default", "bounds", "meaning"), *params_table(params_model(notebook))]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(f"{row[k]:<{widths[k]}}" for k in range(3)), row[3]]).rstrip() for row in rows)


def run_notebook(notebook: str, params: NotebookParams, output: Path | None = None) -> Path:
    """Execute a notebook in the working folder; its output is printed.

    Args:
        notebook: name or path.
        params: checked parameters. Those given are injected into the notebook, and so are those that its own cell has
            another value for.
        output: file of the executed copy; in the workspace's `notebooks/` when left out.

    Returns:
        The executed copy. It is kept when the notebook fails, too.

    Raises:
        DreamkitError: the notebook's own error, or why it stopped otherwise: its kernel was killed, the executed copy
            cannot be written.
    """
    source = find_notebook(notebook)
    ws = params.open_workspace()
    kept = output or ws.executed(notebook_name(notebook))
    stopped: BaseException | None = None
    with replacing(kept) as partial:  # fails now, not after the run, when the folder cannot be written
        try:
            _execute(source, params, partial, kept)
        except (DreamkitError, KeyboardInterrupt) as error:
            stopped = error  # the copy is kept as far as the notebook ran
        if not _is_whole(partial):
            raise stopped or _unwritten(kept, "it is incomplete")
    remember_start(kept.resolve().parent)
    if stopped is not None:
        raise stopped
    return kept


def _is_whole(copy: Path) -> bool:
    """Whether a notebook was written to its end; a full disk leaves half of one, or none."""
    try:
        json.loads(copy.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _unwritten(kept: Path, reason: str) -> DreamkitError:
    return DreamkitError(
        f"The executed copy {kept} cannot be written: {reason}.",
        "Check that the disk has room. Finished results are kept; run the same command again to continue.",
    )


def _execute(source: Path, params: NotebookParams, partial: Path, kept: Path) -> None:
    """Execute a notebook and write its copy to `partial`, which becomes `kept`.

    Raises:
        DreamkitError: as `run_notebook`.
    """
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    try:
        with _kernel_environment():
            papermill.execute_notebook(
                str(source),
                str(partial),
                parameters=_to_inject(source, params),
                kernel_name=KERNEL,
                cwd=str(Path.cwd()),
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
                extra_arguments=["--InteractiveShellApp.ignore_cwd=True", f"--IPKernelApp.exec_lines={KERNEL_LINE}"],
                config=Config({"KernelManager": {"transport_encryption": "auto"}} if can_encrypt() else {}),
            )
    except papermill.PapermillExecutionError as error:
        raise _notebook_error(error, source.stem, kept) from None
    except KeyboardInterrupt:
        print("\ninterrupted: finished files are kept; run the same command again to continue", file=sys.stderr)
        raise
    except NoSuchKernel:
        raise DreamkitError(
            f"There is no Jupyter kernel {KERNEL!r} in this Python ({sys.executable}).",
            "Install ipykernel into it: pip install ipykernel.",
        ) from None
    except DeadKernelError:
        raise ProcessKilled(
            f"The kernel of notebook {source.stem} was killed, most likely because the machine ran out of memory.",
            "Free memory or choose fewer clips at once. Finished results are kept; the same command continues.",
        ) from None
    except OSError as error:
        raise _unwritten(kept, error.strerror or first_line(error)) from error


def can_encrypt() -> bool:
    """Whether the installed versions can encrypt kernels' connections; without it ipykernel 7.3 and newer warn."""
    import zmq
    from jupyter_client.manager import KernelManager

    return hasattr(KernelManager, "transport_encryption") and bool(zmq.has("curve"))


def _to_inject(source: Path, params: NotebookParams) -> dict[str, Any]:
    """The parameters that were given, and those for which the notebook's own cell has another value."""
    import papermill

    cell = {}
    for name, found in papermill.inspect_notebook(str(source)).items():
        with contextlib.suppress(ValueError, SyntaxError):
            cell[name] = ast.literal_eval(found["default"])
    return {
        name: value
        for name, value in params.model_dump().items()
        if name in params.model_fields_set or name not in cell or cell[name] != value
        # Its values are among the others; so the copy can be run where the file is missing.
        if name != PARAMS_FILE or not value
    }


@contextlib.contextmanager
def _kernel_environment() -> Iterator[None]:
    """Environment of kernels that are started inside.

    The parameter set of `dreamkit lab` does not hold in them. They print a line per step, because a log cannot
    show a bar. Python leaves the working folder out of its path (from 3.11 on; IPython's own argument `ignore_cwd` is
    for the others), so that an `av.py` there is not imported.
    """
    names = {MODE: os.environ.get(MODE, "lines"), "PYTHONSAFEPATH": "1", PARAMS_VARIABLE: ""}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _notebook_error(error: PapermillExecutionError, notebook: str, kept: Path) -> DreamkitError:
    """The DreamkitError that the notebook raised; another exception as one, with the place of its traceback."""
    if raised := DreamkitError.from_traceback(error.traceback):
        return raised
    if (error.ename, error.evalue) == ("ModuleNotFoundError", "No module named 'dreamkit'"):
        return DreamkitError(
            f"The Jupyter kernel {KERNEL!r} belongs to a Python that has no dreamkit.",
            f"Install a kernel of this Python: {sys.executable} -m ipykernel install --sys-prefix.",
        )
    return DreamkitError(
        f"Notebook {notebook} stopped in cell {error.exec_count}: {error.ename}: {error.evalue}.",
        f"The whole traceback is in {kept}.",
    )
