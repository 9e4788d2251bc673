"""The files of a workspace's review."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dreamkit.workspace.workspace import Workspace


@dataclass(frozen=True)
class ReviewPaths:
    """The files of a review.

    Attributes:
        verdicts: one JSON object a line, see `review.verdicts`.
        metrics: the measures, Parquet.
        report: the page, HTML.
        table: one row a video, CSV.
        critique: the critic's answers, JSON.
        cache: folder of previews.
        slides: folder of a contact sheet and an animation of each clip.
    """

    verdicts: Path
    metrics: Path
    report: Path
    table: Path
    critique: Path
    cache: Path
    slides: Path


def review_paths(workspace: Workspace) -> ReviewPaths:
    """The files of a workspace's review; none is created."""
    return ReviewPaths(
        verdicts=workspace.review_file("verdicts.jsonl"),
        metrics=workspace.review_file("metrics.parquet"),
        report=workspace.review_file("report.html"),
        table=workspace.review_file("table.csv"),
        critique=workspace.review_file("critic.json"),
        cache=workspace.cache("previews"),
        slides=workspace.review_file("slides"),
    )
