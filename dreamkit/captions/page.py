"""The page of notebook 02: an editor of the captions of a workspace."""

from __future__ import annotations

from jinja2 import Template

from dreamkit.captions.params import CaptionParams
from dreamkit.captions.table import (
    CaptionTable,
    caption_entry,
    caption_problems,
    chosen_counter,
    condition_path,
    save_caption,
)
from dreamkit.errors import DreamkitError
from dreamkit.notebook.editor import Editor, Texts
from dreamkit.notebook.preview import small_copy
from dreamkit.workspace.images import data_url
from dreamkit.workspace.workspace import Workspace

MARKS = {"good": "●", "look at it": "◐", "no caption": "○"}
_ASIDE_HTML = Template(
    """{% if moving %}<video style="max-width:100%" width="480" autoplay loop muted playsinline controls
 title="the condition video · 条件视频" src="{{ moving }}"></video>{% endif -%}
<div style="overflow-wrap:anywhere">{{ clip }}{% if fault %}<br><b>{{ fault }}</b>{% endif %}</div>""",
    autoescape=True,
)


def caption_editor(ws: Workspace, p: CaptionParams, table: CaptionTable) -> Editor:
    """An editor that saves `captions/<clip>.txt`; it lists the clips of `table`, each with a mark for its state.

    Above the text the clip's condition video plays, as a small copy that lives in the page alone.
    """
    count = chosen_counter(p.tokenizer)
    pages: dict[str, str] = {}

    def aside(clip: str, _: str) -> str:
        if clip not in pages:
            path, moving, fault = condition_path(ws, clip), "", ""
            try:
                moving = data_url(small_copy(path), "video/mp4") if path else ""
            except DreamkitError as error:
                fault = error.message
            pages[clip] = _ASIDE_HTML.render(moving=moving, clip=clip, fault=fault)
        return pages[clip]

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
