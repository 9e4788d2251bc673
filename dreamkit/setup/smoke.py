"""A short test of all steps: conditions of a sample clip, then a front video by the tiny bundle."""

from __future__ import annotations

from pathlib import Path

from dreamkit.captions import files as caption_files
from dreamkit.download import checkpoints
from dreamkit.generate import run as generate_run
from dreamkit.generate import specs
from dreamkit.generate.params import SingleViewParams
from dreamkit.generate.results import Results
from dreamkit.rds.plan import Options
from dreamkit.rds.render import render_clips
from dreamkit.setup.params import SetupParams
from dreamkit.setup.sample_clip import CURVE, sample_captions, write_condition_clip
from dreamkit.workspace.workspace import Workspace, from_home


def draw_sample(p: SetupParams, folder: Path) -> str:
    """Render the conditions of nine frames and write a caption.

    Args:
        p: the parameters; with `labels`, the first clip of that RDS-HQ folder is rendered, else the sample clip.
        folder: the workspace folder to write to.

    Returns:
        The clip's name.
    """
    if not p.labels:
        write_condition_clip(folder, frames=9, height=176, width=320)
        return CURVE
    made = render_clips(from_home(p.labels), folder, Options(conditions=("hdmap",), chunk_frames=9, max_chunks=1))
    clip = made[0].path.stem.rpartition("_")[0]
    caption_files.write_original(Workspace(folder).captions, clip, sample_captions(CURVE)[caption_files.ORIGINAL])
    return clip


def smoke_test(p: SetupParams) -> Results:
    """Render conditions and generate a front video of nine frames with the tiny bundle; returns its results.

    All files go into the workspace's cache folder.

    Raises:
        DreamkitError: the labels cannot be rendered, the folder cannot be written, or PyTorch does not work.
    """
    ws = Workspace(p.open_workspace().cache("smoke"))
    clip = draw_sample(p, ws.root)
    quick = SingleViewParams(
        workspace=str(ws.root),
        checkpoints=checkpoints.TINY,
        clips=[clip],
        styles=["Original"],
        spec=str(specs.write_default("single_view", ws)),  # not the one in the working folder, which is the user's
        num_steps=2,
        guidance=0.0,  # the tiny bundle was trained without guidance
    )
    return generate_run.single_view(ws, quick)
