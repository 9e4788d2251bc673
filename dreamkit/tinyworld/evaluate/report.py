"""The report on the tiny bundle as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dreamkit.tinyworld.evaluate.figures import Figure, Row, by_distance, by_style, by_view, figures
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import write_json, write_text

_VERDICT = {True: "pass", False: "FAIL", None: ""}


def report_facts(rows: Sequence[Row]) -> dict[str, Any]:
    """Contents of the report as JSON values."""
    return {
        "run": rows[0]["run"] if rows else "",
        "videos": len(rows),
        "scenes": len({row["scene"] for row in rows}),
        "devices": sorted({row["device"] for row in rows}),
        "figures": [{**asdict(figure), "passed": figure.passed} for figure in figures(rows)],
        "styles": by_style(rows),
        "vehicles": by_distance(rows),
        "views": dict(zip(SIX_VIEWS.names[1:], by_view(rows), strict=False)),
    }


def report_text(rows: Sequence[Row]) -> str:
    """The report in Markdown: figures with bound and verdict, by style, PSNR by view, vehicles by distance."""
    found = report_facts(rows)
    lines = [
        "# The tiny bundle, measured",
        "",
        f"{found['videos']} videos of {found['scenes']} held-out scenes; devices: {', '.join(found['devices'])}; "
        f"run {found['run']}.",
        "",
        "| figure | bound | measured | worst | true pictures | of | |",
        "|---|---|---|---|---|---|---|",
        *(_line(figure) for figure in figures(rows)),
    ]
    if styles := found["styles"]:
        names = [figure.name for figure in figures(rows) if any(figure.name in row for row in styles.values())]
        lines += ["", f"| style | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        lines += [
            f"| {style} | {' | '.join(_number(row.get(name)) for name in names)} |" for style, row in styles.items()
        ]
    if any(value is not None for value in found["views"].values()):
        lines += ["", f"| view | {' | '.join(found['views'])} |", "|---" * (len(found["views"]) + 1) + "|"]
        lines += [f"| PSNR, dB | {' | '.join(_number(value) for value in found['views'].values())} |"]
    vehicles = [(label, *entry) for label, ranges in found["vehicles"].items() for entry in ranges.items()]
    if vehicles:
        heads = ("vehicles", "metres", "seen", "found, %", "named, %", "found in true pictures, %", "named there, %")
        lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        lines += [
            f"| {label} | {name} | {seen} | {' | '.join(_number(value) for value in shares)} |"
            for label, name, (seen, *shares) in vehicles
        ]
    return "\n".join(lines) + "\n"


def write_report(path: Path, rows: Sequence[Row]) -> list[Path]:
    """Write the report beside a file of rows, under the same name with `.md` and `.json`; returns both paths."""
    written = [path.with_suffix(".md"), path.with_suffix(".json")]
    write_text(written[0], report_text(rows))
    write_json(written[1], report_facts(rows))
    return written


def _line(figure: Figure) -> str:
    bound = (
        "" if figure.bound is None else f"{'>=' if figure.at_least else '<='} {figure.bound:g} {figure.unit}".strip()
    )
    verdict = _VERDICT[figure.passed] if figure.value is not None else "not measured"
    cells = (figure.name, bound, _number(figure.value, figure.unit), _number(figure.worst), _number(figure.true))
    return f"| {' | '.join(cells)} | {figure.count} | {verdict} |"


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.2f} {unit}".strip()
