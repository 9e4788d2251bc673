"""A workspace whose "generated" videos are the condition videos with their frame numbers painted on, and its labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rds_clips
from review_world import paint_number

from dreamkit.rds.plan import Options
from dreamkit.rds.render import render_clips
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.video import read_video, write_video
from dreamkit.workspace.workspace import Chunk, Workspace

FRAMES = 13
SIZE = (384, 208)
CHUNK = Chunk(rds_clips.CLIP, 1)
"""The second chunk, so that frame 0 of its videos is frame FRAMES of the clip."""
KEY = f"multi_view/{CHUNK.name}_Rainy"


def make_labelled(folder: Path, model=None) -> tuple[Workspace, Path]:
    """The workspace and the RDS-HQ folder; videos are 24 fps and conditions 30 fps."""
    root = rds_clips.write_clip(folder / "labels", frames=2 * FRAMES + 2, model=model)
    workspace = Workspace(folder / "outputs")
    options = Options(("hdmap",), chunk_frames=FRAMES, drawn=(480, 270), size=(480, 264), workers=1)
    render_clips(root, workspace.root, options)
    for camera in SIX_VIEWS.cameras:
        shown = read_video(workspace.condition("hdmap", camera, CHUNK), size=SIZE[::-1])
        numbered = np.stack([paint_number(picture, frame) for frame, picture in enumerate(shown)])
        write_video(workspace.view(CHUNK, "Rainy", camera.index), numbered, 24, crf=8)
    return workspace, root
