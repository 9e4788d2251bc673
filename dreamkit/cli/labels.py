"""The commands for labels of one's own: `dreamkit rig propose`, `check` and `convert`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from dreamkit.cli.options import AS_MODEL, RIG
from dreamkit.errors import DreamkitError

rig_app = typer.Typer(no_args_is_help=True, help="Which of your cameras stands for which of the six views.")


@rig_app.callback()
def rig_root() -> None:
    """Let typer keep `propose` as a subcommand."""


@rig_app.command("propose")
def rig_propose_command(
    folder: Path = typer.Argument(..., metavar="LABELS", help="RDS-HQ folder: pose/, 3d_lanelines/, ..."),
    output: Path = typer.Option(Path("rig.yaml"), "--output", "-o", help="The rig file; pictures lie beside it."),
    clip: str | None = typer.Option(None, "--clip", help="The clip whose cameras are read; by default the first."),
    as_model: str | None = typer.Option(
        None, "--as-model", help="ftheta: draw every camera through its view's own lens, as in the models' training."
    ),
    frame: int | None = typer.Option(
        None, "--frame", help="Frame of the pictures; by default one with much of the map."
    ),
    overwrite: bool = typer.Option(False, "--overwrite/--no-overwrite", help="Replace a rig file that exists."),
) -> None:
    """Write a draft of rig.yaml from poses and intrinsics, a picture of the rig from above, and one frame a camera."""
    from dreamkit.rds.convert.rig_pictures import write_rig_pictures
    from dreamkit.rds.convert.rig_proposal import propose_rig
    from dreamkit.rds.labels import list_clips
    from dreamkit.rds.rig_file import write_rig

    if as_model not in (None, "ftheta"):
        raise DreamkitError(f"{as_model!r} after --as-model is unknown.", "Give ftheta, or leave it out.")
    if output.exists() and not overwrite:
        raise DreamkitError(f"{output} exists and may be yours.", "Add --overwrite to replace it, or give another -o.")
    clips = list_clips(folder)
    if clip is not None and clip not in clips:
        raise DreamkitError(f"{folder} has no clip {clip!r}.", f"It has {', '.join(clips[:5])}.")
    chosen = clip or clips[0]
    proposal = propose_rig(folder, chosen, output, as_model)
    above, frames = (output.with_name(f"{output.stem}_{what}.png") for what in ("above", "frames"))
    number = write_rig_pictures(folder, chosen, proposal, above, frames, frame)
    write_rig(proposal.rig, output, proposal.notes)
    print(f"{output}, from the clip {chosen}:\n{proposal.report()}")
    print(f"pictures: {above} (from above), {frames} (frame {number}: own lens left, the view's lens right)")
    print(f"next: dreamkit render {folder} --rig {output}   (or with --as-model ftheta)")


def check_command(
    folder: Path = typer.Argument(..., help="RDS-HQ folder."),
    clips: str | None = typer.Option(
        None, "--clips", help="Names separated by commas, or a .json list of them; by default all."
    ),
    pictures: Path | None = typer.Option(None, "--pictures", help="Also draw a picture per camera into this folder."),
    beside: Path | None = typer.Option(
        None, "--beside", help="Videos to blend the pictures with: ftheta_<camera>/<clip>.mp4 or <clip>_0.mp4."
    ),
    frame: int | None = typer.Option(None, "--frame", help="Frame to draw; by default the middle one."),
    camera_model: str = typer.Option("ftheta", "--camera-model", help="ftheta or pinhole."),
    novel_pose: str | None = typer.Option(
        None, "--novel-pose", help="Folder of other camera poses to check instead of pose/."
    ),
    rig: Path | None = RIG,
    as_model: str | None = AS_MODEL,
    fix: Path | None = typer.Option(
        None,
        "--fix",
        help="First write a copy with the mistakes that can be mended into this folder, and check the copy.",
    ),
    output: Path = typer.Option(
        Path("outputs"),
        "--output",
        "-o",
        help="Workspace folder; its object_types.yaml gives the class of your own object types.",
    ),
) -> None:
    """Check RDS-HQ labels for common mistakes of converters; exit code 1 when there are errors."""
    from dreamkit.cli.rds import check_labels, clip_names, mend_labels, rig_option
    from dreamkit.rds.object_types import types_of_workspace
    from dreamkit.rds.plan import Options

    options = Options(
        conditions=("hdmap",),
        clips=clip_names(clips),
        model=camera_model,
        novel_pose=novel_pose,
        types=types_of_workspace(output),
    )
    if fix:
        mend_labels(folder, options, fix)
        folder = fix
    # After the mending, because a drafted rig depends on the order of the intrinsics.
    options = replace(options, rig=rig_option(rig, as_model, folder, clip_names(clips)))
    if not check_labels(folder, options, pictures, beside, frame):
        raise typer.Exit(1)


def convert_command(
    source: Path = typer.Argument(..., metavar="LOGS", help="A recorded drive, or a folder of them."),
    output: Path = typer.Option(..., "--output", "-o", help="RDS-HQ folder to write."),
    form: str | None = typer.Option(None, "--format", help="argoverse2 or 123d; by default what the folder holds."),
    clips: str | None = typer.Option(None, "--clips", help="Names of logs separated by commas; by default all."),
) -> None:
    """Convert drives of a public data set to RDS-HQ labels: Argoverse 2 sensor logs, and Arrow logs of py123d."""
    from dreamkit.cli.rds import clip_names
    from dreamkit.rds.convert.formats import convert_logs

    failed = 0
    for log, record in convert_logs(source, output, form, clip_names(clips)):
        if isinstance(record, DreamkitError):
            failed += 1
            print(f"{log.name}: {record.message} {record.hint}")
            continue
        shapes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in record["shapes"].items())
        print(f"{log.name}: {record['frames']} frames, {record['tracks']} tracks, {shapes or 'no map'}")
    if failed:
        raise typer.Exit(1)
    print(f"next: dreamkit check {output}; dreamkit rig propose {output}")
