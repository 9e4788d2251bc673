"""Captions to clips: which have one, what is wrong with it, a table of many at once, a first draft by a model."""

from __future__ import annotations

import csv
import html
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamkit.captions import drafter
from dreamkit.captions import files as caption_files
from dreamkit.captions.conditions import contradictions, read_state
from dreamkit.captions.language import T5_TOKENS, estimated_tokens, language_problem, token_counter
from dreamkit.captions.params import CaptionParams
from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import logging_to
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import nearest, read_text
from dreamkit.workspace.images import data_url, jpeg
from dreamkit.workspace.workspace import Chunk, Workspace, from_home, listed_clips

log = logging.getLogger(__name__)
Counter = Callable[[str], int]
PICTURE_WIDTH = 240


def problems(caption: str, count: Counter = estimated_tokens) -> list[str]:
    """What is wrong with a caption, one sentence each; quick enough to run while somebody types.

    Args:
        caption: the text.
        count: T5 tokens of a text.
    """
    if fault := caption_files.check(caption):
        return [f"It {fault}."]
    found = []
    if fault := language_problem(caption):
        found.append(f"It {fault}; the model knows English only.")
    if (tokens := count(caption)) > T5_TOKENS:
        found.append(f"It has {tokens} tokens; the model reads the first {T5_TOKENS} and drops the rest.")
    time, weather = read_state(caption)
    if wrong := list(dict.fromkeys(word.lower() for word in contradictions(caption, time, weather))):
        said = " and ".join(filter(None, (time, weather)))
        found.append(f"It speaks of {said}, but also says {', '.join(repr(word) for word in wrong)}.")
    return found


def counter(tokenizer: str) -> Counter:
    """Counts T5 tokens with the tokenizer in a folder, or estimates where none is given.

    Raises:
        DreamkitError: the folder holds no tokenizer.
    """
    return token_counter(from_home(tokenizer) if tokenizer else None)


@dataclass(frozen=True)
class Entry:
    """A clip and its caption: the text, "" where there is none, and what is wrong with it."""

    clip: str
    text: str
    faults: tuple[str, ...]

    @property
    def state(self) -> str:
        """In a word."""
        return "no caption" if not self.text else "look at it" if self.faults else "good"


@dataclass(frozen=True)
class Table:
    """The clips of a workspace with their captions."""

    ws: Workspace
    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        lines = [f"{entry.state:>10}  {entry.clip}  {' '.join(entry.faults)}".rstrip() for entry in self.entries]
        return "\n".join([f"{len(self.entries)} clips in {self.ws.root}", *lines])

    def show(self, most: int = 30) -> Any:
        """The table with a picture of each clip's conditions; the first `most` clips."""
        from IPython.display import HTML

        rows = ""
        for entry in self.entries[:most]:
            picture = thumbnail(self.ws, entry.clip)
            shown = f'<img width="{PICTURE_WIDTH}" src="{data_url(picture)}">' if picture else "no condition video"
            words = html.escape(entry.text) or "<i>no caption</i>"
            faults = "".join(f"<br><b>{html.escape(fault)}</b>" for fault in entry.faults)
            cell = 'style="text-align:left;vertical-align:top;overflow-wrap:anywhere'
            rows += (
                f'<tr><td {cell};width:{PICTURE_WIDTH + 10}px">{shown}<br>{html.escape(entry.clip)}</td>'
                f'<td {cell}">{words}{faults}</td></tr>'
            )
        more = len(self.entries) - most
        rest = f"<p>and {more} more; name some in clips to see them</p>" if more > 0 else ""
        return HTML(f'<table style="table-layout:fixed;width:100%">{rows}</table>{rest}')


def table(ws: Workspace, p: CaptionParams) -> Table:
    """The clips asked for, or all that have conditions or a caption.

    Raises:
        DreamkitError: the workspace has no clip at all, or not the one asked for.
    """
    count = counter(p.tokenizer)
    return Table(ws, tuple(entry(ws, clip, count) for clip in listed_clips(ws, p.clips)))


def entry(ws: Workspace, clip: str, count: Counter) -> Entry:
    """One clip; a caption file that cannot be read is a fault, not an end."""
    try:
        text = caption_files.read(ws.captions, clip).get(caption_files.ORIGINAL, "") if clip in ws.clips() else ""
    except DreamkitError as error:
        return Entry(clip, "", (error.message,))
    return Entry(clip, text, tuple(problems(text, count)) if text else ())


def thumbnail(ws: Workspace, clip: str, width: int = PICTURE_WIDTH * 2) -> bytes | None:
    """The first front condition picture of a clip, JPEG, or None when there is none that can be read."""
    for control in CONTROLS:
        path = ws.condition(control, SIX_VIEWS.front, Chunk(clip))
        if path.is_file():
            try:
                frame = video.read_video(path, 1)
            except DreamkitError:
                return None
            height = round(frame.shape[1] * width / frame.shape[2] / 2) * 2
            return jpeg(video.resize(frame, height, width)[0])
    return None


def save(ws: Workspace, clip: str, text: str) -> str:
    """Write `<clip>.txt`; returns what to tell the user.

    Raises:
        DreamkitError: the text is no caption, or the folder cannot be written.
    """
    path = caption_files.write_original(ws.captions, clip, text)
    styled = ws.captions / f"{clip}.json"
    told = f"saved {path.name}"
    if styled.is_file():
        told += f"; {styled.name} is what 04 and 05 read, so run 03 with overwrite to renew it"
    return told


def prepare(ws: Workspace, p: CaptionParams) -> Table:
    """Import the CSV and draft what is missing, where asked; then the table.

    Raises:
        DreamkitError: see `import_csv`, `draft` and `table`.
    """
    with logging_to(ws.log_file("captions")):
        if p.csv:
            written = import_csv(ws, from_home(p.csv), p.overwrite)
            log.info("%d captions written from %s", len(written), p.csv)
        if p.drafter:
            draft(ws, p)
    return table(ws, p)


def import_csv(ws: Workspace, path: Path, overwrite: bool = False) -> list[str]:
    """Write `<clip>.txt` for every row of a CSV file with the columns `clip` and `caption`; returns the clips written.

    A caption that is there already is kept unless `overwrite`. One bad row, and nothing is written.

    Raises:
        DreamkitError: the file cannot be read, lacks a column, or has bad rows: all of them, by line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, "CSV file")))
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    if not {"clip", "caption"} <= set(columns):
        raise DreamkitError(
            f"The CSV file {path} has the columns {', '.join(columns) or 'none'}.",
            "Its first line must be clip,caption.",
        )
    reader.fieldnames = columns
    rows: dict[str, str] = {}
    faults = []
    for row in reader:
        clip, text = (row["clip"] or "").strip(), row["caption"] or ""
        fault = caption_files.check(text)
        if not clip:
            fault = "names no clip"
        elif clip in rows:
            fault = f"is the second for {clip}"
        if fault:
            faults.append(f"line {reader.line_num}: the caption {fault}")
        rows[clip] = text
    if faults or not rows:
        listed = "\n  ".join(faults) or "it has no row"
        raise DreamkitError(
            f"The CSV file {path} cannot be used; nothing was written:\n  {listed}", "Mend these lines."
        )
    written = [clip for clip in rows if overwrite or clip not in ws.clips()]
    for clip in written:
        log.info("%s", save(ws, clip, rows[clip]))
    return written


def draft(ws: Workspace, p: CaptionParams) -> list[str]:
    """Let a vision-language model describe the real videos of clips that have no caption; returns the clips written.

    Args:
        ws: where the captions go.
        p: `drafter` is the address of a server of OpenAI's chat protocol, `videos` the folder of `<clip>.mp4`.

    Raises:
        DreamkitError: no video, no server, or no usable answer for some clip; the other clips are written.
    """
    folder = from_home(p.videos)
    found = {path.stem: path for path in sorted(folder.glob("*.mp4"))} if p.videos else {}
    asked = [clip for clip in p.clips or found if p.overwrite or clip not in ws.clips()]
    if lacking := [clip for clip in asked if clip not in found] or (not found and ["<clip>"]):
        close = nearest(lacking[0], found)
        raise DreamkitError(
            f"There is no video {folder / lacking[0]}.mp4 to draft a caption from.",
            f"The nearest is {close}.mp4." if close else "Set videos to the folder of your real front videos.",
        )
    written, faults = [], []
    for clip in asked:
        try:
            text = drafter.ask(p.drafter, p.drafter_model, drafter.pictures(found[clip]))
            if found_faults := problems(text):
                raise DreamkitError(f"The model's answer for {clip} cannot be used: {found_faults[0]}")
            log.info("%s: %s", clip, save(ws, clip, text))
            written.append(clip)
        except DreamkitError as error:
            faults.append(error)
            if "server" in error.message:
                raise
    if faults:
        told = "\n  ".join(error.message for error in faults)
        raise DreamkitError(
            f"{len(faults)} of {len(asked)} drafts failed, {len(written)} were written:\n  {told}",
            "Write those yourself.",
        )
    return written
