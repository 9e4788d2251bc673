"""The vehicle judge's own figures: intersection over union on true drawings of the held-out scenes.

python -m dreamkit.tinyworld judge [--judge FILE] [--scenes N]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamkit.tinyworld.evaluate.held_out import HeldOutScene, VideoSizes, config_sizes, scene_seed
from dreamkit.tinyworld.evaluate.vehicles import count_vehicles, share_found, summed
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.sizes import RECIPE_MULTI, RECIPE_SINGLE
from dreamkit.tinyworld.train.vehicle_judge import (
    JUDGE_FILE,
    JUDGED,
    VEHICLES,
    VehicleJudge,
    judge_pictures,
    judged_classes,
    load_judge,
)
from dreamkit.transfer.config import bundle_configs
from dreamkit.transfer.folders import TINY_FOLDER

_FRAMES = (10, 50)


def judge_sizes() -> list[VideoSizes]:
    """The sizes of the package's bundle, and those of the recipe where they differ."""
    return list(dict.fromkeys(map(config_sizes, (bundle_configs(TINY_FOLDER), (RECIPE_SINGLE, RECIPE_MULTI)))))


def judge_facts(judge: VehicleJudge, sizes: VideoSizes, scenes: int, six: bool) -> dict[str, Any]:
    """IoU in per cent of each class and of all vehicles, and vehicles found, over `scenes` held-out scenes.

    Each scene is drawn in one style at two frames, of the front view, or with `six` of the five side views.
    """
    device = next(judge.parameters()).device
    both, either = np.zeros(len(JUDGED) + 1), np.zeros(len(JUDGED) + 1)
    rows = []
    for number in range(scenes):
        scene = HeldOutScene(scene_seed(0, number), sizes, 1, device)
        truth = scene.truth(STYLES[number % len(STYLES)], six, _FRAMES)
        truth = type(truth)(**{name: values[1 if six else 0 :] for name, values in vars(truth).items()})
        classes = judged_classes(scene.scene)
        judged, true = judge_pictures(judge, truth.colour), classes[truth.track]
        masks = [(judged == kind, true == kind) for kind in range(len(JUDGED))]
        masks.append((np.isin(judged, VEHICLES), np.isin(true, VEHICLES)))
        both += [(a & b).sum() for a, b in masks]
        either += [(a | b).sum() for a, b in masks]
        rows.append(count_vehicles(judge, truth.colour, truth, classes))
    names = (*JUDGED, "vehicles")
    total = summed(row["vehicles"] for row in rows)
    return {
        "iou": {name: round(100 * float(a / max(b, 1)), 1) for name, a, b in zip(names, both, either, strict=True)},
        "found": {name: [*counts, share_found(total, [name])] for name, counts in total.items()},
        "found within 40 m": share_found(total),
        "false": float(np.mean([row["false_vehicles"] for row in rows])),
    }


def run_judge_figures(arguments: Sequence[str]) -> int:
    """Measure the judge at the sizes of the package's bundle and of the recipe's; prints, and returns exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m dreamkit.tinyworld judge", description=__doc__)
    parser.add_argument("--judge", type=Path, default=JUDGE_FILE, help="weights of the vehicle judge")
    parser.add_argument("--scenes", type=int, default=24, help="held-out scenes, each in one style")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    asked = parser.parse_args(arguments)
    judge = load_judge(asked.device, asked.judge)
    for sizes in judge_sizes():
        for name, six in (("front", False), ("side views", True)):
            size = sizes.six if six else sizes.front
            print(f"{name} {size[0]}x{size[1]}: {judge_facts(judge, sizes, asked.scenes, six)}", flush=True)
    return 0
