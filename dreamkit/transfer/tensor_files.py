"""Files of `torch.save` from anyone: read with `weights_only=True`, bounded, every fault a DreamkitError."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dreamkit.errors import DreamkitError, first_line

MOST_EXPANDED = 2**27
"""Numbers of a tensor that its file does not hold: strides of 0 repeat them. 121 frames of 704x1280 have 2**26.7."""


def load_tensors(path: Path, fault: str, hint: str, mapped: bool = False) -> Any:
    """What a file of `torch.save` holds: a tensor, or containers of tensors, on the CPU.

    Args:
        path: the file.
        fault: the message where it cannot be read, without the reason.
        hint: what to do where it cannot be read.
        mapped: map the file into memory where its format allows that.

    Raises:
        DreamkitError: no such file, no file of tensors, or one that expands to far more than it holds.
    """
    try:
        if path.is_file():
            _refuse_compressed(path)
        # Transformer Engine's states are BytesIO objects; an empty one is pickled through `bytes`.
        with torch.serialization.safe_globals([io.BytesIO, bytes]):
            try:
                data = torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
            except RuntimeError as error:
                if not mapped or "mmap" not in str(error):
                    raise
                data = torch.load(path, map_location="cpu", weights_only=True)  # a file older than the zip format
        _refuse_expanded(data, set())
    except Exception as error:  # the unpickler raises whatever the bytes lead to
        raise DreamkitError(f"{fault}: {first_line(error)}.", hint) from error
    return data


def _refuse_compressed(path: Path) -> None:
    """`torch.save` stores without compression; a compressed entry can expand a thousandfold.

    Raises:
        ValueError: an entry is compressed, or entries together are larger than the file.
        zipfile.BadZipFile: a damaged archive.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or total > path.stat().st_size:
        raise ValueError(f"its parts are compressed, to {total:,} bytes")


def _refuse_expanded(data: Any, seen: set[int]) -> None:
    """Refuse tensors that are much larger than what is stored of them.

    Args:
        data: a tensor, or containers of tensors.
        seen: ids of the containers that were looked through already.

    Raises:
        ValueError: a tensor is sparse or quantised, or has over MOST_EXPANDED numbers that the file does not hold.
    """
    if isinstance(data, torch.Tensor):
        if data.layout != torch.strided or data.is_quantized or data.is_meta:
            raise ValueError("it holds a tensor that is not a plain array")
        if data.numel() > MOST_EXPANDED and data.numel() * data.element_size() > data.untyped_storage().nbytes():
            raise ValueError(f"a tensor of shape {list(data.shape)} expands far beyond what the file holds")
    elif isinstance(data, Mapping | list | tuple) and id(data) not in seen:
        seen.add(id(data))
        for part in data.values() if isinstance(data, Mapping) else data:
            _refuse_expanded(part, seen)
