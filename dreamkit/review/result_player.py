"""What notebooks 04 and 05 show of their results: the player in a live notebook, frames in a saved one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dreamkit.notebook.progress import interactive
from dreamkit.review.label_source import LabelSource, label_folder
from dreamkit.review.library import ReviewVideo, find_videos
from dreamkit.review.places import review_paths
from dreamkit.review.stills import sheets_html
from dreamkit.review.widgets.player import Player
from dreamkit.workspace.workspace import Workspace

AT_ONCE = 3  # front videos of one clip that play in sync at first


def made_videos(workspace: Workspace, stage: str, names: Sequence[str]) -> list[ReviewVideo]:
    """The videos of a stage's results, in the order of their names; those without a video are left out."""
    found = {video.key: video for video in find_videos(workspace)}
    wanted = [found[key] for name in names if (key := f"{stage}/{name}") in found]
    return [video for video in wanted if video.views]


def result_player(workspace: Workspace, videos: Sequence[ReviewVideo]) -> Player:
    """A player of results without verdicts: it plays at once, the condition beside it, the clip's other styles in sync.

    Frames are loaded for the results that are open; a menu opens the others.
    """
    folder = label_folder(workspace)
    labels = LabelSource(folder) if folder else None
    player = Player({video.key: video for video in videos}, review_paths(workspace).cache, labels=labels)
    player.autoplay = player.beside = True
    player.results = [
        {"key": video.key, "style": f"{video.style} · {video.chunk.name}", "stage": video.stage_label}
        for video in videos
    ]
    first = videos[0]
    player.show(first.key)
    if first.stage == "single_view":
        same = [video.key for video in videos if video.chunk == first.chunk and video.key != first.key]
        player.compare(same[: AT_ONCE - 1])
    return player


def result_outputs(workspace: Workspace, stage: str, names: Sequence[str]) -> list[Any]:
    """What a notebook displays of results: the player where a person sits before it, and frames for the saved file.

    Args:
        workspace: where the results are.
        stage: `single_view` or `multi_view`.
        names: `<clip>_<style>` of each result.
    """
    from IPython.display import HTML

    videos = made_videos(workspace, stage, names)
    if not videos:
        return []
    folder = label_folder(workspace)
    frames = sheets_html(videos, LabelSource(folder) if folder else None)
    if not interactive():
        return [HTML(frames)]
    words = "Frames of the results, which stay in the saved notebook"
    return [result_player(workspace, videos), HTML(f"<details><summary>{words}</summary>{frames}</details>")]
