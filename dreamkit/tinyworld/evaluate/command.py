"""The command `dreamkit bench tiny`, also `python -m dreamkit.tinyworld figures`, which needs no CLI packages."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import torch

from dreamkit.errors import DreamkitError
from dreamkit.rds.drawing import draw_pool
from dreamkit.tinyworld.evaluate import held_out, report
from dreamkit.tinyworld.evaluate.models import TinyModels, demo_settings
from dreamkit.tinyworld.evaluate.run import KINDS, USUAL, EvaluationPlan, measure_bundle, read_rows
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.workspace.files import nearest

_SETTINGS = ("steps", "guidance", "weight", "six_steps", "six_guidance", "six_weight", "fps")


def evaluation_parser() -> argparse.ArgumentParser:
    """Command line options of the evaluation."""
    found = argparse.ArgumentParser(
        prog="dreamkit bench tiny",
        description="Measure the tiny bundle on held-out made-up scenes. A stopped run resumes where it ended.",
    )
    add = found.add_argument
    add(
        "rows",
        type=Path,
        nargs="?",
        default=Path("tiny_figures.jsonl"),
        help="file of results; the report is written beside it as .md and .json",
    )
    add("--checkpoints", type=Path, help="bundle folder; the bundle that ships with the kit if left out")
    add("--trust", action="store_true", help="run the folder's TorchScript files although their checksums are unknown")
    add("--scenes", type=int, default=2, help="number of scenes; 20 for the full table, 0 for the report only")
    add("--styles", default=",".join(STYLES), help="styles, separated by commas")
    add("--kinds", default=",".join(USUAL), help=f"kinds of videos, of {','.join(KINDS)}")
    add("--seed", type=int, default=0, help="of scenes and noise")
    add("--frames", type=int, help="make only the first N frames of each video; all if left out")
    add("--every", type=int, default=5, help="measure every Nth frame")
    add("--device", help="cuda or cpu; the GPU, if there is one, if left out")
    add("--threads", type=int, help="CPU threads")
    add(
        "--workers",
        type=int,
        help="processes that draw condition videos while a GPU generates; all cores but one if left out",
    )
    add("--minutes", type=float, help="start no video after this time")
    add("--join", type=Path, nargs="*", default=[], help="further files of results, whose videos are not made again")
    for name in _SETTINGS:
        kind = float if "guidance" in name or "weight" in name else int
        add(f"--{name.replace('_', '-')}", type=kind, help="the demo's setting if left out")
    add("--sheets", type=Path, help="also write contact sheets of a clip into this folder, as PNG")
    add("--workspace", type=Path, help="make the sheets of a clip of this workspace instead of a held-out scene")
    add("--clip", default="", help="clip of the workspace; the first if left out")
    add("--number", type=int, default=0, help="number of the held-out scene on the sheets")
    return found


def run_evaluation(arguments: list[str] | None = None) -> int:
    """Measure, write the report and print it; returns exit code 0.

    Raises:
        DreamkitError: an option is wrong, the results belong to another bundle, or the bundle does not load.
    """
    asked = evaluation_parser().parse_args(arguments)
    styles, kinds = _parse_names(asked.styles, STYLES, "style"), _parse_names(asked.kinds, KINDS, "kind")
    if asked.scenes < 0 or asked.every < 1:
        raise DreamkitError(
            f"--scenes {asked.scenes} --every {asked.every} is out of range.",
            "Give --scenes 0 or more, and --every 1 or more.",
        )
    if asked.threads:
        torch.set_num_threads(asked.threads)
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if asked.scenes or asked.sheets:
        settings = demo_settings(**{name: getattr(asked, name) for name in _SETTINGS})
        print(f"{settings}, on {device}", flush=True)
        models = TinyModels(asked.checkpoints, device, settings, asked.trust)
    rows = read_rows([asked.rows, *asked.join]) if not asked.scenes else []
    if asked.scenes:
        plan = EvaluationPlan(asked.scenes, styles, kinds, asked.seed, asked.frames, asked.every)
        with contextlib.ExitStack() as stack:
            pool = None
            if device.startswith("cuda"):
                pool = stack.enter_context(draw_pool(asked.workers, [held_out.__name__]))
            rows = measure_bundle(
                models, plan, asked.rows, asked.join, asked.minutes, pool, lambda said: print(said, flush=True)
            )
    if rows:
        written = report.write_report(asked.rows, rows)
        print(f"\n{report.report_text(rows)}\nwritten: {', '.join(map(str, written))}")
    if asked.sheets:
        from dreamkit.tinyworld.evaluate import sheets

        if asked.workspace:
            clip = sheets.workspace_clip(models, asked.workspace, asked.clip)
        else:
            clip = sheets.held_out_clip(models, asked.seed, asked.number)
        for path in sheets.write_sheets(asked.sheets, models, clip, styles, seed=asked.seed):
            print(path)
    return 0


def _parse_names(text: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in known:
            close = nearest(name, known)
            hint = f"Did you mean {close!r}?" if close else f"Choose from {', '.join(known)}."
            raise DreamkitError(f"There is no {what} {name!r}.", hint)
    return names
