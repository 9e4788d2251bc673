"""TorchScript files: loading one executes it, so its checksum must be published or trusted by the user."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

import torch

from dreamkit.errors import DreamkitError, first_line
from dreamkit.transfer.folders import TOKENIZER, TOKENIZER_MD5
from dreamkit.workspace.files import sha256, write_json

# SHA-256 of the tokenizers of the tiny bundle, of this version and of earlier ones.
KNOWN_SHA256 = (
    "sha256:ef85b332cc22f25be9c78bc775369b73804ca0de0547098202bcd8136653871f",  # encoder.jit
    "sha256:b14b1a8ee62fb00b3a0d15bb7eca55c51b0d9ab4492908db4c50783d5feb4184",  # decoder.jit
    "sha256:ec1fdda7dcb2b15b22034778dbc2b6adf979e9d6e771d88ce13cbde147772b35",  # encoder.jit
    "sha256:143db5c56de10c3909ca41fc814e0aa392fc1c0cb42478f2d1b19de742c5be74",  # decoder.jit
)


def cache_folder() -> Path:
    """The user's cache folder for dreamkit: $DREAMKIT_CACHE, else $XDG_CACHE_HOME/dreamkit, else ~/.cache/dreamkit."""
    chosen = os.environ.get("DREAMKIT_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dreamkit"


def trust(path: Path) -> None:
    """Add the file's SHA-256 to this user's list of files that may be executed."""
    write_json(_trust_file(), {**_trusted(), sha256(path): str(path)})


def is_trusted(path: Path) -> bool:
    """Whether the file's checksum is a published one, or on this user's list (see `trust`)."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    if digest.hexdigest() in TOKENIZER_MD5.values():
        return True
    return sha256(path) in {*KNOWN_SHA256, *_trusted()}


def load_torchscript(path: Path, device: torch.device, trusted: Collection[Path] = ()) -> torch.jit.ScriptModule:
    """Load a TorchScript file, in evaluation mode.

    Args:
        path: the file.
        device: where its weights go.
        trusted: files that may be executed whatever their checksum is.

    Raises:
        DreamkitError: no such file, an unknown checksum, or a file that TorchScript cannot read.
    """
    if not path.is_file():
        raise DreamkitError(f"There is no tokenizer file at {path}.", f"Download {TOKENIZER}.")
    if path.resolve() not in {Path(p).resolve() for p in trusted} and not is_trusted(path):
        raise DreamkitError(
            f"{path} is TorchScript with an unknown checksum ({sha256(path)}), and loading it would execute it.",
            "Fetch the published file again; if the file is your own, name it in trust_jit.",
        )
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except Exception as error:  # of damaged files: RuntimeError, and many others
        raise DreamkitError(
            f"{path} is not a readable TorchScript file: {first_line(error)}.", "Fetch the file again."
        ) from error


def _trust_file() -> Path:
    return cache_folder() / "trusted_torchscript.json"


def _trusted() -> dict[str, str]:
    """SHA-256 -> path of the files that this user trusts; empty where the list is missing or damaged."""
    try:
        listed = json.loads(_trust_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return listed if isinstance(listed, dict) else {}
