"""The model files: which ones a stage needs, where they lie, and their checksums."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders
from dreamkit.workspace.files import fingerprint
from dreamkit.workspace.workspace import from_home

log = logging.getLogger(__name__)

TINY = "tiny"
FOLDERS = {"single_view": folders.SINGLE_VIEW, "multi_view": folders.MULTI_VIEW}
TEXT_SUFFIXES = (".json", ".model", ".bin", ".safetensors")  # the folder also holds other frameworks' weights
# Where users of upstream's own guide have them.
UPSTREAM_FOLDER = "cosmos-transfer1/checkpoints"


def folder(asked: str) -> Path:
    """The folder of the model files: the embedded tiny bundle, the user's, or upstream's default place.

    Raises:
        DreamkitError: the folder does not exist.
    """
    if asked == TINY:
        return folders.TINY_FOLDER
    path = from_home(asked)
    if path.is_dir():
        return path
    upstream = from_home(UPSTREAM_FOLDER)
    if asked == "checkpoints" and upstream.is_dir():
        log.info("no folder %s; the model files are taken from %s", path, upstream)
        return upstream
    raise DreamkitError(
        f"There is no checkpoint folder {path}.",
        "Set checkpoints to the folder that holds nvidia/ and google-t5/, or to tiny to try the kit without them.",
    )


def needed(stage: str, root: Path, controls: Sequence[str], own: Mapping[str, Path]) -> list[Path]:
    """Every file that a stage loads; the `v2w` files count where they are all there.

    Args:
        stage: "single_view" or "multi_view".
        root: the checkpoint folder.
        controls: the controls that run.
        own: control -> the user's own file, as `own_control_files` gives it.

    Raises:
        DreamkitError: files that are not there, all of them.
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
            "Download them into that folder, or set checkpoints to the folder that has them.",
        )
    paths += [path for path in (root / folders.TEXT_ENCODER).iterdir() if path.suffix in TEXT_SUFFIXES]
    return paths


def checksums(root: Path, paths: Sequence[Path]) -> dict[str, str]:
    """Name -> fingerprint; names do not change when the folder moves or its files are links, so results stay done."""
    return {_name(root, path): fingerprint(path) for path in sorted(paths)}


def _name(root: Path, path: Path) -> str:
    """Relative to the checkpoint folder; a file of the user's own elsewhere by its name."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
