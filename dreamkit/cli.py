"""The `dreamkit` command. Thin: each command imports what it needs, calls one function, prints what it made."""

from __future__ import annotations

import sys

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


def main() -> None:
    """Run the command line; a user's mistake ends in its message and exit code 1, not in a traceback."""
    try:
        app()
    except DreamkitError as error:
        print(f"dreamkit: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
