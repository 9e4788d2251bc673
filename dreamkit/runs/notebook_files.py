"""The notebooks by name: their models, the shipped files, working copies, and the values in a notebook's own cells.

`dreamkit lab` opens working copies in `my_notebooks/`, so that the shipped files stay as they came.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from dreamkit.captions.params import CaptionParams
from dreamkit.download.params import DownloadParams
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.notebook.params import NotebookParams
from dreamkit.notebook.shipped import shipped_folder
from dreamkit.review.params import ReviewParams
from dreamkit.setup.params import SetupParams
from dreamkit.styles.params import StyleParams
from dreamkit.workspace.files import nearest, read_json, write_json, write_text

COPIES = "my_notebooks"
"""Folder of the working copies, below the folder that relative paths start from."""
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


def notebook_name(notebook: str) -> str:
    """The name of a notebook, from its path (an executed copy's too), its name, or a beginning that only one has.

    >>> notebook_name("outputs/notebooks/04_single_view.executed.ipynb"), notebook_name("04"), notebook_name("single")
    ('04_single_view', '04_single_view', '04_single_view')
    """
    name = Path(notebook).name.removesuffix(".ipynb").removesuffix(".executed")
    if notebook.endswith(".ipynb") or name in MODELS or not name:
        return name
    meant = _beginning_with(name)
    return meant[0] if len(meant) == 1 else name


def _beginning_with(name: str) -> list[str]:
    return [known for known in MODELS if known.startswith(name) or known[3:].startswith(name)]


def params_model(notebook: str) -> type[NotebookParams]:
    """The model of a notebook's parameters.

    Args:
        notebook: as for `notebook_name`.

    Raises:
        DreamkitError: there is no notebook of that name.
    """
    name = notebook_name(notebook)
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
    given, name = Path(notebook), notebook_name(notebook)
    path = given if given.suffix == ".ipynb" else shipped_folder("notebooks") / f"{name}.ipynb"
    if path.is_file():
        return path
    here = Path("notebooks") / f"{name}.ipynb"
    raise DreamkitError(
        f"There is no notebook at {path}.",
        f"To run {here}, if you trust it, give that path." if here.is_file() else _nearest_notebook(name),
    )


def _nearest_notebook(name: str) -> str:
    """A hint with the names that begin so, with the name most like a misspelt one, or with all names."""
    if name and (several := _beginning_with(name)):
        return f"{name!r} may be {', '.join(several)}: write more of the name."
    close = nearest(name, MODELS)
    return f"Did you mean {close}?" if close else f"There are {', '.join(MODELS)}."


def cell_values(path: Path, model: type[NotebookParams]) -> dict[str, Any]:
    """The parameters that a notebook's own cells give: what was changed from its default, and what papermill injected.

    Lines that are no plain values are left out; the running notebook reports them.

    Args:
        path: the notebook.
        model: its model.

    Raises:
        DreamkitError: it is no notebook.
    """
    values: dict[str, Any] = {}
    for cell in _code_cells(path):
        tags = cell.get("metadata", {}).get("tags", [])
        injected = "injected-parameters" in tags
        if not injected and "parameters" not in tags:
            continue
        for name, value in _literals("".join(cell.get("source", ""))).items():
            field = model.model_fields.get(name)
            if injected or field is None or value != field.default:
                values[name] = value
            else:
                values.pop(name, None)
    return values


def _literals(source: str) -> dict[str, Any]:
    """Name -> value of the assignments of plain values in a cell."""
    found: dict[str, Any] = {}
    with contextlib.suppress(SyntaxError):
        for line in ast.parse(source).body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                with contextlib.suppress(ValueError):
                    found[line.targets[0].id] = ast.literal_eval(line.value)
    return found


def _code_cells(path: Path) -> list[dict[str, Any]]:
    cells = read_json(path, "notebook").get("cells", [])
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise DreamkitError(f"{path} is no notebook: its cells are no list of objects.", "Give a .ipynb file.")
    return [cell for cell in cells if cell.get("cell_type") == "code"]


def sources_mark(path: Path) -> str:
    """A checksum of a notebook's cells without their outputs; two notebooks with the same run the same."""
    cells = read_json(path, "notebook").get("cells", [])
    sources = [[cell.get("cell_type"), "".join(cell.get("source", ""))] for cell in cells]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def working_copy(folder: Path, name: str) -> Path | None:
    """The working copy of a notebook below `folder` that differs from the shipped one; None where none does."""
    copy = folder / COPIES / f"{name}.ipynb"
    shipped = shipped_folder("notebooks") / copy.name
    try:
        return copy if copy.is_file() and sources_mark(copy) != sources_mark(shipped) else None
    except DreamkitError:  # half a file, which nobody can run
        return copy


def make_working_copies(folder: Path) -> list[str]:
    """Copy the shipped notebooks into `my_notebooks/` below `folder`.

    A copy that the user changed is kept; one that the user did not change follows the shipped notebook.

    Returns:
        Names of the notebooks whose copies are kept and differ.

    Raises:
        DreamkitError: the folder cannot be written.
    """
    record_file = folder / COPIES / ".copied.json"
    try:
        copied = read_json(record_file, "record of copies")
    except DreamkitError:  # none yet
        copied = {}
    kept, before = [], dict(copied)
    for name in MODELS:
        shipped, copy = shipped_folder("notebooks") / f"{name}.ipynb", folder / COPIES / f"{name}.ipynb"
        mark = sources_mark(shipped)
        if working_copy(folder, name) is not None and _changed(copy, copied.get(name)):
            kept.append(name)
            continue
        if not copy.is_file() or copied.get(name) != mark:
            write_text(copy, shipped.read_text(encoding="utf-8"))
            copied[name] = mark
    if copied != before:
        write_json(record_file, copied)
    return kept


def _changed(copy: Path, mark: Any) -> bool:
    """Whether a working copy has other cells than it was made with."""
    try:
        return sources_mark(copy) != mark
    except DreamkitError:
        return True
