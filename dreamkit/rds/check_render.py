"""The check of `dreamkit check` that does what `dreamkit render` will do, for the first frame of each camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.rds import hdmap
from dreamkit.rds.check_report import ERROR, WARNING, LabelFinding
from dreamkit.rds.drawing import read_clip
from dreamkit.rds.plan import Options
from dreamkit.rds.resize import resizer
from dreamkit.workspace.file_names import check_name
from dreamkit.workspace.log_levels import without_warnings


def render_findings(root: Path, clip: str, options: Options) -> Iterator[LabelFinding]:
    """What render refuses, and drawings without a single line.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        options: as for `dreamkit render`; the conditions are those that the clip has labels for.
    """
    try:
        with without_warnings("dreamkit.rds"):
            check_name(clip, "clip")
            loaded = read_clip(root, clip, replace(options, conditions=None))
            assert loaded.scene is not None  # as the map is among the conditions
            lit = False
            for name, camera in loaded.cameras.items():
                (picture,) = hdmap.draw_hdmap_frames(loaded.scene, camera, loaded.poses[name], [0])
                lit |= bool(resizer((camera.width, camera.height), options.size)(picture).any())
    except DreamkitError as error:
        yield LabelFinding(ERROR, "render", error.message, error.hint)
        return
    if not lit:
        what = "the first picture of every camera is black"
        yield LabelFinding(WARNING, "render", what, "map and objects out of sight: other heights, axes or places")
