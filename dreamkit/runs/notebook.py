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

import dreamkit
from dreamkit.captions.params import CaptionParams
from dreamkit.download.params import DownloadParams
from dreamkit.errors import DreamkitError, first_line
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.notebook.params import ALIASES, NotebookParams, P, params_table, parse_params
from dreamkit.notebook.progress import MODE
from dreamkit.notebook.text_values import ESCAPED, as_written, is_text, shorten
from dreamkit.review.params import ReviewParams
from dreamkit.setup.params import SetupParams
from dreamkit.styles.params import StyleParams
from dreamkit.workspace.files import nearest, read_text, read_yaml, replacing
from dreamkit.workspace.parsing import parse_yaml

if TYPE_CHECKING:
    from papermill import PapermillExecutionError

REPOSITORY = Path(dreamkit.__file__).resolve().parents[1]
KERNEL = "python3"
MODELS: dict[str, type[NotebookParams]] = {
    model.notebook: model
    for model in (
        SetupParams,
        DownloadParams,
        CaptionParams,
        StyleParams,
        SingleViewParams,
        MultiViewParams,
        ReviewParams,
    )
}


class KernelKilled(DreamkitError):
    """The kernel of a notebook ended without an answer; a batch tries its unit again."""


def params_model(notebook: str) -> type[NotebookParams]:
    """The model of a notebook's parameters.

    Args:
        notebook: the notebook's name, or its path.

    Raises:
        DreamkitError: there is no notebook of that name.
    """
    name = Path(notebook).stem
    if name not in MODELS:
        raise DreamkitError(f"There is no notebook {name!r}.", _nearest_notebook(name))
    return MODELS[name]


def find_notebook(notebook: str) -> Path:
    """The notebook file: of a path (which ends in .ipynb) that file, of a name the one that came with the package.

    A notebook is a program. One of the same name in the working folder may be somebody else's, so it is run by its path
    only.

    Raises:
        DreamkitError: there is none.
    """
    given, shipped = Path(notebook), REPOSITORY / "notebooks" / f"{Path(notebook).name}.ipynb"
    path = given if given.suffix == ".ipynb" else shipped
    if path.is_file():
        return path
    here = Path("notebooks") / f"{given.stem}.ipynb"
    raise DreamkitError(
        f"There is no notebook at {path}.",
        f"To run {here}, if you trust it, give that path." if here.is_file() else _nearest_notebook(given.stem),
    )


def _nearest_notebook(name: str) -> str:
    """A hint with the name most like a misspelt one, or with all names."""
    close = nearest(name, MODELS)
    return f"Did you mean {close}?" if close else f"There are {', '.join(MODELS)}."


def gather_params(model: type[P], file: Path | None, pairs: Mapping[str, Any]) -> P:
    """Parameters from a YAML file and from the command line, checked before a kernel starts.

    Where both give a parameter, the command line's value counts. The given parameters are the result's
    `model_fields_set`; they take precedence over a control spec, also where they equal their default.

    Args:
        model: the notebook's model.
        file: the YAML file, or None.
        pairs: parameter -> value, from the command line.

    Raises:
        DreamkitError: as `read_yaml` and `parse_params`.
    """
    values = _given_in_file(model, file) if file else {}
    on_line = {ALIASES.get(name, name) for name in pairs}
    values = {name: value for name, value in values.items() if ALIASES.get(name, name) not in on_line}
    origins = dict.fromkeys(values, str(file)) | dict.fromkeys(pairs, "command line")
    return parse_params(model, {**values, **pairs}, f"Notebook {model.notebook}", origins)


def _given_in_file(model: type[NotebookParams], file: Path) -> dict[str, Any]:
    """The values that a file gives; of a file that lists every parameter, those that differ from their defaults.

    Earlier versions of `params/` listed every parameter, and users have copies of them.
    """
    what = "parameter file"
    values = read_yaml(file, what)
    texts = parse_yaml(read_text(file, what), f"The {what} {file}", as_text=True)
    values = as_written(model, values, texts or {}, ALIASES)
    fields = model.model_fields
    if not set(values) >= set(fields):
        return values
    print(
        f"{file} lists every parameter of {model.notebook}, as files of earlier versions did: values that equal their"
        " default count as not given. List only the parameters that you set.",
        file=sys.stderr,
    )
    return {name: value for name, value in values.items() if name not in fields or value != fields[name].default}


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
    kept = output or ws.executed(source.stem)
    stopped: BaseException | None = None
    with replacing(kept) as partial:  # fails now, not after the run, when the folder cannot be written
        try:
            _execute(source, params, partial, kept)
        except (DreamkitError, KeyboardInterrupt) as error:
            stopped = error  # the copy is kept as far as the notebook ran
        if not _is_whole(partial):
            raise stopped or _unwritten(kept, "it is incomplete")
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
                extra_arguments=["--InteractiveShellApp.ignore_cwd=True"],
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
        raise KernelKilled(
            f"The kernel of notebook {source.stem} was killed, most likely because the machine ran out of memory.",
            "Free memory or choose fewer clips at once. Finished results are kept; the same command continues.",
        ) from None
    except OSError as error:
        raise _unwritten(kept, error.strerror or first_line(error)) from error


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
    }


@contextlib.contextmanager
def _kernel_environment() -> Iterator[None]:
    """Environment of kernels that are started inside.

    They print a line per step, because a log cannot show a bar. Python leaves the working folder out of its path
    (from 3.11 on; IPython's own argument `ignore_cwd` is for the others), so that an `av.py` there is not imported.
    """
    names = {MODE: os.environ.get(MODE, "lines"), "PYTHONSAFEPATH": "1"}
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
