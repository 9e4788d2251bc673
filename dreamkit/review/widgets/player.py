"""The player: one to six views in frame sync, condition beside or over them, styles side by side, and the verdict.

The page is `streams.js` and `player.js`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from dreamkit.errors import DreamkitError
from dreamkit.review import verdicts
from dreamkit.review.facts import generation_facts, prompts_of
from dreamkit.review.label_source import LabelSource
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures.frames import DEFAULT_FPS
from dreamkit.review.widgets import previews
from dreamkit.review.widgets.label_lines import line_stream
from dreamkit.review.widgets.scripts import FOLDER, page_script
from dreamkit.review.widgets.traits import (
    LABELS,
    RESULT,
    OtherVideo,
    PlayerDraft,
    PlayerScore,
    PlayerVerdict,
    PlayerVideo,
    StreamMessage,
    check_trait,
)
from dreamkit.workspace.cameras import Rig

WIDTHS = {"grid": 384, "zoom": 960}  # pixels of a view, all together and alone
DECODERS = 3  # threads


def view_places(rig: Rig) -> list[dict[str, Any]]:
    """Camera name, label, and row and column in the rig's grid, of each view."""
    placed = []
    for camera in rig.cameras:
        row, column = rig.place(camera)
        words = camera.name.rsplit("_", 1)[0].replace("_", " ")
        placed.append({"camera": camera.name, "label": words, "row": row, "column": column})
    return placed


def player_video(video: ReviewVideo, labelled: bool = False) -> dict[str, Any]:
    """A video as the player's `video` trait takes it, see `traits.PlayerVideo`; `labelled` adds the labels' lines."""
    views = (
        view_places(video.rig)
        if video.stage == "multi_view"
        else [{"camera": video.rig.front.name, "label": "front", "row": 0, "column": 0}]
    )
    for view in views:
        path = video.views.get(view["camera"])
        view["layers"] = ([RESULT] if path else []) + [
            control for control, paths in video.conditions.items() if view["camera"] in paths
        ]
        view["layers"] += [LABELS] if path and labelled else []
        view["file"] = str(path or "")
        view["url"] = previews.server_url(path) if path else ""
    return {
        "key": video.key,
        "clip": video.chunk.name,
        "style": video.style,
        "stage": video.stage_label,
        "prompts": prompts_of(video),
        "facts": " · ".join(f"{name} {value}" for name, value in generation_facts(video).items()),
        "views": views,
        "layers": list(video.conditions),
        "problems": list(video.problems),
        "notes": list(video.notes),
    }


class Player(anywidget.AnyWidget):
    """The widget that plays one video, or several in sync, and takes the verdict.

    Args:
        videos: key -> video, those that can be opened.
        cache: folder for previews.
        on_verdict: called with (key, state, reasons, note) when the user judges; state `undo` takes a verdict back.
            May raise DreamkitError. Without it the player has no verdict bar.
        on_next: called after a verdict when the user wants the next video that is not judged yet.
        labels: the labels of the videos, whose boxes and lines can be laid over the frames; None without.
        on_move: called with +1 or -1 when the user goes to the next or previous video; else `videos` is the order.

    Attributes:
        video: the open video, see `traits.PlayerVideo`; {} at first.
        compared: the videos beside it for comparison.
        others: the videos of the same clip, see `traits.OtherVideo`.
        results: the videos that the player's own menu lists; empty where a board lists them.
        verdict: the current verdict, see `traits.PlayerVerdict`; {} without one.
        draft: reasons and note of a verdict taken back, see `traits.PlayerDraft`; {} without one.
        scores: the measures, see `traits.PlayerScore`.
        reasons: key -> meaning of the reasons for a verdict.
        message: a sentence for the user, such as an error.
        judging: whether there is a verdict bar.
        autoplay: whether a video plays as soon as it is there.
        beside: whether the condition is beside the result at first.
    """

    _esm = page_script("streams.js", "player.js")
    _css = FOLDER / "review.css"
    video = traitlets.Dict().tag(sync=True)
    compared = traitlets.List().tag(sync=True)
    others = traitlets.List().tag(sync=True)
    results = traitlets.List().tag(sync=True)
    verdict = traitlets.Dict().tag(sync=True)
    draft = traitlets.Dict().tag(sync=True)
    scores = traitlets.List().tag(sync=True)
    reasons = traitlets.Dict().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    judging = traitlets.Bool(True).tag(sync=True)
    autoplay = traitlets.Bool(False).tag(sync=True)
    beside = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        videos: Mapping[str, ReviewVideo],
        cache: Path,
        on_verdict: Callable[[str, str, Sequence[str], str], None] | None = None,
        on_move: Callable[[int], None] | None = None,
        on_next: Callable[[], None] | None = None,
        labels: LabelSource | None = None,
    ) -> None:
        super().__init__(reasons=verdicts.REASONS, judging=on_verdict is not None)
        self.videos = videos
        self.cache = cache
        self.labels = labels
        self.on_verdict = on_verdict
        self.on_move = on_move or self._move
        self.on_next = on_next
        self.on_msg(self._on_message)

    @traitlets.validate("video")
    def _check_video(self, proposal: Any) -> Any:
        value = proposal["value"]
        return check_trait("Player", "video", PlayerVideo, value) if value else value

    @traitlets.validate("compared")
    def _check_compared(self, proposal: Any) -> Any:
        return check_trait("Player", "compared", list[PlayerVideo], proposal["value"])

    @traitlets.validate("draft")
    def _check_draft(self, proposal: Any) -> Any:
        value = proposal["value"]
        return check_trait("Player", "draft", PlayerDraft, value) if value else value

    @traitlets.validate("others", "results")
    def _check_others(self, proposal: Any) -> Any:
        return check_trait("Player", proposal["trait"].name, list[OtherVideo], proposal["value"])

    @traitlets.validate("verdict")
    def _check_verdict(self, proposal: Any) -> Any:
        value = proposal["value"]
        return check_trait("Player", "verdict", PlayerVerdict, value) if value else value

    @traitlets.validate("scores")
    def _check_scores(self, proposal: Any) -> Any:
        return check_trait("Player", "scores", list[PlayerScore], proposal["value"])

    @traitlets.validate("reasons")
    def _check_reasons(self, proposal: Any) -> Any:
        return check_trait("Player", "reasons", dict[str, str], proposal["value"])

    def show(self, key: str) -> None:
        """Open a video.

        Raises:
            DreamkitError: no video of that key.
        """
        if key not in self.videos:
            raise DreamkitError(f"There is no video {key!r} on this board.", "Load the board again.")
        shown = self.videos[key]
        self.others = [
            {"key": other.key, "style": f"{other.style}, {other.stage_label}", "stage": other.stage_label}
            for other in self.videos.values()
            if other.chunk == shown.chunk and other.key != key
        ]
        self.compared = []
        self.message = ""
        self.draft = {}
        self.video = self._described(shown)

    def compare(self, keys: Sequence[str]) -> None:
        """Show the videos of these keys beside the open one; unknown ones are left out."""
        self.compared = [self._described(self.videos[key]) for key in keys if key in self.videos]

    def _described(self, video: ReviewVideo) -> dict[str, Any]:
        return player_video(video, self.labels is not None and self.labels.has(video))

    def _move(self, by: int) -> None:
        order = list(self.videos)
        now = order.index(self.video["key"]) if self.video.get("key") in order else -by
        self.show(order[(now + by) % len(order)])

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        """Answer a message of the page; errors are shown on the page as a sentence."""
        kind = content.get("type") if isinstance(content, dict) else None
        try:
            if kind == "streams":
                self._send_streams(content["wanted"])
            elif kind == "compare":
                self.compare([str(key) for key in content["keys"]])
            elif kind == "open":
                self.show(str(content["key"]))
            elif kind == "verdict" and self.on_verdict:
                self.message = ""
                self.on_verdict(
                    str(content["key"]), str(content["state"]), list(content["reasons"]), str(content["note"])
                )
                if content.get("next") and content["state"] != "undo" and self.on_next:
                    self.on_next()
            elif kind == "move":
                self.on_move(1 if content["by"] > 0 else -1)
        except DreamkitError as error:
            self.message = str(error)
        except (KeyError, TypeError, ValueError, OSError, traitlets.TraitError) as error:
            self.message = f"A request of the page failed: {error}."

    def _send_streams(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        with ThreadPoolExecutor(DECODERS) as pool:
            waiting = {pool.submit(self._stream, dict(each)): each for each in wanted}
            for done in as_completed(waiting):
                request = {name: waiting[done][name] for name in ("key", "layer", "camera", "size")}
                try:
                    made = done.result()
                except (DreamkitError, OSError, KeyError, ValueError) as error:
                    made = previews.JpegStream((), b"", DEFAULT_FPS, str(error))
                facts = {"sizes": list(made.sizes), "fps": made.fps, "problem": made.problem}
                message = check_trait("Player", "stream", StreamMessage, {"type": "stream", **request, **facts})
                self.send(message, [made.data] if made.sizes else [])

    def _stream(self, request: Mapping[str, Any]) -> previews.JpegStream:
        video = self.videos[request["key"]]
        if request["layer"] == LABELS and self.labels:
            return line_stream(self.labels, video, request["camera"], WIDTHS[request["size"]], self.cache)
        views = video.views if request["layer"] == RESULT else video.conditions[request["layer"]]
        return previews.jpeg_stream(views[request["camera"]], WIDTHS[request["size"]], self.cache)
