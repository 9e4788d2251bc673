"""Prompts of the side and rear views, with or without the style's weather and light."""

from __future__ import annotations

import logging
import random

from dreamkit.captions.conditions import read_state
from dreamkit.captions.files import ORIGINAL
from dreamkit.styles.rules.compose import chosen
from dreamkit.styles.table import Style, StyleTable, load_styles
from dreamkit.workspace.cameras import SIX_VIEWS, Rig, view_prompts
from dreamkit.workspace.sidecars import read_sidecar
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)


def side_prompts(
    caption: str, style: Style | None, table: StyleTable, rig: Rig = SIX_VIEWS, weather: bool = False
) -> list[str]:
    """One prompt per view, in the rig's order.

    Args:
        caption: the front view's caption in the style.
        style: its style; None for Original.
        table: the styles.
        rig: the views.
        weather: add the style's weather and light to the prompts of the side and rear views. The original scripts use
            the camera's sentence alone.
    """
    clause = weather_clause(caption, style, table) if weather else ""
    return prompts_with(caption, clause, rig)


def prompts_with(caption: str, clause: str, rig: Rig = SIX_VIEWS) -> list[str]:
    """One prompt per view; those of the side and rear views end with the clause, if there is one."""
    others = [f"{camera.sentence} {clause}" for camera in rig.cameras[1:]] if clause else ()
    return view_prompts(caption, rig, others)


def clip_prompts(workspace: Workspace, clip: str, style: str, caption: str, rig: Rig = SIX_VIEWS) -> list[str]:
    """One prompt per view, with the style's weather in those of the side and rear views.

    The weather of a style of the user's own stands in the clip's sidecar, which notebook 03 writes.
    """
    table, views = load_styles(), (read_sidecar(workspace.style_record(clip)) or {}).get("views", {})
    own = views.get("own_weather", {}).get(style)
    if own is None and style not in table.styles:
        log.warning(
            "%s: the style %s is not built in, and styles/%s.json has no weather of it; the prompts of the side and "
            "rear views are the cameras' sentences alone. Run notebook 03 with its table and overwrite",
            clip,
            style,
            clip,
        )
    return prompts_with(caption, own or weather_clause(caption, table.styles.get(style), table), rig)


def weather_clause(caption: str, style: Style | None, table: StyleTable) -> str:
    """The style's weather and light as one short sentence, "" for Original."""
    if style is None or style.name == ORIGINAL:
        return ""
    if style.sentences:
        clause = chosen(style.sentences[0], random.Random(0)).rstrip(".")
    else:
        clause = table.scene(*style.target(*read_state(caption))).clause
    return f"{clause[0].upper()}{clause[1:]}." if clause else ""
