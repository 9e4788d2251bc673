"""What the commands of the RDS-HQ part do: command-line texts to options, a bar, and the words printed at the end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.rds.plan import Options
from dreamkit.rds.strokes import Rules


def names(text: str | None) -> tuple[str, ...] | None:
    """Names separated by commas, or None for nothing."""
    found = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    return found or None


def clip_names(text: str | None) -> tuple[str, ...] | None:
    """As `names`; or the list in a .json file, which is how upstream's --clip_id_json names clips."""
    if text is None or not text.endswith(".json"):
        return names(text)
    try:
        found = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DreamkitError(f"the list of clips {text} cannot be read ({error})") from None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise DreamkitError(
            f"the list of clips {text} is not a JSON list of names", 'For example ["clip_a", "clip_b"].'
        )
    return tuple(found)


def render(source: Path, output: Path, *, conditions: str | None, cameras: str | None, clips: str | None,
           keep_shapes: bool, **options: Any) -> None:  # fmt: skip
    """Render with a bar, then say what was made."""
    from tqdm import tqdm

    from dreamkit.rds.render import render as run

    chosen = Options(
        conditions=names(conditions),
        cameras=names(cameras),
        clips=clip_names(clips),
        rules=Rules(keep_shapes_without_vertex=keep_shapes),
        **options,
    )
    begun = time.perf_counter()
    with tqdm(unit="video", leave=False, disable=None) as bar:

        def show(done: int, total: int, path: str) -> None:
            bar.total, bar.n = total, done
            bar.set_postfix_str(Path(path).name)

        results = run(source, output, chosen, show)
    made = sum(result.made for result in results)
    print(f"{made} videos made, {len(results) - made} found done, {time.perf_counter() - begun:.1f} s")
    for folder in sorted({result.path.parent for result in results}):
        print(f"  {folder}")


def check(folder: Path, clips: str | None, pictures: Path | None, beside: Path | None, frame: int | None,
          model: str, novel_pose: str | None) -> bool:  # fmt: skip
    """Print what is found, write the pictures; true when there is no error among the findings."""
    from dreamkit.rds.check import check_clip, write_pictures
    from dreamkit.rds.check_report import ERROR, report
    from dreamkit.rds.plan import choose_clips

    options = Options(conditions=("hdmap",), clips=clip_names(clips), model=model, novel_pose=novel_pose)
    good = True
    for clip in choose_clips(folder, options):
        findings = check_clip(folder, clip, model, options.pose_folder)
        print(report(clip, findings))
        good &= not any(finding.severity == ERROR for finding in findings)
        if pictures:
            try:
                written = write_pictures(folder, clip, pictures, options, beside, frame)
                print(f"  {len(written)} pictures in {written[0].parent}")
            except DreamkitError as error:
                print(f"  no pictures: {error}")
    return good


def bench(folder: Path, reference: Path, cameras: str | None, frames: int, repeats: int, processes: int,
          python: str | None) -> None:  # fmt: skip
    """Print the table of both renderers."""
    import sys

    from dreamkit.bench.render import run, table

    rows = run(folder, reference, names(cameras), frames, repeats, processes, python or sys.executable)
    print(table(rows, processes))
