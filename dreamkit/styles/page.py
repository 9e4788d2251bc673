"""The page of notebook 03: rewrites side by side with their changes marked, and an editor of them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Template
from tqdm.auto import tqdm

from dreamkit.captions.files import ORIGINAL, check_caption, read_captions, write_style_captions
from dreamkit.captions.table import caption_problems, chosen_counter
from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.guardrail.choice import PROMPT_CHECKS, chosen_checks
from dreamkit.notebook.progress import counted, wants_bar
from dreamkit.styles.batch import StylesReport, write_styles
from dreamkit.styles.checks import check_rewrite
from dreamkit.styles.model.client import ServerRewriter
from dreamkit.styles.model.model_sizes import DEFAULT_MODEL
from dreamkit.styles.model.rewriters import VllmRewriter
from dreamkit.styles.params import StyleParams
from dreamkit.styles.restyle import Restyler
from dreamkit.styles.rules.rewriter import RuleRewriter
from dreamkit.styles.table import StyleTable, load_styles
from dreamkit.workspace.files import nearest
from dreamkit.workspace.workspace import Workspace, from_home

if TYPE_CHECKING:
    from dreamkit.guardrail.guard import Guard
    from dreamkit.notebook.editor import Editor

# The tints of new and removed words are readable on white and on black.
_CHANGES_HTML = Template(
    """
{%- for kind, words in parts %}
{%- if kind == "new" %}<ins style="background:rgba(46,160,67,.30);text-decoration:none">{{ words }}</ins>
{%- elif kind == "removed" %}<del style="background:rgba(248,81,73,.22);opacity:.75">{{ words }}</del>
{%- else %}{{ words }}
{%- endif %}{{ "" if loop.last else " " }}
{%- endfor %}""",
    autoescape=True,
)
_STYLE_HTML = Template("<b>{{ style }}</b><br>{{ changes | safe }}", autoescape=True)
_CLIP_HTML = Template(
    """<h4>{{ clip }}</h4>
<div style="display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:8px;line-height:1.35">
{% for style, changes in styles %}
<div style="border:1px solid rgba(128,128,128,.5);border-radius:6px;padding:8px">
<b>{{ style }}</b><br>{{ changes | safe }}</div>
{% endfor %}
</div>""",
    autoescape=True,
)


@dataclass(frozen=True)
class Styled:
    """The captions that a run wrote.

    Attributes:
        ws: the workspace.
        params: the notebook's parameters.
        clips: the clips that have styles now.
        report: what the run did.
    """

    ws: Workspace
    params: StyleParams
    clips: tuple[str, ...]
    report: StylesReport

    def __str__(self) -> str:
        written = counted(len(self.report.written), "caption file")
        lines = [f"{written} written, {len(self.report.kept)} kept, in {self.ws.captions}"]
        lines += [f"written, although a check failed: {name}" for name in self.report.unchecked]
        lines += [f"not written: {name}. {reason}" for name, reason in self.report.blocked.items()]
        lines += [f"not made: {error.message}" for error in self.report.problems.values()]
        lines += self.report.fallback_lines()
        return "\n".join(lines)

    def show(self, clip: str = "") -> Any:
        """IPython HTML of a clip's captions side by side, changed words tinted; the first clip when none is named."""
        from IPython.display import HTML

        if not (clip or self.clips):
            return HTML("<p>No caption was written.</p>")
        name = clip or self.clips[0]
        texts = read_captions(self.ws.captions, name)
        styles = [(style, marked(texts.get(ORIGINAL, ""), text)) for style, text in texts.items()]
        return HTML(_CLIP_HTML.render(clip=name, styles=styles))

    def editor(self) -> Editor:
        """An editor of every style of every clip; it saves `captions/<clip>.json`."""
        table = table_of(self.params)
        count = chosen_counter(self.params.tokenizer)
        places = {
            f"{clip}: {style}": (clip, style) for clip in self.clips for style in read_captions(self.ws.captions, clip)
        }

        def load(key: str) -> str:
            clip, style = places[key]
            return read_captions(self.ws.captions, clip)[style]

        def check(key: str, text: str) -> list[str]:
            clip, style = places[key]
            if fault := check_caption(text):
                return [f"It {fault}."]
            if style == ORIGINAL or style not in table.styles:
                return caption_problems(text, count)
            original = read_captions(self.ws.captions, clip).get(ORIGINAL, text)
            return list(check_rewrite(original, text, table.styles[style], count, table).reasons)

        def save(key: str, text: str) -> str:
            clip, style = places[key]
            texts = read_captions(self.ws.captions, clip)
            path = write_style_captions(self.ws.captions, clip, {**texts, style: " ".join(text.split())})
            return f"saved {style} in {path.name}"

        def aside(key: str, text: str) -> str:
            clip, style = places[key]
            original = read_captions(self.ws.captions, clip).get(ORIGINAL, "")
            return _STYLE_HTML.render(style=style, changes="" if style == ORIGINAL else marked(original, text))

        # The style first: of a long clip name the list shows the beginning.
        labels = [(f"{style} · {clip}", key) for key, (clip, style) in places.items()]
        drafts = self.ws.cache("drafts/styles.json")
        # Here, because `dreamkit styles write` runs in vLLM's environment, which has no widgets.
        from dreamkit.notebook.editor import Editor, Texts

        return Editor(Texts(labels, load, check, save, count, aside, drafts))


def marked(before: str, after: str) -> str:
    """`after` as HTML, compared with `before` word by word: new words tinted, removed words struck through."""
    old, new = (re.findall(r"\S+", text) for text in (before, after))
    parts = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(("same", " ".join(new[c:d])))
            continue
        if b > a:
            parts.append(("removed", " ".join(old[a:b])))
        if d > c:
            parts.append(("new", " ".join(new[c:d])))
    return _CHANGES_HTML.render(parts=parts)


def table_of(p: StyleParams) -> StyleTable:
    """The eight built-in styles and those of the parameter `table`.

    Raises:
        DreamkitError: the table cannot be read.
    """
    return load_styles(from_home(p.table) if p.table else None)


def restyler_of(p: StyleParams) -> Restyler:
    """The restyler that the parameters describe.

    Raises:
        DreamkitError: the server cannot be reached, or does not have the model.
    """
    chat: ServerRewriter | VllmRewriter | None = None
    if p.rewriter == "vllm":
        chat = VllmRewriter(p.model or DEFAULT_MODEL)
    elif p.rewriter == "server":
        chat = ServerRewriter(p.url, p.model)
        chat.connect()
    return Restyler(chat, RuleRewriter(table_of(p), p.recolour), p.seed, chosen_counter(p.tokenizer))


def guard_of_styles(ws: Workspace, p: StyleParams) -> Guard | None:
    """The checks that the parameters ask for; None for none.

    With a language model in this process, which holds the GPU, they run on the CPU.
    """
    checks = chosen_checks(p.guardrail, PROMPT_CHECKS)
    device = "cpu" if p.rewriter == "vllm" else None
    root = checkpoints.guardrail_root(p.checkpoints)
    if not checks:
        return None
    from dreamkit.guardrail.guard import Guard  # loads torch

    return Guard(checks, root, device, cache=ws.cache("guardrail"))


def write_style_page(ws: Workspace, p: StyleParams) -> Styled:
    """Write `captions/<clip>.json` for the chosen clips; existing styles are kept unless `overwrite`.

    Raises:
        DreamkitError: there is no caption, a clip or style is unknown, the model cannot be reached or loaded, or no
            clip could be used.
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

        report = write_styles(
            ws, restyler_of(p), p.clips, p.styles, p.overwrite, p.side_weather, progress, guard_of_styles(ws, p)
        )
    good = tuple(
        clip for clip in p.clips or known if clip not in report.problems and f"{clip}, {ORIGINAL}" not in report.blocked
    )
    if not good and report.problems:
        report.raise_problems()
    return Styled(ws, p, good, report)
