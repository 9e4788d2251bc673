"""Caption files of a workspace: `<clip>.txt` and `<clip>.json`; read, check, choose styles, write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_names import check_name, usable_names
from dreamkit.workspace.files import nearest, read_json, read_text, write_json, write_text
from dreamkit.workspace.partials import entries

ORIGINAL = "Original"
# The eight styles of the original scripts, in their order.
STYLES = (ORIGINAL, "Golden hour", "Morning", "Night", "Rainy", "Snowy", "Sunny", "Foggy")
MOST_CAPTION = 20_000
"""Letters of a caption at most. The model reads its first 512 tokens, some 2,500 letters."""


def caption_path(folder: Path, clip: str, suffix: str) -> Path:
    """The caption file of a clip in a folder, whether or not it exists; `suffix` is "txt" or "json".

    Raises:
        DreamkitError: the name of the clip cannot be part of a file name; or the file is a link out of the workspace,
            whose text would otherwise get into sidecars and from there to others.
    """
    path = folder / f"{check_name(clip, 'clip')}.{suffix}"
    if path.is_symlink() and not _is_inside(path, folder):
        raise DreamkitError(
            f"The caption {path} is a link to {path.readlink()}, which is not in the workspace.",
            "Copy the file into the workspace's captions folder in place of the link.",
        )
    return path


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a link leads into the folder, or into the one above it, which is the workspace."""
    try:
        return path.resolve().is_relative_to(folder.resolve().parent)
    except (OSError, RuntimeError):  # a link to itself
        return False


def read_captions(folder: Path, clip: str) -> dict[str, str]:
    """Style -> caption of one clip.

    `<clip>.json` has one caption per style. `<clip>.txt` alone is the caption of style Original. When both exist, the
    JSON file is read, because it is made from the text file.

    Raises:
        DreamkitError: neither file exists, a caption in it fails `check_caption`, or as `caption_path`.
    """
    styled, plain = caption_path(folder, clip, "json"), caption_path(folder, clip, "txt")
    if styled.is_file():
        captions = read_json(styled, "caption file")
        if not captions:
            raise DreamkitError(
                f"The caption file {styled} names no style.", 'Write {"Original": "<caption>"} into it.'
            )
        for style, caption in captions.items():
            check_name(style, "style")
            _refuse(caption, f"{styled}, style {style!r}")
        return {style: caption.strip() for style, caption in captions.items()}
    if plain.is_file():
        caption = read_text(plain, "caption")
        _refuse(caption, str(plain))
        return {ORIGINAL: caption.strip()}
    files = [Path(name) for name in entries(folder)]
    known = usable_names((path.stem for path in files if path.suffix in (".txt", ".json")), "clip", folder)
    close = nearest(clip, known)
    raise DreamkitError(
        f"The clip {clip} has no caption: neither {plain} nor {styled.name} is there.",
        f"The nearest caption is {close}." if close else f"Write what the front camera sees into {plain}.",
    )


def check_caption(caption: object) -> str | None:
    """Why a value cannot be a caption, as the end of a sentence ("is empty"); None when it can."""
    if not isinstance(caption, str):
        return f"is a {type(caption).__name__}, not a text"
    if not caption.strip():
        return "is empty"
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in caption):
        return "holds control characters, so it is not plain text"
    if len(caption) > MOST_CAPTION:
        return f"has {len(caption):,} letters, more than {MOST_CAPTION:,}"
    if not any(letter.isalpha() for letter in caption):
        return "holds no words"
    return None


def _refuse(caption: object, where: str) -> None:
    if problem := check_caption(caption):
        raise DreamkitError(f"The caption in {where} {problem}.", "Write one or more English sentences there.")


def choose_styles(captions: Mapping[str, str], styles: Iterable[str], where: str) -> dict[str, str]:
    """The captions of the chosen styles, in the order of `styles`; all captions when `styles` is empty.

    Args:
        captions: style -> caption, as `read_captions` returns it.
        styles: names of styles; letter case must match.
        where: the clip, for the message.

    Raises:
        DreamkitError: the clip has no caption of a style.
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
    """Write `<clip>.txt`.

    Raises:
        DreamkitError: the caption fails `check_caption`; nothing is written then.
    """
    path = caption_path(folder, clip, "txt")
    _refuse(caption, str(path))
    write_text(path, caption.strip() + "\n")
    return path


def write_style_captions(folder: Path, clip: str, captions: Mapping[str, str]) -> Path:
    """Write `<clip>.json`, style -> caption, in the format of the original scripts; raises as `write_original`."""
    path = caption_path(folder, clip, "json")
    for style, caption in captions.items():
        _refuse(caption, f"{path}, style {style!r}")
    write_json(path, dict(captions))
    return path
