"""The review without a click: measure, flag, ask the critic, write the table and a page with stills and plots."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dreamkit.errors import DreamkitError
from dreamkit.review import critic
from dreamkit.review.export import export
from dreamkit.review.library import Video, find_videos
from dreamkit.review.measures.definitions import MEASURES, PUBLISHED_REAL
from dreamkit.review.measures.frames import read_small
from dreamkit.review.measures.metrics import PARTS, measure_all
from dreamkit.review.params import ReviewParams
from dreamkit.review.session import Review
from dreamkit.review.widgets import plots
from dreamkit.workspace.files import replacing, write_text
from dreamkit.workspace.workspace import Workspace

STYLE = """body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1100px;padding:0 1em}
:root{color-scheme:light dark}
table{border-collapse:collapse}td,th{border-bottom:1px solid #8886;padding:3px 8px;text-align:left;vertical-align:top}
img{max-width:100%}figure{margin:0}small{color:#c0392b}"""


@dataclass(frozen=True)
class Outcome:
    """What a review run knows: the board, the measures, what the critic said (key -> record), where it was written."""

    review: Review
    table: pd.DataFrame
    critique: dict[str, dict[str, Any]]
    params: ReviewParams

    def show(self) -> None:
        """Stills with state and flags, and the plots, in a notebook."""
        from IPython.display import HTML, Image, display

        display(HTML(self.review.stills_html()))
        if len(self.table):
            display(Image(plots.png(plots.distributions(self.table, self.params.thresholds))))
            display(Image(plots.png(plots.traces(self.table, self.worst()))))

    def worst(self, most: int = 5) -> list[str]:
        """Keys of the most flagged videos, at most `most`."""
        keys = list(self.table["key"]) if len(self.table) else []
        return sorted(keys, key=lambda key: -len(self.review.flags(key)))[:most]

    def finish(self) -> str:
        """Write the table, the page and, when asked for, the export; returns what was written, in words."""
        return finish(self)


def chosen(workspace: Workspace, params: ReviewParams) -> list[Video]:
    """The videos that the parameters ask for.

    Raises:
        DreamkitError: no video at all, or a clip or style that no video has.
    """
    found = find_videos(workspace)
    if not found:
        raise DreamkitError(
            f"There is no video to review under {workspace.root}: single_view/ and multi_view/ hold none.",
            "Make some with notebooks 04 and 05, or put your own there under the same names.",
        )
    for asked, have, what in (
        (params.clips, {video.chunk.clip for video in found}, "clip"),
        (params.styles, {video.style for video in found}, "style"),
    ):
        if missing := sorted(set(asked) - have):
            raise DreamkitError(
                f"No video under {workspace.root} is of {what} {missing[0]!r}.", f"There are {', '.join(sorted(have))}."
            )
    clips, styles = set(params.clips), set(params.styles)
    return [
        video for video in found if (not clips or video.chunk.clip in clips) and (not styles or video.style in styles)
    ]


def open_review(workspace: Workspace, params: ReviewParams) -> Review:
    """The board of the chosen videos, at once: with the measures that are kept, decoding nothing.

    Raises:
        DreamkitError: see `chosen`.
    """
    return Review(workspace, params.reviewer, params.thresholds, chosen(workspace, params))


def run(review: Review, params: ReviewParams) -> Outcome:
    """Measure the board's videos, ask the critic where one is given, and flag what is past a threshold.

    Raises:
        DreamkitError: the critic's server cannot be reached.
    """
    videos, paths = list(review.videos.values()), review.paths
    table = measure_all(videos, paths.metrics, on_row=review.add_row) if videos else pd.DataFrame()
    critique: dict[str, dict[str, Any]] = {}
    if params.critic and videos:
        asked = critic.Critic(params.critic, params.critic_model, params.critic_votes, params.critic_frames)
        critique = critic.criticise(videos, asked, paths.critique)
    review.critique = critique
    review.refresh()
    return Outcome(review, table, critique, params)


def rows_of(outcome: Outcome) -> pd.DataFrame:
    """One row a video: key, state and reasons, flags, the critic's score, every measure, what it cost."""
    current = outcome.review.log.current()
    rows = []
    for key, video in outcome.review.videos.items():
        held, said = current.get(key), outcome.critique.get(key, {})
        row = outcome.review.rows.get(key, {})
        rows.append(
            {
                "key": key,
                "clip": video.chunk.clip,
                "chunk": video.chunk.index,
                "style": video.style,
                "stage": video.stage,
                "state": held.state if held else "",
                "reasons": ", ".join(held.reasons) if held else "",
                "by": held.by if held else "",
                "flags": "; ".join(outcome.review.flags(key)),
                "critic_score": said.get("score"),
                "critic_flags": ", ".join(said.get("flags", [])),
                **{measure.key: row.get(measure.key) for measure in MEASURES},
                "seconds": row.get("seconds"),
            }
        )
    return pd.DataFrame(rows)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all."""
    with replacing(path) as partial:
        table.to_csv(partial, index=False)


def finish(outcome: Outcome) -> str:
    """See `Outcome.finish`."""
    outcome.review.reload_verdicts()
    paths = outcome.review.paths
    rows = rows_of(outcome)
    write_csv(paths.table, rows)
    write_text(paths.report, page(outcome, rows))
    flagged = int((rows["flags"] != "").sum()) if len(rows) else 0
    told = [f"{len(rows)} videos, {flagged} flagged.", f"table:  {paths.table}", f"report: {paths.report}"]
    if outcome.params.export:
        told.append(f"export: {export(outcome.review, outcome.params.export, outcome.params.labels)}")
    return "\n".join(told)


def _embedded(data: bytes) -> str:
    return f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}" alt="">'


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def page(outcome: Outcome, rows: pd.DataFrame) -> str:
    """The report as one self-contained HTML page."""
    title = f"Review of {html.escape(str(outcome.review.workspace.root))}"
    parts = [f"<h1>{title}</h1>"]
    if not len(rows):
        parts.append("<p>No videos.</p>")
        return _whole(title, parts)
    states = rows["state"].replace("", "not judged").value_counts()
    parts.append("<p>" + ", ".join(f"{count} {state}" for state, count in states.items()) + "</p>")
    parts += ["<h2>Videos</h2>", outcome.review.stills_html()]
    parts += ["<h2>Scores</h2>", _embedded(plots.png(plots.distributions(outcome.table, outcome.params.thresholds)))]
    parts.append("<p>Red: the threshold. Dotted: published means over real driving videos, to know the scale by: ")
    parts.append("; ".join(f"{key} {mean} ({source})" for key, means in PUBLISHED_REAL.items()
                           for source, mean in means.items()) + ".</p>")  # fmt: skip
    parts += ["<h2>Frame by frame</h2>", _embedded(plots.png(plots.traces(outcome.table, outcome.worst())))]
    if outcome.critique:
        parts += ["<h2>Critic</h2>", critic.agreement_html(outcome.critique, outcome.review.log.current())]
    flagged = rows[rows["flags"] != ""]
    parts += [
        "<h2>Flagged</h2>",
        _table(["video", "state", "flags"], flagged[["key", "state", "flags"]].values.tolist()),
    ]
    known = [[measure.label, measure.unit, f"{measure.low:g} to {measure.high:g}", measure.good, measure.meaning]
             for measure in MEASURES]  # fmt: skip
    parts += ["<h2>What the measures mean</h2>", _table(["measure", "unit", "range", "good", "meaning"], known)]
    cost = [
        [part, f"{outcome.table[f'seconds_{part}'].mean():.2f}"]
        for part in ("decode", *PARTS)
        if f"seconds_{part}" in outcome.table
    ]
    parts += ["<h2>What they cost here</h2>", _table(["part", "seconds a video"], cost)]
    return _whole(title, parts)


def _whole(title: str, parts: Sequence[str]) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"</head><body>{''.join(parts)}</body></html>"
    )


def look(video: Video, width: int = 320) -> None:
    """A quick inline look at every view through mediapy, without the player."""
    import imageio_ffmpeg
    import mediapy

    mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
    shown = {name: read_small(path, width) for name, path in video.views.items()}
    if not shown:
        raise DreamkitError(f"{video.key} has no video to show.")
    fps = next(iter(shown.values())).fps
    mediapy.show_videos({name: read.frames_thwc for name, read in shown.items()}, fps=fps, columns=3, codec="h264")
