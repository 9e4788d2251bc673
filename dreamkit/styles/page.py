"""The page of notebook 03: rewrites side by side with what changed marked, and an editor over them."""

from __future__ import annotations

import difflib
import html
import re
from dataclasses import dataclass
from typing import Any

from tqdm.auto import tqdm

from dreamkit.captions import files as caption_files
from dreamkit.captions import table as caption_table
from dreamkit.captions.files import ORIGINAL
from dreamkit.errors import DreamkitError
from dreamkit.notebook.editor import Editor, Texts
from dreamkit.notebook.progress import wants_bar
from dreamkit.styles import Restyler, RuleRewriter, ServerRewriter, VllmRewriter, check_rewrite, load_styles
from dreamkit.styles.batch import Report, write_styles
from dreamkit.styles.model.model_sizes import DEFAULT_MODEL
from dreamkit.styles.params import StyleParams
from dreamkit.styles.table import StyleTable
from dreamkit.workspace.files import nearest
from dreamkit.workspace.workspace import Workspace, from_home

# Tints that can be read on white and on black.
NEW = "background:rgba(46,160,67,.30);text-decoration:none"
GONE = "background:rgba(248,81,73,.22);opacity:.75"


@dataclass(frozen=True)
class Styled:
    """What a run wrote, to look at."""

    ws: Workspace
    params: StyleParams
    clips: tuple[str, ...]
    report: Report

    def __str__(self) -> str:
        lines = [
            f"{len(self.report.written)} caption files written, {len(self.report.kept)} kept, in {self.ws.captions}"
        ]
        if self.report.fell_back:
            lines.append(f"{self.report.fell_back} answers of the model were refused and made by the rules")
        lines += [f"look at {name}: a check failed" for name in self.report.unchecked]
        lines += [f"not made: {error.message}" for error in self.report.problems.values()]
        return "\n".join(lines)

    def show(self, clip: str = "") -> Any:
        """The rewrites of one clip side by side, the first one's when none is named; changes are tinted."""
        from IPython.display import HTML

        name = clip or self.clips[0]
        texts = caption_files.read(self.ws.captions, name)
        cards = "".join(
            '<div style="border:1px solid rgba(128,128,128,.5);border-radius:6px;padding:8px">'
            f"<b>{html.escape(style)}</b><br>{marked(texts.get(ORIGINAL, ''), text)}</div>"
            for style, text in texts.items()
        )
        grid = "display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:8px;line-height:1.35"
        return HTML(f"<h4>{html.escape(name)}</h4><div style='{grid}'>{cards}</div>")

    def editor(self) -> Editor:
        """An editor over every style of every clip; saves `captions/<clip>.json`."""
        table = table_of(self.params)
        count = caption_table.counter(self.params.tokenizer)
        keys = [
            (f"{clip}: {style}", f"{clip}\n{style}")
            for clip in self.clips
            for style in caption_files.read(self.ws.captions, clip)
        ]

        def load(key: str) -> str:
            clip, style = key.split("\n")
            return caption_files.read(self.ws.captions, clip)[style]

        def check(key: str, text: str) -> list[str]:
            clip, style = key.split("\n")
            if fault := caption_files.check(text):
                return [f"It {fault}."]
            if style == ORIGINAL or style not in table.styles:
                return caption_table.problems(text, count)
            original = caption_files.read(self.ws.captions, clip).get(ORIGINAL, text)
            return list(check_rewrite(original, text, table.styles[style], count).reasons)

        def save(key: str, text: str) -> str:
            clip, style = key.split("\n")
            texts = caption_files.read(self.ws.captions, clip)
            path = caption_files.write_styles(self.ws.captions, clip, {**texts, style: " ".join(text.split())})
            return f"saved {style} in {path.name}"

        def aside(key: str, text: str) -> str:
            clip, style = key.split("\n")
            original = caption_files.read(self.ws.captions, clip).get(ORIGINAL, "")
            return f"<b>{html.escape(style)}</b><br>" + (marked(original, text) if style != ORIGINAL else "")

        return Editor(Texts(keys, load, check, save, count, aside))


def marked(before: str, after: str) -> str:
    """`after` as HTML, word by word: new words tinted, words of `before` that are gone struck through."""
    old, new = (re.findall(r"\S+", text) for text in (before, after))
    parts = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(html.escape(" ".join(new[c:d])))
            continue
        if b > a:
            parts.append(f'<del style="{GONE}">{html.escape(" ".join(old[a:b]))}</del>')
        if d > c:
            parts.append(f'<ins style="{NEW}">{html.escape(" ".join(new[c:d]))}</ins>')
    return " ".join(parts)


def table_of(p: StyleParams) -> StyleTable:
    """The styles: the eight, and the user's own.

    Raises:
        DreamkitError: the table cannot be read.
    """
    return load_styles(from_home(p.table) if p.table else None)


def restyler_of(p: StyleParams) -> Restyler:
    """Who rewrites, as the parameters say.

    Raises:
        DreamkitError: the model or the server cannot be had.
    """
    chat: ServerRewriter | VllmRewriter | None = None
    if p.rewriter == "vllm":
        chat = VllmRewriter(p.model or DEFAULT_MODEL)
    elif p.rewriter == "server":
        chat = ServerRewriter(p.url, p.model)
        chat.connect()
    return Restyler(chat, RuleRewriter(table_of(p), p.recolour), p.seed, caption_table.counter(p.tokenizer))


def write(ws: Workspace, p: StyleParams) -> Styled:
    """Write `captions/<clip>.json` for the clips asked for; styles that are there stay, unless `overwrite`.

    Raises:
        DreamkitError: no caption, an unknown clip or style, a model that cannot be had, or no clip could be used.
    """
    known = ws.clips()
    if unknown := [clip for clip in p.clips if clip not in known]:
        close = nearest(unknown[0], known)
        raise DreamkitError(
            f"The clip {unknown[0]} has no caption in {ws.captions}.",
            f"Did you mean {close}?" if close else "Notebook 02 writes captions.",
        )
    with tqdm(unit="caption", disable=not wants_bar()) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = write_styles(ws, restyler_of(p), p.clips, p.styles, p.overwrite, p.side_weather, progress)
    good = tuple(clip for clip in p.clips or known if clip not in report.problems)
    if not good:
        report.raise_problems()
    return Styled(ws, p, good, report)
