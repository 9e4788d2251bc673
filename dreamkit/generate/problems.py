"""Problems of many clips, those of the same cause in one message, and warnings about captions."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence

from dreamkit.captions.table import caption_problems
from dreamkit.errors import DreamkitError

log = logging.getLogger(__name__)
MOST_CLIPS = 5
"""Names of clips in one message."""


def grouped_problems(problems: Mapping[str, Sequence[DreamkitError]]) -> list[DreamkitError]:
    """The problems of clips; those that differ in the clip's name alone are one, with the names.

    Args:
        problems: clip -> its problems.
    """
    alike: dict[str, list[tuple[str, DreamkitError]]] = {}
    for clip, found in problems.items():
        for problem in found:
            alike.setdefault(_of_any_clip(problem.message, clip), []).append((clip, problem))
    grouped = []
    for message, same in alike.items():
        clips = list(dict.fromkeys(clip for clip, _ in same))
        if len(clips) == 1:
            grouped += [problem for _, problem in same]
            continue
        more = f" and {len(clips) - MOST_CLIPS} more" if len(clips) > MOST_CLIPS else ""
        hints = {_of_any_clip(problem.hint, clip) for clip, problem in same}
        hint = hints.pop() if len(hints) == 1 else same[0][1].hint
        grouped.append(
            DreamkitError(f"{len(clips)} clips: {message} <clip>: {', '.join(clips[:MOST_CLIPS])}{more}.", hint)
        )
    return grouped


def _of_any_clip(text: str, clip: str) -> str:
    """The text with `<clip>` in place of the clip's name."""
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(clip)}(?![A-Za-z0-9])", "<clip>", text)


def warn_of_captions(captions: Mapping[str, str]) -> None:
    """Log what notebook 02 finds wrong with captions, before a model is loaded.

    Args:
        captions: result -> its caption.
    """
    faults = {name: caption_problems(caption) for name, caption in captions.items()}
    wrong = [(name, found[0]) for name, found in faults.items() if found]
    for name, fault in wrong[:MOST_CLIPS]:
        log.warning("%s: look at its caption in notebook 02: %s", name, fault)
    if len(wrong) > MOST_CLIPS:
        log.warning("%d more captions have faults; notebook 02 lists them", len(wrong) - MOST_CLIPS)
