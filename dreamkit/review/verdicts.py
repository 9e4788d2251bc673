"""Verdicts: an append-only file that two reviewers and a dying kernel cannot spoil.

`review/verdicts.jsonl` holds one JSON object a line. Nothing is ever rewritten: a later verdict on the same video wins,
an undo is itself a line. Each line goes out as one write under a file lock, preceded by a newline when whoever wrote
last died in the middle. A line that cannot be read stays where it is, is copied to `verdicts.broken.txt` beside it,
and the rest is read.
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

from dreamkit.errors import DreamkitError

STATES = ("accept", "reject", "unsure")
REASONS = {
    "wrong_map": "The road, lanes or boxes are not where the condition has them",
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
    """One judgement of one video, or the undoing of one.

    Attributes:
        video: the video's key, such as `multi_view/<clip>_<style>`.
        state: one of STATES, or `undo`.
        reasons: keys of REASONS; at least one for a rejection.
        note: free text.
        by: the reviewer's name.
        when: UTC, ISO 8601 with seconds.
        fingerprint: what the video's files looked like, to notice a verdict on an older video; may be empty.
        undoes: the `id` that an undo takes back.
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
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no verdict: its number from 1, its bytes, and what is wrong with it."""

    number: int
    raw: bytes
    reason: str


@dataclass(frozen=True)
class VerdictLog:
    """What a verdict file says.

    Attributes:
        history: every readable line, in the order written.
        broken: the lines that could not be read.
    """

    history: tuple[Verdict, ...] = ()
    broken: tuple[BrokenLine, ...] = ()

    def standing(self) -> list[Verdict]:
        """The verdicts that were not undone, in the order written."""
        undone = {line.undoes for line in self.history if line.state == "undo"}
        return [line for line in self.history if line.state != "undo" and line.id not in undone]

    def current(self) -> dict[str, Verdict]:
        """Video -> the verdict that holds: the last one that was not undone."""
        return {verdict.video: verdict for verdict in self.standing()}


def reviewer_name(name: str = "") -> str:
    """The name given, else the system's user name, else `reviewer`."""
    if name.strip():
        return name.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "reviewer"


def check(state: str, reasons: Sequence[str]) -> None:
    """Raise DreamkitError unless the state and the reasons belong to the tables; a rejection needs a reason."""
    if state not in STATES:
        raise DreamkitError(f"a verdict is one of {', '.join(STATES)}, not {state!r}")
    unknown = [reason for reason in reasons if reason not in REASONS]
    if unknown:
        raise DreamkitError(f"unknown reason {unknown[0]!r}", f"Take one of: {', '.join(REASONS)}.")
    if state == "reject" and not reasons:
        raise DreamkitError("a rejection needs at least one reason", f"Take one of: {', '.join(REASONS)}.")


def parse_line(raw: bytes) -> Verdict:
    """One line of the file as a Verdict.

    Raises:
        ValueError: not UTF-8, not JSON, not an object, or a field of the wrong kind. Unknown fields are ignored.
    """
    data = json.loads(raw.decode("utf-8"))
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    texts = {}
    for name in ("video", "state", "note", "by", "when", "fingerprint", "undoes", "id"):
        texts[name] = data.get(name, "")
        if not isinstance(texts[name], str):
            raise ValueError(f"{name} is not text")
    if not texts["video"] or not texts["id"]:
        raise ValueError("video or id is missing")
    if texts["state"] not in (*STATES, "undo"):
        raise ValueError(f"unknown state {texts['state']!r}")
    reasons = data.get("reasons", [])
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        raise ValueError("reasons is not a list of texts")
    return Verdict(reasons=tuple(reasons), **texts)


def format_line(verdict: Verdict) -> bytes:
    """A Verdict as one line, ASCII only, newline included."""
    return json.dumps(asdict(verdict), ensure_ascii=True).encode("ascii") + b"\n"


def parse(raw: bytes) -> VerdictLog:
    """The whole file. Never raises: what cannot be read is in `broken`; empty lines are skipped."""
    history: list[Verdict] = []
    broken: list[BrokenLine] = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            history.append(parse_line(line))
        except (ValueError, RecursionError) as error:
            broken.append(BrokenLine(number, line, str(error)))
    return VerdictLog(tuple(history), tuple(broken))


def read(path: Path) -> VerdictLog:
    """Read a verdict file; an absent one is empty. Broken lines are also copied aside when the folder allows it."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return VerdictLog()
    log = parse(raw)
    # A last line without its newline may still be on its way from another reviewer: not yet broken.
    on_its_way = raw.count(b"\n") + 1 if not raw.endswith(b"\n") else 0
    keep_aside(path, [line for line in log.broken if line.number != on_its_way])
    return log


def keep_aside(path: Path, broken: Iterable[BrokenLine]) -> None:
    """Copy broken lines to `<name>.broken.txt` beside the file, each once. A folder that refuses is left alone."""
    aside = path.with_suffix(".broken.txt")
    try:
        known = set(aside.read_bytes().split(b"\n")) if aside.exists() else set()
        fresh = [line.raw for line in broken if line.raw not in known]
        if fresh:
            with aside.open("ab") as file:
                file.write(b"".join(raw + b"\n" for raw in fresh))
    except OSError:
        return


def append(path: Path, verdict: Verdict) -> None:
    """Add one line, whole or not at all, safe beside other writers, on disk when this returns.

    Raises:
        DreamkitError: the folder cannot be written, or another writer holds the lock for LOCK_SECONDS.
    """
    line = format_line(verdict)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o664)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # a writer died in the middle; its torn line must not swallow ours
                written = os.write(descriptor, line)
                if written != len(line):
                    os.ftruncate(descriptor, size)
                    raise OSError(f"only {written} of {len(line)} bytes were written")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except Timeout:
        raise DreamkitError(
            f"{path} stayed locked for {LOCK_SECONDS:.0f} s", "Close the notebook that hangs, then judge again."
        ) from None
    except OSError as error:
        raise DreamkitError(
            f"the verdict could not be written to {path}: {error}", "Make the folder writable or free some disk."
        ) from None


def judge(
    path: Path,
    video: str,
    state: str,
    reasons: Sequence[str] = (),
    note: str = "",
    by: str = "",
    fingerprint: str = "",
) -> Verdict:
    """Record a verdict and return it. Raises DreamkitError for an unknown state or reason, or an unwritable folder."""
    check(state, reasons)
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    verdict = Verdict(video, state, tuple(reasons), note, reviewer_name(by), when, fingerprint)
    append(path, verdict)
    return verdict


def undo(path: Path, video: str, by: str = "") -> Verdict | None:
    """Take back this reviewer's last standing verdict on a video; None when there is none.

    Another reviewer's verdict is never undone: it can only be overruled by a new one.
    """
    name = reviewer_name(by)
    mine = [verdict for verdict in read(path).standing() if verdict.video == video and verdict.by == name]
    if not mine:
        return None
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    append(path, Verdict(video, "undo", by=name, when=when, undoes=mine[-1].id))
    return mine[-1]
