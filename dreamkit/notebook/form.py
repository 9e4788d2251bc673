"""The form of a notebook's parameters: fields made from the pydantic model, checked while typing.

The parameters cell stays what a run takes its values from: the form sets the notebook's variables and writes the cell.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Mapping, MutableMapping
from typing import Any, get_args, get_origin

import yaml

from dreamkit.errors import DreamkitError
from dreamkit.notebook.cell_writer import CellWriter
from dreamkit.notebook.param_values import ALIASES, PARAMS_FILE, find_params_file, read_params_file
from dreamkit.notebook.params import NotebookParams, params_table, value_problems
from dreamkit.notebook.progress import in_kernel, wants_bar
from dreamkit.notebook.restarted import restarted_style
from dreamkit.notebook.text_values import as_written
from dreamkit.workspace.parsing import parse_yaml

_STYLE = """<style>
.dk-form .widget-text, .dk-form .widget-dropdown { width: 100%; min-width: 0; margin: 0 }
.dk-form .jupyter-widget-Collapse-header { background: transparent; color: var(--jp-ui-font-color1, inherit) }
.dk-form .jupyter-widget-Collapse-header:hover { background: rgba(128, 128, 128, .15) }
.dk-form code, .dk-form pre { font-size: 12px }
.dk-form pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0; padding: 6px 8px; user-select: all;
  border: 1px solid rgba(128, 128, 128, .5); border-radius: 4px; color: var(--jp-ui-font-color1, inherit) }
.dk-form .dk-meaning { line-height: 1.35; color: var(--jp-ui-font-color1, inherit); overflow-wrap: anywhere }
.dk-form .dk-bounds { opacity: .8 }
.dk-form .dk-fault { font-weight: 600; border-left: 3px solid #d9534f; padding-left: 6px }
</style>"""


def as_text(value: Any) -> str:
    """A value as it stands in a field: a list by commas, nothing for None, other structures as YAML.

    >>> as_text(["Night", "0001"]), as_text(None), as_text({"hdmap": 0.3})
    ('Night, "0001"', '', '{hdmap: 0.3}')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
    return text[1:-1].replace("'", '"') if isinstance(value, list) else text


def from_text(model: type[NotebookParams], name: str, text: str) -> Any:
    """The value that a field's text stands for; where it is not YAML, the text.

    Args:
        model: the notebook's model.
        name: the parameter.
        text: what was typed.
    """
    kind = model.model_fields[name].annotation
    if kind is str:
        return text
    if not text.strip():
        return [] if get_origin(kind) is list else None
    written = f"[{text}]" if get_origin(kind) is list and not text.strip().startswith("[") else text
    try:
        values, texts = ({name: parse_yaml(written, name, as_text=as_text)} for as_text in (False, True))
    except DreamkitError:
        return text
    return as_written(model, values, texts, ALIASES)[name]


def as_command(model: type[NotebookParams], given: Mapping[str, Any], params_file: str = "") -> str:
    """The command that runs the notebook with these values."""
    parts = ["dreamkit", "run", model.notebook, *(["-f", params_file] if params_file else [])]
    for name, value in given.items():
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
        parts += ["-p", f"{name}={text.removesuffix('...' + chr(10)).strip()}"]
    return shlex.join(parts)


class ParameterForm:
    """The form, as ipywidgets; it is displayed when it is the last value of a cell, where there is a page to show it.

    Args:
        model: the notebook's model.
        namespace: the notebook's variables, `globals()`; they are set to what is typed.

    Raises:
        DreamkitError: the notebook's variables cannot be used, as `NotebookParams.from_cell`.
    """

    def __init__(self, model: type[NotebookParams], namespace: MutableMapping[str, Any]) -> None:
        import ipywidgets as widgets

        self.model, self.namespace = model, namespace
        start = model.from_cell(namespace, report=False)
        self.values = {name: getattr(start, name) for name in start.model_fields_set}
        self._filling, self._text_kind = False, widgets.Text
        self.message = widgets.HTML()
        self.shown = widgets.HTML()
        self.writer = CellWriter(self._say)
        self.fields: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        self._meanings = {name: (bounds, meaning) for name, _, bounds, meaning in params_table(model)}
        names = [name for name in model.front if name in model.model_fields]
        rest = [name for name in model.model_fields if name not in names]
        front = widgets.VBox([self._row(name, getattr(start, name)) for name in names])
        folded = widgets.Accordion(
            children=[widgets.VBox([self._row(name, getattr(start, name)) for name in rest])],
            titles=(f"{len(rest)} more parameters · 其余参数",),
            selected_index=None,
        )
        command = widgets.Button(description="Copy as command · 复制命令", icon="terminal", layout={"width": "auto"})
        lines = widgets.Button(description="Copy as YAML · 复制 YAML", icon="file-text-o", layout={"width": "auto"})
        command.on_click(lambda _: self._copy(self.command()))
        lines.on_click(lambda _: self._copy(self.yaml()))
        buttons = widgets.HBox(
            [command, lines, self.message], layout={"flex_flow": "row wrap", "align_items": "center"}
        )
        style = widgets.HTML(f"{_STYLE}<style>{restarted_style('dk-form')}</style>")
        parts = [style, front, folded, buttons, self.shown, self.writer]
        self.box = widgets.VBox(parts, layout={"width": "100%"})
        self.box.add_class("dk-form")
        for name in self.fields:
            self._explain(name, "")

    def _ipython_display_(self) -> None:
        if in_kernel() and wants_bar():
            from IPython.display import display

            display(self.box)

    def command(self) -> str:
        """The command that runs the notebook with the form's values."""
        return as_command(self.model, self._given(), self.values.get(PARAMS_FILE, ""))

    def yaml(self) -> str:
        """A parameter file with the form's values; those of `params_file` are written out."""
        values = {name: value for name, value in self.values.items() if name != PARAMS_FILE}
        lines = yaml.safe_dump(values, default_flow_style=None, sort_keys=False, allow_unicode=True, width=10**6)
        return f"# Notebook {self.model.notebook}\n{lines if values else ''}"

    def _given(self) -> dict[str, Any]:
        """The values that differ from those of `params_file`."""
        below = self._in_file()
        return {n: v for n, v in self.values.items() if n != PARAMS_FILE and (n not in below or below[n] != v)}

    def _in_file(self) -> dict[str, Any]:
        named = self.values.get(PARAMS_FILE)
        return read_params_file(self.model, find_params_file(self.model, named)) if named else {}

    def _row(self, name: str, value: Any) -> Any:
        import ipywidgets as widgets

        kind, quick = self.model.model_fields[name].annotation, {"width": "100%"}
        if kind is bool:
            field = widgets.Checkbox(value=value, indent=False, layout=quick)
        elif (choices := get_args(kind)) and isinstance(value, str | int) and value in choices:
            field = widgets.Dropdown(options=[(str(one), one) for one in choices], value=value, layout=quick)
        else:
            field = widgets.Text(value=as_text(value), continuous_update=True, layout=quick)
        note = widgets.HTML()
        self.fields[name], self.notes[name] = field, note
        field.observe(lambda _: self._changed(name), "value")
        columns = {"display": "grid", "grid_template_columns": "150px minmax(120px, 1fr) minmax(160px, 1.2fr)"}
        label = widgets.HTML(f"<code>{name}</code>")
        return widgets.Box([label, field, note], layout={**columns, "width": "100%", "grid_gap": "0 10px"})

    def _changed(self, name: str) -> None:
        """Check what was typed; a value that can be used goes into the notebook's variable and cell."""
        if self._filling:
            return
        field = self.fields[name]
        value = from_text(self.model, name, field.value) if isinstance(field, self._text_kind) else field.value
        if value is None and self.model.model_fields[name].default is not None:
            self._explain(name, "a value is needed")
            return
        try:
            faults = value_problems(self.model, {name: value})
            if name == PARAMS_FILE and value:
                find_params_file(self.model, value)
        except DreamkitError as error:
            faults = {name: f"{error.message} {error.hint}"}
        self._explain(name, faults.get(name, ""))
        if faults:
            return
        self.namespace[name] = value
        self.writer.write(name, value)
        found = self.model.from_cell(self.namespace, report=False)
        self.values = {name: getattr(found, name) for name in found.model_fields_set}
        if name == PARAMS_FILE:
            self._fill(found)
        elif self.values.get(name, value) != value:
            self._explain(
                name, f"the file's {self.values[name]!r} holds: a value equal to the default does not replace it"
            )

    def _fill(self, found: NotebookParams) -> None:
        """Show the values that a newly named file gives."""
        self._filling = True
        for name, field in self.fields.items():
            value = getattr(found, name)
            field.value = as_text(value) if isinstance(field, self._text_kind) else value
            self._explain(name, "")
        self._filling = False

    def _explain(self, name: str, fault: str) -> None:
        """Show a parameter's meaning and bounds, and what is wrong with its value."""
        bounds, meaning = self._meanings[name]
        lines = [
            f"{html.escape(meaning)}" + (f' <span class="dk-bounds">({html.escape(bounds)})</span>' if bounds else "")
        ]
        if fault:
            lines.append(f'<div class="dk-fault">{html.escape(fault)}</div>')
        self.notes[name].value = f'<div class="dk-meaning">{"".join(lines)}</div>'

    def _copy(self, text: str) -> None:
        self.shown.value = f"<pre>{html.escape(text)}</pre>"
        self.writer.copy_text(text)

    def _say(self, sentence: str) -> None:
        self.message.value = f"<span>{sentence}</span>"
