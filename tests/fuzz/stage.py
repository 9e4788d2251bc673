"""A small workspace with released file names and fake pipelines, for runs of 04 and 05 in forked processes."""

import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import fakes

from dreamkit.generate import run as generate_run
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.workspace.workspace import Workspace


def prepare(folder, clips=("clip_a",), styles=("Night",)):
    """Checkpoints and a workspace with condition videos; the current folder becomes `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.environ |= {"DREAMKIT_CACHE": str(folder / "cache"), "DREAMKIT_PROGRESS": "lines"}
    fakes.put_checkpoints(folder / "checkpoints")
    for clip in clips:
        fakes.put_clip(Workspace("outputs"), clip, frames=3, styles=styles)


def run_stage(stage, made=None, pause=lambda: None, **values):
    """Make a stage with a fake pipeline; `made` is a file that gets a line for each video that is made."""

    def load(plan, ws):
        kind = fakes.FakeSingle if stage == "single_view" else fakes.FakeMulti

        class Counting(kind):
            def __call__(self, *args, **options):
                if made is not None:
                    with made.open("a") as file:
                        file.write(f"{stage} {options['seed']}\n")  # each result has a seed of its own
                pause()
                return super().__call__(*args, **options)

        return Counting()

    generate_run.load_pipeline = load
    if stage == "single_view":
        return generate_run.single_view(Workspace("outputs"), SingleViewParams(num_steps=1, **values))
    return generate_run.multi_view(Workspace("outputs"), MultiViewParams(num_steps=1, **values))


def forked(work, output):
    """Process number of a fork that does `work` and ends with 0, or with 1 and its traceback in the file `output`."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def ended(child):
    """Exit code of a fork; negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
