"""Which TorchScript files may be executed: those of a known checksum, and those the user vouches for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

import torch

from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import sha256, write_json

# Published by NVIDIA: cosmos-transfer1 scripts/download_checkpoints.py.
KNOWN_MD5 = {
    "f5834d03645c379bc0f8ad14b9bc0299": "Cosmos-Tokenize1-CV8x8x8-720p/encoder.jit",
    "ff21a63ed817ffdbe4b6841111ec79a8": "Cosmos-Tokenize1-CV8x8x8-720p/decoder.jit",
    "7f658580d5cf617ee1a1da85b1f51f0d": "Cosmos-Tokenize1-CV8x8x8-720p/autoencoder.jit",
}


# The tokenizer of the tiny bundle that ships with the kit, by SHA-256.
KNOWN_SHA256 = (
    "sha256:ec1fdda7dcb2b15b22034778dbc2b6adf979e9d6e771d88ce13cbde147772b35",  # encoder.jit
    "sha256:143db5c56de10c3909ca41fc814e0aa392fc1c0cb42478f2d1b19de742c5be74",  # decoder.jit
)


def cache_folder() -> Path:
    """Where the kit keeps small things between runs: $DREAMKIT_CACHE, or the user's cache folder."""
    chosen = os.environ.get("DREAMKIT_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dreamkit"


def trust(path: Path) -> None:
    """Remember this file's checksum, for this user, as one that may be executed."""
    store = cache_folder() / "trusted_torchscript.json"
    write_json(store, {**_trusted(), sha256(path): str(path)})


def is_trusted(path: Path) -> bool:
    """Whether the file's checksum is a published one, or one that this user trusts."""
    if hashlib.md5(path.read_bytes()).hexdigest() in KNOWN_MD5:
        return True
    return sha256(path) in {*KNOWN_SHA256, *_trusted()}


def load_torchscript(path: Path, device: torch.device, trusted: Collection[Path] = ()) -> torch.jit.ScriptModule:
    """Load a TorchScript file, if its checksum is known or the user has named the file.

    Raises:
        DreamkitError: no such file, a checksum nobody vouches for, or a file that TorchScript cannot read.
    """
    if not path.is_file():
        raise DreamkitError(f"tokenizer file not found: {path}", "Download Cosmos-Tokenize1-CV8x8x8-720p.")
    if path.resolve() not in {Path(p).resolve() for p in trusted} and not is_trusted(path):
        raise DreamkitError(
            f"{path} is TorchScript with an unknown checksum ({sha256(path)}), and loading it would execute it",
            "Fetch the published file again; if the file is your own, name it in trust_jit.",
        )
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        raise DreamkitError(
            f"{path} is not a readable TorchScript file: {str(error).splitlines()[0]}", "Fetch the file again."
        ) from error


def _trusted() -> dict[str, str]:
    try:
        return json.loads((cache_folder() / "trusted_torchscript.json").read_text())
    except (OSError, json.JSONDecodeError):
        return {}
