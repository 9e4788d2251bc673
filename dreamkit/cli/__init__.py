"""The `dreamkit` command."""


def main() -> None:
    """Run the command line."""
    from dreamkit.cli.app import main as run

    run()
