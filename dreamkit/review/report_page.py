"""The report: one HTML page with everything in it that one sends to others, and the table of the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from dreamkit.errors import DreamkitError
from dreamkit.review import critic
from dreamkit.review.facts import generation_facts, prompts_of
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures.definitions import MEASURES, PUBLISHED_REAL, failed_measures
from dreamkit.review.pages import fill_template
from dreamkit.review.params import ReviewParams
from dreamkit.review.session import Review, finite_or_none
from dreamkit.review.slides import small_video
from dreamkit.review.stills import overlay_url
from dreamkit.review.verdicts import STATES
from dreamkit.review.widgets import plots
from dreamkit.review.widgets.traits import BLOCKED
from dreamkit.workspace.files import replacing
from dreamkit.workspace.images import data_url

PLOTTED = 24  # videos in a plot
NOT_JUDGED = "not judged"


def plotted_keys(review: Review, table: pd.DataFrame) -> list[str]:
    """Keys of the videos of a plot: all, or the PLOTTED most flagged ones, in the board's order."""
    keys = [str(key) for key in table["key"]] if len(table) else []
    worst = sorted(keys, key=lambda key: -len(review.flags(key)))[:PLOTTED]
    return [key for key in keys if key in set(worst)]


def videos_table(review: Review) -> pd.DataFrame:
    """One row a video: key, state and reasons, flags, the critic's score, every measure, seconds."""
    current = review.log.current()
    rows = []
    for key, video in review.videos.items():
        verdict, record = current.get(key), review.critique.get(key, {})
        row = review.rows.get(key, {})
        rows.append(
            {
                "key": key,
                "clip": video.chunk.clip,
                "chunk": video.chunk.index,
                "style": video.style,
                "stage": video.stage,
                "state": verdict.state if verdict else BLOCKED if video.blocked else "",
                "reasons": ", ".join(verdict.reasons) if verdict else "",
                "by": verdict.by if verdict else "",
                "flags": "; ".join(review.flags(key)),
                "critic_score": record.get("score"),
                "critic_flags": ", ".join(record.get("flags", [])),
                **{measure.key: row.get(measure.key) for measure in MEASURES},
                "edges_untold": untold if isinstance(untold := row.get("edges_untold"), str) else "",
                "seconds": row.get("seconds"),
            }
        )
    return pd.DataFrame(rows)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all."""
    with replacing(path) as partial:
        table.to_csv(partial, index=False)


def _without_folder(text: str, root: Path) -> str:
    """A text without the workspace's folder, so that the report names no place on a disk."""
    return text.replace(f"{root}/", "").replace(str(root), root.name)


def _result(review: Review, key: str, anchor: str) -> dict[str, Any]:
    """What the page shows of one video; `video` is a data URL, or empty with the reason in `error`."""
    video, root = review.videos[key], review.workspace.root
    try:
        url, error = data_url(small_video(video, review.paths.cache), "video/mp4"), ""
    except DreamkitError as fault:
        url, error = "", video.blocked or _without_folder(fault.message, root)
    verdict = review.verdict(key)
    return {
        "anchor": anchor,
        "title": f"{video.style} · {video.stage_label}",
        "several": video.stage == "multi_view",
        "video": url,
        "error": error,
        "overlay": overlay_url(video, review.labels),
        "state": verdict.get("state") or (BLOCKED if video.blocked else NOT_JUDGED),
        "verdict": verdict,
        "flags": [_without_folder(flag, root) for flag in review.flags(key)],
        "facts": generation_facts(video),
        "prompts": prompts_of(video),
    }


def _score_cells(review: Review, key: str, params: ReviewParams) -> list[tuple[str, str]]:
    """(text, class) of each measure of one video; the class is good, bad, or empty where there is no limit."""
    row = review.rows.get(key, {})
    failed = failed_measures(row, params.thresholds)
    cells = []
    for measure in MEASURES:
        value = finite_or_none(row.get(measure.key))
        limited = value is not None and measure.key in params.thresholds
        colour = ("bad" if measure.key in failed else "good") if limited else ""
        cells.append(("" if value is None else f"{value:.3g}", colour))
    return cells


def _clips(videos: Sequence[ReviewVideo]) -> dict[str, list[str]]:
    """Clip -> keys of its videos."""
    clips: dict[str, list[str]] = {}
    for video in videos:
        clips.setdefault(video.chunk.name, []).append(video.key)
    return clips


def report_page(review: Review, params: ReviewParams) -> str:
    """The report as one self-contained HTML page without a path of this machine; the template is `report.html`."""
    table, critique = review.measured(), review.critique
    anchors = {key: f"video-{index}" for index, key in enumerate(review.videos, start=1)}
    grouped = _clips(list(review.videos.values()))
    clips = {name: [_result(review, key, anchors[key]) for key in keys] for name, keys in grouped.items()}
    results = [result for found in clips.values() for result in found]
    cells = {key: _score_cells(review, key, params) for key in review.videos}
    # A measure that no video has, such as those that need labels, is no column.
    scored = [i for i in range(len(MEASURES)) if any(found[i][0] for found in cells.values())]
    scores = [
        (name, result, [cells[key][i] for i in scored])
        for name, keys in grouped.items()
        for key, result in zip(keys, clips[name], strict=True)
    ]
    counts = Counter(result["state"] for result in results)
    keys = plotted_keys(review, table)
    drawn = [plots.distributions(table, params.thresholds, keys), plots.traces(table, keys[:6])] if keys else []
    limits = {measure.key: params.thresholds.get(measure.key) for measure in MEASURES}
    return fill_template(
        "report.html",
        name=review.workspace.root.name,
        when=datetime.now().strftime("%Y-%m-%d %H:%M"),
        reviewers=sorted({verdict.by for verdict in review.log.current().values() if verdict.by}),
        states={state: counts[state] for state in (*STATES, BLOCKED, NOT_JUDGED) if counts[state]},
        models=sorted({result["facts"]["model"] for result in results if "model" in result["facts"]}),
        clips=clips,
        scores=scores,
        scored=scored,
        measures=[
            {
                "label": m.label,
                "unit": m.unit,
                "range": f"{m.low:g} to {m.high:g}",
                "good": "high" if m.good == "high" else "low",
                "limit": "" if (limit := limits[m.key]) is None else f"{limit:g}",
                "real": " to ".join(f"{mean:g}" for mean in sorted(PUBLISHED_REAL.get(m.key, {}).values())),
                "meaning": m.meaning,
            }
            for m in MEASURES
        ],
        sources=sorted({source for means in PUBLISHED_REAL.values() for source in means}),
        plots=[plots.to_svg(figure, f"report{index}") for index, figure in enumerate(drawn)],
        plotted=len(keys),
        measured=len(table),
        agreement=critic.agreement(critique, review.log.current()) if critique else None,
        critique=critic.findings(critique),
    )
