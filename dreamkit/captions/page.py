"""The page of notebook 02: an editor over the clips of a workspace."""

from __future__ import annotations

import html

from dreamkit.captions import table as caption_table
from dreamkit.captions.params import CaptionParams
from dreamkit.captions.table import Table
from dreamkit.notebook.editor import Editor, Texts
from dreamkit.workspace.workspace import Workspace

MARKS = {"good": "●", "look at it": "◐", "no caption": "○"}


def editor(ws: Workspace, p: CaptionParams, table: Table) -> Editor:
    """An editor that saves `captions/<clip>.txt`; the clips of `table`, each with a mark for its state."""
    count = caption_table.counter(p.tokenizer)
    pictures: dict[str, bytes | None] = {}

    def aside(clip: str, _: str) -> str:
        if clip not in pictures:
            pictures[clip] = caption_table.thumbnail(ws, clip)
        picture = pictures[clip]
        shown = f'<img style="max-width:100%" width="320" src="{caption_table.data_url(picture)}">' if picture else ""
        return f'{shown}<div style="overflow-wrap:anywhere">{html.escape(clip)}</div>'

    return Editor(
        Texts(
            keys=[(f"{MARKS[entry.state]} {entry.clip}", entry.clip) for entry in table.entries],
            load=lambda clip: caption_table.entry(ws, clip, count).text,
            check=lambda _, text: caption_table.problems(text, count),
            save=lambda clip, text: caption_table.save(ws, clip, text),
            count=count,
            aside=aside,
        )
    )
