"""The outermost boxes of an mp4 file (ISO/IEC 14496-12, section 4.2): enough to see that its end is missing."""

from __future__ import annotations

import struct
from pathlib import Path

BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"moof", b"mfra", b"sidx"))


def cut_off(path: Path) -> bool:
    """Whether a box of the file reaches past the file's end. False for files of another kind.

    Each box begins with its size, 32 bit big-endian, and its four-letter type; size 1 means that 64 bits follow, size 0
    that the box goes on to the end.
    """
    end, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            head = file.read(16)
            if head[4:8] not in BOXES:  # another kind of file, or something appended to a whole one
                return False
            size = struct.unpack(">I", head[:4])[0]
            if size == 0:
                return False
            if size == 1:
                if len(head) < 16:
                    return True
                size = struct.unpack(">Q", head[8:])[0]
            at += max(size, 8)
    return at > end
