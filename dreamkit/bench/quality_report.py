"""The results of `dreamkit bench quality`: table, JSON, plot of speed against PSNR, and a sheet of frames."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dreamkit
from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import read_json, replacing, write_json, write_text

ROWS = "rows.jsonl"
STILLS = "stills"
_SETTINGS = "settings.json"
_SHEET_CLIPS = 6

Row = Mapping[str, Any]


def check_settings(output: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a run, or compare them with those of the run that this folder has.

    Raises:
        DreamkitError: the folder has results of other settings.
    """
    path = output / _SETTINGS
    if path.is_file() and read_json(path, "settings of the comparison") != dict(settings):
        raise DreamkitError(f"{output} has results of other settings ({path}).", "Name another folder by --output.")
    output.mkdir(parents=True, exist_ok=True)
    write_json(path, dict(settings))


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line for each preset, in the order of the rows, over the clips that exact has too.

    `speed` is the median of exact's seconds over the preset's. PSNR has the mean and the worst, the others the mean.
    """
    names = list(dict.fromkeys(row["preset"] for row in rows))
    seconds = {name: [row["seconds"] for row in rows if row["preset"] == name] for name in names}
    lines = []
    for name in names:
        of = [row for row in rows if row["preset"] == name]

        def mean(key: str, of: Sequence[Row] = of) -> float | None:
            values = [row[key] for row in of if row[key] is not None]
            return statistics.fmean(values) if values else None

        psnr = [row["psnr"] for row in of if row["psnr"] is not None]
        lines.append(
            {
                "preset": name,
                "clips": len(of),
                "evaluations": of[0]["evaluations"],
                "seconds": statistics.median(seconds[name]),
                "speed": statistics.median(seconds[names[0]]) / statistics.median(seconds[name]),
                "psnr_mean": mean("psnr"),
                "psnr_worst": min(psnr) if psnr else None,
                **{key: mean(key) for key in ("ssim", "flicker", "adherence")},
            }
        )
    return lines


def table_text(lines: Sequence[Row]) -> str:
    """The summary as a Markdown table."""
    columns = {
        "preset": ("preset", "{}"),
        "clips": ("clips", "{}"),
        "evaluations": ("evaluations", "{}"),
        "seconds": ("seconds", "{:.2f}"),
        "speed": ("speed", "{:.2f}x"),
        "psnr_mean": ("PSNR mean, dB", "{:.1f}"),
        "psnr_worst": ("worst", "{:.1f}"),
        "ssim": ("SSIM", "{:.4f}"),
        "flicker": ("flicker", "{:.2f}"),
        "adherence": ("map adherence", "{:.3f}"),
    }
    text = ["| " + " | ".join(title for title, _ in columns.values()) + " |", "|" + "---|" * len(columns)]
    for line in lines:
        cells = ("-" if line[key] is None else form.format(line[key]) for key, (_, form) in columns.items())
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def machine_facts(device: str) -> dict[str, str]:
    """Device and versions that the seconds belong to."""
    cuda = device.startswith("cuda")
    name = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    return {"device": name, "torch": torch.__version__, "dreamkit": dreamkit.__version__}


def write_quality_report(output: Path, rows: Sequence[Row], settings: Mapping[str, Any], device: str) -> str:
    """Write `quality.json`, `quality.md`, and with matplotlib `quality.png` and `frames.png`; returns the text."""
    lines = summarise(rows)
    facts = machine_facts(device)
    record = {"machine": facts, "settings": dict(settings), "summary": lines, "rows": [dict(row) for row in rows]}
    write_json(output / "quality.json", record)
    heading = ", ".join(f"{key} {value}" for key, value in {**facts, **settings}.items())
    text = f"{table_text(lines)}\n\n{heading}\n"
    write_text(output / "quality.md", text)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return f"{text}\nWritten to {output}; the plots need matplotlib."
    with replacing(output / "quality.png") as part:
        plot_speed(Figure, lines).savefig(part, format="png", dpi=150)
    figure = plot_frames(Figure, output, rows)
    if figure is not None:
        with replacing(output / "frames.png") as part:
            figure.savefig(part, format="png", dpi=150)
    return f"{text}\nWritten to {output}."


def plot_speed(figure_class: Any, lines: Sequence[Row]) -> Any:
    """Speed against PSNR, mean and worst, a point for each preset."""
    figure = figure_class(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    points = [line for line in lines if line["psnr_mean"] is not None]
    for line in points:
        axes.plot([line["speed"]] * 2, [line["psnr_worst"], line["psnr_mean"]], color="0.7")
        axes.annotate(
            f"{line['preset']} ({line['evaluations']})",
            (line["speed"], line["psnr_mean"]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.plot([line["speed"] for line in points], [line["psnr_mean"] for line in points], "o", label="mean")
    axes.plot([line["speed"] for line in points], [line["psnr_worst"] for line in points], "_", label="worst clip")
    axes.margins(0.15)  # room for the labels beside the points
    axes.set_xlabel("speed, exact = 1")
    axes.set_ylabel("PSNR against exact, dB")
    axes.set_title("presets (computed evaluations)", fontsize=9)
    axes.legend()
    return figure


def plot_frames(figure_class: Any, output: Path, rows: Sequence[Row]) -> Any | None:
    """The middle frame of the first clips, a column for each preset; None where no frame was kept."""
    presets = list(dict.fromkeys(row["preset"] for row in rows))
    clips = list(dict.fromkeys(row["clip"] for row in rows))[:_SHEET_CLIPS]
    figure = figure_class(figsize=(3.2 * len(presets), 2.0 * len(clips)), layout="constrained")
    grid = figure.subplots(len(clips), len(presets), squeeze=False)
    shown = 0
    for clip, axes_of_clip in zip(clips, grid, strict=True):
        for preset, axes in zip(presets, axes_of_clip, strict=True):
            axes.axis("off")
            path = output / STILLS / f"{clip}.{preset}.npy"
            if path.is_file():
                axes.imshow(np.load(path))
                axes.set_title(f"{clip}, {preset}", fontsize=7)
                shown += 1
    return figure if shown else None
