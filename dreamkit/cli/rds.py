"""The work of `dreamkit render` and `dreamkit check`: parse option texts, show progress, print results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.notebook.progress import counted
from dreamkit.rds.plan import Options
from dreamkit.rds.rig_file import RigFile
from dreamkit.workspace.files import read_text
from dreamkit.workspace.parsing import parse_json


def comma_names(text: str | None) -> tuple[str, ...] | None:
    """Names separated by commas; None where there is none."""
    found = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    return found or None


def clip_names(text: str | None) -> tuple[str, ...] | None:
    """As `comma_names`; or the list in a .json file, as for upstream's --clip_id_json.

    Raises:
        DreamkitError: the file cannot be read, or is no JSON list of names.
    """
    if text is None or not text.endswith(".json"):
        return comma_names(text)
    found = parse_json(read_text(Path(text), "clip list"), f"The clip list {text}")
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise DreamkitError(
            f"The clip list {text} is no JSON list of names.", 'Write, for example, ["clip_a", "clip_b"].'
        )
    return tuple(found)


def rig_option(path: Path | None, as_model: str | None, source: Path, clips: Sequence[str] | None) -> RigFile | None:
    """The rig file of the options --rig and --as-model, or None.

    Args:
        path: the rig file; `auto` drafts one from the labels and prints it.
        as_model: "ftheta" or "own", or None for what the file says.
        source: the RDS-HQ folder.
        clips: names of the chosen clips, or None for all; the first is read for a draft.

    Raises:
        DreamkitError: --as-model without a rig file, or the file is not usable, or none can be drafted.
    """
    from dreamkit.rds.convert.rig_proposal import propose_rig
    from dreamkit.rds.labels import list_clips
    from dreamkit.rds.rig_file import read_rig

    if path is None:
        if as_model:
            raise DreamkitError("--as-model needs a rig file.", "Add --rig; `dreamkit rig propose` writes one.")
        return None
    if str(path) == "auto" and not path.exists():
        proposal = propose_rig(source, clips[0] if clips else list_clips(source)[0], path)
        print(f"drafted rig, see rig.yaml in the workspace:\n{proposal.report()}")
        rig = proposal.rig
    else:
        rig = read_rig(path)
    return rig.drawn_as(as_model) if as_model else rig


def render_labels(source: Path, output: Path, options: Options, caption: str = "") -> None:
    """Render condition videos with a progress bar, then print how many and where.

    Args:
        source: the RDS-HQ folder.
        output: the workspace.
        options: what to render, and how.
        caption: written for every rendered clip that has no caption yet, unless empty.

    Raises:
        DreamkitError: as `render_clips`; or the caption is none.
    """
    from tqdm import tqdm

    from dreamkit.captions.files import caption_path, check_caption, write_original
    from dreamkit.rds.plan import choose_clips
    from dreamkit.rds.render import render_clips
    from dreamkit.workspace.workspace import Workspace

    if caption and (problem := check_caption(caption)):
        raise DreamkitError(f"The caption of --caption {problem}.", "Write one or more English sentences.")

    begun = time.perf_counter()
    with tqdm(unit="video", leave=False, disable=None) as bar:

        def progress(done: int, total: int, path: str) -> None:
            bar.total, bar.n = total, done
            bar.set_postfix_str(Path(path).name)

        results = render_clips(source, output, options, progress)
    made = sum(result.made for result in results)
    print(f"{counted(made, 'video')} made, {len(results) - made} found done, {time.perf_counter() - begun:.1f} s")
    for folder in sorted({result.path.parent for result in results}):
        print(f"  {folder}")
    folder = Workspace(output).captions
    for clip in choose_clips(source, options) if caption else ():
        if not any(caption_path(folder, clip, suffix).is_file() for suffix in ("txt", "json")):
            print(f"  {write_original(folder, clip, caption)}")


def mend_labels(folder: Path, options: Options, out: Path) -> None:
    """Write a mended copy of each clip and print what was mended."""
    from dreamkit.rds.convert.mend import mend_clip
    from dreamkit.rds.plan import choose_clips

    for clip in choose_clips(folder, options):
        told = mend_clip(folder, clip, out)
        print("\n".join(f"{clip}: mended: {line}" for line in told) or f"{clip}: nothing to mend, copied as it is")


def check_labels(folder: Path, options: Options, pictures: Path | None, beside: Path | None, frame: int | None) -> bool:
    """Print the findings of each clip and draw the pictures.

    Args:
        folder: the RDS-HQ folder.
        options: which clips, camera model and poses.
        pictures: folder for a picture per camera; None draws none.
        beside: folder of videos to blend the pictures with, or None.
        frame: the frame to draw; None is the middle one.

    Returns:
        Whether there is no error among the findings.
    """
    from dreamkit.rds.check import check_clip, write_pictures
    from dreamkit.rds.check_report import ERROR, report
    from dreamkit.rds.plan import choose_clips

    good = True
    for clip in choose_clips(folder, options):
        findings = check_clip(folder, clip, options.model, options.pose_folder, options.rig, options)
        print(report(clip, findings))
        good &= not any(finding.severity == ERROR for finding in findings)
        if pictures:
            try:
                written = write_pictures(folder, clip, pictures, options, beside, frame)
                print(f"  {len(written)} pictures in {written[0].parent}")
            except DreamkitError as error:
                print(f"  no pictures: {error}")
    return good
