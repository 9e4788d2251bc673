"""The checkpoint folder: the files that a stage loads from it, and their checksums."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders
from dreamkit.workspace.files import fingerprint
from dreamkit.workspace.workspace import from_home

log = logging.getLogger(__name__)

TINY = "tiny"
FOLDERS = {"single_view": folders.SINGLE_VIEW, "multi_view": folders.MULTI_VIEW}
DEFAULT_FOLDER = "checkpoints"
UPSTREAM_FOLDER = "cosmos-transfer1/checkpoints"
"""Where upstream's guide puts the model files."""


def folder(name: str) -> Path:
    """The folder of the model files: the tiny bundle of the package, the user's, or that of upstream's guide.

    Args:
        name: TINY, or a folder; the default folder falls back to UPSTREAM_FOLDER.

    Raises:
        DreamkitError: the folder does not exist.
    """
    if name == TINY:
        return folders.TINY_FOLDER
    path = from_home(name)
    if path.is_dir():
        return path
    upstream = from_home(UPSTREAM_FOLDER)
    if name == DEFAULT_FOLDER and upstream.is_dir():
        log.info("there is no folder %s; the model files are read from %s", path, upstream)
        return upstream
    raise DreamkitError(
        f"There is no checkpoint folder {path}.",
        f"Fill it with `dreamkit download -p checkpoints={shlex.quote(name)}`, or set checkpoints to the folder with"
        " nvidia/ and google-t5/, or to tiny for the tiny bundle.",
    )


def guardrail_root(name: str) -> Path:
    """The folder that has the guardrail's files, whether or not it exists.

    Args:
        name: as for `folder`; the tiny bundle has no guardrail, so for it the default folder is taken.
    """
    try:
        return folder(DEFAULT_FOLDER if name == TINY else name)
    except DreamkitError:  # the checks report which of their files are missing there
        return from_home(DEFAULT_FOLDER if name == TINY else name)


def needed(stage: str, root: Path, controls: Sequence[str], own: Mapping[str, Path]) -> list[Path]:
    """Paths of all files that a stage loads; the `v2w` files only when all of them are there.

    Args:
        stage: "single_view" or "multi_view".
        root: the checkpoint folder.
        controls: the controls to run.
        own: control -> the user's own control file.

    Raises:
        DreamkitError: files are missing; the message lists them.
    """
    if stage == "single_view":
        paths = [*folders.single_view_files(root, controls, own).values()]
    else:
        paths = [*folders.multi_view_files(root, "t2w", controls, own).values()]
        if folders.has_extension(root, controls, own):
            paths += folders.multi_view_files(root, "v2w", controls, own).values()
    paths += [root / folders.TOKENIZER / name for name in folders.TOKENIZER_FILES]
    paths.append(root / folders.TEXT_ENCODER / "config.json")
    missing = [_name(root, path) for path in paths if not path.is_file()]
    if missing:
        raise DreamkitError(
            f"The checkpoint folder {root} lacks {len(missing)} of the {len(paths)} files that "
            f"{stage.replace('_', ' ')} needs: {', '.join(missing)}.",
            "Run `dreamkit download` for that folder, or set checkpoints to the folder that has them.",
        )
    paths += [path for path in (root / folders.TEXT_ENCODER).iterdir() if path.suffix in folders.TEXT_ENCODER_SUFFIXES]
    return paths


def checksums(root: Path, paths: Sequence[Path]) -> dict[str, str]:
    """Name -> fingerprint of model files, as sidecars have them.

    Names are relative to the folder, so results stay done when it is moved or its files are links.
    """
    return {_name(root, path): fingerprint(path) for path in sorted(paths)}


def _name(root: Path, path: Path) -> str:
    """Path relative to the checkpoint folder; the file name alone for a file outside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
