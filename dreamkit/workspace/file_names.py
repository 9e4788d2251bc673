"""Names that become part of file names."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath, PureWindowsPath

from dreamkit.errors import DreamkitError

log = logging.getLogger(__name__)
MOST_NAME_BYTES = 200
MOST_FILE_BYTES = 240  # of a name that is joined of two; of the 255 that file systems allow, a suffix needs some
MOST_CHUNK = 10**9
SEPARATORS = "/\\"
NOT_PORTABLE = '/\\:*?"<>|'
"""Letters that some file system, or a shell, does not take in a name."""
_CHUNK_FILE = re.compile(r"(?P<clip>.+)_(?P<chunk>[0-9]{1,9})\.mp4", re.DOTALL)


def name_fault(name: str, most: int = MOST_NAME_BYTES, without: str = NOT_PORTABLE) -> str | None:
    """Why a text cannot be part of a file name, as the end of a sentence; None when it can.

    Args:
        name: the text.
        most: its bytes in UTF-8 at most.
        without: letters that it must not have.
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError:  # from a file name in another encoding
        return "is not UTF-8"
    if not name.strip() or name.startswith("."):
        return "is empty or begins with a dot"
    if length > most:
        return f"has {length} bytes, more than {most}"
    if not _letters_not_in_names(without).isdisjoint(name):
        return "has a letter that file names cannot have"
    return None


@functools.lru_cache(maxsize=4)
def _letters_not_in_names(without: str) -> frozenset[str]:
    """These letters and the control characters; planning a large batch checks half a million names."""
    return frozenset([*without, *map(chr, range(32)), chr(127)])


def check_name(name: str, what: str, most: int = MOST_NAME_BYTES) -> str:
    """The name as given, if it can be part of a file name; `what` says what it names ("clip").

    Raises:
        DreamkitError: it is empty, over `most` bytes, no UTF-8, begins with a dot, or has a letter that is not allowed.
    """
    if fault := name_fault(name, most, NOT_PORTABLE):
        raise DreamkitError(
            f"{name!r} cannot be the name of a {what}, because file names contain it and it {fault}.",
            f"Use letters, digits, spaces, - and _; at most {most} bytes, no dot in front and none of"
            ' / \\ : * ? " < > |.',
        )
    return name


@functools.lru_cache(maxsize=2**10)
def joined_name(clip: str, style: str) -> str:
    """Name of a result: `<clip>_<style>`.

    Raises:
        DreamkitError: as `check_name`, for one of the two or for both together.
    """
    return check_name(f"{check_name(clip, 'clip')}_{check_name(style, 'style')}", "result", MOST_FILE_BYTES)


def check_chunk(index: int) -> int:
    """The number of a chunk as given.

    Raises:
        DreamkitError: it is negative or has more than nine digits.
    """
    if not 0 <= index < MOST_CHUNK:
        raise DreamkitError("A chunk has a number that is negative or too large.", "Chunks are numbered from 0.")
    return index


def chunk_names(files: Iterable[str]) -> Iterator[tuple[str, int]]:
    """(clip, chunk number) of the condition videos among file names: those named `<clip>_<n>.mp4`."""
    for name in files:
        match = _CHUNK_FILE.fullmatch(name)
        if match and not name.startswith("."):
            yield match["clip"], int(match["chunk"])


def check_result(name: str) -> str:
    """The name of a result as given, if it is a name inside one folder. Users' own videos may have letters such as `?`.

    Raises:
        DreamkitError: it is empty, over 240 bytes, no UTF-8, begins with a dot, or has a slash or control character.
    """
    if fault := name_fault(name, MOST_FILE_BYTES, SEPARATORS):
        raise DreamkitError(
            f"{name!r} cannot be the name of a result, because it {fault}.", "Rename the result's files."
        )
    return name


def usable_results(names: Iterable[str], folder: object) -> list[str]:
    """The names that `check_result` accepts; see `usable_names`."""
    return usable_names(names, "result", folder, MOST_FILE_BYTES, SEPARATORS)


def usable_names(
    names: Iterable[str], what: str, folder: object, most: int = MOST_NAME_BYTES, without: str = NOT_PORTABLE
) -> list[str]:
    """The names without fault, see `name_fault`, sorted and each once; a warning is logged for each of the others.

    Names that begin with a dot are left out without a warning: they are not meant to be listed.
    """
    found = []
    for name in sorted(set(names)):
        fault = name_fault(name, most, without)
        if fault is None:
            found.append(name)
        elif not name.startswith("."):
            log.warning("%s: the %s %r is left out: its name %s", folder, what, name[:120], fault)
    return found


def check_relative(name: str, origin: str) -> str:
    """A path of a file inside a folder, as somebody else's list has it: relative, with `/`, and never above the folder.

    Args:
        name: the path.
        origin: whose list it is, for the message.

    Raises:
        DreamkitError: it is absolute, has a drive, a backslash, a zero byte or `..`, or is no path of a file.
    """
    parts = name.split("/")
    bad = (
        any(part in ("", ".", "..") for part in parts)
        or any(ord(letter) < 32 or letter == "\\" for letter in name)
        or PurePosixPath(name).is_absolute()
        or bool(PureWindowsPath(name).drive)
        or any(0xD800 <= ord(letter) < 0xE000 for letter in name)
        or any(len(part.encode("utf-8", "replace")) > 255 for part in parts)
    )
    if bad:
        raise DreamkitError(
            f"{origin} lists a file {name!r}, whose name leads out of its folder or is no name of a file.",
            "Do not use this source: nothing of it was written.",
        )
    return name
