"""The commands of `dreamkit`; each imports what it needs when called, calls one function and prints the result.

A command that stands for a notebook takes the notebook's parameters by `-f FILE` and `-p KEY=VALUE`, as
`dreamkit run` does. Flags are for what is no parameter.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from dreamkit.cli import batch, export, labels, styles, trajectory
from dreamkit.cli.options import AS_MODEL, CAPTION, FILE, PARAMETER, RIG, from_old_options
from dreamkit.errors import DreamkitError

ABOUT = "Driving-video generation with Cosmos-Drive-Dreams models, from labels to reviewed videos."
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=ABOUT)
bench = typer.Typer(no_args_is_help=True, help="Measure speed, and the tiny bundle's quality, on this machine.")


@app.callback(help=ABOUT)
def root() -> None:
    """Let typer show the help of the whole command."""


@app.command("run")
def run_command(
    notebook: str = typer.Argument(..., help="Name of a notebook or its beginning, such as 04; or a path."),
    file: Path | None = FILE,
    parameter: list[str] = PARAMETER,
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Executed copy; in the workspace's notebooks/ by default."
    ),
    show: bool = typer.Option(False, "--show", help="List the notebook's parameters and stop."),
) -> None:
    """Run a notebook without a browser and keep the executed copy; its parameters are checked first."""
    from dreamkit.runs.notebook import describe_params, gather_params, params_model, read_pairs, run_notebook
    from dreamkit.runs.notebook_files import cell_values, working_copy
    from dreamkit.workspace.paths import home

    if show:
        print(describe_params(notebook))
        return
    model = params_model(notebook)
    path = Path(notebook)
    in_cell = cell_values(path, model) if path.suffix == ".ipynb" and path.is_file() else {}
    params = gather_params(model, file, read_pairs(model, parameter), in_cell)
    if path.suffix != ".ipynb" and (own := working_copy(home(), model.notebook)):
        print(
            f"The shipped notebook runs; your copy differs from it. To run yours: dreamkit run {own}", file=sys.stderr
        )
    print(f"executed notebook: {run_notebook(notebook, params, output)}")


@app.command("demo")
def demo_command(
    output: Path = typer.Option(Path("outputs/demo"), "--output", "-o", help="Workspace folder of the demo."),
    steps: int | None = typer.Option(
        None, "--steps", min=1, max=1000, help="Sampling steps, 20 if left out; fewer are faster and rougher."
    ),
) -> None:
    """Run every notebook on a sample clip with the tiny bundle, on this machine's CPU."""
    from dreamkit.cli.demo import run_demo

    run_demo(output, steps)


@app.command("lab", context_settings=_PASS_ON)
def lab_command(
    context: typer.Context,
    params: str = typer.Option("", "--params", help="Parameter set for all notebooks, such as params/demo."),
    notebook: str = typer.Option("00_setup", "--open", help="Notebook to open, such as 04."),
) -> None:
    """Open JupyterLab in this folder, on working copies of the notebooks; what follows `--` goes to jupyter lab."""
    from dreamkit.cli.lab import open_lab

    raise typer.Exit(open_lab(params, notebook, context.args))


@app.command("doctor")
def doctor_command(
    file: Path | None = FILE,
    parameter: list[str] = PARAMETER,
    as_json: bool = typer.Option(False, "--json", help="Print JSON, for scripts."),
    need: list[str] = typer.Option(
        ["tiny"], "--need", help="tiny, single_view, multi_view or styles; exit code 1 when this machine cannot run it."
    ),
    link_headers: bool = typer.Option(
        False, "--link-headers", help="First link CUDA's headers into the conda environment."
    ),
) -> None:
    """Notebook 00: what this machine can run, what is missing, and how to get it."""
    import json

    from dreamkit.runs.notebook import gather_params, read_pairs
    from dreamkit.setup import doctor, machine
    from dreamkit.setup.params import SetupParams

    p = gather_params(SetupParams, file, read_pairs(SetupParams, parameter))
    if unknown := [name for name in need if name not in doctor.NAMES]:
        raise DreamkitError(f"{unknown[0]!r} after --need is no capability.", f"There are {', '.join(doctor.NAMES)}.")
    if link_headers:
        print(f"{machine.link_headers()} headers linked", file=sys.stderr)
    report = doctor.examine(p)
    print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False) if as_json else report)
    if not all(report.can(name) for name in need):
        raise typer.Exit(1)


# Earlier versions took models as words, without -p.
@app.command("download", context_settings={"allow_extra_args": True})
def download_command(
    context: typer.Context,
    file: Path | None = FILE,
    parameter: list[str] = PARAMETER,
    list_only: bool = typer.Option(False, "--list", help="Show access and sizes, download nothing."),
) -> None:
    """Notebook 01: download model files and verify their checksums; files that are there are kept."""
    from dreamkit.download import run as download_run
    from dreamkit.download.params import DownloadParams
    from dreamkit.runs.notebook import gather_params, read_pairs

    pairs = from_old_options("download", {"models": context.args}) | read_pairs(DownloadParams, parameter)
    p = gather_params(DownloadParams, file, pairs | ({"list_only": True} if list_only else {}))
    todo = download_run.plan(p)
    print(todo)
    print(download_run.fetch(p.open_workspace(), p, todo))


@app.command("render")
def render_command(
    source: Path = typer.Argument(..., metavar="INPUT", help="RDS-HQ folder: pose/, 3d_lanelines/, ..."),
    output: Path = typer.Option(Path("outputs"), "--output", "-o", help="Workspace folder."),
    conditions: str | None = typer.Option(
        None, "--conditions", help="hdmap,lidar; by default hdmap, and lidar where there is lidar_raw."
    ),
    cameras: str | None = typer.Option(None, "--cameras", help="Names separated by commas; by default the six views."),
    clips: str | None = typer.Option(
        None, "--clips", help="Names separated by commas, or a .json list of them; by default all."
    ),
    camera_model: str = typer.Option("ftheta", "--camera-model", help="ftheta or pinhole."),
    novel_pose: str | None = typer.Option(
        None, "--novel-pose", help="Folder of other camera poses; its name is appended to the output folder's."
    ),
    chunk_frames: int = typer.Option(121, "--chunk-frames", help="Frames of a video."),
    overlap: int = typer.Option(0, "--overlap", help="Frames that successive videos share."),
    max_chunks: int | None = typer.Option(
        None, "--max-chunks", help="Videos per clip and camera; by default as many as the clip fills."
    ),
    workers: int | None = typer.Option(None, "--workers", help="Drawing processes; by default one per core."),
    keep_shapes: bool = typer.Option(
        False,
        "--keep-shapes/--no-keep-shapes",
        help="Also draw shapes without a vertex in the picture; the models were trained without them.",
    ),
    overwrite: bool = typer.Option(
        False, "--overwrite/--no-overwrite", help="Also replace videos that have no sidecar."
    ),
    rig: Path | None = RIG,
    as_model: str | None = AS_MODEL,
    caption: str = CAPTION,
) -> None:
    """Draw HDMap and LiDAR condition videos from RDS-HQ labels; a second run makes only what is missing."""
    from dreamkit.cli.rds import clip_names, comma_names, render_labels, rig_option
    from dreamkit.rds.plan import Options
    from dreamkit.rds.strokes import Rules

    options = Options(
        conditions=comma_names(conditions),
        cameras=comma_names(cameras),
        clips=clip_names(clips),
        model=camera_model,
        novel_pose=novel_pose,
        chunk_frames=chunk_frames,
        overlap=overlap,
        max_chunks=max_chunks,
        workers=workers,
        rules=Rules(keep_shapes_without_vertex=keep_shapes),
        overwrite=overwrite,
        rig=rig_option(rig, as_model, source, clip_names(clips)),
    )
    render_labels(source, output, options, caption)


@bench.command("render")
def bench_render_command(
    folder: Path = typer.Argument(..., help="RDS-HQ folder."),
    reference: Path = typer.Option(
        ..., "--reference", help="NVIDIA's toolkit, the folder that holds render_from_rds_hq.py."
    ),
    cameras: str | None = typer.Option(None, "--cameras", help="Names separated by commas; by default the six views."),
    frames: int = typer.Option(121, "--frames", help="Number of frames, from the first."),
    repeats: int = typer.Option(3, "--repeats", help="Repetitions; the table shows medians."),
    processes: int = typer.Option(2, "--processes", help="Processes of each renderer."),
    reference_python: str | None = typer.Option(
        None, "--reference-python", help="A Python that can import the toolkit; by default this one."
    ),
) -> None:
    """Time HDMap drawing against the reference renderer, and compare the pictures."""
    from dreamkit.bench.render import render_table, time_renderers
    from dreamkit.cli.rds import comma_names

    python = reference_python or sys.executable
    rows = time_renderers(folder, reference, comma_names(cameras), frames, repeats, processes, python)
    print(render_table(rows, processes))


@bench.command("forward", context_settings=_PASS_ON)
def bench_forward_command(context: typer.Context) -> None:
    """Time the world model's forward pass with random weights, and profile it. `-- --help` lists the options."""
    from dreamkit.bench.forward import main as bench_main

    bench_main(context.args)


@bench.command("video", context_settings=_PASS_ON)
def bench_video_command(context: typer.Context) -> None:
    """Time whole runs, from mp4 to mp4, with random weights. `-- --help` lists the options."""
    from dreamkit.bench.video import main as bench_main

    bench_main(context.args)


@bench.command("quality", context_settings=_PASS_ON)
def bench_quality_command(context: typer.Context) -> None:
    """Compare presets with `exact` on your weights and clips: PSNR, time and more. `-- --help` lists the options."""
    from dreamkit.bench.quality import main as bench_main

    bench_main(context.args)


@bench.command("load", context_settings=_PASS_ON)
def bench_load_command(context: typer.Context) -> None:
    """Time the loading of checkpoints with random weights. `-- --help` lists the options."""
    from dreamkit.bench.load import main as bench_main

    bench_main(context.args)


@bench.command("memory", context_settings=_PASS_ON)
def bench_memory_command(context: typer.Context) -> None:
    """Peak GPU memory and seconds of a forward for each preset, under a cap; `-- --help` lists the options."""
    from dreamkit.bench.memory import main as memory_main

    memory_main(context.args)


@bench.command("startup", context_settings=_PASS_ON)
def bench_startup_command(context: typer.Context) -> None:
    """Seconds from the command to the first denoising step, by stage; `-- --help` lists the options."""
    from dreamkit.bench.startup import main as startup_main

    startup_main(context.args)


@bench.command("scaling", context_settings=_PASS_ON)
def bench_scaling_command(context: typer.Context) -> None:
    """Time one, two and four GPUs that make a window together, with random weights. `-- --help` lists the options."""
    from dreamkit.bench.scaling import main as bench_main

    raise typer.Exit(bench_main(context.args))


@bench.command("tiny", context_settings=_PASS_ON)
def bench_tiny_command(context: typer.Context) -> None:
    """Measure the tiny bundle: adherence to map and caption, agreement of views, time. `-- --help` lists options."""
    from dreamkit.tinyworld.evaluate.command import run_evaluation

    run_evaluation(context.args)


bench.command("styles")(styles.bench_styles_command)
app.add_typer(bench, name="bench")
app.command("batch")(batch.batch_command)
app.command("export")(export.export_command)
app.command("trajectory")(trajectory.trajectory_command)
app.add_typer(styles.app, name="styles")
app.add_typer(labels.rig_app, name="rig")
app.command("check")(labels.check_command)
app.command("convert")(labels.convert_command)


def main() -> None:
    """Run the command line; a DreamkitError ends in its message and exit code 1, without a traceback."""
    from dreamkit.workspace.processes import SAFE_PATH, terminating_like_ctrl_c

    os.environ.update(SAFE_PATH)  # all processes that a command starts inherit it
    with terminating_like_ctrl_c():
        try:
            app()
        except DreamkitError as error:
            print(f"dreamkit: {error}", file=sys.stderr)
            raise SystemExit(1) from None
