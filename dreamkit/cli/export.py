"""`dreamkit export`: accepted videos as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dreamkit.cli.options import FILE, PARAMETER
from dreamkit.errors import DreamkitError

if TYPE_CHECKING:
    from dreamkit.review.session import Review

FORMS = ("dreamkit", "nuscenes")


def export_command(
    output: Path = typer.Option(..., "--output", "-o", help="Folder of the data set; an earlier export is replaced."),
    form: str = typer.Option("dreamkit", "--form", help="dreamkit (videos and a table) or nuscenes."),
    labels: Path | None = typer.Option(
        None,
        "--labels",
        help="RDS-HQ folder that the conditions were rendered from; nuscenes finds the last one itself.",
    ),
    workspace: str = typer.Option("", "--workspace", "-w", help="Workspace folder; by default outputs."),
    unjudged: bool = typer.Option(
        False, "--unjudged", help="Also export videos that nobody judged and no measure flagged."
    ),
    every: int = typer.Option(15, "--every", help="nuscenes: frames from one key frame to the next."),
    keep_original: bool = typer.Option(
        False, "--keep-original", help="nuscenes: also write f-theta pictures as they are, besides the rectified ones."
    ),
    version: str = typer.Option("v1.0-dreamkit", "--version", help="nuscenes: name of the tables' folder."),
    check: bool = typer.Option(
        True, "--check/--no-check", help="nuscenes: leave out views whose pictures do not fit the labels."
    ),
    file: Path | None = FILE,
    parameter: list[str] = PARAMETER,
) -> None:
    """Notebook 06: export the accepted videos with their labels, for training or for nuscenes-devkit."""
    from dreamkit.review.params import ReviewParams
    from dreamkit.review.report import open_review
    from dreamkit.runs.notebook import gather_params, read_pairs

    if form not in FORMS:
        raise DreamkitError(f"There is no export in the form {form!r}.", f"Choose {' or '.join(FORMS)}.")
    pairs = read_pairs(ReviewParams, parameter)
    given = {"workspace": workspace, "labels": str(labels) if labels else ""}
    p = gather_params(ReviewParams, file, pairs | {key: value for key, value in given.items() if value})
    review = open_review(p.open_workspace(), p)
    if form == "dreamkit":
        from dreamkit.review.export import export_accepted

        print(f"export: {export_accepted(review, str(output), p.labels, unjudged)}")
        return
    found = str(review.labels.root) if review.labels else p.labels
    _export_nuscenes(review, output, found, unjudged, every, keep_original, version, check)


def _export_nuscenes(
    review: Review,
    output: Path,
    labels: str,
    unjudged: bool,
    every: int,
    keep_original: bool,
    version: str,
    check: bool,
) -> None:
    """Write the data set with a progress bar, then print what is in it."""
    from tqdm import tqdm

    from dreamkit.review.geometry import Limits
    from dreamkit.review.nuscenes.dataset import NuscenesOptions, export_nuscenes

    options = NuscenesOptions(version, every, keep_original, Limits() if check else None)
    with tqdm(unit="picture", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            if done % 20 == 0:
                bar.refresh()

        made = export_nuscenes(review, str(output), labels, options, unjudged, progress)
    print(f"export: {made.folder}")
    for what, count in made.counts.items():
        print(f"  {count:>7,} {what}")
    for key, why in made.refused.items():
        print(f"  left out: {key}: {why}")
    for key, why in made.untold.items():
        print(f"  exported, but edges cannot tell whether it fits: {key}: {why}")
    print(f"open it: NuScenes(version={version!r}, dataroot={str(made.folder)!r})")
