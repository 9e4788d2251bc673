"""The clips that a run works on."""

from __future__ import annotations

from collections.abc import Sequence

from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import nearest
from dreamkit.workspace.workspace import Workspace


def listed_clips(ws: Workspace, asked: Sequence[str]) -> list[str]:
    """The clips in `asked`; where it is empty, all clips that have condition videos or a caption.

    Raises:
        DreamkitError: the workspace has no clip, or one in `asked` has neither.
    """
    there = sorted({*ws.clips(), *ws.drawn_clips()})
    known = set(there)
    if unknown := [clip for clip in asked if clip not in known]:
        close = nearest(unknown[0], there)
        raise DreamkitError(
            f"The workspace {ws.root} has no clip {unknown[0]}.",
            f"Did you mean {close}?" if close else f"It has {', '.join(there[:5]) or 'none'}.",
        )
    if not there:
        raise DreamkitError(
            f"The workspace {ws.root} has no clip: no condition video and no caption.",
            "Draw condition videos with `dreamkit render`, or set workspace to the folder that has them.",
        )
    return list(asked) or there
