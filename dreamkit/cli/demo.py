"""The whole main job on what the kit brings along: a sample clip, the tiny bundle, every notebook from 00 to 06."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate import specs
from dreamkit.notebook.progress import clock
from dreamkit.runs import notebook as notebook_run
from dreamkit.runs.notebook import MODELS
from dreamkit.setup.sample_clip import CURVE, write_condition_clip
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace

TINY_NOTE = (
    "The tiny model has a few thousandths of the 7B models' weights and learnt a made-up world. Its rough pictures\n"
    "follow map and caption; they show that every step runs on this machine, not what the 7B models make."
)
FIRST = "00_setup"


def prepare(ws: Workspace) -> None:
    """Render the sample clip from its labels, write its caption and the two control specs, unless they are there."""
    conditions = [ws.condition("hdmap", camera, Chunk(CURVE)) for camera in SIX_VIEWS.cameras]
    if not all(path.is_file() for path in conditions):
        print(f"rendering the sample clip into {ws.root}", flush=True)
        write_condition_clip(ws.root)
    for stage in STAGES:
        specs.write_default(stage, ws)


def settings_folder() -> Path:
    """Folder of the demo's parameter files.

    Raises:
        DreamkitError: this is an installation without the repository's files.
    """
    folder = notebook_run.REPOSITORY / "params" / "demo"
    if not folder.is_dir():
        raise DreamkitError(
            f"The demo's parameters are not at {folder}.",
            "Run it from a clone of the repository, installed with pip install -e .",
        )
    return folder


def run(root: Path) -> list[Path]:
    """Run the demo into a workspace folder; what is done is skipped. Returns the videos to look at.

    Raises:
        DreamkitError: the notebooks are not there, or one of them stopped.
    """
    settings = settings_folder()
    ws = Workspace(root)
    print(TINY_NOTE, flush=True)
    bundle = checkpoints.folder(checkpoints.TINY)
    print(f"tiny bundle: {bundle}", flush=True)
    prepare(ws)
    executed, began = [], time.monotonic()
    for name in sorted(MODELS):
        print(f"\nnotebook {name}", flush=True)
        own = {"workspace": str(ws.root)}
        if (stage := name[3:]) in STAGES:
            own["spec"] = str(ws.spec(stage))  # one in the working folder is the user's and for other clips
        params = notebook_run.gather(name, settings / f"{name}.yaml", own)
        executed.append(notebook_run.run(name, params))
    made = sorted([*ws.root.glob("single_view/*.mp4"), *ws.root.glob("multi_view/*/*.mp4")])
    report = ws.root / "review" / "report.html"
    print(f"\n{TINY_NOTE}\n")
    print(f"All {len(executed)} notebooks ran in {clock(time.monotonic() - began)}. Made in {ws.root}:")
    for path in [*made, *filter(Path.is_file, [report]), *executed]:
        print(f"  {path.relative_to(ws.root)}")
    print("Open a video in any player, the report in a browser, the notebooks in JupyterLab: dreamkit lab")
    return made


def lab(arguments: Sequence[str] = ()) -> int:
    """Open JupyterLab at the first notebook; returns its exit code when it is closed.

    Args:
        arguments: for `jupyter lab`, as they are.

    Raises:
        DreamkitError: the notebooks are not there.
    """
    first = notebook_run.find(FIRST).resolve()
    command = [sys.executable, "-m", "jupyter", "lab", f"notebooks/{first.name}", *arguments]
    try:
        return subprocess.call(command, cwd=first.parents[1])
    except KeyboardInterrupt:  # its own way of being closed
        return 0
