"""Run a notebook headless: check the parameters, execute through papermill, keep the executed copy."""

from __future__ import annotations

import ast
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import dreamkit
from dreamkit.captions.params import CaptionParams
from dreamkit.download.params import DownloadParams
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.notebook.params import ALIASES, NotebookParams, parse, read_yaml, table, without_defaults
from dreamkit.notebook.progress import MODE
from dreamkit.review.params import ReviewParams
from dreamkit.setup.params import SetupParams
from dreamkit.styles.params import StyleParams
from dreamkit.workspace.files import PARTIAL_PREFIX, nearest, write_json

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


def model_of(notebook: str) -> type[NotebookParams]:
    """The model of a notebook's parameters, by its name without folder and suffix.

    Raises:
        DreamkitError: no notebook of that name.
    """
    if notebook not in MODELS:
        close = nearest(notebook, MODELS)
        raise DreamkitError(
            f"There is no notebook {notebook!r}.",
            f"Did you mean {close}?" if close else f"There are {', '.join(MODELS)}.",
        )
    return MODELS[notebook]


def find(notebook: str) -> Path:
    """The notebook file: the path given, else that name in `notebooks/` here or beside the package.

    Raises:
        DreamkitError: there is none.
    """
    given = Path(notebook)
    folders = (Path("notebooks"), REPOSITORY / "notebooks")
    for path in (given, *(folder / f"{given.stem}.ipynb" for folder in folders)):
        if path.suffix == ".ipynb" and path.is_file():
            return path
    close = nearest(given.stem, MODELS)
    raise DreamkitError(
        f"There is no notebook {notebook}, nor {given.stem}.ipynb in {folders[0]} or {folders[1]}.",
        f"Did you mean {close}?" if close else f"There are {', '.join(MODELS)}.",
    )


def gather(notebook: str, file: Path | None, pairs: Mapping[str, Any]) -> NotebookParams:
    """Parameters from a YAML file and from the command line, which wins; checked before any kernel starts.

    A file that lists every parameter, as those in `params/` do, gives those that differ from their defaults; a shorter
    one gives all it lists. What is given is in the result's `model_fields_set` and is stronger than a control spec.

    Raises:
        DreamkitError: see `params.read_yaml` and `params.parse`.
    """
    model, values = model_of(Path(notebook).stem), read_yaml(file) if file else {}
    if set(values) >= set(model.model_fields):
        values = without_defaults(model, values)
    meant = {ALIASES.get(name, name) for name in pairs}
    values = {name: value for name, value in values.items() if ALIASES.get(name, name) not in meant}
    origins = dict.fromkeys(values, str(file)) | dict.fromkeys(pairs, "command line")
    return parse(model, {**values, **pairs}, f"Notebook {Path(notebook).stem}", origins)


def read_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE arguments, the values read as YAML: `clips=[a, b]`, `control_weight={hdmap: 0.3, lidar: 0.7}`.

    Raises:
        DreamkitError: no `=`, or a value that is not YAML.
    """
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            values[name.strip()] = yaml.safe_load(text) if text.strip() else ""
        except yaml.YAMLError:
            equals = ""
        if not equals or not name.strip():
            raise DreamkitError(
                f"-p {pair!r} is not KEY=VALUE.", "For example -p num_steps=20 or -p 'styles=[Night, Rainy]'."
            )
    return values


def describe(notebook: str) -> str:
    """The parameters of a notebook as a table of text: name, default, bounds, meaning."""
    rows = [("parameter", "default", "bounds", "meaning"), *table(model_of(Path(notebook).stem))]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(f"{row[k]:<{widths[k]}}" for k in range(3)), row[3]]).rstrip() for row in rows)


def run(notebook: str, params: NotebookParams, output: Path | None = None) -> Path:
    """Execute a notebook in the working folder; what it prints is printed.

    Args:
        notebook: name or path.
        params: checked parameters. Those given go into the notebook, the others hold, too.
        output: where the executed copy goes; the workspace's `notebooks/` when left out.

    Returns:
        The executed copy; it is kept when the notebook fails, too.

    Raises:
        DreamkitError: the notebook's own, or that it stopped for another reason.
    """
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel

    source = find(notebook)
    ws = params.open_workspace()
    kept = output or ws.executed(source.stem)
    partial = kept.with_name(PARTIAL_PREFIX + kept.name)
    write_json(partial, {})  # says now, not after the run, when the folder cannot be written
    try:
        with _lines_for_progress():
            papermill.execute_notebook(
                str(source),
                str(partial),
                parameters=_to_inject(source, params),
                kernel_name=KERNEL,
                cwd=str(Path.cwd()),
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
            )
    except papermill.PapermillExecutionError as error:
        raise _told(error, source.stem, kept) from None
    except KeyboardInterrupt:
        print("\ninterrupted: what is finished is kept; the same command goes on from there", file=sys.stderr)
        raise
    except NoSuchKernel:
        raise DreamkitError(
            f"There is no Jupyter kernel {KERNEL!r} in this Python ({sys.executable}).",
            "Install ipykernel into it: pip install ipykernel.",
        ) from None
    finally:
        if partial.stat().st_size > 4:
            partial.replace(kept)
        else:
            partial.unlink()
    return kept


def _to_inject(source: Path, params: NotebookParams) -> dict[str, Any]:
    """The parameters given, and those that somebody changed in the notebook's own cell."""
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
def _lines_for_progress() -> Iterator[None]:
    """Kernels started inside print a line per step: a bar cannot be read in a log."""
    before = os.environ.get(MODE)
    os.environ.setdefault(MODE, "lines")
    try:
        yield
    finally:
        if before is None:
            del os.environ[MODE]


def _told(error: Any, notebook: str, kept: Path) -> DreamkitError:
    """The user's mistake as the notebook said it; anything else with the place of its traceback."""
    if error.ename == DreamkitError.__name__:
        message, _, hint = error.evalue.partition("\n  -> ")
        return DreamkitError(message, hint)
    if error.ename == "ModuleNotFoundError" and "'dreamkit'" in error.evalue:
        return DreamkitError(
            f"The Jupyter kernel {KERNEL!r} belongs to a Python that has no dreamkit.",
            f"Make it this one's: {sys.executable} -m ipykernel install --sys-prefix.",
        )
    return DreamkitError(
        f"Notebook {notebook} stopped in cell {error.exec_count}: {error.ename}: {error.evalue}",
        f"The whole traceback is in {kept}.",
    )
