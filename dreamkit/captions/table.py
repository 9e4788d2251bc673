"""The clips of a workspace with their captions: a table of faults, CSV import, first drafts by a model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Template

from dreamkit.captions.caption_csv import read_caption_csv
from dreamkit.captions.drafter import draft_caption, drafting_server, sample_pictures
from dreamkit.captions.files import ORIGINAL, check_caption, read_captions, write_original
from dreamkit.captions.language import ESTIMATED_TOKENS, T5_TOKENS, TokenCounter, language_problem, token_counter
from dreamkit.captions.model_server import ServerUnavailable
from dreamkit.captions.params import CaptionParams
from dreamkit.captions.text_check import repeated_sentence, text_fault
from dreamkit.captions.word_check import opposites
from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import counted, logging_to
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.clips import listed_clips
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import nearest
from dreamkit.workspace.images import data_url, jpeg
from dreamkit.workspace.workspace import Chunk, Workspace, from_home

log = logging.getLogger(__name__)
PICTURE_WIDTH = 240
_TABLE_HTML = Template(
    """
{% set cell = "text-align:left;vertical-align:top;overflow-wrap:anywhere" %}
<table style="table-layout:fixed;width:100%">
{% for entry, picture in rows %}
<tr><td style="{{ cell }};width:{{ width + 10 }}px">
{% if picture %}<img width="{{ width }}" src="{{ picture }}">{% else %}no condition video{% endif %}<br>{{ entry.clip }}
</td><td style="{{ cell }}">{% if entry.text %}{{ entry.text }}{% else %}<i>no caption</i>{% endif %}
{% for fault in entry.faults %}<br><b>{{ fault }}</b>{% endfor %}</td></tr>
{% endfor %}
</table>
{% if more > 0 %}<p>and {{ more }} more; name some in clips to see them</p>{% endif %}
""",
    autoescape=True,
)


def caption_problems(caption: str, count: Callable[[str], int] = ESTIMATED_TOKENS) -> list[str]:
    """What is wrong with a caption, one sentence each; takes milliseconds, so it can run at every key stroke.

    Args:
        caption: the text.
        count: text -> number of T5 tokens.
    """
    if fault := check_caption(caption):
        return [f"It {fault}."]
    found = []
    if fault := language_problem(caption):
        found.append(f"It {fault}; the model reads English only.")
    if (tokens := count(caption)) > T5_TOKENS:
        found.append(f"It has {tokens} tokens; the model reads the first {T5_TOKENS} and drops the rest.")
    if not found and (fault := text_fault(caption)):
        found.append(f"It {fault}.")
    if twice := repeated_sentence(caption):
        found.append(f"It says twice: {twice!r}.")
    found += [f"It speaks of {pair}, which cannot be true together." for pair in opposites(caption)[:1]]
    return found


def chosen_counter(tokenizer: str) -> TokenCounter:
    """The counter for the parameter `tokenizer`: a folder, or "" for the estimate.

    Raises:
        DreamkitError: the folder has no tokenizer.
    """
    return token_counter(from_home(tokenizer) if tokenizer else None)


@dataclass(frozen=True)
class CaptionEntry:
    """A clip and its caption.

    Attributes:
        clip: name of the clip.
        text: the caption of style Original, "" when there is none.
        faults: what is wrong with it, one sentence each.
    """

    clip: str
    text: str
    faults: tuple[str, ...]

    @property
    def state(self) -> Literal["no caption", "look at it", "good"]:
        """The state of the caption."""
        return "no caption" if not self.text else "look at it" if self.faults else "good"


@dataclass(frozen=True)
class CaptionTable:
    """The clips of a workspace with their captions."""

    ws: Workspace
    entries: tuple[CaptionEntry, ...]

    def __str__(self) -> str:
        lines = [f"{entry.state:>10}  {entry.clip}  {' '.join(entry.faults)}".rstrip() for entry in self.entries]
        return "\n".join([f"{counted(len(self.entries), 'clip')} in {self.ws.root}", *lines])

    def show(self, most: int = 30) -> Any:
        """An IPython HTML table of the first `most` clips, with a picture of each clip's condition video."""
        from IPython.display import HTML

        rows = []
        for entry in self.entries[:most]:
            picture = condition_thumbnail(self.ws, entry.clip)
            rows.append((entry, data_url(picture) if picture else ""))
        return HTML(_TABLE_HTML.render(rows=rows, width=PICTURE_WIDTH, more=len(self.entries) - most))


def caption_table(ws: Workspace, p: CaptionParams) -> CaptionTable:
    """The clips named in the parameters, or all that have a condition video or a caption.

    Raises:
        DreamkitError: the workspace has no clip, or lacks a named one.
    """
    count = chosen_counter(p.tokenizer)
    captioned = set(ws.clips())
    clips = listed_clips(ws, p.clips)
    return CaptionTable(ws, tuple(caption_entry(ws, clip, count, clip in captioned) for clip in clips))


def caption_entry(ws: Workspace, clip: str, count: TokenCounter, captioned: bool | None = None) -> CaptionEntry:
    """One clip of the table; a caption file that cannot be read becomes a fault of its entry.

    Args:
        ws: the workspace.
        clip: name of the clip.
        count: number of tokens of a text.
        captioned: whether it has a caption file; looked up when None.
    """
    try:
        there = clip in ws.clips() if captioned is None else captioned
        text = read_captions(ws.captions, clip).get(ORIGINAL, "") if there else ""
    except DreamkitError as error:
        return CaptionEntry(clip, "", (error.message,))
    return CaptionEntry(clip, text, tuple(caption_problems(text, count)) if text else ())


def condition_path(ws: Workspace, clip: str) -> Path | None:
    """The clip's front condition video; None where there is none."""
    paths = (ws.condition(control, SIX_VIEWS.front, Chunk(clip)) for control in CONTROLS)
    return next((path for path in paths if path.is_file()), None)


def condition_thumbnail(ws: Workspace, clip: str, width: int = PICTURE_WIDTH * 2) -> bytes | None:
    """The first frame of a clip's front condition video, JPEG of `width` pixels; None when no video can be read."""
    path = condition_path(ws, clip)
    try:
        frame = video.read_video(path, 1) if path else None
    except DreamkitError:
        return None
    if frame is None:
        return None
    height = round(frame.shape[1] * width / frame.shape[2] / 2) * 2
    return jpeg(video.resize(frame, height, width)[0])


def save_caption(ws: Workspace, clip: str, text: str) -> str:
    """Write `<clip>.txt`; returns a message for the user.

    Raises:
        DreamkitError: the text fails `check_caption`, or the folder cannot be written.
    """
    path = write_original(ws.captions, clip, text)
    styled = ws.caption(clip, "json")
    message = f"saved {path.name}"
    if styled.is_file():
        message += f"; {styled.name} is what 04 and 05 read, so run 03 with overwrite to renew it"
    return message


def prepare_captions(ws: Workspace, p: CaptionParams) -> CaptionTable:
    """Import the CSV file and draft missing captions where the parameters name them; returns the table.

    Raises:
        DreamkitError: see `import_csv`, `draft_captions` and `caption_table`.
    """
    with logging_to(ws.log_file("captions")):
        if p.csv:
            written = import_csv(ws, from_home(p.csv), p.overwrite)
            log.info("%d captions written from %s", len(written), p.csv)
        if p.drafter:
            draft_captions(ws, p)
    return caption_table(ws, p)


def import_csv(ws: Workspace, path: Path, overwrite: bool = False) -> list[str]:
    """Write `<clip>.txt` for every caption of a CSV file; returns the clips written.

    Existing captions are kept unless `overwrite`. When one caption is bad, nothing is written.

    Raises:
        DreamkitError: as `read_caption_csv`.
    """
    captions = read_caption_csv(path)
    present = set() if overwrite else set(ws.clips())
    written = [clip for clip in captions if clip not in present]
    for clip in written:
        log.info("%s", save_caption(ws, clip, captions[clip]))
    return written


def draft_captions(ws: Workspace, p: CaptionParams) -> list[str]:
    """Write captions by a vision-language model for real videos of clips that have none; returns the clips written.

    Args:
        ws: workspace that the captions are written to.
        p: `drafter` is the address of the server, `videos` the folder of `<clip>.mp4`.

    Raises:
        ServerUnavailable: the server cannot be reached or refuses every request; the remaining clips are not drafted.
        DreamkitError: a video is missing, or some clips got no usable answer; the other clips are written.
    """
    folder = from_home(p.videos)
    found = {path.stem: path for path in sorted(folder.glob("*.mp4"))} if p.videos else {}
    there = set(ws.clips())
    chosen = [clip for clip in p.clips or found if p.overwrite or clip not in there]
    if lacking := [clip for clip in chosen if clip not in found] or (not found and ["<clip>"]):
        close = nearest(lacking[0], found)
        raise DreamkitError(
            f"There is no video {folder / lacking[0]}.mp4 to draft a caption from.",
            f"The nearest is {close}.mp4." if close else "Set `videos` to the folder of your real front videos.",
        )
    server = drafting_server(p.drafter)
    written, failed = [], []
    for clip in chosen:
        try:
            text = draft_caption(server, p.drafter_model, sample_pictures(found[clip]))
            if faults := caption_problems(text):
                failed.append(f"The model's answer for {clip} cannot be used: {faults[0]}")
                continue
            log.info("%s: %s", clip, save_caption(ws, clip, text))
            written.append(clip)
        except ServerUnavailable:
            raise
        except DreamkitError as error:
            failed.append(f"{clip}: {error.message}")
    if failed:
        listed = "\n  ".join(failed).rstrip(".")
        raise DreamkitError(
            f"{len(failed)} of {len(chosen)} drafts failed, {len(written)} were written:\n  {listed}.",
            "Write the missing captions yourself.",
        )
    return written
