"""`dreamkit demo`: every notebook from 00 to 06 on a sample clip with the tiny bundle; and `dreamkit lab`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate import specs
from dreamkit.notebook.progress import clock
from dreamkit.runs import notebook as notebook_run
from dreamkit.setup.sample_clip import CURVE, write_condition_clip
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.processes import run_child
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace

TINY_NOTE = (
    "The tiny model has a few thousandths of the 7B models' weights and was trained on a made-up world. Its rough\n"
    "pictures follow map and caption; they show that every step runs on this machine, not what the 7B models make."
)
FIRST = "00_setup"


def prepare_demo(ws: Workspace) -> None:
    """Render the sample clip's conditions, write its caption and the two control specs, where they are missing."""
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
            f"The demo's parameter files are not at {folder}.",
            "Run it from a clone of the repository, installed with pip install -e .",
        )
    return folder


def run_demo(root: Path) -> list[Path]:
    """Run the demo in a workspace folder; finished videos are skipped.

    Returns:
        All videos of the workspace.

    Raises:
        DreamkitError: the notebooks are not there, or one of them stopped.
    """
    settings = settings_folder()
    ws = Workspace(root)
    print(TINY_NOTE, flush=True)
    print(f"tiny bundle: {checkpoints.folder(checkpoints.TINY)}", flush=True)
    prepare_demo(ws)
    executed, began = [], time.monotonic()
    for name, model in sorted(notebook_run.MODELS.items()):
        print(f"\nnotebook {name}", flush=True)
        own = {"workspace": str(ws.root)}
        if (stage := name[3:]) in STAGES:
            own["spec"] = str(ws.spec(stage))  # one in the working folder is the user's and for other clips
        params = notebook_run.gather_params(model, settings / f"{name}.yaml", own)
        executed.append(notebook_run.run_notebook(name, params))
    made = [path for stage in STAGES for path in ws.result_videos(stage)]
    print(f"\n{TINY_NOTE}\n")
    print(f"All {len(executed)} notebooks ran in {clock(time.monotonic() - began)}. Made in {ws.root}:")
    for path in [*made, *filter(Path.is_file, [ws.review_report]), *executed]:
        print(f"  {path.relative_to(ws.root)}")
    print("Open a video in any player, the report in a browser, the notebooks in JupyterLab: dreamkit lab")
    return made


def open_lab(arguments: Sequence[str] = ()) -> int:
    """Open JupyterLab at the first notebook; returns its exit code when it is closed.

    Args:
        arguments: passed to `jupyter lab`.

    Raises:
        DreamkitError: the notebooks are not there.
    """
    first = notebook_run.find_notebook(FIRST).resolve()
    command = [sys.executable, "-m", "jupyter", "lab", f"notebooks/{first.name}", *arguments]
    try:
        return run_child(command, first.parents[1])
    except KeyboardInterrupt:  # how JupyterLab is usually closed
        return 0
