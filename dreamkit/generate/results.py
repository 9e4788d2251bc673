"""The results of a stage, as a table for a notebook or a terminal."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dreamkit.guardrail import record as guardrail_record
from dreamkit.notebook.preview import preview
from dreamkit.notebook.progress import clock

if TYPE_CHECKING:
    from IPython.display import HTML

MADE, DONE, KEPT, FAILED = "made", "done before", "your own, kept", "failed"
CHANGED = "changed since, kept"


@dataclass(frozen=True)
class VideoResult:
    """One video, or set of views, of a run.

    Attributes:
        name: `<clip>_<style>`.
        state: MADE, DONE, KEPT, CHANGED or FAILED.
        path: the video to show for it: the front video, or the grid.
        seconds: time that it took; 0 where it was not made.
    """

    name: str
    state: str
    path: Path
    seconds: float = 0.0


@dataclass(frozen=True)
class Results:
    """Every result of one run of a stage; `root` is the workspace folder."""

    root: Path
    results: tuple[VideoResult, ...]

    def __str__(self) -> str:
        rows = "\n".join(f"  {result.state:>14}  {result.path.relative_to(self.root)}" for result in self.results)
        return f"{len(self.results)} results in {self.root}. {guardrail_record.NOTE}\n{rows}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td>{r.state}</td><td>{clock(r.seconds) if r.seconds else ""}</td><td style="text-align:left;'
            f'overflow-wrap:anywhere">{html.escape(str(r.path.relative_to(self.root)))}</td></tr>'
            for r in self.results
        )
        head = "<tr><th>state</th><th>time</th><th style='text-align:left'>file</th></tr>"
        return f"<p>In {html.escape(str(self.root))}:</p><table>{head}{rows}</table><p>{guardrail_record.NOTE}</p>"

    def show(self, most: int = 2, width: int = 640) -> HTML:
        """Players for the first `most` results, small copies inside the notebook."""
        from IPython.display import HTML

        there = [result.path for result in self.results if result.path.is_file()]
        return HTML("".join(str(preview(path, width).data) for path in there[:most]))
