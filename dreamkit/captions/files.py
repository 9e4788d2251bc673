"""Captions: read, check, choose styles, write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import nearest, read_json, read_text, write_json, write_text

ORIGINAL = "Original"
# Upstream's eight, in its order.
STYLES = (ORIGINAL, "Golden hour", "Morning", "Night", "Rainy", "Snowy", "Sunny", "Foggy")


def read(folder: Path, clip: str) -> dict[str, str]:
    """Style -> caption of one clip.

    `<clip>.json` holds one caption per style. `<clip>.txt` alone means the style Original. Where both stand, the JSON
    is taken: it is made from the text.

    Raises:
        DreamkitError: neither file is there, or the one that is cannot be used (see `check`).
    """
    styled, plain = folder / f"{clip}.json", folder / f"{clip}.txt"
    if styled.is_file():
        captions = read_json(styled, "caption file")
        if not captions:
            raise DreamkitError(f"The caption file {styled} names no style.", 'Write {"Original": "..."} into it.')
        for style, caption in captions.items():
            _refuse(caption, f"{styled}, style {style!r}")
        return {style: caption.strip() for style, caption in captions.items()}
    if plain.is_file():
        caption = read_text(plain, "caption")
        _refuse(caption, str(plain))
        return {ORIGINAL: caption.strip()}
    known = sorted({path.stem for suffix in ("txt", "json") for path in folder.glob(f"*.{suffix}")})
    close = nearest(clip, known)
    raise DreamkitError(
        f"The clip {clip} has no caption: neither {plain} nor {styled.name} is there.",
        f"The nearest caption is {close}." if close else f"Write what the front camera sees into {plain}.",
    )


def check(caption: object) -> str | None:
    """What makes this no caption, in words, or None when it is one."""
    if not isinstance(caption, str):
        return f"is a {type(caption).__name__}, not a text"
    if not caption.strip():
        return "is empty"
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in caption):
        return "holds control characters, so it is not plain text"
    if not any(letter.isalpha() for letter in caption):
        return "holds no words"
    return None


def _refuse(caption: object, where: str) -> None:
    if problem := check(caption):
        raise DreamkitError(f"The caption in {where} {problem}.", "Write one or more English sentences there.")


def choose(captions: Mapping[str, str], styles: Iterable[str], where: str) -> dict[str, str]:
    """The captions of the asked styles, in the order asked; all of them when none is asked.

    Args:
        captions: style -> caption, as `read` gives it.
        styles: the asked styles; letter case must match.
        where: the clip, for the message.

    Raises:
        DreamkitError: a style that the clip has no caption for.
    """
    chosen = {}
    for style in styles:
        if style not in captions:
            close = nearest(style, captions)
            hint = f"Did you mean {close!r}?" if close else f"It has {', '.join(captions)}."
            if close is None and (upstreams := nearest(style, STYLES)):
                hint = f"It has {', '.join(captions)}; add a caption for {upstreams} to its .json file."
            raise DreamkitError(f"The clip {where} has no caption of style {style!r}.", hint)
        chosen[style] = captions[style]
    return chosen or dict(captions)


def write_original(folder: Path, clip: str, caption: str) -> Path:
    """Write `<clip>.txt`; a text that `check` faults is refused and nothing is written."""
    path = folder / f"{clip}.txt"
    _refuse(caption, str(path))
    write_text(path, caption.strip() + "\n")
    return path


def write_styles(folder: Path, clip: str, captions: Mapping[str, str]) -> Path:
    """Write `<clip>.json` as upstream does, style -> caption; see `write_original`."""
    path = folder / f"{clip}.json"
    for style, caption in captions.items():
        _refuse(caption, f"{path}, style {style!r}")
    write_json(path, dict(captions))
    return path
