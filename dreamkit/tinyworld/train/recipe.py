"""The recipe that trains the tiny bundle, one command per stage:

python -m dreamkit.tinyworld.train STAGE --data FOLDER --out FOLDER [--steps N] [--minutes M] [--seed S] [--device D]

Stages in order, as each needs files of earlier ones: draw-front and draw-six (training videos), lidar-footage, text,
text-words, tokenizer, tokenizer-fine; then front (base and HDMap branch together) and lidar, six-first and six-later
(the same for six views). The stage judge, which needs none of them, trains the vehicle judge of the evaluation. Each
writes its files into --out in the released layout, and a resumable state into --out/states. `--minutes` stops a stage
early; the same command resumes it. Videos are drawn on every visible GPU, unless --device names one.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from dreamkit.tinyworld.train.dataset import dataset_spec, draw_dataset, draw_lidar, short_spec
from dreamkit.tinyworld.train.judge_stage import train_judge
from dreamkit.tinyworld.train.network_stage import NETWORKS, short_lidar_scenes, train_network
from dreamkit.tinyworld.train.options import StageOptions
from dreamkit.tinyworld.train.paraphrases import train_paraphrases
from dreamkit.tinyworld.train.sizes import RECIPE_MULTI, RECIPE_SINGLE
from dreamkit.tinyworld.train.text_stage import train_text
from dreamkit.tinyworld.train.tokenizer_stage import TOKENIZERS, train_tokenizer
from dreamkit.transfer import folders
from dreamkit.transfer.config import ModelConfig

log = logging.getLogger("dreamkit")

STAGES = ("judge", "draw-front", "draw-six", "lidar-footage", "text", "text-words", *TOKENIZERS, *NETWORKS)


def train_stage(
    arguments: Sequence[str], single: ModelConfig = RECIPE_SINGLE, multi: ModelConfig = RECIPE_MULTI
) -> int:
    """Run one stage from the command line.

    Args:
        arguments: of the command line.
        single: config of the single-view model; the front camera's videos have its size and length.
        multi: config of the six-view model.

    Returns:
        Exit code: 0 when the stage was finished, 3 when it stopped early and the same command resumes it.

    Raises:
        DreamkitError: files of an earlier stage are missing, or there are too few scenes.
    """
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    begun = time.perf_counter()
    finished = _run(options, single, multi)
    seconds = time.perf_counter() - begun
    log.info("%s: %s after %.0f s", options.stage, "done" if finished else "stopped early", seconds)
    return 0 if finished else 3


def _parse(arguments: Sequence[str]) -> StageOptions:
    parser = argparse.ArgumentParser(
        prog="python -m dreamkit.tinyworld.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("stage", choices=STAGES)
    add("--data", type=Path, required=True, help="folder of the training videos, some 40 GB")
    add("--out", type=Path, required=True, help="folder of the bundle in NVIDIA's layout, and of states/")
    add("--scenes", type=int, default=400, help="scenes of full length in each dataset")
    add("--short-scenes", type=int, default=0, help="additional scenes of each dataset drawn as short clips")
    add("--styles", type=int, default=2, help="styles of each scene")
    add("--lidar-scenes", type=int, default=80, help="scenes with LiDAR condition videos")
    add("--steps", type=int, help="training steps; the stage's own number if left out")
    add("--seconds", type=float, help="train as many steps, or draw as many short scenes, as fit into this time")
    add("--batch", type=int, help="examples per step")
    add("--minutes", type=float, help="stop after this time and keep the state")
    add("--seed", type=int, default=0, help="of scenes, weights and batches")
    add("--goes-on", action="store_true", help="begin with the files that the stage wrote into --out, to train further")
    add("--fresh", action="store_true", help="begin with random weights, not with another stage's, to run beside it")
    add("--no-compile", dest="compile", action="store_false", help="do not compile the transformer blocks; slower")
    add("--samples", type=int, default=2, help="rays along each side of a pixel")
    add("--noise", type=float, help="noise on latents while the tokenizer is trained; the stage's own if left out")
    add("--road-users", type=float, help="weight of their pixels in the tokenizer's loss; the stage's own if left out")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda or cuda:N")
    asked = vars(parser.parse_args(arguments))
    device = torch.device(asked.pop("device"))
    drawn_on = (device,)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
        drawn_on = tuple(torch.device("cuda", number) for number in range(torch.cuda.device_count()))
    return StageOptions(device=device, drawn_on=drawn_on, **asked)


def _run(options: StageOptions, single: ModelConfig, multi: ModelConfig) -> bool:
    begun, front, six = time.perf_counter(), dataset_spec(single), dataset_spec(multi)
    match options.stage:
        case "draw-front" | "draw-six":
            spec = front if options.stage == "draw-front" else six
            drawing = {"styles": options.styles, "seed": options.seed, "devices": options.drawn_on}
            draw_dataset(options.data, spec, options.scenes, samples=options.samples, **drawing)
            if options.short_scenes:
                until = math.inf if options.seconds is None else begun + options.seconds
                draw_dataset(
                    options.data,
                    short_spec(spec),
                    options.short_scenes,
                    samples=options.samples,
                    until=until,
                    **drawing,
                )
            return True
        case "lidar-footage":
            draw_lidar(options.data, front, options.lidar_scenes, options.seed)
            if options.short_scenes:
                scenes = short_lidar_scenes(options, options.short_scenes)
                draw_lidar(options.data, short_spec(front), scenes, options.seed)
            return True
        case "judge":
            return train_judge(options)
        case "text":
            return train_text(options, single.denoiser.text_width)
        case "text-words":
            return train_paraphrases(options)
        case stage if stage in TOKENIZERS:
            return train_tokenizer(options, (front, six))
    return train_network(options, single if NETWORKS[options.stage].folder == folders.SINGLE_VIEW else multi)
