"""Read and write RDS-HQ tars; members are decoded in memory.

A member is named `<clip>.<key>` (webdataset) or just `<key>`. Damaged files raise a DreamkitError that names the file
and the member.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import replacing

_BLOCK = 512
MOST_JSON_BYTES = 32 * 2**20
"""Of a member with labels; the largest of the published clips have some 200 KB."""
MOST_NPZ_BYTES = 128 * 2**20
"""Of a LiDAR sweep, unpacked: ten million points."""


@dataclass(frozen=True)
class Tar:
    """An indexed tar.

    Attributes:
        path: the file.
        members: key (member name without the clip prefix) -> offset and size of its data in bytes.
    """

    path: Path
    members: dict[str, tuple[int, int]]

    def read(self, key: str) -> bytes:
        """Data of one member."""
        offset, size = self.members[key]
        with decoding(self.path, key), self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def json(self, key: str) -> Any:
        """One member decoded as JSON."""
        with decoding(self.path, key):
            if self.members[key][1] > MOST_JSON_BYTES:
                raise ValueError(f"it has {self.members[key][1]:,} bytes; up to {MOST_JSON_BYTES:,} are read")
            return json.loads(self.read(key))

    def array(self, key: str) -> np.ndarray:
        """One member decoded as .npy, an array of real numbers."""
        with decoding(self.path, key):
            values = decode_npy(self.read(key))
            if values.dtype.kind not in "biuf":
                raise ValueError(f"it holds values of the type {values.dtype}, not real numbers")
            return values

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """One member decoded as .npz."""
        with decoding(self.path, key), zipfile.ZipFile(io.BytesIO(self.read(key))) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
            if total > MOST_NPZ_BYTES:
                raise ValueError(f"it expands to {total:,} bytes; up to {MOST_NPZ_BYTES:,} are read")
            return {entry.removesuffix(".npy"): decode_npy(archive.read(entry)) for entry in archive.namelist()}


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Turn exceptions of decoders into a DreamkitError that names the file and the member.

    The decoders (JSON, npy, npz, tar) raise many kinds of exceptions on damaged bytes, MemoryError and RecursionError
    included, so every Exception is caught; nothing but decoding may happen inside the block.

    Args:
        path: the file.
        what: the member, or the part of it.
    """
    try:
        yield
    except DreamkitError:
        raise
    except Exception as error:
        detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise DreamkitError(
            f"{path}: {what} cannot be read ({detail}).", "Fetch or convert this file again."
        ) from error


def decode_npy(data: bytes) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        ValueError: the array holds Python objects, or its header states more numbers than there are.
    """
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers")
    count = int(np.prod(shape, dtype=object)) if shape else 1
    if count < 0 or count * dtype.itemsize > len(data) - stream.tell():
        raise ValueError(f"its header states {count} numbers, more than the file holds")
    values = np.frombuffer(data, dtype, count, stream.tell())
    return values.reshape(shape, order="F" if fortran else "C").copy()


def open_tar(path: Path, clip: str) -> Tar:
    """Index a tar.

    Args:
        path: the file.
        clip: name of the clip, which the member names begin with.

    Raises:
        DreamkitError: the file is missing, truncated, or not a tar.
    """
    path = Path(path)
    if not path.is_file():
        if os.path.lexists(path):
            hint = "It is a folder, pipe, device or broken link of that name; put the clip's tar in its place."
            raise DreamkitError(f"{path} is no plain file.", hint)
        raise DreamkitError(f"{path} is missing.", "Fetch it, or check the folder and the clip's name.")
    members: dict[str, tuple[int, int]] = {}
    with decoding(path, "this tar"), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isfile():
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError("it ends in the middle of a member")
                    members[_key(member.name, clip)] = (member.offset_data, member.size)
        file.seek(max(0, size - _BLOCK))
        # tarfile accepts a file that is cut between two members; a whole tar ends in blocks of zeros.
        if size % _BLOCK or file.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError("it is truncated: the end mark is missing")
    return Tar(path, members)


def _key(name: str, clip: str) -> str:
    """A member's name without folders and clip prefix."""
    base = name.rpartition("/")[2]
    return base[len(clip) + 1 :] if base.startswith(f"{clip}.") else base


def encode_npy(array: np.ndarray) -> bytes:
    """An array as .npy bytes."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def encode_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as compressed .npz bytes."""
    stream = io.BytesIO()
    # Any: in numpy's stub a name may also be that of a parameter, which is no array.
    np.savez_compressed(stream, **cast("dict[str, Any]", arrays))
    return stream.getvalue()


def write_tar(path: Path, clip: str, members: Mapping[str, bytes]) -> None:
    """Write a tar with members `<clip>.<key>`; equal input gives equal bytes.

    The file appears whole or not at all.

    Args:
        path: the file.
        clip: name of the clip.
        members: key -> data.
    """
    with replacing(Path(path)) as partial:
        with tarfile.open(partial, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for key, data in members.items():
                info = tarfile.TarInfo(f"{clip}.{key}")
                info.size = len(data)
                info.mode = 0o644
                tar.addfile(info, io.BytesIO(data))
            end = tar.offset
        # tarfile pads to 10 KiB; the two blocks of the end mark are enough, and keep small tars small.
        os.truncate(partial, end + 2 * _BLOCK)
