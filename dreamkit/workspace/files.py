"""Reading and writing files: atomic writes, text, JSON and YAML with readable errors, checksums, nearest names."""

from __future__ import annotations

import contextlib
import difflib
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError, first_line

# Begins the name of a file that is being written. Files whose names begin with a dot are never listed as inputs.
PARTIAL_PREFIX = ".partial-"
SAMPLED_FROM_BYTES = 256 * 2**20
SAMPLED_BLOCKS = 64
_YAML_LINES = "Write one `name: value` a line."


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, in the same folder; rename it to `path` when the block succeeds, else delete it.

    The yielded path keeps the suffix of `path`, by which video writers choose the container. The folder is made when
    missing.

    Raises:
        DreamkitError: the folder cannot be made or written to, or the disk is full.
    """
    partial = path.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise DreamkitError(
            f"Cannot write {path}: {error.strerror or error}.",
            "Check that the folder exists, that you may write to it, and that the disk has room.",
        ) from error
    finally:
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
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


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
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(handle, data) != len(data):
            os.ftruncate(handle, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(handle)


def read_text(path: Path, what: str) -> str:
    """Read UTF-8 text (a byte-order mark is dropped).

    Args:
        path: the file.
        what: kind of the file, for the message ("caption").

    Raises:
        DreamkitError: the file is missing, unreadable or not text.
    """
    try:
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
    if "\x00" in text:
        raise DreamkitError(f"The {what} {path} is not text: it has zero bytes.", "Save it as plain UTF-8 text.")
    return text


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object; arguments as for `read_text`.

    Raises:
        DreamkitError: as for `read_text`; or the JSON is invalid (line and column), has a key twice, or is no object.
    """
    text = read_text(path, what)

    def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        if doubled:
            raise DreamkitError(f"The {what} {path} has {doubled[0]!r} twice.", "Keep one of the two.")
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=no_doubles)
    except json.JSONDecodeError as error:
        raise DreamkitError(
            f"The {what} {path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            "Common causes: a comma after the last entry, a missing quote, a quote inside a text without a backslash.",
        ) from None
    except (RecursionError, ValueError) as error:  # ValueError: a whole number of thousands of digits
        fault = "is nested too deeply" if isinstance(error, RecursionError) else f"cannot be read: {first_line(error)}"
        raise DreamkitError(f"The {what} {path} {fault}.", "Restore the file, or delete it.") from None
    if not isinstance(value, dict):
        raise DreamkitError(
            f"The {what} {path} must be a JSON object {{...}}, not a {type(value).__name__}.",
            'Put the entries between { and }, as `"name": value`.',
        )
    return value


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML table whose keys are texts; arguments as for `read_text`. An empty file is an empty table.

    Raises:
        DreamkitError: as for `read_text`; or the YAML is invalid (line and column), or is no table with texts as keys.
    """
    import yaml  # here, because the world model imports this module where PyYAML may be absent

    text = read_text(path, what)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DreamkitError(
            f"The {what} {path} is not valid YAML{_yaml_fault(error)}.",
            "Common causes: a bracket or quote that is not closed, a tab as indentation, a colon without a space.",
        ) from None
    except RecursionError:
        raise DreamkitError(f"The {what} {path} is nested too deeply.", _YAML_LINES) from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        # What the constructors of PyYAML raise for a date such as 2026-13-45 or a tag such as `!!bool x`.
        raise DreamkitError(
            f"The {what} {path} has a value that YAML cannot read: {error}.", "Put quotes around values that are text."
        ) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise DreamkitError(f"The {what} {path} must be lines of `name: value`, not a {kind}.", _YAML_LINES)
    if odd := [key for key in value if not isinstance(key, str)]:
        raise DreamkitError(
            f"The {what} {path} has the name {odd[0]!r}, which is not a text.", "Put quotes around that name."
        )
    return value


def _yaml_fault(error: Any) -> str:
    """Place and kind of the fault of a `yaml.YAMLError`, to follow "is not valid YAML"; may be empty."""
    if mark := getattr(error, "problem_mark", None):
        return f" at line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if hasattr(error, "position"):  # a character that YAML does not allow
        return f" at character {error.position + 1}: {error.reason}"
    return ""


def sha256(path: Path) -> str:
    """SHA-256 of the whole file, as `sha256:<hex>`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def fingerprint(path: Path) -> str:
    """A checksum that takes little time on files of many GiB.

    Up to 256 MiB it is the file's SHA-256. Above, it is the SHA-256 of the size and of 64 blocks of 1 MiB spread evenly
    over the file, as `sampled-sha256:<hex>`. Retrained weights change it; a change of bytes between the blocks does
    not.
    """
    size = path.stat().st_size
    if size <= SAMPLED_FROM_BYTES:
        return sha256(path)
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
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
