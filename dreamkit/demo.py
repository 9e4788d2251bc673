"""The whole main job on what the kit brings along: a drawn clip, the tiny bundle, notebooks 04 and 05."""

from __future__ import annotations

from pathlib import Path

from dreamkit import captions, checkpoints, notebooks
from dreamkit.cameras import SIX_VIEWS
from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.clip import CAPTION, CLIP, write_condition_clip
from dreamkit.workspace import Chunk, Workspace

RANDOM = (
    "THE TINY MODEL'S WEIGHTS ARE RANDOM FOR NOW: THE VIDEOS ARE NOISE.\n"
    "They show that every step runs on this machine, not what the models make."
)
NIGHT = CAPTION.replace("on a clear day", "at night, lit by street lamps and headlights")


def prepare(ws: Workspace) -> None:
    """Draw the sample clip and write its two captions, unless they are there."""
    conditions = [ws.condition("hdmap", camera, Chunk(CLIP)) for camera in SIX_VIEWS.cameras]
    if not all(path.is_file() for path in conditions):
        print(f"drawing the sample clip into {ws.root}", flush=True)
        write_condition_clip(ws.root)
    if not (ws.captions / f"{CLIP}.json").is_file():
        captions.write_styles(ws.captions, CLIP, {captions.ORIGINAL: CAPTION, "Night": NIGHT})


def run(root: Path) -> list[Path]:
    """Run the demo into a workspace folder; what is done is skipped. Returns the videos to look at.

    Raises:
        DreamkitError: the notebooks are not there, or one of them stopped.
    """
    settings = notebooks.REPOSITORY / "params" / "demo"
    if not settings.is_dir():
        raise DreamkitError(
            f"The demo's parameters are not at {settings}.",
            "Run it from a clone of the repository, installed with pip install -e .",
        )
    ws = Workspace(root)
    print(RANDOM, flush=True)
    bundle = checkpoints.folder(checkpoints.TINY)
    print(f"tiny bundle: {bundle}", flush=True)
    prepare(ws)
    executed = []
    for name in ("04_single_view", "05_multi_view"):
        print(f"\nnotebook {name}", flush=True)
        params = notebooks.gather(name, settings / f"{name}.yaml", {"workspace": str(ws.root)})
        executed.append(notebooks.run(name, params))
    made = sorted([*ws.root.glob("single_view/*.mp4"), *ws.root.glob("multi_view/*/grid.mp4")])
    print(f"\n{RANDOM}\n\nMade in {ws.root}:")
    for path in [*made, *executed]:
        print(f"  {path.relative_to(ws.root)}")
    print("Open a video in any player, or a notebook in JupyterLab: jupyter lab", executed[-1])
    return made
