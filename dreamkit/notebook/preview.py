"""Small copies of videos inside a notebook's page."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamkit.workspace.video import VideoInfo, probe, read_video, write_video

if TYPE_CHECKING:
    from IPython.display import HTML


def preview(path: Path, width: int = 640) -> HTML:
    """A small, silent copy of the video inside an HTML player for a notebook, with the file's facts under it."""
    from IPython.display import HTML

    info = probe(path)
    small_width = min(width, info.width) // 2 * 2
    small_height = max(2, round(info.height * small_width / info.width / 2) * 2)
    copy = path.with_name(f".preview-{path.name}")
    try:
        write_video(copy, read_video(path, size=(small_height, small_width)), info.fps or 24, crf=28)
        data = base64.b64encode(copy.read_bytes()).decode()
    finally:
        copy.unlink(missing_ok=True)
    return HTML(_player(data, path, info, small_width))


def _player(data: str, path: Path, info: VideoInfo, width: int) -> str:
    attributes: dict[str, Any] = {"src": f"data:video/mp4;base64,{data}", "width": width}
    filled = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return (
        f'<figure style="margin:0"><video controls loop muted {filled} style="max-width:100%"></video>'
        f"<figcaption>{html.escape(str(path))}: {info}</figcaption></figure>"
    )
