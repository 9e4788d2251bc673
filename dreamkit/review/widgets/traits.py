"""Shapes of the data that the widgets send to the browser, and the check that a trait has its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import traitlets
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.controls import CONTROLS

RESULT = "result"  # the layer with the generated video; the other layers are controls

LABELS = "labels"  # the layer with boxes and lines of the labels, drawn for the page

Text = Annotated[str, Field(min_length=1)]
State = Literal["accept", "reject", "unsure"]
BLOCKED = "blocked"  # the state of a result that the guardrail blocked, as long as nobody judged an earlier video of it


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class BoardItem(_Shape):
    """One cell of the board; `values` has every measure, None where it is unknown; `state` may be BLOCKED."""

    key: Text
    clip: Text
    style: Text
    stage: Text
    prompt: str
    state: State | Literal["", "blocked"]
    by: str
    note: str
    stale: bool
    flags: list[str]
    values: dict[str, float | None]


class BoardMeasure(_Shape):
    """One measure that the board can be sorted by."""

    key: Text
    label: Text
    good: Literal["low", "high"]
    meaning: str


class BoardProgress(_Shape):
    """How far the measuring is, in videos, and the sentence that says so."""

    done: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]
    text: str


def _check_camera(name: str) -> str:
    if name not in SIX_VIEWS.names:
        raise ValueError(f"must be one of {', '.join(SIX_VIEWS.names)}")
    return name


def _check_layer(name: str) -> str:
    if name not in (RESULT, *CONTROLS, LABELS):
        raise ValueError(f"must be one of {', '.join((RESULT, *CONTROLS, LABELS))}")
    return name


class PlayerView(_Shape):
    """One view of a video in the player, and its place in the rig's grid."""

    camera: Annotated[str, AfterValidator(_check_camera)]
    label: Text
    row: Annotated[int, Field(ge=0, le=1)]
    column: Annotated[int, Field(ge=0, le=2)]
    layers: list[Annotated[str, AfterValidator(_check_layer)]]
    file: str
    url: str


def _check_places(views: Sequence[PlayerView]) -> Sequence[PlayerView]:
    if len({view.camera for view in views}) < len(views):
        raise ValueError("two views must not be of the same camera")
    if len({(view.row, view.column) for view in views}) < len(views):
        raise ValueError("two views must not have the same place in the grid")
    return views


class PlayerVideo(_Shape):
    """One video in the player; `prompts` is camera -> prompt, `facts` one line on how it was made."""

    key: Text
    clip: Text
    style: Text
    stage: Text
    prompts: dict[str, str]
    facts: str
    views: Annotated[list[PlayerView], Field(min_length=1, max_length=len(SIX_VIEWS)), AfterValidator(_check_places)]
    layers: list[Annotated[str, AfterValidator(_check_layer)]]
    problems: list[str]
    notes: list[str]


class OtherVideo(_Shape):
    """One video that can be opened or compared; `style` is its label."""

    key: Text
    style: Text
    stage: Text


class PlayerVerdict(_Shape):
    """The current verdict on the open video, and all earlier ones as lines of text."""

    state: State
    reasons: list[str]
    note: str
    by: str
    when: str
    stale: bool
    history: list[str]


class PlayerDraft(_Shape):
    """Reasons and note of a verdict that was taken back, to give another one."""

    reasons: list[str]
    note: str


class PlayerScore(_Shape):
    """One measure of the open video; `value` is already rounded."""

    label: Text
    value: Text
    failed: bool
    meaning: str


class StreamMessage(_Shape):
    """The message that precedes the JPEG frames of one view: their sizes in bytes and the frame rate."""

    type: Literal["stream"]
    key: Text
    layer: Text
    camera: Text
    size: Literal["grid", "zoom"]
    sizes: list[Annotated[int, Field(gt=0)]]
    fps: Annotated[float, Field(gt=0)]
    problem: str


def check_trait(owner: str, name: str, shape: Any, value: Any) -> Any:
    """Return the value if it has the shape.

    Args:
        owner: name of the widget, for the message.
        name: name of the trait, for the message.
        shape: a type of this module, or a list or dict of one.
        value: plain lists, dicts, texts and numbers.

    Raises:
        traitlets.TraitError: it has another shape; names the first place that is wrong.
    """
    try:
        TypeAdapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part!r}]" for part in first["loc"])
        raise traitlets.TraitError(f"{owner}.{name}{place}: {first['msg']}, not {first['input']!r}.") from None
    return value
