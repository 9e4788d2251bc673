"""The `dreamkit` command: reads the command line, calls one function of a room below, prints its result.

It may import every other room. Begin with `app`, where the commands are listed.
This module is the entry point of the installed command and imports the rest only when called.
"""


def main() -> None:
    """Run the command line."""
    from dreamkit.cli.app import main as run_app

    run_app()
