"""The steps of the review notebook: open the board, measure and flag, ask the critic, write table and report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dreamkit.errors import DreamkitError
from dreamkit.review import critic
from dreamkit.review.export import export_accepted
from dreamkit.review.library import ReviewVideo, find_videos
from dreamkit.review.measures.definitions import MEASURES, PUBLISHED_REAL
from dreamkit.review.measures.frames import read_small
from dreamkit.review.measures.metrics import PARTS
from dreamkit.review.measures.table import measure_all
from dreamkit.review.pages import fill_template
from dreamkit.review.params import ReviewParams
from dreamkit.review.session import Review
from dreamkit.review.stills import board_stills, stills_html
from dreamkit.review.widgets import plots
from dreamkit.review.widgets.previews import THUMBNAIL_WIDTH
from dreamkit.review.widgets.traits import BLOCKED
from dreamkit.workspace.files import replacing, write_text
from dreamkit.workspace.images import data_url
from dreamkit.workspace.workspace import Workspace


@dataclass(frozen=True)
class ReviewOutcome:
    """The result of a review run.

    Attributes:
        review: the board with its verdicts.
        table: the measures, one row a video.
        critique: key -> the critic's record, see `critic.count_votes`; empty without a critic.
        params: the parameters of the run.
    """

    review: Review
    table: pd.DataFrame
    critique: dict[str, dict[str, Any]]
    params: ReviewParams

    def show(self) -> None:
        """Display stills with state and flags, and the plots, in a notebook."""
        from IPython.display import HTML, Image, display

        display(HTML(stills_html(self.review)))
        if len(self.table):
            display(Image(plots.to_png(plots.distributions(self.table, self.params.thresholds))))
            display(Image(plots.to_png(plots.traces(self.table, self.worst()))))

    def worst(self, most: int = 5) -> list[str]:
        """Keys of the most flagged videos, at most `most`."""
        keys = list(self.table["key"]) if len(self.table) else []
        return sorted(keys, key=lambda key: -len(self.review.flags(key)))[:most]

    def finish(self) -> str:
        """Write the table, the report and, with the parameter `export`, the dataset; returns lines that name them.

        Raises:
            DreamkitError: a file cannot be written, or see `export_accepted`.
        """
        self.review.reload_verdicts()
        paths, rows = self.review.paths, videos_table(self)
        write_csv(paths.table, rows)
        write_text(paths.report, report_page(self))
        flagged = sum(1 for flags in rows["flags"] if flags) if len(rows) else 0
        lines = [f"{len(rows)} videos, {flagged} flagged.", f"table:  {paths.table}", f"report: {paths.report}"]
        if self.params.export:
            lines.append(f"export: {export_accepted(self.review, self.params.export, self.params.labels)}")
        return "\n".join(lines)


def chosen_videos(workspace: Workspace, params: ReviewParams) -> list[ReviewVideo]:
    """The videos of the parameters' clips and styles.

    Raises:
        DreamkitError: no video at all, or a clip or style that no video has.
    """
    found = find_videos(workspace)
    if not found:
        raise DreamkitError(
            f"There is no video to review under {workspace.root}: single_view/ and multi_view/ hold none.",
            "Make some with notebooks 04 and 05, or put your own there under the same names.",
        )
    for wanted, have, what in (
        (params.clips, {video.chunk.clip for video in found}, "clip"),
        (params.styles, {video.style for video in found}, "style"),
    ):
        if missing := sorted(set(wanted) - have):
            raise DreamkitError(
                f"No video under {workspace.root} is of {what} {missing[0]!r}.", f"There are {', '.join(sorted(have))}."
            )
    clips, styles = set(params.clips), set(params.styles)
    return [
        video for video in found if (not clips or video.chunk.clip in clips) and (not styles or video.style in styles)
    ]


def open_review(workspace: Workspace, params: ReviewParams) -> Review:
    """The board of the chosen videos, with the measures kept from earlier runs; decodes nothing.

    Raises:
        DreamkitError: see `chosen_videos`.
    """
    return Review(workspace, params.reviewer, params.thresholds, chosen_videos(workspace, params))


def run_review(review: Review, params: ReviewParams) -> ReviewOutcome:
    """Measure the board's videos, flag those past a threshold, and ask the critic if the parameters name one.

    Raises:
        DreamkitError: the critic's server cannot be reached.
    """
    videos, paths = [video for video in review.videos.values() if not video.blocked], review.paths
    table = measure_all(videos, paths.metrics, on_row=review.add_row) if videos else pd.DataFrame()
    critique: dict[str, dict[str, Any]] = {}
    if params.critic and videos:
        server = critic.Critic(params.critic, params.critic_model, params.critic_votes, params.critic_frames)
        critique = critic.criticise(videos, server, paths.critique)
    review.critique = critique
    review.refresh()
    return ReviewOutcome(review, table, critique, params)


def videos_table(outcome: ReviewOutcome) -> pd.DataFrame:
    """One row a video: key, state and reasons, flags, the critic's score, every measure, seconds."""
    current = outcome.review.log.current()
    rows = []
    for key, video in outcome.review.videos.items():
        verdict, record = current.get(key), outcome.critique.get(key, {})
        row = outcome.review.rows.get(key, {})
        rows.append(
            {
                "key": key,
                "clip": video.chunk.clip,
                "chunk": video.chunk.index,
                "style": video.style,
                "stage": video.stage,
                "state": verdict.state if verdict else BLOCKED if video.blocked else "",
                "reasons": ", ".join(verdict.reasons) if verdict else "",
                "by": verdict.by if verdict else "",
                "flags": "; ".join(outcome.review.flags(key)),
                "critic_score": record.get("score"),
                "critic_flags": ", ".join(record.get("flags", [])),
                **{measure.key: row.get(measure.key) for measure in MEASURES},
                "seconds": row.get("seconds"),
            }
        )
    return pd.DataFrame(rows)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all."""
    with replacing(path) as partial:
        table.to_csv(partial, index=False)


def report_page(outcome: ReviewOutcome) -> str:
    """The report as one self-contained HTML page; the template is `report.html`."""
    review, table, critique = outcome.review, outcome.table, outcome.critique
    root, stills = str(review.workspace.root), board_stills(review)
    if not stills:
        return fill_template("report.html", root=root, states={})
    seconds = {part: table[f"seconds_{part}"].mean() for part in ("decode", *PARTS) if f"seconds_{part}" in table}
    return fill_template(
        "report.html",
        root=root,
        states=dict(Counter(item["state"] or "not judged" for item in stills).most_common()),
        stills=stills,
        width=THUMBNAIL_WIDTH,
        distributions=data_url(plots.to_png(plots.distributions(table, outcome.params.thresholds)), "image/png"),
        traces=data_url(plots.to_png(plots.traces(table, outcome.worst())), "image/png"),
        published=[(key, mean, source) for key, means in PUBLISHED_REAL.items() for source, mean in means.items()],
        agreement=critic.agreement(critique, review.log.current()) if critique else None,
        critique=critic.findings(critique),
        flagged=[(item["key"], item["state"], "; ".join(item["flags"])) for item in stills if item["flags"]],
        measures=[(m.label, m.unit, f"{m.low:g} to {m.high:g}", m.good, m.meaning) for m in MEASURES],
        seconds=[(part, f"{mean:.2f}") for part, mean in seconds.items()],
    )


def show_views(video: ReviewVideo, width: int = 320) -> None:
    """Show every view of a video in a notebook through mediapy, without the player.

    Raises:
        DreamkitError: the video has no view, or one cannot be decoded.
    """
    import imageio_ffmpeg
    import mediapy

    mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
    shown = {name: read_small(path, width) for name, path in video.views.items()}
    if not shown:
        raise DreamkitError(f"{video.key!r} has no video to show.", "Generate or copy it again.")
    fps = next(iter(shown.values())).fps
    mediapy.show_videos({name: read.frames_thwc for name, read in shown.items()}, fps=fps, columns=3, codec="h264")
