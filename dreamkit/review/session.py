"""The review of a workspace: videos, measures and verdicts, and the board and player that show them."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import pandas as pd

from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import counted
from dreamkit.review import verdicts
from dreamkit.review.label_source import LabelSource
from dreamkit.review.library import ReviewVideo, checksum_of, find_videos
from dreamkit.review.measures import definitions, table
from dreamkit.review.places import review_paths
from dreamkit.review.widgets import previews
from dreamkit.review.widgets.board import Board
from dreamkit.review.widgets.player import Player
from dreamkit.review.widgets.traits import BLOCKED
from dreamkit.workspace.file_memory import FileMemory
from dreamkit.workspace.workspace import Workspace

FIRST_SCREEN = 30  # thumbnails sent with the board itself, because a busy kernel cannot answer requests for them
REFRESH_SECONDS = 3.0  # how often the board shows new measures while they are computed
SAVED = "<p>The board needs a running kernel: run this cell to see it. Stills of all videos are below.</p>"


def finite_or_none(value: Any) -> float | None:
    """A finite number as float, or None, because JSON has no NaN."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


class Review:
    """Board, player and verdicts of a workspace; a notebook displays it as the two widgets.

    Args:
        workspace: where the videos are; nothing is written there before the first verdict or preview.
        reviewer: name for the verdicts; the system's user when empty.
        thresholds: measure -> limit; a video past one is flagged, never removed.
        videos: the videos to show; all of the workspace when left out.
        labels: the labels of the videos, for the overlay and the edges; None without.

    Attributes:
        paths: the files of the review.
        videos: key -> video.
        rows: key -> row of measures, for the videos that have one.
        critique: key -> the critic's record, for the videos that have one.
        log: the verdicts as last read.
    """

    def __init__(
        self,
        workspace: Workspace,
        reviewer: str = "",
        thresholds: Mapping[str, float] | None = None,
        videos: Sequence[ReviewVideo] | None = None,
        labels: LabelSource | None = None,
    ) -> None:
        self.workspace = workspace
        self.labels = labels
        self.paths = review_paths(workspace)
        self.reviewer = verdicts.reviewer_name(reviewer)
        self.thresholds = dict(thresholds or {})
        self.videos = {video.key: video for video in (find_videos(workspace) if videos is None else videos)}
        self.critique: dict[str, dict[str, Any]] = {}
        kept = table.read_table(self.paths.metrics).to_dict("records")
        # A row of a video that was made again since, or of older measures, is measured anew and not shown before.
        self.rows: dict[str, dict[str, Any]] = {
            row["key"]: dict(row)
            for row in kept
            if row["key"] in self.videos and table.is_current(row, self.videos[row["key"]])
        }
        self.refreshed = 0.0
        self.memory = FileMemory(workspace.cache("video_checksums.json"))
        self.log = verdicts.read_verdicts(self.paths.verdicts)
        self.work: Any = None  # the `BackgroundWork` of the last cell that measured
        self.given: list[str] = []  # keys of the videos judged in this session, for the undo
        self.changing = threading.RLock()  # held while the board changes: measures are added by another thread
        self.board = Board(self.picture, self.show, self.judge_all)
        self.player = Player(self.videos, self.paths.cache, self.judge, self.move, self.next_unjudged, labels)
        self._update_board()

    # Facts of a video

    def picture(self, key: str) -> bytes:
        """JPEG thumbnail of a video's first view.

        Raises:
            DreamkitError: no such video, or none of its views can be decoded.
        """
        path = next(iter(self.videos[key].views.values()), None) if key in self.videos else None
        if path is None:
            raise DreamkitError(f"{key!r} has no video to show.", "Generate or copy it again, then load the board.")
        return previews.video_thumbnail(path, self.paths.cache)

    def flags(self, key: str) -> list[str]:
        """Faults of the video's files, measures past their thresholds, and what the critic flagged, a phrase each."""
        row = self.rows.get(key, {})
        faults = None if self.videos[key].blocked else table.row_faults(row)
        if faults is None:
            faults = list(self.videos[key].problems)
        critic = [f"critic: {flag.replace('_', ' ')}" for flag in self.critique.get(key, {}).get("flags", [])]
        return faults + list(definitions.failed_measures(row, self.thresholds).values()) + critic

    def verdict(self, key: str) -> dict[str, Any]:
        """The current verdict on a video as the player's `verdict` trait takes it; {} when there is none."""
        current = self.log.current().get(key)
        if current is None:
            return {}
        history = [
            f"{line.when} {line.by}: {line.state}{' ' + ', '.join(line.reasons) if line.reasons else ''} {line.note}"
            for line in self.log.history
            if line.video == key
        ]
        return {
            "state": current.state,
            "reasons": list(current.reasons),
            "note": current.note,
            "by": current.by,
            "when": current.when.replace("T", " ").replace("+00:00", " UTC"),
            "stale": self.is_stale(key, current),
            "history": history,
        }

    def items(self) -> list[dict[str, Any]]:
        """One dict a video, as the board's `items` trait takes them."""
        current = self.log.current()
        found = []
        for key, video in self.videos.items():
            verdict = current.get(key)
            row = self.rows.get(key, {})
            found.append(
                {
                    "key": key,
                    "clip": video.chunk.name,
                    "style": video.style,
                    "stage": video.stage_label,
                    "prompt": video.prompt[:200],
                    "state": verdict.state if verdict else BLOCKED if video.blocked else "",
                    "by": verdict.by if verdict else "",
                    "note": verdict.note if verdict else "",
                    "stale": bool(verdict and self.is_stale(key, verdict)),
                    "flags": self.flags(key),
                    "values": {measure.key: finite_or_none(row.get(measure.key)) for measure in definitions.MEASURES},
                }
            )
        return found

    def _scores(self, key: str) -> list[dict[str, Any]]:
        """The measures of a video as the player's `scores` trait takes them."""
        row = self.rows.get(key, {})
        failed = definitions.failed_measures(row, self.thresholds)
        return [
            {
                "label": measure.label,
                "value": f"{value:.3g}",
                "failed": measure.key in failed,
                "meaning": f"{measure.meaning} ({measure.unit})",
            }
            for measure in definitions.MEASURES
            if (value := finite_or_none(row.get(measure.key))) is not None
        ]

    def is_stale(self, key: str, verdict: verdicts.Verdict) -> bool:
        """Whether a verdict was given on other bytes than those of the video now."""
        video = self.videos[key]
        if verdict.is_outdated(video.fingerprint):
            return True
        return bool(verdict.checksum) and verdict.is_outdated(video.fingerprint, self.checksum(video))

    def checksum(self, video: ReviewVideo) -> str:
        """The checksum of a video's files, see `checksum_of`; empty where a file cannot be read.

        Files of the same size and time are not read again; the export reads every byte.
        """
        with self.changing, contextlib.suppress(OSError, DreamkitError):
            return checksum_of(video.views, self.memory.checksum)
        return ""

    # The widgets

    def _update_board(self) -> None:
        with self.changing:
            self.board.items = self.items()
            self.memory.save()
        broken = len(self.log.broken)
        if not self.videos:
            self.board.notice = f"No videos under {self.workspace.root}; notebooks 04 and 05 make them."
        elif broken:
            copy = verdicts.broken_copy(self.paths.verdicts).name
            self.board.notice = (
                f"{broken} lines of {self.paths.verdicts.name} could not be read; they are copied to {copy}."
            )
        else:
            self.board.notice = ""

    def measured(self) -> pd.DataFrame:
        """The rows of measures of the videos' present files, in the videos' order."""
        rows = [self.rows[key] for key, video in self.videos.items() if key in self.rows and not video.blocked]
        return pd.DataFrame([row for row in rows if table.is_current(row, self.videos[row["key"]])])

    def refresh(self) -> None:
        """Update the board with the present measures and verdicts."""
        self._update_board()
        self.refreshed = time.monotonic()

    def add_row(self, row: dict[str, Any]) -> None:
        """Add a row of measures; the board is updated at most every REFRESH_SECONDS."""
        self.rows[row["key"]] = row
        if row["key"] == self.player.video.get("key"):
            self.player.scores = self._scores(row["key"])
        if time.monotonic() - self.refreshed > REFRESH_SECONDS:
            self.refresh()

    def show(self, key: str) -> None:
        """Open a video in the player.

        Raises:
            DreamkitError: no video of that key.
        """
        self.player.show(key)
        self.player.scores = self._scores(key)
        self.player.verdict = self.verdict(key)
        self.board.opened = key

    def _order(self) -> list[str]:
        return [key for key in self.board.order if key in self.videos] or list(self.videos)

    def next_unjudged(self) -> None:
        """Open the next video of the board's order without a verdict; stay and say so where every one has one."""
        order, current = self._order(), self.log.current()
        now = order.index(self.board.opened) if self.board.opened in order else -1
        for key in order[now + 1 :] + order[: now + 1]:
            if key not in current and not self.videos[key].blocked:
                self.show(key)
                return
        self.player.message = "Every video of the board has a verdict."

    def move(self, by: int) -> None:
        """Open the next (+1) or previous (-1) video in the board's order."""
        order = self._order()
        if not order:
            return
        now = order.index(self.board.opened) if self.board.opened in order else -by
        self.show(order[(now + by) % len(order)])

    # Verdicts

    def judge(self, key: str, state: str, reasons: Sequence[str] = (), note: str = "") -> None:
        """Record a verdict, or with state `undo` take back the reviewer's last one.

        An undo takes back the verdict on this video; where there is none, the one given last on this board, and its
        video is opened again. Its reasons and note stay in their fields for another verdict.

        Raises:
            DreamkitError: unknown video, state or reason, nothing to undo, or an unwritable folder.
        """
        if state == "undo":
            self._undo(key)
        else:
            self._record(key, state, reasons, note)
            self.reload_verdicts()

    def judge_all(self, keys: Sequence[str], state: str, reasons: Sequence[str] = ()) -> None:
        """One verdict on several videos, or with state `undo` each one's last verdict taken back.

        Raises:
            DreamkitError: see `judge`; the videos before the one that it names have their verdict.
        """
        self.board.notice = ""
        try:
            for key in keys:
                if state == "undo":
                    verdicts.undo(self.paths.verdicts, key, self.reviewer)
                else:
                    self._record(key, state, reasons, "")
        finally:
            self.reload_verdicts()

    def _record(self, key: str, state: str, reasons: Sequence[str], note: str) -> None:
        if key not in self.videos:
            raise DreamkitError(f"There is no video {key!r} on this board.", "Load the board again.")
        if self.videos[key].blocked:
            raise DreamkitError(f"{key!r} was blocked and has no video to judge.", self.videos[key].blocked)
        video, checksum = self.videos[key], self.checksum(self.videos[key])
        verdicts.judge(self.paths.verdicts, key, state, reasons, note, self.reviewer, video.fingerprint, checksum)
        self.given.append(key)

    def _undo(self, key: str) -> None:
        for each in (key, *reversed(self.given)):
            undone = verdicts.undo(self.paths.verdicts, each, self.reviewer) if each in self.videos else None
            if undone is None:
                continue
            if each in self.given:
                del self.given[len(self.given) - 1 - self.given[::-1].index(each)]
            self.reload_verdicts()
            if each != self.player.video.get("key"):
                self.show(each)
            self.player.draft = {"reasons": list(undone.reasons), "note": undone.note}
            return
        raise DreamkitError(
            f"{self.reviewer} has no verdict on this video to take back.",
            "Give it a verdict of your own; another reviewer's cannot be undone.",
        )

    def reload_verdicts(self) -> None:
        """Read the verdict file again, with the lines that other reviewers have added."""
        self.log = verdicts.read_verdicts(self.paths.verdicts)
        self._update_board()
        if (key := self.player.video.get("key")) in self.videos:
            self.player.verdict = self.verdict(key)

    # Display

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The widgets; a saved notebook has no kernel and shows a sentence instead."""
        first = list(self.videos)[:FIRST_SCREEN]
        self.board.first = {key: data for key in first if (data := self.board.picture(key))}
        bundle: Any = ipywidgets.VBox([self.board, self.player])._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle  # older ipywidgets: data and metadata
        return {**(data or {}), "text/html": SAVED, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Review of {counted(len(self.videos), 'video')} in {self.workspace.root}"
