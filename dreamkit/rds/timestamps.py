"""Times of a clip's frames, from the folder `timestamp/` of RDS-HQ data; nothing is drawn from them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dreamkit.rds.labels import layer_path, no_member, numbered
from dreamkit.rds.tars import decoding, open_tar

TIMESTAMP_FOLDER = "timestamp"
_MEMBER = re.compile(r"(?:^|\.)(\d+)\.timestamp(?:_micros)?\.txt$")


def read_timestamps(root: Path, clip: str) -> tuple[np.ndarray, np.ndarray]:
    """Frame numbers, ascending, and their times in microseconds, int64 [K] each.

    Raises:
        DreamkitError: the tar is missing or damaged, or a time is no whole number.
    """
    tar = open_tar(layer_path(root, clip, TIMESTAMP_FOLDER), clip)
    keys = numbered(tar, _MEMBER)
    if not keys:
        raise no_member(tar, "000000.timestamp_micros.txt")
    numbers = np.array(sorted(keys), np.int64)
    times = np.empty(len(numbers), np.int64)
    for row, number in enumerate(numbers.tolist()):
        with decoding(tar.path, keys[number]):
            times[row] = int(tar.read(keys[number]).strip())
    return numbers, times
