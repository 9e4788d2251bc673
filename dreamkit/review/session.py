"""A review of a workspace: what is known of every video, the verdicts, and the board and player that show them."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets

from dreamkit.errors import DreamkitError
from dreamkit.review import verdicts
from dreamkit.review.library import Video, find_videos, review_folder
from dreamkit.review.measures import definitions, metrics
from dreamkit.review.widgets import previews
from dreamkit.review.widgets.board import Board
from dreamkit.review.widgets.player import Player
from dreamkit.workspace.images import data_url
from dreamkit.workspace.workspace import Workspace

FIRST_SCREEN = 30  # thumbnails that come with the board; a busy kernel could not answer for them
REFRESH_SECONDS = 3.0  # how often the board shows new measures while they are computed
SAVED = "<p>The board lives while the notebook runs; run this cell to see it. Stills of every video are below.</p>"


def number(value: Any) -> float | None:
    """A finite number, or None: JSON has no NaN."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


@dataclass(frozen=True)
class Paths:
    """Where the review of a workspace is kept."""

    verdicts: Path
    metrics: Path
    report: Path
    table: Path
    critique: Path
    cache: Path


def paths_of(workspace: Workspace) -> Paths:
    """The files of the review; none is made by asking."""
    folder = review_folder(workspace)
    return Paths(
        folder / "verdicts.jsonl",
        folder / "metrics.parquet",
        folder / "report.html",
        folder / "table.csv",
        folder / "critic.json",
        workspace.cache("previews"),
    )


class Review:
    """Board, player and verdicts of a workspace. Displays itself in a notebook, with stills for a saved copy.

    Args:
        workspace: where the videos are; nothing is written there until a verdict is given or a preview is made.
        reviewer: whose verdicts these are; the system's user when empty.
        thresholds: measure -> limit; videos past one are flagged, never removed.
        videos: those to show; all of the workspace when left out.
    """

    def __init__(
        self,
        workspace: Workspace,
        reviewer: str = "",
        thresholds: Mapping[str, float] | None = None,
        videos: Sequence[Video] | None = None,
    ) -> None:
        self.workspace = workspace
        self.paths = paths_of(workspace)
        self.reviewer = verdicts.reviewer_name(reviewer)
        self.thresholds = dict(thresholds or {})
        self.videos = {video.key: video for video in (find_videos(workspace) if videos is None else videos)}
        self.critique: dict[str, dict[str, Any]] = {}
        kept = metrics.read_table(self.paths.metrics).to_dict("records")
        self.rows = {row["key"]: row for row in kept if row["key"] in self.videos}
        self.refreshed = 0.0
        self.log = verdicts.read(self.paths.verdicts)
        self.board = Board(self.picture, self.show)
        self.player = Player(self.videos, self.paths.cache, self.judge, self.move)
        self._show_items()

    # What is known of a video

    def picture(self, key: str) -> bytes:
        """JPEG thumbnail of a video's first view."""
        path = next(iter(self.videos[key].views.values()), None) if key in self.videos else None
        if path is None:
            raise DreamkitError(f"{key} has no video to show.")
        return previews.thumbnail(path, self.paths.cache)

    def flags(self, key: str) -> list[str]:
        """What speaks against a video: problems of its files, and measures past their thresholds."""
        row = self.rows.get(key, {})
        problems = [text for text in str(row.get("problems", "")).split("; ") if text] if row else []
        problems = problems or list(self.videos[key].problems)
        told = [text for text in problems if not text.startswith("no sidecar")]
        said = [f"critic: {flag.replace('_', ' ')}" for flag in self.critique.get(key, {}).get("flags", [])]
        return told + definitions.failures(row, self.thresholds) + said

    def verdict(self, key: str) -> dict[str, Any]:
        """The verdict that holds, as the page needs it; {} without one."""
        held = self.log.current().get(key)
        if held is None:
            return {}
        told = [
            f"{line.when} {line.by}: {line.state}{' ' + ', '.join(line.reasons) if line.reasons else ''} {line.note}"
            for line in self.log.history
            if line.video == key
        ]
        return {
            "state": held.state,
            "reasons": list(held.reasons),
            "note": held.note,
            "by": held.by,
            "when": held.when.replace("T", " ").replace("+00:00", " UTC"),
            "stale": bool(held.fingerprint) and held.fingerprint != self.videos[key].fingerprint,
            "history": told,
        }

    def items(self) -> list[dict[str, Any]]:
        """One dict a video: what the board shows."""
        current = self.log.current()
        found = []
        for key, video in self.videos.items():
            held = current.get(key)
            row = self.rows.get(key, {})
            found.append(
                {
                    "key": key,
                    "clip": video.chunk.name,
                    "style": video.style,
                    "stage": video.stage.replace("_", " "),
                    "prompt": video.prompt[:200],
                    "state": held.state if held else "",
                    "by": held.by if held else "",
                    "note": held.note if held else "",
                    "stale": bool(held and held.fingerprint and held.fingerprint != video.fingerprint),
                    "flags": self.flags(key),
                    "values": {measure.key: number(row.get(measure.key)) for measure in definitions.MEASURES},
                }
            )
        return found

    def _show_items(self) -> None:
        self.board.items = self.items()
        broken = len(self.log.broken)
        empty = "" if self.videos else f"No videos under {self.workspace.root}; notebooks 04 and 05 make them."
        aside = self.paths.verdicts.with_suffix(".broken.txt").name
        told = f"{broken} lines of {self.paths.verdicts.name} could not be read; they are kept in {aside}."
        self.board.notice = empty or (told if broken else "")

    def add_row(self, row: dict[str, Any]) -> None:
        """Take a row of measures; the board shows it at the next refresh."""
        self.rows[row["key"]] = row
        if time.monotonic() - self.refreshed > REFRESH_SECONDS:
            self.refresh()

    def refresh(self) -> None:
        """Show what is known now."""
        self._show_items()
        self.refreshed = time.monotonic()

    def _show_verdict(self, key: str) -> None:
        if self.player.video.get("key") == key:
            self.player.verdict = self.verdict(key)

    # What the reviewer does

    def show(self, key: str) -> None:
        """Show a video in the player."""
        self.player.show(key)
        row = self.rows.get(key, {})
        self.player.scores = [
            {
                "label": measure.label,
                "value": f"{value:.3g}",
                "failed": bool(
                    definitions.failures(row, {k: v for k, v in self.thresholds.items() if k == measure.key})
                ),
                "meaning": f"{measure.meaning} ({measure.unit})",
            }
            for measure in definitions.MEASURES
            if (value := number(row.get(measure.key))) is not None
        ]
        self.player.verdict = self.verdict(key)
        self.board.opened = key

    def judge(self, key: str, state: str, reasons: Sequence[str] = (), note: str = "") -> None:
        """Record a verdict, or with state `undo` take back the reviewer's last one on this video.

        Raises:
            DreamkitError: unknown video, state or reason, nothing to undo, or an unwritable folder.
        """
        if key not in self.videos:
            raise DreamkitError(f"There is no video {key!r} on this board.", "Load the board again.")
        if state == "undo":
            undone = verdicts.undo(self.paths.verdicts, key, self.reviewer)
            if undone is None:
                raise DreamkitError(f"{self.reviewer} has no verdict on this video to take back.")
        else:
            shown = self.videos[key].fingerprint
            verdicts.judge(self.paths.verdicts, key, state, reasons, note, self.reviewer, shown)
        self.reload_verdicts()

    def reload_verdicts(self) -> None:
        """Read the verdict file again: another reviewer may have written."""
        self.log = verdicts.read(self.paths.verdicts)
        self._show_items()
        if key := self.player.video.get("key"):
            self._show_verdict(key)

    def move(self, by: int) -> None:
        """Open the next or previous video in the board's order."""
        order = [key for key in self.board.order if key in self.videos] or list(self.videos)
        if not order:
            return
        now = order.index(self.board.opened) if self.board.opened in order else -by
        self.show(order[(now + by) % len(order)])

    # Showing

    def stills_html(self) -> str:
        """A table of stills with state and flags, self-contained: what a saved notebook and the report show."""
        cells = []
        for item in self.items():
            try:
                url = data_url(self.picture(item["key"]))
                picture = f'<img width="{previews.THUMBNAIL_WIDTH}" src="{url}" alt="">'
            except DreamkitError as error:
                picture = f"<em>{html.escape(error.message)}</em>"
            flags = "<br>".join(html.escape(flag) for flag in item["flags"])
            cells.append(
                f"<figure><a>{picture}</a><figcaption>{html.escape(item['clip'])}<br><b>{html.escape(item['style'])}"
                f"</b> {item['stage']} · {item['state'] or 'not judged'}<br><small>{flags}</small></figcaption>"
                "</figure>"
            )
        style = "display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:8px;overflow-wrap:anywhere"
        return f'<div style="{style}">{"".join(cells)}</div>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The live page; in a saved notebook, which has no kernel, a sentence that says where the stills are."""
        first = list(self.videos)[:FIRST_SCREEN]
        self.board.first = {key: data for key in first if (data := self.board.picture(key))}
        live = ipywidgets.VBox([self.board, self.player])
        bundle = live._repr_mimebundle_()
        bundle = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**(bundle or {}), "text/html": SAVED, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Review of {len(self.videos)} videos in {self.workspace.root}"
