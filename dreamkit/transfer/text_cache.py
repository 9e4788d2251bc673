"""Cached text embeddings: safetensors files with a code that only this user can make.

The cache lies in the workspace, and workspaces are passed on. An embedding that somebody else wrote or changed could be
of any text, so each file carries a keyed hash (HMAC-SHA-256, RFC 2104) of its numbers and its name. The key is made at
the first use and stays in the user's cache folder.

Its header also has a mark of the numbers, which sidecars copy into a result's identity: a checksum would differ between
devices, whose embeddings differ in the last bits, and the mark can be read without the numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import math
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dreamkit.errors import DreamkitError
from dreamkit.transfer.torchscript import cache_folder
from dreamkit.workspace.files import replacing

KEY_FILE = "embedding_key"
KEY_BYTES = 32
MOST_WIDTH = 2**14
MARK_SUMS = 4
MARK_TOLERANCE = 0.02
"""Relative difference up to which numbers of two marks count as equal; devices and libraries differ by far less."""


def write_embedding(path: Path, embedding_MC: torch.Tensor) -> None:
    """Write an embedding, float32 [M, C], with its code.

    Raises:
        DreamkitError: the file or the key cannot be written.
    """
    key, mark = _key(make=True), json.dumps(embedding_mark(embedding_MC))
    codes = {"code": _code(path, embedding_MC, key), "mark": mark, "mark_code": _mark_code(path, mark, key)}
    with replacing(path) as partial:
        save_file({"embedding": embedding_MC.contiguous()}, partial, metadata=codes)


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


def embedding_mark(embedding_MC: torch.Tensor) -> list[float]:
    """A short mark by which embeddings, float32 [M, C], are compared: M, C, RMS, and MARK_SUMS sums with random signs.

    The sums are divided by RMS times sqrt(M C), so that those of an unrelated embedding are about N(0, 1)
    and a relative error e of the embedding changes them by about e. The signs are always the same.
    """
    values = embedding_MC.contiguous().numpy().astype(np.float64).reshape(-1)
    rms = float(np.sqrt(np.mean(values**2))) or 1.0
    signs = np.random.RandomState(0).randint(0, 2, (MARK_SUMS, values.size)) * 2 - 1  # the same in every NumPy
    sums = signs @ values / (rms * math.sqrt(values.size))
    return [*embedding_MC.shape, *(float(f"{number:.4g}") for number in (rms, *sums))]


def same_mark(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two marks are of the same embedding, up to the rounding of devices."""
    if len(one) != len(other) or [*one[:2]] != [*other[:2]]:
        return False
    pairs = zip(one[2:], other[2:], strict=True)
    return all(math.isclose(a, b, rel_tol=MARK_TOLERANCE, abs_tol=MARK_TOLERANCE) for a, b in pairs)


def read_mark(path: Path) -> list[float] | None:
    """The mark of a cached embedding that this user wrote, from the file's header; None where there is none.

    Files of earlier versions have no mark, though their embeddings are used.
    """
    with contextlib.suppress(Exception):  # a missing or damaged file has no mark
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
        if hmac.compare_digest(found["mark_code"], _mark_code(path, found["mark"], _key(make=False))):
            return json.loads(found["mark"])
    return None


def _mark_code(path: Path, mark: str, key: bytes) -> str:
    return hmac.new(key, f"mark {path.name} {mark}".encode(), hashlib.sha256).hexdigest()


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
