"""Verdicts of the reviewers, in an append-only file that stays readable after concurrent writes and crashes.

`review/verdicts.jsonl` holds one JSON object a line. Nothing is ever rewritten: the latest verdict on a video counts,
and an undo is a line too. Each line is written in one call under a file lock; a newline is put before it when the
previous writer was killed in the middle of a line. A line that cannot be read stays in the file and is also copied to
`verdicts.broken.txt` beside it; all other lines are read.
"""

from __future__ import annotations

import getpass
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from dreamkit.errors import DreamkitError, first_line
from dreamkit.workspace.partials import NO_LINKS

STATES = ("accept", "reject", "unsure")
REASONS = {
    "wrong_map": "The road, lanes or boxes are not where the condition shows them",
    "vanishing_object": "Something appears or vanishes that should not",
    "distortion": "Shapes melt, bend or smear",
    "flicker": "Brightness or texture flickers",
    "views_disagree": "Two cameras show different worlds",
    "wrong_style": "Weather or light is not what the caption says",
    "guardrail": "A guardrail would, or should, have stopped it",
    "other": "Something else; say what in the note",
}
LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class Verdict:
    """A reviewer's judgement of one video, or the undo of an earlier one.

    Attributes:
        video: the video's key, such as `multi_view/<clip>_<style>`.
        state: one of STATES, or `undo`.
        reasons: keys of REASONS; at least one for a rejection.
        note: free text.
        by: the reviewer's name.
        when: UTC, ISO 8601 with seconds.
        fingerprint: the video's fingerprint at that time; may be empty. See `is_outdated`.
        undoes: for an undo, the `id` of the verdict that it takes back.
        checksum: of the video's files at that time, see `library.checksum_of`; empty in lines of earlier versions.
        id: unique for each line.
    """

    video: str
    state: str
    reasons: tuple[str, ...] = ()
    note: str = ""
    by: str = ""
    when: str = ""
    fingerprint: str = ""
    undoes: str = ""
    checksum: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def is_outdated(self, fingerprint: str, checksum: str = "") -> bool:
        """Whether the verdict was given on another version of the video than that of this fingerprint and checksum.

        An empty one, here or in the verdict, is not compared.
        """
        pairs = ((self.fingerprint, fingerprint), (self.checksum, checksum or self.checksum))
        return any(mine and mine != other for mine, other in pairs)


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no verdict.

    Attributes:
        number: the line's number, from 1.
        raw: its bytes.
        reason: what is wrong with it.
    """

    number: int
    raw: bytes
    reason: str


@dataclass(frozen=True)
class VerdictLog:
    """The contents of a verdict file.

    Attributes:
        history: every readable line, in the order written.
        broken: the lines that could not be read.
    """

    history: tuple[Verdict, ...] = ()
    broken: tuple[BrokenLine, ...] = ()

    def standing(self) -> list[Verdict]:
        """The verdicts that are not undone, in the order written."""
        undone = {line.undoes for line in self.history if line.state == "undo"}
        return [line for line in self.history if line.state != "undo" and line.id not in undone]

    def current(self) -> dict[str, Verdict]:
        """Video -> its current verdict: the last one that is not undone."""
        return {verdict.video: verdict for verdict in self.standing()}


def reviewer_name(name: str = "") -> str:
    """The given name, else the system's user name, else `reviewer`."""
    if name.strip():
        return name.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "reviewer"


def check_verdict(state: str, reasons: Sequence[str]) -> None:
    """Check a verdict before it is written.

    Raises:
        DreamkitError: the state is not in STATES, a reason is not in REASONS, or a rejection has no reason.
    """
    if state not in STATES:
        raise DreamkitError(f"{state!r} is no verdict.", f"Choose one of {', '.join(STATES)}.")
    unknown = [reason for reason in reasons if reason not in REASONS]
    if unknown:
        raise DreamkitError(f"{unknown[0]!r} is no known reason.", f"Choose from {', '.join(REASONS)}.")
    if state == "reject" and not reasons:
        raise DreamkitError("A rejection must have at least one reason.", f"Choose from {', '.join(REASONS)}.")


def parse_line(raw: bytes) -> Verdict:
    """The Verdict in one line of the file.

    Raises:
        ValueError: not UTF-8, not JSON, not an object, or a field of the wrong kind. Unknown fields are ignored.
    """
    data = json.loads(raw.decode("utf-8"))
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    texts = {}
    for name in ("video", "state", "note", "by", "when", "fingerprint", "undoes", "checksum", "id"):
        texts[name] = data.get(name, "")
        if not isinstance(texts[name], str):
            raise ValueError(f"{name} is not text")
        texts[name].encode()  # UnicodeEncodeError, a ValueError: half of a surrogate pair, which no page can show
    if not texts["video"] or not texts["id"]:
        raise ValueError("video or id is missing")
    if texts["state"] not in (*STATES, "undo"):
        raise ValueError(f"unknown state {texts['state']!r}")
    reasons = data.get("reasons", [])
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        raise ValueError("reasons is not a list of texts")
    "".join(reasons).encode()
    return Verdict(reasons=tuple(reasons), **texts)


def format_line(verdict: Verdict) -> bytes:
    """A Verdict as one line of the file: JSON, ASCII only, with the newline."""
    return json.dumps(asdict(verdict), ensure_ascii=True).encode("ascii") + b"\n"


def parse_verdicts(raw: bytes) -> VerdictLog:
    """The contents of a whole file. Never raises: unreadable lines go into `broken`, empty lines are skipped."""
    history: list[Verdict] = []
    broken: list[BrokenLine] = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            history.append(parse_line(line))
        except (ValueError, RecursionError) as error:
            broken.append(BrokenLine(number, line, first_line(error)))
    return VerdictLog(tuple(history), tuple(broken))


def read_verdicts(path: Path) -> VerdictLog:
    """Read a verdict file; a missing file gives an empty log. Broken lines are copied beside it when possible."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return VerdictLog()
    except OSError as error:
        raise DreamkitError(
            f"The verdicts {path} cannot be read: {error.strerror or error}.", "Check that it is a file you may read."
        ) from error
    log = parse_verdicts(raw)
    # Another process may be writing the last line just now: without its newline it does not count as broken yet.
    unfinished = raw.count(b"\n") + 1 if not raw.endswith(b"\n") else 0
    _copy_broken(path, [line for line in log.broken if line.number != unfinished])
    return log


def broken_copy(path: Path) -> Path:
    """The file beside a verdict file that receives a copy of its broken lines."""
    return path.with_suffix(".broken.txt")


def _copy_broken(path: Path, broken: Iterable[BrokenLine]) -> None:
    """Append the broken lines that `broken_copy` does not have yet; does nothing where the folder is read-only."""
    copy = broken_copy(path)
    try:
        known = set(copy.read_bytes().split(b"\n")) if copy.exists() else set()
        fresh = [line.raw for line in broken if line.raw not in known]
        if fresh:
            handle = os.open(copy, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_LINKS, 0o664)
            with os.fdopen(handle, "ab") as file:
                file.write(b"".join(raw + b"\n" for raw in fresh))
    except OSError:
        return


def append_verdict(path: Path, verdict: Verdict) -> None:
    """Append one line under a file lock and sync it to disk; the line is written whole or not at all.

    Raises:
        DreamkitError: the file cannot be written, or another process holds the lock for over LOCK_SECONDS.
    """
    line = format_line(verdict)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINKS, 0o664)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # a killed writer left half a line; this one must not become part of it
                written = os.write(descriptor, line)
                if written != len(line):
                    os.ftruncate(descriptor, size)
                    raise OSError(f"only {written} of {len(line)} bytes were written")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except Timeout:
        raise DreamkitError(
            f"{path} was locked for {LOCK_SECONDS:.0f} s.", "Close the notebook that hangs, then judge again."
        ) from None
    except OSError as error:
        raise DreamkitError(
            f"The verdict could not be written to {path}: {error.strerror or error}.",
            "Make the folder writable or free disk space.",
        ) from None


def judge(
    path: Path,
    video: str,
    state: str,
    reasons: Sequence[str] = (),
    note: str = "",
    by: str = "",
    fingerprint: str = "",
    checksum: str = "",
) -> Verdict:
    """Record a verdict and return it.

    Raises:
        DreamkitError: see `check_verdict` and `append_verdict`.
    """
    check_verdict(state, reasons)
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    verdict = Verdict(video, state, tuple(reasons), note, reviewer_name(by), when, fingerprint, checksum=checksum)
    append_verdict(path, verdict)
    return verdict


def undo(path: Path, video: str, by: str = "") -> Verdict | None:
    """Take back this reviewer's last verdict on a video and return it; None when there is none.

    Another reviewer's verdict cannot be undone, only replaced by a new one.
    """
    name = reviewer_name(by)
    mine = [verdict for verdict in read_verdicts(path).standing() if verdict.video == video and verdict.by == name]
    if not mine:
        return None
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    append_verdict(path, Verdict(video, "undo", by=name, when=when, undoes=mine[-1].id))
    return mine[-1]
