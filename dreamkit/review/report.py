"""The steps of the review notebook: open the board, measure and flag, ask the critic."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.notebook.interruption import interruptible
from dreamkit.notebook.progress import interactive
from dreamkit.review import critic
from dreamkit.review.geometry import edge_row
from dreamkit.review.label_source import LabelSource, label_folder
from dreamkit.review.library import ReviewVideo, find_videos
from dreamkit.review.measures.table import measure_all
from dreamkit.review.measuring import BackgroundWork
from dreamkit.review.outcome import ReviewOutcome
from dreamkit.review.params import ReviewParams
from dreamkit.review.session import Review
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)


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
    folder = label_folder(workspace, params.labels)
    labels = LabelSource(folder) if folder else None
    return Review(workspace, params.reviewer, params.thresholds, chosen_videos(workspace, params), labels)


def run_review(review: Review, params: ReviewParams, background: bool | None = None) -> ReviewOutcome:
    """Measure the board's videos, flag those past a threshold, and ask the critic if the parameters name one.

    Args:
        review: the board.
        params: the parameters of the run.
        background: work in a thread and return at once, so that the board stays usable; when left out, only where a
            person sits before the notebook. A running cell would keep the board from answering.

    Raises:
        DreamkitError: the critic's server cannot be reached; in the background it is on the board's progress line.
    """
    outcome = ReviewOutcome(review, params)
    videos = [video for video in review.videos.values() if not video.blocked]
    steps: list[Callable[..., None]] = []
    if videos:
        steps.append(lambda **bar: _measure(review, videos, **bar))
    if videos and params.critic:
        server = critic.Critic(params.critic, params.critic_model, params.critic_votes, params.critic_frames)
        steps.append(lambda **bar: _criticise(review, videos, server, **bar))
    if interactive() if background is None else background:
        outcome.work = BackgroundWork(review, steps, outcome.on_measured)
        outcome.work.start()
        return outcome
    with interruptible(outcome.kept):
        for step in steps:
            step()
    review.refresh()
    return outcome


def _measure(review: Review, videos: list[ReviewVideo], **bar: Any) -> None:
    measure_all(videos, review.paths.metrics, on_row=review.add_row, with_labels=_label_columns(review.labels), **bar)


def _label_columns(labels: LabelSource | None) -> Callable[[ReviewVideo], dict[str, Any]] | None:
    """The columns of a video's row that need its labels; None without labels."""
    if labels is None:
        return None

    def columns(video: ReviewVideo) -> dict[str, Any]:
        if not labels.has(video):
            return {"labelled": True}
        try:
            return edge_row(labels.labelled(video))
        except DreamkitError as error:  # other labels than the rendered ones, a damaged file: nothing is compared
            log.warning("%s: its edges are not compared with labels: %s", video.key, error.message)
            return {}

    return columns


def _criticise(review: Review, videos: list[ReviewVideo], server: critic.Critic, **bar: Any) -> None:
    review.critique = critic.criticise(videos, server, review.paths.critique, **bar)
