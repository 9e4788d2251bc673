"""The page of notebook 02: an editor of the captions of a workspace."""

from __future__ import annotations

from jinja2 import Template

from dreamkit.captions.params import CaptionParams
from dreamkit.captions.table import (
    CaptionTable,
    caption_entry,
    caption_problems,
    chosen_counter,
    condition_thumbnail,
    save_caption,
)
from dreamkit.notebook.editor import Editor, Texts
from dreamkit.workspace.images import data_url
from dreamkit.workspace.workspace import Workspace

MARKS = {"good": "●", "look at it": "◐", "no caption": "○"}
_ASIDE_HTML = Template(
    """{% if picture %}<img style="max-width:100%" width="320" src="{{ picture }}">{% endif -%}
<div style="overflow-wrap:anywhere">{{ clip }}</div>""",
    autoescape=True,
)


def caption_editor(ws: Workspace, p: CaptionParams, table: CaptionTable) -> Editor:
    """An editor that saves `captions/<clip>.txt`; it lists the clips of `table`, each with a mark for its state."""
    count = chosen_counter(p.tokenizer)
    pictures: dict[str, str] = {}

    def aside(clip: str, _: str) -> str:
        if clip not in pictures:
            picture = condition_thumbnail(ws, clip)
            pictures[clip] = data_url(picture) if picture else ""
        return _ASIDE_HTML.render(picture=pictures[clip], clip=clip)

    return Editor(
        Texts(
            keys=[(f"{MARKS[entry.state]} {entry.clip}", entry.clip) for entry in table.entries],
            load=lambda clip: caption_entry(ws, clip, count).text,
            check=lambda _, text: caption_problems(text, count),
            save=lambda clip, text: save_caption(ws, clip, text),
            count=count,
            aside=aside,
            drafts=ws.cache("drafts/captions.json"),
            legend="<br>".join(f"{mark} {state}" for state, mark in MARKS.items()),
        )
    )
