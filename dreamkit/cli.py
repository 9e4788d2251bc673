"""The `dreamkit` command. Thin: each command imports what it needs, calls one function, prints what it made."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

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
    from dreamkit import notebooks

    if show:
        print(notebooks.describe(notebook))
        return
    params = notebooks.gather(notebook, file, notebooks.read_pairs(parameter))
    print(f"executed notebook: {notebooks.run(notebook, params, output)}")


@app.command()
def demo(
    output: Path = typer.Option(Path("outputs/demo"), "--output", "-o", help="Workspace folder to run it in."),
) -> None:
    """Run single view, then six views, on a drawn clip with the tiny bundle, on this machine's CPU."""
    from dreamkit.demo import run as run_demo

    run_demo(output)


def main() -> None:
    """Run the command line; a user's mistake ends in its message and exit code 1, not in a traceback."""
    try:
        app()
    except DreamkitError as error:
        print(f"dreamkit: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
