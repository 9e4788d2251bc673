"""`dreamkit demo`: every notebook from 00 to 06 on a sample clip with the tiny bundle."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

from dreamkit.download import checkpoints
from dreamkit.generate import specs
from dreamkit.notebook.progress import clock
from dreamkit.notebook.shipped import shipped_folder
from dreamkit.runs import notebook as notebook_run
from dreamkit.setup.sample_clip import CURVE, write_condition_clip
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import write_text
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace, from_home

TINY_NOTE = (
    "The tiny model has less than a thousandth of the 7B models' weights and was trained on a made-up world. Its\n"
    "rough pictures follow map and caption; they show that every step runs on this machine, not what 7B models make."
)
DEFAULT_ROOT = "outputs/demo"


def prepare_demo(ws: Workspace) -> None:
    """Render the sample clip's conditions, write its caption and the two control specs, where they are missing."""
    conditions = [ws.condition("hdmap", camera, Chunk(CURVE)) for camera in SIX_VIEWS.cameras]
    if not all(path.is_file() for path in conditions):
        print(f"rendering the sample clip into {ws.root}", flush=True)
        write_condition_clip(ws.root)
    for stage in STAGES:
        specs.write_default(stage, ws)


def continuing_command(root: Path, settings: Path) -> str:
    """The command that opens the notebooks with the demo's parameters.

    For a workspace elsewhere than `params/demo` says, a parameter set of its own is written into it.

    Args:
        root: the demo's workspace folder, as the user gave it.
        settings: folder of the demo's parameter files.
    """
    if from_home(root) == from_home(DEFAULT_ROOT):
        return "dreamkit lab --params params/demo"
    for file in sorted(settings.glob("*.yaml")):
        text = file.read_text(encoding="utf-8").replace(
            f"workspace: {DEFAULT_ROOT}", f"workspace: {json.dumps(str(root))}"
        )
        write_text(from_home(root) / "params" / file.name, text)
    return f"dreamkit lab --params {shlex.quote(str(root / 'params'))}"


def run_demo(root: Path, steps: int | None = None) -> list[Path]:
    """Run the demo in a workspace folder; finished videos are skipped.

    Args:
        root: the workspace folder.
        steps: sampling steps; those of the demo's parameter files when None.

    Returns:
        All videos of the workspace.

    Raises:
        DreamkitError: the notebooks are not there, or one of them stopped.
    """
    settings = shipped_folder("params") / "demo"
    ws = Workspace(root)
    print(TINY_NOTE, flush=True)
    print(f"tiny bundle: {checkpoints.folder(checkpoints.TINY)}", flush=True)
    prepare_demo(ws)
    executed, began = [], time.monotonic()
    for name, model in sorted(notebook_run.MODELS.items()):
        print(f"\nnotebook {name}", flush=True)
        own: dict[str, Any] = {"workspace": str(ws.root)}
        if steps and "num_steps" in model.model_fields:
            own["num_steps"] = steps
        if (stage := name[3:]) in STAGES:
            own["spec"] = str(ws.spec(stage))  # one in the working folder is the user's and for other clips
        params = notebook_run.gather_params(model, settings / f"{name}.yaml", own)
        executed.append(notebook_run.run_notebook(name, params))
    made = [path for stage in STAGES for path in ws.result_videos(stage)]
    print(f"\n{TINY_NOTE}\n")
    print(f"All {len(executed)} notebooks ran in {clock(time.monotonic() - began)}. Made in {ws.root}:")
    for path in [*made, *filter(Path.is_file, [ws.review_report]), *executed]:
        print(f"  {path.relative_to(ws.root)}")
    print("Open a video in any player, the report in a browser. To go on in the notebooks, with these parameters:\n")
    print(f"  {continuing_command(root, settings)}")
    return made
