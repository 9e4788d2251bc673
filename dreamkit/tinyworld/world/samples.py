"""The sample clips that ship with the kit: two made-up scenes as RDS-HQ labels, and their captions.

`CURVE` drives round a bend with traffic, `JUNCTION` through an intersection. Only the road users that come nearest are
kept, so that a clip stays under 1 MB.
"""

from __future__ import annotations

from pathlib import Path

from dreamkit.captions import files as caption_files
from dreamkit.rds.plan import Options
from dreamkit.rds.render import render
from dreamkit.tinyworld.world.scene import Scene, make_scene, thinned, write_clip
from dreamkit.tinyworld.world.scene_captions import style_captions
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

SAMPLES = Path(__file__).parents[2] / "tiny" / "clips"
CURVE, JUNCTION = "tiny_curve", "tiny_junction"
SEEDS = {CURVE: 508, JUNCTION: 475}
FRAMES = 121
_ROAD_USERS = 7
# Fewer frames are drawn sooner than processes start.
_WORTH_A_POOL = 30


def sample_scene(clip: str) -> Scene:
    """The made-up scene behind a sample clip."""
    return thinned(make_scene(SEEDS[clip], FRAMES), _ROAD_USERS)


def write_captioned(folder: Path, clip: str, scene: Scene) -> None:
    """A scene as an RDS-HQ clip, and its captions of all styles in `captions/` beside the labels."""
    write_clip(folder, clip, scene)
    of_styles = style_captions(scene)
    caption_files.write_original(folder / "captions", clip, of_styles[caption_files.ORIGINAL])
    caption_files.write_styles(folder / "captions", clip, of_styles)


def write_samples(folder: Path) -> None:
    """Both sample clips, byte for byte as they ship."""
    for clip in SEEDS:
        write_captioned(folder, clip, sample_scene(clip))


def sample_captions(clip: str) -> dict[str, str]:
    """Style -> caption of a sample clip."""
    return caption_files.read(SAMPLES / "captions", clip)


def write_condition_clip(
    workspace_root: Path | str, clip: str = CURVE, frames: int = FRAMES, height: int = 704, width: int = 1280
) -> list[Path]:
    """Render a sample clip's six HDMap videos into a workspace, and copy its captions where there are none.

    Args:
        workspace_root: the workspace folder.
        clip: CURVE or JUNCTION.
        frames: number of frames, at 30 a second; at most 121.
        height: pixels, even.
        width: pixels, even.

    Returns:
        The videos, in the rig's order.
    """
    ws = Workspace(workspace_root)
    options = Options(
        clips=(clip,), conditions=("hdmap",), chunk_frames=frames, max_chunks=1, size=(width, height),
        workers=1 if frames < _WORTH_A_POOL else None,
    )  # fmt: skip
    render(SAMPLES, ws.root, options)
    if not any((ws.captions / f"{clip}{suffix}").exists() for suffix in (".txt", ".json")):
        caption_files.write_original(ws.captions, clip, sample_captions(clip)[caption_files.ORIGINAL])
    return [ws.condition("hdmap", camera, Chunk(clip)) for camera in SIX_VIEWS.cameras]
