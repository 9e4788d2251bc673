"""`dreamkit trajectory`: a novel drive through labelled clips, drawn as condition videos."""

from __future__ import annotations

from pathlib import Path

import typer

from dreamkit.cli.options import AS_MODEL, RIG
from dreamkit.errors import DreamkitError


def trajectory_command(
    labels: Path = typer.Argument(..., metavar="LABELS", help="RDS-HQ folder; the new poses become a folder in it."),
    file: Path = typer.Argument(..., metavar="FILE.yaml", help="name, and shift, rotate, speed, lane_change, brake."),
    output: Path = typer.Option(
        Path("outputs"), "--output", "-o", help="Workspace folder; the trajectory's name is appended to its name."
    ),
    render: bool = typer.Option(True, "--render/--no-render", help="Draw the condition videos."),
    strict: bool = typer.Option(False, "--strict", help="Write nothing when the vehicle would touch something."),
    chunk_frames: int = typer.Option(121, "--chunk-frames", help="Frames of a video."),
    max_chunks: int | None = typer.Option(None, "--max-chunks", help="Videos per clip and camera."),
    workers: int | None = typer.Option(None, "--workers", help="Drawing processes; by default one per core."),
    camera_model: str = typer.Option("ftheta", "--camera-model", help="ftheta or pinhole."),
    rig: Path | None = RIG,
    as_model: str | None = AS_MODEL,
) -> None:
    """Write the poses of a changed drive, say what it would touch, draw it from above and as condition videos."""
    import cv2

    from dreamkit.cli.rds import render_labels, rig_option
    from dreamkit.rds.plan import Options, choose_clips
    from dreamkit.rds.top_view import draw_from_above
    from dreamkit.rds.trajectory_file import plan_drive, read_trajectory, write_novel_drive
    from dreamkit.workspace.files import replacing

    wanted = read_trajectory(file)
    options = Options(clips=wanted.clips, model=camera_model, rig=rig_option(rig, as_model, labels, wanted.clips))
    drives = [plan_drive(labels, clip, wanted) for clip in choose_clips(labels, options)]
    for drive in drives:
        print(f"{drive.clip}: {len(drive.poses)} of {len(drive.recorded)} frames")
        for one in drive.collisions:
            print(f"  touches {one}")
    if strict and any(drive.collisions for drive in drives):
        raise DreamkitError(
            "The vehicle would touch something, so no poses are written.",
            "Change the trajectory, or leave out --strict.",
        )
    workspace = output.with_name(f"{output.name}_{wanted.name}")
    for drive in drives:
        print(f"  poses: {write_novel_drive(labels, drive, wanted)}")
        path = workspace / "trajectory" / f"{drive.clip}.png"
        with replacing(path) as partial:
            done, data = cv2.imencode(".png", draw_from_above(drive, wanted.vehicle)[..., ::-1])
            if not done:
                raise DreamkitError(f"{path} cannot be drawn.", "The drive is too long for one picture.")
            partial.write_bytes(data.tobytes())
        print(f"  from above: {path}")
    if render:
        chosen = Options(
            clips=tuple(drive.clip for drive in drives),
            model=camera_model,
            novel_pose=wanted.name,
            chunk_frames=chunk_frames,
            max_chunks=max_chunks,
            workers=workers,
            rig=options.rig,
        )
        render_labels(labels, output, chosen)
