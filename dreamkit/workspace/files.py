"""Reading and writing files: atomic writes, text, JSON and YAML with readable errors, checksums, nearest names.

How a partial file is named and made is in `partials`, how JSON and YAML are parsed in `parsing`.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.workspace.parsing import parse_json, parse_yaml, text_table
from dreamkit.workspace.partials import NO_LINKS, make_partial, sync

MOST_TEXT_BYTES = 16 * 2**20
"""Of a text file; a larger one is refused before it is read. Sidecars and captions have a few KiB."""
SAMPLED_FROM_BYTES = 256 * 2**20
SAMPLED_BLOCKS = 64


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, in the same folder; rename it to `path` when the block succeeds, else delete it.

    The yielded file exists and is empty; its path keeps the suffix of `path`, by which video writers choose the
    container. The folder is made when missing.

    Raises:
        DreamkitError: the folder cannot be made or written to, or the disk is full.
    """
    partial = handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, handle = make_partial(path)
        yield partial
        sync(partial, handle)
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise DreamkitError(
            f"Cannot write {path}: {error.strerror or error}.",
            "Check that the folder exists, that you may write to it, and that the disk has room.",
        ) from error
    finally:
        if handle is not None:
            os.close(handle)
        if partial is not None:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; does nothing where the file system cannot sync a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; see `replacing`."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DreamkitError(
            f"Cannot write {path}: the text has {text[error.start : error.end]!r}, which UTF-8 cannot encode.",
            "Take this letter out of the text or name that it came from.",
        ) from None
    with replacing(path) as partial:
        partial.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write indented UTF-8 JSON with a final newline; see `replacing`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Append a line of UTF-8 text, whole or not at all, to a file that is made when missing.

    Where an interrupted writer left an unfinished last line, the new line begins below it. The caller holds a lock
    against other writers.

    Raises:
        OSError: the file cannot be written, or the disk is full.
    """
    data = line.encode("utf-8") + b"\n"
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINKS, 0o666)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(handle, data) != len(data):
            os.ftruncate(handle, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(handle)


def read_text(path: Path, what: str, most: int = MOST_TEXT_BYTES) -> str:
    """Read UTF-8 text (a byte-order mark is dropped).

    Args:
        path: the file.
        what: kind of the file, for the message ("caption").
        most: bytes of the file at most.

    Raises:
        DreamkitError: the file is missing, unreadable, no plain file, too large, or not text.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) and not path.is_dir():  # reading a pipe or device may never end
            raise DreamkitError(f"The {what} {path} is no plain file.", "Give the path of a text file.")
        if found.st_size > most:
            raise DreamkitError(
                f"The {what} {path} has {found.st_size:,} bytes; up to {most:,} are read.",
                "Check that it is the right file, or split it.",
            )
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DreamkitError(f"There is no {what} at {path}.", nearest_file_hint(path)) from None
    except OSError as error:
        raise DreamkitError(
            f"Cannot read the {what} {path}: {error.strerror or error}.", "Check that it is a file you may read."
        ) from error
    except UnicodeDecodeError as error:
        raise DreamkitError(
            f"The {what} {path} is not UTF-8 text (byte {error.start}).", "Save it again as plain UTF-8 text."
        ) from None
    except ValueError:  # a zero byte or half a surrogate pair in the path
        raise DreamkitError(f"There is no {what} at {str(path)!r}, which is no path.", "Correct the path.") from None
    if "\x00" in text:
        raise DreamkitError(f"The {what} {path} is not text: it has zero bytes.", "Save it as plain UTF-8 text.")
    return text


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object; arguments as for `read_text`.

    Raises:
        DreamkitError: as for `read_text` and `parse_json`; or the JSON is no object.
    """
    value = parse_json(read_text(path, what), f"The {what} {path}")
    if not isinstance(value, dict):
        raise DreamkitError(
            f"The {what} {path} must be a JSON object {{...}}, not a {type(value).__name__}.",
            'Put the entries between { and }, as `"name": value`.',
        )
    return value


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML table whose keys are texts; arguments as for `read_text`. An empty file is an empty table.

    Raises:
        DreamkitError: as for `read_text`, `parse_yaml` and `text_table`.
    """
    subject = f"The {what} {path}"
    return dict(text_table(parse_yaml(read_text(path, what), subject), subject))


def sha256(path: Path) -> str:
    """SHA-256 of the whole file, as `sha256:<hex>`.

    Raises:
        DreamkitError: it cannot be read.
    """
    digest = hashlib.sha256()
    with _reading(path), path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an OSError into a DreamkitError that names the file."""
    try:
        yield
    except OSError as error:
        raise DreamkitError(
            f"Cannot read {path}: {error.strerror or error}.", "Check that it is a file you may read."
        ) from error


def fingerprint(path: Path) -> str:
    """A checksum that takes little time on files of many GiB.

    Up to 256 MiB it is the file's SHA-256. Above, it is the SHA-256 of the size and of 64 blocks of 1 MiB spread evenly
    over the file, as `sampled-sha256:<hex>`. Retrained weights change it; a change of bytes between the blocks does
    not.
    """
    with _reading(path):
        size = path.stat().st_size
    if size <= SAMPLED_FROM_BYTES:
        return sha256(path)
    digest = hashlib.sha256(str(size).encode())
    with _reading(path), path.open("rb") as file:
        for index in range(SAMPLED_BLOCKS):
            file.seek((size - 2**20) * index // (SAMPLED_BLOCKS - 1))
            digest.update(file.read(2**20))
    return f"sampled-sha256:{digest.hexdigest()}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most similar to `name`, ignoring case; None where none reaches `cutoff`, from 0 to 1."""
    by_lower = {other.lower(): other for other in known}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def nearest_file_hint(path: Path) -> str:
    """A sentence that names the file or folder most similar to `path` that exists."""
    folder = path.parent
    if not folder.is_dir():
        existing = next((parent for parent in folder.parents if parent.is_dir()), Path())
        return f"The folder {folder} does not exist either; the nearest that does is {existing.resolve()}."
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if not names:
        return f"The folder {folder} is empty."
    found = nearest(path.name, names) or next((name for name in names if name.endswith(path.suffix)), names[0])
    return f"The nearest that exists is {folder / found}."
