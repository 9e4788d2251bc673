"""The results of a stage, as a table for a notebook or a terminal."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from dreamkit.guardrail.record import NOTE
from dreamkit.notebook.progress import clock, counted
from dreamkit.workspace.workspace import Workspace

MADE, DONE, KEPT, FAILED, BLOCKED = "made", "done before", "your own, kept", "failed", "blocked"
CHANGED = "changed since, kept"


@dataclass(frozen=True)
class VideoResult:
    """One video, or set of views, of a run.

    Attributes:
        name: `<clip>_<style>`.
        state: MADE, DONE, KEPT, CHANGED, FAILED or BLOCKED.
        path: the video to show for it: the front video, or the grid.
        seconds: time that it took; 0 where it was not made.
        reason: why the guardrail blocked it, a sentence; else empty.
    """

    name: str
    state: str
    path: Path
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Results:
    """Every result of one run of a stage; `root` is the workspace folder, `note` a sentence on the guardrail."""

    root: Path
    results: tuple[VideoResult, ...]
    note: str = NOTE

    def __str__(self) -> str:
        rows = "\n".join(
            f"  {result.state:>14}  {result.path.relative_to(self.root)}"
            + (f"  {result.reason}" if result.reason else "")
            for result in self.results
        )
        return f"{counted(len(self.results), 'result')} in {self.root}. {self.note}\n{rows}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td>{r.state}</td><td>{clock(r.seconds) if r.seconds else ""}</td><td style="text-align:left;'
            f'overflow-wrap:anywhere">{html.escape(str(r.path.relative_to(self.root)))}'
            f"{'<br>' + html.escape(r.reason) if r.reason else ''}</td></tr>"
            for r in self.results
        )
        head = "<tr><th>state</th><th>time</th><th style='text-align:left'>file</th></tr>"
        return f"<p>In {html.escape(str(self.root))}:</p><table>{head}{rows}</table><p>{html.escape(self.note)}</p>"

    def show(self) -> None:
        """Display the results in a notebook: a player, and frames that stay in the saved copy."""
        from IPython.display import display

        from dreamkit.review.result_player import result_outputs

        there = [result for result in self.results if result.state != BLOCKED and result.path.is_file()]
        if there:
            stage = there[0].path.relative_to(self.root).parts[0]
            display(*result_outputs(Workspace(self.root), stage, [result.name for result in there]))
