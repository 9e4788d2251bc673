"""The `dreamkit` command. Thin: each command imports what it needs, calls one function, prints what it made."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from dreamkit.cli import styles as cli_styles
from dreamkit.errors import DreamkitError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Driving-video generation with Cosmos-Drive-Dreams models, from labels to reviewed videos.",
)


@app.callback()
def root() -> None:
    """Driving-video generation with Cosmos-Drive-Dreams models, from labels to reviewed videos."""


@app.command()
def run(
    notebook: str = typer.Argument(..., help="Name of a notebook, such as 04_single_view, or its path."),
    file: Path = typer.Option(None, "--file", "-f", help="YAML file of parameters."),
    parameter: list[str] = typer.Option([], "--parameter", "-p", help="KEY=VALUE, over the file's; repeat at will."),
    output: Path = typer.Option(None, "--output", "-o", help="Executed copy; the workspace's notebooks/ if left out."),
    show: bool = typer.Option(False, "--show", help="List the notebook's parameters and stop."),
) -> None:
    """Run a notebook headless, after its parameters are checked; the executed copy is kept."""
    from dreamkit.runs import notebook as notebook_run

    if show:
        print(notebook_run.describe(notebook))
        return
    params = notebook_run.gather(notebook, file, notebook_run.read_pairs(parameter))
    print(f"executed notebook: {notebook_run.run(notebook, params, output)}")


@app.command()
def demo(
    output: Path = typer.Option(Path("outputs/demo"), "--output", "-o", help="Workspace folder to run it in."),
) -> None:
    """Run every notebook on a sample clip with the tiny bundle, on this machine's CPU."""
    from dreamkit.cli.demo import run as run_demo

    run_demo(output)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab at the first notebook; what follows `--` goes to jupyter lab."""
    from dreamkit.cli.demo import lab as open_lab

    raise typer.Exit(open_lab(context.args))


@app.command()
def doctor(
    as_json: bool = typer.Option(False, "--json", help="JSON for scripts."),
    need: list[str] = typer.Option(["tiny"], help="tiny, single_view, multi_view, styles: exit code 1 without it."),
    file: Path = typer.Option(None, "--file", "-f", help="YAML file of parameters, as for notebook 00_setup."),
    parameter: list[str] = typer.Option([], "--parameter", "-p", help="KEY=VALUE, over the file's; repeat at will."),
    link_headers: bool = typer.Option(False, help="Link CUDA's headers into the conda environment, then look."),
) -> None:
    """Say what this machine can run, what is missing, and how to get it."""
    import json

    from dreamkit.runs import notebook as notebook_run
    from dreamkit.setup import doctor as doctors
    from dreamkit.setup import machine

    p = notebook_run.gather("00_setup", file, notebook_run.read_pairs(parameter))
    if unknown := [name for name in need if name not in doctors.NAMES]:
        raise DreamkitError(f"--need {unknown[0]} is no capability.", f"There are {', '.join(doctors.NAMES)}.")
    if link_headers:
        print(f"{machine.link_headers()} headers linked", file=sys.stderr)
    report = doctors.examine(p)
    print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False) if as_json else report)
    if not all(report.can(name) for name in need):
        raise typer.Exit(1)


@app.command()
def download(
    models: list[str] = typer.Argument(None, metavar="[MODEL]...", help="single_view multi_view styles guardrail."),
    file: Path = typer.Option(None, "--file", "-f", help="YAML file of parameters, as for notebook 01_download."),
    parameter: list[str] = typer.Option([], "--parameter", "-p", help="KEY=VALUE, over the file's; repeat at will."),
    list_only: bool = typer.Option(False, "--list", help="Show what would be fetched, who may have it, and stop."),
) -> None:
    """Fetch the model files, check every byte, keep what is there; licences are looked at first."""
    from dreamkit.download import run as downloads
    from dreamkit.runs import notebook as notebook_run

    pairs = notebook_run.read_pairs(parameter) | ({"models": models} if models else {})
    p = notebook_run.gather("01_download", file, pairs | ({"list_only": True} if list_only else {}))
    todo = downloads.plan(p)
    print(todo)
    print(downloads.fetch(p.open_workspace(), p, todo))


@app.command()
def render(
    source: Path = typer.Argument(..., metavar="INPUT", help="RDS-HQ folder: pose/, 3d_lanelines/, ..."),
    output: Path = typer.Option(Path("outputs"), "--output", "-o", help="Workspace folder."),
    conditions: str = typer.Option(None, help="hdmap,lidar; hdmap, and lidar where there is lidar_raw, if left out."),
    cameras: str = typer.Option(None, help="Names separated by commas; the six views if left out."),
    clips: str = typer.Option(None, help="Names separated by commas, or a .json list of them; all if left out."),
    camera_model: str = typer.Option("ftheta", help="ftheta or pinhole."),
    novel_pose: str = typer.Option(None, help="Folder of other camera poses; the output folder gets its name added."),
    chunk_frames: int = typer.Option(121, help="Frames of a video."),
    overlap: int = typer.Option(0, help="Frames that neighbouring videos share."),
    max_chunks: int = typer.Option(None, help="Videos of a clip and camera; as many as it fills if left out."),
    workers: int = typer.Option(None, help="Processes that draw; one a core if left out."),
    keep_shapes: bool = typer.Option(False, help="Draw shapes with no vertex in the picture too; the models saw none."),
    overwrite: bool = typer.Option(False, help="Also replace videos that have no sidecar."),
) -> None:
    """Draw HDMap and LiDAR condition videos from RDS-HQ labels; a second run makes only what is missing."""
    from dreamkit.cli.rds import render as run_render

    run_render(
        source, output, conditions=conditions, cameras=cameras, clips=clips, model=camera_model, novel_pose=novel_pose,
        chunk_frames=chunk_frames, overlap=overlap, max_chunks=max_chunks, workers=workers, keep_shapes=keep_shapes,
        overwrite=overwrite,
    )  # fmt: skip


@app.command()
def check(
    folder: Path = typer.Argument(..., help="RDS-HQ folder."),
    clips: str = typer.Option(None, help="Names separated by commas, or a .json list of them; all if left out."),
    pictures: Path = typer.Option(None, help="Also draw a picture per camera into this folder."),
    beside: Path = typer.Option(None, help="Videos to blend them with: ftheta_<camera>/<clip>.mp4 or <clip>_0.mp4."),
    frame: int = typer.Option(None, help="Which frame to draw; the middle one if left out."),
    camera_model: str = typer.Option("ftheta", help="ftheta or pinhole."),
    novel_pose: str = typer.Option(None, help="Folder of other camera poses to check instead of pose/."),
) -> None:
    """Look over RDS-HQ labels for the mistakes that converters make; exit code 1 when there are errors."""
    from dreamkit.cli.rds import check as run_check

    if not run_check(folder, clips, pictures, beside, frame, camera_model, novel_pose):
        raise typer.Exit(1)


bench = typer.Typer(no_args_is_help=True, help="Measure speed, and the tiny bundle, on this machine.")
app.add_typer(bench, name="bench")


@bench.command("render")
def bench_render(
    folder: Path = typer.Argument(..., help="RDS-HQ folder."),
    reference: Path = typer.Option(..., help="NVIDIA's toolkit, the folder that holds render_from_rds_hq.py."),
    cameras: str = typer.Option(None, help="Names separated by commas; the six views if left out."),
    frames: int = typer.Option(121, help="How many frames, from the first."),
    repeats: int = typer.Option(3, help="How often; the table shows medians."),
    processes: int = typer.Option(2, help="How many processes each side uses."),
    reference_python: str = typer.Option(None, help="A Python that can import the toolkit; this one if left out."),
) -> None:
    """Time HDMap drawing beside the reference renderer's, and compare the pictures."""
    from dreamkit.cli.rds import bench as run_bench

    run_bench(folder, reference, cameras, frames, repeats, processes, reference_python)


@bench.command("transfer", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench_transfer(context: typer.Context) -> None:
    """Time the world model with random weights: forward, block, write, load. `-- --help` lists the options."""
    from dreamkit.bench.forward import main as run_bench

    run_bench(context.args)


@bench.command("tiny", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench_tiny(context: typer.Context) -> None:
    """Measure the tiny bundle: does it follow map and caption, do views agree, how long. `-- --help` lists options."""
    from dreamkit.tinyworld.evaluate.command import main as run_bench

    run_bench(context.args)


bench.command("styles")(cli_styles.bench)
app.add_typer(cli_styles.app, name="styles")


def main() -> None:
    """Run the command line; a user's mistake ends in its message and exit code 1, not in a traceback."""
    try:
        app()
    except DreamkitError as error:
        print(f"dreamkit: {error}", file=sys.stderr)
        raise SystemExit(1) from None
