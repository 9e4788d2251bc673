"""Folders that an export replaces as a whole, and the accepted videos that go into one."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dreamkit.errors import DreamkitError
from dreamkit.review.library import ReviewVideo, changed_since_made, checksum_of
from dreamkit.review.measures.definitions import failed_measures
from dreamkit.workspace.partials import partial_path, remove_abandoned
from dreamkit.workspace.workspace import from_home

if TYPE_CHECKING:
    from dreamkit.review.session import Review

log = logging.getLogger(__name__)
MARK = "dreamkit_export.json"  # file that marks a folder as an export; no other folder is ever replaced
_WITHOUT_LIMITS = (
    "; or run this command once more with -p 'thresholds={}' behind it (in a notebook: thresholds = {} in the "
    "parameters cell), so that no measure has a limit."
)


def accepted_videos(review: Review, unjudged: bool = False) -> dict[str, tuple[ReviewVideo, str]]:
    """Key -> video and reviewer, of the videos whose accepting verdict was given on their present bytes.

    Verdicts of earlier versions have no checksum; such a video must have the checksums of its sidecar.

    Args:
        review: the board with its verdicts.
        unjudged: also the videos without a verdict and without a flag; their reviewer is "nobody".

    Raises:
        DreamkitError: there is none; the message names those that changed since.
    """
    accepted, changed, current = {}, [], review.log.current()
    for key, verdict in current.items():
        video = review.videos.get(key)
        if not video or verdict.state != "accept" or not video.views or verdict.is_outdated(video.fingerprint):
            continue
        if verdict.checksum != checksum_of(video.views) if verdict.checksum else changed_since_made(video):
            changed.append(key)
        else:
            accepted[key] = (video, verdict.by)
    for key in changed:
        log.warning("%s is not exported: its videos changed after the verdict. Judge it again", key)
    flagged: dict[str, str] = {}
    if unjudged:
        for key, video in review.videos.items():
            if key not in current and video.views:
                if flags := review.flags(key):
                    flagged[key] = flags[0]
                else:
                    accepted[key] = (video, "nobody")
    if not accepted:
        told = f" ({len(changed)} accepted ones changed after their verdict, {changed[0]} first)" if changed else ""
        if flagged:
            key, flag = next(iter(flagged.items()))
            limited = any(failed_measures(review.rows.get(one, {}), review.thresholds) for one in flagged)
            raise DreamkitError(
                f"No video is accepted, and all {len(flagged)} that nobody judged are flagged: {key}: {flag}.",
                "Accept some on the board" + (_WITHOUT_LIMITS if limited else "."),
            )
        raise DreamkitError(
            f"No video is accepted, so there is nothing to export{told}.",
            "Judge them again on the board." if changed else "Accept some on the board first.",
        )
    return accepted


def export_target(folder: str) -> Path:
    """The folder of an export.

    Raises:
        DreamkitError: it holds other files than an earlier export.
    """
    target = from_home(folder)
    if target.exists() and not (target / MARK).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise DreamkitError(f"{target} is not empty and no earlier export.", "Choose another folder for the export.")
    return target


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its name when the block ends; after an exception `target` is as before.

    Raises:
        DreamkitError: a file or folder cannot be written.
    """
    partial, old = partial_path(target), target.with_name(f".replaced-{target.name}")
    try:
        remove_abandoned([target.parent])
        if not target.exists() and (old / MARK).is_file():  # an export was killed between its two renames
            old.rename(target)
        partial.mkdir(parents=True)
        yield partial
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
            partial.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.rename(target)
    except OSError as error:
        raise DreamkitError(
            f"The export to {target} failed: {error.strerror or error}.",
            "Check that you may write there and that the disk has room.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
