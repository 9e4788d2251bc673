"""The two sample clips that ship with the kit: made-up scenes as RDS-HQ labels, and their captions.

In `CURVE` the car drives round a bend in traffic, in `JUNCTION` through an intersection. Only the road users nearest
to the ego car are kept, so that a clip stays under 1 MB.
"""

from __future__ import annotations

from pathlib import Path

from dreamkit.captions import files as caption_files
from dreamkit.setup.sample_clip import CURVE, FRAMES, JUNCTION
from dreamkit.tinyworld.world.scene import MadeUpScene, make_scene, thinned, write_clip
from dreamkit.tinyworld.world.scene_captions import style_captions

SEEDS = {CURVE: 508, JUNCTION: 475}
_ROAD_USERS = 7


def sample_scene(clip: str) -> MadeUpScene:
    """The made-up scene behind a sample clip."""
    return thinned(make_scene(SEEDS[clip], FRAMES), _ROAD_USERS)


def write_captioned(folder: Path, clip: str, scene: MadeUpScene) -> None:
    """Write a scene as an RDS-HQ clip, and its captions in all styles into `captions/` beside the labels."""
    write_clip(folder, clip, scene)
    of_styles = style_captions(scene)
    caption_files.write_original(folder / "captions", clip, of_styles[caption_files.ORIGINAL])
    caption_files.write_style_captions(folder / "captions", clip, of_styles)


def write_samples(folder: Path) -> None:
    """Write both sample clips, byte for byte as they ship."""
    for clip in SEEDS:
        write_captioned(folder, clip, sample_scene(clip))
