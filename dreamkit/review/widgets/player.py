"""The player widget: one to six views in frame sync, the condition over them, two styles, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from dreamkit.errors import DreamkitError
from dreamkit.review import verdicts
from dreamkit.review.library import Video
from dreamkit.review.widgets import previews
from dreamkit.workspace.cameras import Rig

WIDTHS = {"grid": 384, "zoom": 960}
RESULT = "result"
DECODERS = 3


def labels(rig: Rig) -> list[dict[str, Any]]:
    """What the page needs to know of each view: name, words for it, and its place in the rig's grid."""
    placed = []
    for camera in rig.cameras:
        row, column = rig.place(camera)
        words = camera.name.rsplit("_", 1)[0].replace("_", " ")
        placed.append({"camera": camera.name, "label": words, "row": row, "column": column})
    return placed


def describe(video: Video) -> dict[str, Any]:
    """A Video as the page needs it."""
    views = (
        labels(video.rig)
        if video.stage == "multi_view"
        else [{"camera": video.rig.front.name, "label": "front", "row": 0, "column": 0}]
    )
    for view in views:
        path = video.views.get(view["camera"])
        view["layers"] = ([RESULT] if path else []) + [
            control for control, paths in video.conditions.items() if view["camera"] in paths
        ]
        view["file"] = str(path or "")
        view["url"] = previews.server_url(path) if path else ""
    return {
        "key": video.key,
        "clip": video.chunk.name,
        "style": video.style,
        "stage": video.stage.replace("_", " "),
        "prompt": video.prompt,
        "views": views,
        "layers": list(video.conditions),
        "problems": list(video.problems),
    }


class Player(anywidget.AnyWidget):
    """Plays the videos it is given; see `player.js` for the page's side.

    Args:
        videos: what can be opened, by key.
        cache: folder for previews.
        on_verdict: called with (key, state, reasons, note); state `undo` takes one back. Raises DreamkitError.
        on_move: called with +1 or -1 when the user asks for the next or previous video.
    """

    _esm = Path(__file__).parent / "player.js"
    _css = Path(__file__).parent / "review.css"
    video = traitlets.Dict().tag(sync=True)
    second = traitlets.Dict().tag(sync=True)
    others = traitlets.List().tag(sync=True)
    verdict = traitlets.Dict().tag(sync=True)
    scores = traitlets.List().tag(sync=True)
    reasons = traitlets.Dict().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        videos: Mapping[str, Video],
        cache: Path,
        on_verdict: Callable[[str, str, Sequence[str], str], None] | None = None,
        on_move: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(reasons=verdicts.REASONS)
        self.videos = videos
        self.cache = cache
        self.on_verdict = on_verdict
        self.on_move = on_move
        self.on_msg(self._received)

    def show(self, key: str) -> None:
        """Show a video.

        Raises:
            DreamkitError: no video of that key.
        """
        if key not in self.videos:
            raise DreamkitError(f"There is no video {key!r} on this board.", "Load the board again.")
        shown = self.videos[key]
        self.others = [
            {"key": other.key, "style": f"{other.style}, {other.stage.replace('_', ' ')}"}
            for other in self.videos.values()
            if other.chunk == shown.chunk and other.key != key
        ]
        self.second = {}
        self.message = ""
        self.video = describe(shown)

    def _received(self, _: Any, content: Any, __: Any) -> None:
        """Answer the page. Whatever goes wrong becomes a sentence on it, never a traceback in the log."""
        kind = content.get("type") if isinstance(content, dict) else None
        try:
            if kind == "streams":
                self._send_streams(content["wanted"])
            elif kind == "compare":
                key = content.get("key", "")
                self.second = describe(self.videos[key]) if key in self.videos else {}
            elif kind == "verdict" and self.on_verdict:
                self.message = ""
                self.on_verdict(
                    str(content["key"]), str(content["state"]), list(content["reasons"]), str(content["note"])
                )
            elif kind == "move" and self.on_move:
                self.on_move(1 if content["by"] > 0 else -1)
        except DreamkitError as error:
            self.message = str(error)
        except (KeyError, TypeError, ValueError, OSError) as error:
            self.message = f"The page asked for something that failed: {error}"

    def _send_streams(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        with ThreadPoolExecutor(DECODERS) as pool:
            waiting = {pool.submit(self._stream, dict(each)): each for each in wanted}
            for done in as_completed(waiting):
                asked = {name: waiting[done][name] for name in ("key", "layer", "camera", "size")}
                try:
                    made = done.result()
                except (DreamkitError, OSError, KeyError, ValueError) as error:
                    self.send({"type": "stream", **asked, "sizes": [], "fps": 24, "problem": str(error)})
                    continue
                facts = {"sizes": list(made.sizes), "fps": made.fps, "problem": made.problem}
                self.send({"type": "stream", **asked, **facts}, [made.data])

    def _stream(self, asked: Mapping[str, Any]) -> previews.Stream:
        video = self.videos[asked["key"]]
        views = video.views if asked["layer"] == RESULT else video.conditions[asked["layer"]]
        return previews.stream(views[asked["camera"]], WIDTHS[asked["size"]], self.cache)
