"""`dreamkit batch`: run a batch file, or show the state of a batch."""

from __future__ import annotations

from pathlib import Path

import typer

from dreamkit.errors import DreamkitError

STATUS = "status"


def batch_command(
    file: str = typer.Argument(..., metavar="BATCH.yaml", help="Batch file; or `status`, for the state of a batch."),
    run: str = typer.Argument("", metavar="[RUN]", help="With status: name or folder of the batch, or its file."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the plan and stop."),
    engine: str = typer.Option("", "--engine", help="local or ray; by default the file's."),
    address: str = typer.Option("", "--address", help="Address of the Ray cluster, such as auto."),
    workers: int | None = typer.Option(None, "--workers", help="Units at a time; by default the file's."),
    name: str = typer.Option("", "--name", help="Name of the batch; by default the file's."),
    workspace: str = typer.Option("", "--workspace", help="Workspace folder; by default the file's, or outputs."),
    watch: bool = typer.Option(False, "--watch", help="With status: print it again every few seconds, until the end."),
    as_json: bool = typer.Option(False, "--json", help="With status: print JSON, for scripts."),
) -> None:
    """Run notebooks over many clips and styles; a second run makes only what is missing."""
    if file == STATUS:
        from dreamkit.runs.batch_status import show_status

        show_status(run, workspace, watch, as_json)
        return
    from dreamkit.runs.batch_params import override_batch, read_batch
    from dreamkit.runs.batch_run import run_batch

    if run:
        raise DreamkitError(f"{run!r} after the batch file is not used.", "Write `dreamkit batch status RUN`.")
    given = {"engine": engine, "address": address, "name": name, "workspace": workspace}
    changes = {key: value for key, value in given.items() if value} | ({} if workers is None else {"workers": workers})
    raise typer.Exit(run_batch(override_batch(read_batch(Path(file)), changes), dry_run))
