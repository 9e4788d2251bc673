"""The result of a review run, while it is measured and after: stills and plots, the table, the report, the export."""

from __future__ import annotations

import threading
from typing import Any

import pandas as pd

from dreamkit.notebook.interruption import interruptible
from dreamkit.notebook.progress import counted, interactive
from dreamkit.review.export import export_accepted
from dreamkit.review.measuring import BackgroundWork
from dreamkit.review.nuscenes.dataset import export_nuscenes
from dreamkit.review.params import ReviewParams
from dreamkit.review.report_page import plotted_keys, report_page, videos_table, write_csv
from dreamkit.review.session import Review
from dreamkit.review.slides import clip_slides
from dreamkit.review.stills import stills_html
from dreamkit.review.widgets import plots
from dreamkit.workspace.files import write_text

STOPPED = "The measuring is stopped."
AGAIN = "Run the cell that measures again to go on."


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


class ReviewOutcome:
    """The result of a review run.

    Args:
        review: the board with its verdicts, measures and the critic's records.
        params: the parameters of the run.

    Attributes:
        work: the thread that measures; None where everything was measured before `run_review` returned.
    """

    def __init__(self, review: Review, params: ReviewParams) -> None:
        self.review = review
        self.params = params
        self.work: BackgroundWork | None = None
        self._lock = threading.Lock()  # held while `finish` and the end of the thread decide who writes
        self._measured = False  # the thread's last step is done
        self._asked = False  # `finish` was called before that
        self._place: Any = None  # handle of the displayed plots

    @property
    def table(self) -> pd.DataFrame:
        """The measures so far, one row a video."""
        return self.review.measured()

    @property
    def critique(self) -> dict[str, dict[str, Any]]:
        """Key -> the critic's record, see `critic.count_votes`; empty without a critic."""
        return self.review.critique

    @property
    def measuring(self) -> bool:
        """Whether the thread has work left."""
        return self.work is not None and self.work.running and not self._measured

    @property
    def stopped(self) -> bool:
        """Whether the thread was stopped before its end."""
        return self.work is not None and self.work.stopped.is_set()

    def kept(self) -> str:
        """What an interrupted or stopped run keeps, as a sentence."""
        due = sum(1 for video in self.review.videos.values() if not video.blocked)
        done = len(self.table)
        return f"{done} of {counted(due, 'video')} {_is(done)} measured; these measures and all verdicts are kept."

    @interruptible(lambda: "Nothing is lost: measures and verdicts are kept.")
    def show(self) -> None:
        """Display stills with state and flags, and the plots; they are drawn again when the measuring ends."""
        from IPython.display import display

        self._place = display(self._page(), display_id=True)

    def _page(self) -> Any:
        from IPython.display import HTML

        note = ""
        if self.stopped:
            note = f"<p>{STOPPED} {self.kept()} {AGAIN}</p>"
        elif self.measuring:
            note = "<p>The measuring goes on; this page is drawn again when it is done.</p>"
        return HTML(note + self._stills() + self._plots())

    def _stills(self) -> str:
        """The stills as HTML, folded where the board itself is on the page."""
        stills = stills_html(self.review)
        words = "Stills of the board, which stay in the saved notebook"
        return f"<details><summary>{words}</summary>{stills}</details>" if interactive() else stills

    def _plots(self) -> str:
        """Both plots as HTML: SVG in the page's own ink, or pictures in a saved notebook, where SVG is removed."""
        table = self.table
        if not len(table):
            return ""
        keys = plotted_keys(self.review, table)
        figures = (plots.distributions(table, self.params.thresholds, keys), plots.traces(table, keys[:6]))
        if interactive():
            return "".join(plots.to_svg(figure, f"board{index}") for index, figure in enumerate(figures))
        return "".join(plots.to_img(figure) for figure in figures)

    def on_measured(self) -> str:
        """Draw the page again, write the files if `finish` was called meanwhile; the sentence for the progress line."""
        with self._lock:
            self._measured, asked = True, self._asked
        if self._place is not None:
            self._place.update(self._page())
        flagged = sum(1 for key in self.review.videos if self.review.flags(key))
        done = len(self.table)
        text = f"{counted(done, 'video')} {_is(done)} measured, {flagged} flagged."
        if self.stopped:
            text = f"{STOPPED} {self.kept()} {AGAIN}"
        if asked:
            self._write()
            text += " Table and report are written; run the last cell again when you have judged more."
        return text

    @interruptible(lambda: "Files that were not written yet stay as they were; measures and verdicts are kept.")
    def finish(self) -> str:
        """Write the table, the report and, with the parameter `export`, the dataset; returns lines that name them.

        While the measuring goes on, they are written at its end, but for the export.

        Raises:
            DreamkitError: a file cannot be written, or see `export_accepted`.
        """
        with self._lock:
            self._asked = waiting = self.measuring
        paths = self.review.paths
        if waiting:
            lines = ["The measuring goes on. These files are written when it is done:"]
            lines += [f"table:  {paths.table}", f"report: {paths.report}"]
            if self.params.export:
                lines.append("For the export, run this cell again then.")
            return "\n".join(lines)
        return self._write()

    def _write(self) -> str:
        self.review.reload_verdicts()
        paths, rows = self.review.paths, videos_table(self.review)
        write_csv(paths.table, rows)
        write_text(paths.report, report_page(self.review, self.params))
        flagged = sum(1 for flags in rows["flags"] if flags) if len(rows) else 0
        lines = [f"{len(rows)} videos, {flagged} flagged.", f"table:  {paths.table}", f"report: {paths.report}"]
        if clip_slides(self.review.videos.values(), paths.slides):
            lines.append(f"slides: {paths.slides} (a contact sheet and an animation of each clip)")
        if self.params.export and not self.measuring and threading.current_thread() is threading.main_thread():
            lines += self._export()
        return "\n".join(lines)

    def _export(self) -> list[str]:
        """Write the data set in the form of the parameters; lines that name it and what is left out."""
        p = self.params
        if p.export_form == "dreamkit":
            return [f"export: {export_accepted(self.review, p.export, p.labels, p.export_unjudged)}"]
        labels = str(self.review.labels.root) if self.review.labels else p.labels
        made = export_nuscenes(self.review, p.export, labels, unjudged=p.export_unjudged)
        lines = [f"export: {made.folder} ({made.counts['scenes']} scenes, {made.counts['boxes']} boxes)"]
        lines += [f"  left out: {key}: {why}" for key, why in made.refused.items()]
        return lines + [f"  exported, but edges cannot tell: {key}: {why}" for key, why in made.untold.items()]
