"""Captions from a CSV file: the forms that people and other projects write, read to clip and caption."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dreamkit.captions.files import check_caption
from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_names import name_fault
from dreamkit.workspace.files import read_text

CLIP_COLUMNS = (
    *("clip", "clip_id", "clip_name", "sample_name", "segment", "segment_name"),
    *("片段", "片段名", "片段名称", "片段编号", "剪辑"),
)
CAPTION_COLUMNS = ("caption", "prompt", "text", "description", "描述", "字幕", "提示词", "文本")
SEPARATORS = (",", ";", "\t", "|")
MOST_CSV_BYTES = 64 << 20
LONGEST_FIELD = 1 << 20
"""Most letters of one field; the csv module's own bound is 128 Ki."""
MOST_LISTED = 10
"""Most columns or faults that a message lists."""


def read_caption_csv(path: Path) -> dict[str, str]:
    """Clip -> caption of a CSV file.

    The file has one row a clip under a line of column names, one of CLIP_COLUMNS and one of CAPTION_COLUMNS in any
    letter case; or, as waymo_caption.csv of Cosmos-Drive-Dreams, a row of clips above a row of their captions. Fields
    are separated by one of SEPARATORS.

    Raises:
        DreamkitError: the file cannot be read, lacks a column, or has bad captions, which the message lists by place.
    """
    captions: dict[str, str] = {}
    faults = []
    for place, clip, text in _pairs(path):
        fault = check_caption(text)
        if not clip:
            fault = "names no clip"
        elif name_fault(clip):
            fault = f"is of a clip {clip[:80]!r}, whose name {name_fault(clip)}"
        elif clip in captions:
            fault = f"is the second for {clip}"
        if fault:
            faults.append(f"{place}: the caption {fault}")
        captions[clip] = text
    if faults or not captions:
        listed = "\n  ".join(_first(faults)) or "it has no row"
        raise DreamkitError(
            f"The CSV file {path} cannot be used; nothing was written:\n  {listed}.", "Correct these lines."
        )
    return captions


def _pairs(path: Path) -> list[tuple[str, str, str]]:
    """Place in the file, clip and caption, in the file's order; either of the last two may be empty."""
    rows = _rows(path)
    header = [name.strip().lower() for name in rows[0][1]] if rows else []
    clip, caption = (_column(header, names) for names in (CLIP_COLUMNS, CAPTION_COLUMNS))
    if clip is not None and caption is not None:
        return [(f"line {line}", _cell(row, clip).strip(), _cell(row, caption)) for line, row in rows[1:] if any(row)]
    if across := _across(rows):
        return across
    raise DreamkitError(
        f"The CSV file {path} has the columns {', '.join(_first(header)) or 'none'}.",
        f"Its first line must name a column for the clips ({', '.join(CLIP_COLUMNS[:3])}) and one for the captions"
        f" ({', '.join(CAPTION_COLUMNS[:3])}); or one line has the clips and the next their captions.",
    )


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and fields of every row that is not empty, separated by what separates the first line best."""
    text = read_text(path, "CSV file", MOST_CSV_BYTES).removeprefix("\ufeff")
    first_line = text.split("\n", 1)[0]
    separator = max(SEPARATORS, key=first_line.count)
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        # Strict, or a quote that is not closed takes all further rows into one caption.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DreamkitError(
            f"The CSV file {path} cannot be read: {error}.",
            "Look for a quote that is not closed, and save it as CSV with UTF-8 text.",
        ) from None
    finally:
        csv.field_size_limit(before)


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Index of the first of `names` that the header has."""
    return next((header.index(name) for name in names if name in header), None)


def _cell(row: Sequence[str], index: int) -> str:
    return row[index] if index < len(row) else ""


def _across(rows: Sequence[tuple[int, list[str]]]) -> list[tuple[str, str, str]]:
    """The pairs of a file with a row of clips above a row of captions; empty for a file of another form."""
    if len(rows) != 2 or len(rows[0][1]) != len(rows[1][1]):
        return []
    clips, captions = rows[0][1], rows[1][1]
    if any(len(clip.split()) != 1 or "，" in clip for clip in clips):
        return []
    # A line of column names above a single row of theirs has a cell that is no caption: the clip's name.
    if any(len(text.split()) < 2 and text.isascii() for text in captions):
        return []
    return [(f"column {n}", c.strip(), t) for n, (c, t) in enumerate(zip(clips, captions, strict=True), start=1)]


def _first(parts: Sequence[str]) -> list[str]:
    """The first parts, each cut to a length for a message, and how many more there are."""
    shown = [part if len(part) <= 120 else part[:117] + "..." for part in parts[:MOST_LISTED]]
    return [*shown, f"and {len(parts) - MOST_LISTED} more"] if len(parts) > MOST_LISTED else shown
