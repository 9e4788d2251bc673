"""The tokenizer alone: true drawings of held-out scenes, encoded and decoded again.

python -m dreamkit.tinyworld tokenizer TOKENIZER_FOLDER [--judge FILE] [--scenes N] [--sheet FILE.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from dreamkit.tinyworld.evaluate.figures import psnr
from dreamkit.tinyworld.evaluate.held_out import GroundTruth, HeldOutScene, VideoSizes, config_sizes, scene_seed
from dreamkit.tinyworld.evaluate.vehicles import RANGES, count_vehicles, share_found, summed
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.codec import to_signal
from dreamkit.tinyworld.train.sizes import RECIPE_MULTI, RECIPE_SINGLE
from dreamkit.tinyworld.train.vehicle_judge import JUDGE_FILE, VehicleJudge, judged_classes, load_judge
from dreamkit.workspace.files import write_json

SIZES = config_sizes((RECIPE_SINGLE, RECIPE_MULTI))
_LENGTH, _START = 17, 40  # frames of a measured video, and its first one
_EVERY = 4


@dataclass(frozen=True)
class Reconstruction:
    """A true video and its reconstruction at the measured frames.

    Attributes:
        scene: the held-out scene.
        style: of the picture.
        truth: of the view or views, [V, T, H, W].
        made: uint8 [V, T, H, W, 3].
    """

    scene: HeldOutScene
    style: str
    truth: GroundTruth
    made: np.ndarray


def reconstructions(
    folder: Path, sizes: VideoSizes, scenes: int, six: bool, device: torch.device
) -> Iterator[Reconstruction]:
    """Reconstructions of `scenes` held-out scenes, each in one style, of the front view or of the five side views.

    Args:
        folder: of `encoder.jit` and `decoder.jit`, which are trusted.
        sizes: of the pictures.
        scenes: number of held-out scenes.
        six: whether of the side views.
        device: where to render and run.
    """
    encoder, decoder = (torch.jit.load(folder / f"{name}.jit", map_location=device).float() for name in _FILES)
    frames = list(range(_START, _START + _LENGTH))
    for number in range(scenes):
        scene = HeldOutScene(scene_seed(0, number), sizes, 1, device)
        style = STYLES[number % len(STYLES)]
        truth = scene.truth(style, six, frames)
        truth = GroundTruth(**{name: values[1 if six else 0 :] for name, values in vars(truth).items()})
        made = [_there_and_back(encoder, decoder, video, device) for video in truth.colour]
        chosen = {name: values[:, ::_EVERY] for name, values in vars(truth).items()}
        yield Reconstruction(scene, style, GroundTruth(**chosen), np.stack(made)[:, ::_EVERY])


_FILES = ("encoder", "decoder")


@torch.inference_mode()
def _there_and_back(
    encoder: torch.nn.Module, decoder: torch.nn.Module, video_THWC: np.ndarray, device: torch.device
) -> np.ndarray:
    x = to_signal(torch.from_numpy(np.ascontiguousarray(video_THWC))[None].to(device))
    y = decoder(encoder(x)).clamp(-1, 1)
    return ((y[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def reconstruction_facts(judge: VehicleJudge | None, found: Sequence[Reconstruction]) -> dict[str, Any]:
    """PSNR in dB, over all pixels, marks and road users, and per cent of vehicles found, also in the true pictures."""
    facts: dict[str, Any] = {}
    for name, mask_of in (
        ("all", lambda truth: np.ones_like(truth.marks)),
        ("marks", lambda truth: truth.marks & (truth.track < 0)),
        ("road users", lambda truth: truth.track >= 0),
    ):
        values = [psnr(one.made, one.truth.colour, mask_of(one.truth)) for one in found]
        facts[f"psnr, {name}"] = round(float(np.mean([value for value in values if value is not None])), 2)
    for label, pictures in (("found", lambda one: one.made), ("found in true pictures", lambda one: one.truth.colour)):
        if judge is None:
            break
        rows = [count_vehicles(judge, pictures(one), one.truth, judged_classes(one.scene.scene)) for one in found]
        total = summed(row["vehicles"] for row in rows)
        facts[label] = {name: [*counts, share_found(total, [name])] for name, counts in total.items()}
        facts[label]["0-40"] = share_found(total, list(RANGES)[:2])
        facts[label]["false"] = float(np.mean([row["false_vehicles"] for row in rows]))
    return facts


def run_tokenizer_figures(arguments: Sequence[str]) -> int:
    """Measure one tokenizer from the command line; prints the facts and returns exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m dreamkit.tinyworld tokenizer", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of encoder.jit and decoder.jit, which are run")
    parser.add_argument("--judge", type=Path, default=JUDGE_FILE, help="weights of the vehicle judge")
    parser.add_argument("--scenes", type=int, default=16, help="held-out scenes, each in one style")
    parser.add_argument("--sheet", type=Path, help="write true pictures above their reconstructions to this PNG")
    parser.add_argument("--out", type=Path, help="also write the facts to this JSON file")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    asked = parser.parse_args(arguments)
    device = torch.device(asked.device)
    judge = load_judge(device, asked.judge) if asked.judge.is_file() else None
    facts, rows = {}, []
    for name, six in (("front", False), ("side views", True)):
        found = list(reconstructions(asked.folder, SIZES, asked.scenes, six, device))
        facts[name] = reconstruction_facts(judge, found)
        print(name, facts[name], flush=True)
        rows += [_strip(one) for one in found[:4]]
    if asked.out:
        write_json(asked.out, facts)
    if asked.sheet:
        width = max(row.shape[1] for row in rows)
        page = np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])
        asked.sheet.write_bytes(cv2.imencode(".png", page[..., ::-1])[1].tobytes())
    return 0


def _strip(one: Reconstruction) -> np.ndarray:
    """The last measured frame of up to four views, the true pictures above the reconstructions."""
    return np.concatenate([np.concatenate(list(videos[:4, -1]), 1) for videos in (one.truth.colour, one.made)])
