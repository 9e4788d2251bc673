"""Where the labels of a workspace's results are, and the results with their labels, read once each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.review.labelled import LabelledVideo, read_labelled
from dreamkit.review.library import ReviewVideo
from dreamkit.workspace.files import read_json
from dreamkit.workspace.paths import label_record
from dreamkit.workspace.workspace import Workspace, from_home

KEPT = 3  # results whose labels stay in memory


def label_folder(workspace: Workspace, given: str = "") -> Path | None:
    """The RDS-HQ folder of a workspace's condition videos, or None where it is not known or no folder any more.

    Args:
        workspace: the workspace.
        given: the folder as a user wrote it; when empty, the one that `dreamkit render` recorded in the workspace.
    """
    if given:
        folder = from_home(given)
    else:
        try:
            folder = Path(str(read_json(label_record(workspace.root), "record of the labels")["folder"]))
        except (DreamkitError, KeyError):
            return None
    return folder if folder.is_dir() else None


class LabelSource:
    """The labels of results; may be used by several threads.

    Args:
        root: the RDS-HQ folder that the condition videos were drawn from.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._read: OrderedDict[str, LabelledVideo] = OrderedDict()

    def has(self, video: ReviewVideo) -> bool:
        """Whether a result has condition videos of all its views, without which its labels cannot be found."""
        conditions = next(iter(video.conditions.values()), {})
        return bool(video.views) and all(name in conditions for name in video.views)

    def labelled(self, video: ReviewVideo) -> LabelledVideo:
        """A result with its labels.

        Raises:
            DreamkitError: see `labelled.read_labelled`.
        """
        with self._lock:
            key = f"{video.key} {video.fingerprint}"
            if key not in self._read:
                self._read[key] = read_labelled(video, self.root)
                while len(self._read) > KEPT:
                    self._read.popitem(last=False)
            self._read.move_to_end(key)
            return self._read[key]
