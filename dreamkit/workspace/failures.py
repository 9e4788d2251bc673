"""Why a result was not made, as a small JSON file that a batch and its status read.

The kind of a failure is the name of its exception's class and, for errors of the system, the error number; no reader
depends on the wording of the message.
"""

from __future__ import annotations

import contextlib
import errno
from dataclasses import asdict, dataclass
from pathlib import Path

from dreamkit.errors import DreamkitError, OutOfGpuMemory, first_line
from dreamkit.workspace.files import read_json, write_json


@dataclass(frozen=True)
class Failure:
    """Why something was not made.

    Attributes:
        kind: class of the exception.
        message: its first line.
        hint: what to do next; may be empty.
        number: `errno` of the system's error that caused it; 0 where there is none.
    """

    kind: str
    message: str
    hint: str = ""
    number: int = 0

    @property
    def disk_full(self) -> bool:
        """Whether the disk, or the user's share of it, was full."""
        return self.number in (errno.ENOSPC, errno.EDQUOT)

    @property
    def out_of_memory(self) -> bool:
        """Whether the GPU's memory did not suffice."""
        return self.kind == OutOfGpuMemory.__name__

    def as_dict(self) -> dict[str, object]:
        """The failure as JSON values."""
        return asdict(self)


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception stands for; the system's error may be one that it was raised from."""
    cause: BaseException | None = error
    number = 0
    while cause is not None and not number:
        number = (cause.errno or 0) if isinstance(cause, OSError) else 0
        cause = cause.__cause__ or cause.__context__
    hint = error.hint if isinstance(error, DreamkitError) else ""
    message = error.message if isinstance(error, DreamkitError) else first_line(error)
    return Failure(type(error).__name__, message, hint, number)


def record_failure(path: Path, error: BaseException) -> None:
    """Write the failure of a result; where it cannot be written, as on a full disk, nothing is."""
    with contextlib.suppress(DreamkitError):
        write_json(path, failure_of(error).as_dict())


def read_failure(path: Path) -> Failure | None:
    """The failure written at `path`; None where there is none or it is damaged."""
    if not path.is_file():
        return None
    with contextlib.suppress(DreamkitError, TypeError):
        return Failure(**read_json(path, "record of a failure"))
    return None
