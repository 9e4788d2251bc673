"""The two sample clips of the kit: their folder, their captions, and rendering their condition videos.

`CURVE` is a bend with traffic, `JUNCTION` an intersection.
"""

from __future__ import annotations

from pathlib import Path

from dreamkit.captions import files as caption_files
from dreamkit.rds.plan import Options
from dreamkit.rds.render import render_clips
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

FRAMES = 121
TWO_WINDOWS = 105  # frames of six views in two whole windows; 121 take a third for their last 16
SAMPLES = Path(__file__).parents[1] / "tiny" / "clips"
CURVE, JUNCTION = "tiny_curve", "tiny_junction"
# With fewer frames, one process finishes before several have started.
_WORTH_A_POOL = 30


def sample_captions(clip: str) -> dict[str, str]:
    """Style -> caption of a sample clip."""
    return caption_files.read_captions(SAMPLES / "captions", clip)


def write_condition_clip(
    workspace_root: Path | str, clip: str = CURVE, frames: int = TWO_WINDOWS, height: int = 704, width: int = 1280
) -> list[Path]:
    """Render a sample clip's six HDMap videos into a workspace, and write its caption where there is none.

    Args:
        workspace_root: the workspace folder.
        clip: CURVE or JUNCTION.
        frames: number of frames, at 30 per second; at most 121.
        height: pixels, even.
        width: pixels, even.

    Returns:
        The videos, in the rig's order.
    """
    ws = Workspace(workspace_root)
    options = Options(
        clips=(clip,),
        conditions=("hdmap",),
        chunk_frames=frames,
        max_chunks=1,
        size=(width, height),
        workers=1 if frames < _WORTH_A_POOL else None,
    )
    render_clips(SAMPLES, ws.root, options)
    if not any(ws.caption(clip, suffix).exists() for suffix in ("txt", "json")):
        caption_files.write_original(ws.captions, clip, sample_captions(clip)[caption_files.ORIGINAL])
    return [ws.condition("hdmap", camera, Chunk(clip)) for camera in SIX_VIEWS.cameras]
