"""A small workspace of drawn six-view videos that carry their frame number, for the page and the browser tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from review_world import draw_clip, paint_number

from dreamkit.captions.files import write_style_captions
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.video import write_video
from dreamkit.workspace.workspace import Chunk, Workspace

TINT = {"Sunny": (1.0, 1.0, 1.0), "Night": (0.35, 0.4, 0.55)}


def make(root: Path, clips: int = 2, frames: int = 24, size: tuple[int, int] = (144, 256)) -> Workspace:
    """Clips in two styles, six views each, and one front video; every frame carries its number."""
    workspace = Workspace(root)
    for index in range(clips):
        chunk = Chunk(f"drawn_{index}")
        videos, maps = draw_clip(40 + index, frames, *size)
        write_style_captions(workspace.captions, chunk.clip, {style: f"A drawn street, {style}." for style in TINT})
        for camera in SIX_VIEWS.cameras:
            write_video(workspace.condition("hdmap", camera, chunk), maps[camera.name], 30)
        for style, tint in TINT.items():
            for camera in SIX_VIEWS.cameras:
                tinted = (videos[camera.name] * np.array(tint)).astype(np.uint8)
                numbered = np.stack([paint_number(picture, frame) for frame, picture in enumerate(tinted)])
                write_video(workspace.view(chunk, style, camera.index), numbered, 24)
        front = np.stack([paint_number(picture, frame) for frame, picture in enumerate(videos[SIX_VIEWS.front.name])])
        write_video(workspace.single_view(chunk, "Sunny"), front, 24)
    return workspace


if __name__ == "__main__":
    import sys

    print(make(Path(sys.argv[1])))
