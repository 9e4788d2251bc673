"""Cached text embeddings: safetensors files with a code that only this user can make.

The cache lies in the workspace, and workspaces are passed on. An embedding that somebody else wrote, or changed, could
say anything, so each file carries a keyed hash (HMAC-SHA-256, RFC 2104) of its numbers and its name. The key is made at
the first use and stays in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dreamkit.errors import DreamkitError
from dreamkit.transfer.torchscript import cache_folder
from dreamkit.workspace.files import replacing

KEY_FILE = "embedding_key"
KEY_BYTES = 32
MOST_WIDTH = 2**14


def write_embedding(path: Path, embedding_MC: torch.Tensor) -> None:
    """Write an embedding, float32 [M, C], with its code.

    Raises:
        DreamkitError: the file or the key cannot be written.
    """
    code = _code(path, embedding_MC, _key(make=True))
    with replacing(path) as partial:
        save_file({"embedding": embedding_MC.contiguous()}, partial, metadata={"code": code})


def read_embedding(path: Path, tokens: int) -> torch.Tensor:
    """An embedding, float32 [M, C], that this user wrote; M is at most `tokens`.

    Raises:
        ValueError: it has another shape or type, is not finite, or its code is not this user's.
        Exception: what `safetensors` raises on damaged files.
    """
    with safe_open(path, framework="pt") as file:
        shape, kind = file.get_slice("embedding").get_shape(), file.get_slice("embedding").get_dtype()
        if kind != "F32" or len(shape) != 2 or not (0 < shape[0] <= tokens and 0 < shape[1] <= MOST_WIDTH):
            raise ValueError(f"an embedding of shape {shape} and type {kind}")
        embedding, code = file.get_tensor("embedding"), (file.metadata() or {}).get("code", "")
    if not torch.isfinite(embedding).all() or not hmac.compare_digest(code, _code(path, embedding, _key(make=False))):
        raise ValueError("it was not written by this user")
    return embedding


def _code(path: Path, embedding_MC: torch.Tensor, key: bytes) -> str:
    """The keyed hash of an embedding and of the name of its file, which is a hash of encoder and prompt."""
    content = f"{path.name} {list(embedding_MC.shape)} ".encode() + embedding_MC.contiguous().numpy().tobytes()
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _key(make: bool) -> bytes:
    """This user's key.

    Raises:
        ValueError: there is none yet, and `make` is False; or the file is not a key.
        DreamkitError: it cannot be written.
    """
    path = cache_folder() / KEY_FILE
    if not path.is_file():
        if not make:
            raise ValueError("there is no key")
        with replacing(path) as partial:
            partial.chmod(0o600)
            partial.write_bytes(secrets.token_bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES or (hasattr(os, "getuid") and path.stat().st_uid not in (os.getuid(), 0)):
        raise DreamkitError(f"{path} is not a key that this user wrote.", "Delete it; a new one is made.")
    return key
