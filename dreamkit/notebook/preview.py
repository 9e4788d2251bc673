"""Small copies of videos inside a notebook's page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Template

from dreamkit.workspace.video import probe, read_video

if TYPE_CHECKING:
    from IPython.display import HTML

_FIGURE = Template(
    '<figure style="margin:0">{{ player|safe }}<figcaption>{{ path }}: {{ info }}</figcaption></figure>',
    autoescape=True,
)


def preview(path: Path, width: int = 640) -> HTML:
    """A player with a small copy of a video, encoded into the page; below it the file's path, frames, size and rate.

    Args:
        path: the video.
        width: the copy's width in pixels at most.

    Raises:
        DreamkitError: the video is missing or unreadable.
    """
    import imageio_ffmpeg
    import mediapy
    from IPython.display import HTML

    info = probe(path)
    small_width = min(width, info.width) // 2 * 2
    small_height = max(2, round(info.height * small_width / info.width / 2) * 2)
    frames_thwc = read_video(path, size=(small_height, small_width))
    mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
    data = mediapy.compress_video(frames_thwc, fps=info.fps or 24, crf=28)
    player = mediapy.html_from_compressed_video(data, small_width, small_height, autoplay=False)
    return HTML(_FIGURE.render(player=player, path=path, info=info))
