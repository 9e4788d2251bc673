"""The recipe that trains the tiny bundle, one command a stage:

python -m dreamkit.tinyworld.train STAGE --data FOLDER --out FOLDER [--steps N] [--minutes M] [--seed S] [--device D]

Stages, in the order in which they need each other: draw-front and draw-six (footage), lidar-footage, text, text-words,
tokenizer; then base, hdmap, lidar (single view) and t2w, t2w-hdmap, v2w, v2w-hdmap (six views). Each leaves its files
in --out as they ship, and a state to go on from in --out/states. `--minutes` ends a piece early; the same command goes
on with it.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dreamkit.tinyworld.train.bundle import released_tensors
from dreamkit.tinyworld.train.dataset import (
    DatasetSpec,
    VideoDataset,
    dataset_spec,
    draw_dataset,
    draw_lidar,
    is_drawn,
    read_dataset,
    scene_seed,
    short_spec,
)
from dreamkit.tinyworld.train.latents import HELD_OUT, Latents, draw_batch, encode_dataset, held_out_batch
from dreamkit.tinyworld.train.objective import Noised, Objective, add_noise, by_muon, init_base, init_branch
from dreamkit.tinyworld.train.paraphrases import train_paraphrases
from dreamkit.tinyworld.train.text_stage import train_text
from dreamkit.tinyworld.train.tokenizer_stage import train_tokenizer
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.tinyworld.train.training_preview import write_preview
from dreamkit.transfer import folders
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE, ModelConfig, save_config
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.load import load_network
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import Tokenizer, load_tokenizer
from dreamkit.workspace.files import sha256

log = logging.getLogger("dreamkit")


@dataclass(frozen=True)
class Network:
    """How one base or branch is trained.

    folder: of its file; file: its released name; base: file of the base that a branch needs, None for a base itself;
    steps; batch: examples a step; given: for six views, the numbers of given latent frames to draw from; begins_with:
    file of another stage, whose weights this one goes on from.
    """

    folder: str
    file: str
    base: str | None
    steps: int
    batch: int = 16
    given: tuple[int, ...] = ()
    begins_with: str | None = None


_FIRST, _LATER = (0,), (1, 2, 2)
NETWORKS = {
    "base": Network(folders.SINGLE_VIEW, "base_model.pt", None, 2000),
    "hdmap": Network(folders.SINGLE_VIEW, "hdmap_control.pt", "base_model.pt", 3500),
    "lidar": Network(folders.SINGLE_VIEW, "lidar_control.pt", "base_model.pt", 1000, begins_with="hdmap_control.pt"),
    "t2w": Network(folders.MULTI_VIEW, "t2w_base_model.pt", None, 2000, given=_FIRST),
    "t2w-hdmap": Network(folders.MULTI_VIEW, "t2w_hdmap_control.pt", "t2w_base_model.pt", 2500, given=_FIRST),
    "v2w": Network(folders.MULTI_VIEW, "v2w_base_model.pt", None, 600, given=_LATER, begins_with="t2w_base_model.pt"),
    "v2w-hdmap": Network(
        folders.MULTI_VIEW,
        "v2w_hdmap_control.pt",
        "v2w_base_model.pt",
        1000,
        given=_LATER,
        begins_with="t2w_hdmap_control.pt",
    ),
}
STAGES = ("draw-front", "draw-six", "lidar-footage", "text", "text-words", "tokenizer", *NETWORKS)
_LONG_EVERY = 4  # of so many steps one looks at long videos, the others at short ones, if there are any
_SHORT_LIDAR = 4  # short LiDAR videos for each long one
_WEIGHTS = (
    1.0,
    1.0,
    1.0,
    1.0,
    1.0,
    0.6,
)  # control weights of successive steps: mostly the demo's, now and then a lower one


def main(arguments: Sequence[str], single: ModelConfig = TINY_SINGLE, multi: ModelConfig = TINY_MULTI) -> int:
    """Run one stage.

    Args:
        arguments: of the command line.
        single: the model of one view; footage is drawn in its size and length.
        multi: that of six views.

    Returns:
        0 when the stage was finished, 3 when it was stopped and the same command goes on.

    Raises:
        DreamkitError: what an earlier stage makes is missing, or there are too few scenes.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dreamkit.tinyworld.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--data", type=Path, required=True, help="footage, some 40 GB")
    parser.add_argument("--out", type=Path, required=True, help="the bundle in NVIDIA's layout, and states/")
    parser.add_argument("--scenes", type=int, default=400, help="scenes of each kind of footage")
    parser.add_argument("--short-scenes", type=int, default=0, help="scenes of each kind drawn as short clips, besides")
    parser.add_argument("--styles", type=int, default=2, help="styles of each scene")
    parser.add_argument("--lidar-scenes", type=int, default=80)
    parser.add_argument("--steps", type=int, help="instead of the stage's own number")
    parser.add_argument("--seconds", type=float, help="as many steps, or short scenes, as fit into so long")
    parser.add_argument("--batch", type=int, help="examples a step")
    parser.add_argument("--minutes", type=float, help="stop after so long and keep the state")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-compile", action="store_true", help="run blocks as they are, slower")
    parser.add_argument("--samples", type=int, default=2, help="rays along each side of a pixel")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    device = torch.device(asked.device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    begun = time.perf_counter()
    finished = _run(asked, single, multi, device)
    log.info("%s: %s after %.0f s", asked.stage, "done" if finished else "stopped early", time.perf_counter() - begun)
    return 0 if finished else 3


def _run(asked: argparse.Namespace, single: ModelConfig, multi: ModelConfig, device: torch.device) -> bool:
    begun, states, front, six = time.perf_counter(), asked.out / "states", dataset_spec(single), dataset_spec(multi)
    match asked.stage:
        case "draw-front" | "draw-six":
            kind = front if asked.stage == "draw-front" else six
            draw_dataset(asked.data, kind, asked.scenes, asked.styles, asked.seed, device, asked.samples)
            if asked.short_scenes:
                until = math.inf if asked.seconds is None else begun + asked.seconds
                draw_dataset(
                    asked.data,
                    short_spec(kind),
                    asked.short_scenes,
                    asked.styles,
                    asked.seed,
                    device,
                    asked.samples,
                    until,
                )
            return True
        case "lidar-footage":
            draw_lidar(asked.data, front, asked.lidar_scenes, asked.seed)
            if asked.short_scenes:
                draw_lidar(asked.data, short_spec(front), _short_lidar(asked, asked.short_scenes), asked.seed)
            return True
        case "text":
            return train_text(
                asked.out / folders.TEXT_ENCODER,
                states / "text.pt",
                single.denoiser.text_width,
                1000,
                asked.scenes,
                scene_seed(asked.seed, 0),
                asked.steps or 800,
                asked.seed,
                device,
                asked.minutes,
                asked.seconds,
            )
        case "text-words":
            return train_paraphrases(
                asked.out / folders.TEXT_ENCODER,
                states / "text-words.pt",
                asked.scenes,
                scene_seed(asked.seed, 0),
                asked.steps or 1500,
                asked.seed,
                device,
                asked.minutes,
                asked.seconds,
            )
        case "tokenizer":
            return train_tokenizer(
                asked.out / folders.TOKENIZER,
                states / "tokenizer.pt",
                asked.data,
                (front, six),
                asked.steps or 3000,
                asked.seed,
                device,
                asked.minutes,
                asked.seconds,
            )
    return train_network(asked, single if NETWORKS[asked.stage].folder == folders.SINGLE_VIEW else multi, device)


def train_network(asked: argparse.Namespace, config: ModelConfig, device: torch.device) -> bool:
    """Train one base or branch; True when it was finished, and its file written as it ships.

    Args:
        asked: the options of `main`.
        config: the stage's model.
        device: where to train.

    Raises:
        DreamkitError: what an earlier stage makes is missing, or there are too few scenes.
    """
    network = NETWORKS[asked.stage]
    folder = asked.out / network.folder
    sources = _sources(asked, asked.batch or network.batch, config, device)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with_hint = network.base is not None
    torch.manual_seed(asked.seed)
    if network.base is None:
        base = trained = init_base(Denoiser(config.denoiser), asked.seed).to(device, dtype)
        objective = Objective(config, base)
    else:
        base, _ = load_network(Denoiser, config.denoiser, folder / network.base, device, dtype)
        trained = init_branch(ControlBranch(config.denoiser).to(device, dtype), base, asked.seed)
        objective = Objective(config, base, trained)
    if network.begins_with:
        _copy_weights(folder / network.begins_with, trained)
    if device.type == "cuda" and not asked.no_compile:
        for block in (b for part in (base, trained) for b in part.trunk.blocks):
            block.compile(dynamic=False)
    state, schedule = asked.out / "states" / f"{asked.stage}.pt", Schedule(asked.steps or network.steps)
    trainer = Trainer(trained, schedule, state, asked.seed, by_muon)

    def draw(generator: torch.Generator) -> Noised:
        data, size, count = sources[trainer.step % len(sources)]
        examples = draw_batch(data, size, count, generator, with_hint, network.given)
        return add_noise(examples, generator, _WEIGHTS[trainer.step % len(_WEIGHTS)])

    finished = trainer.run(draw, objective.loss, asked.minutes, asked.seconds)
    trainer.use_average()
    if finished:
        torch.save(released_tensors(trained), folder / network.file)
    look = held_out_batch(sources[-1][0], config, with_hint, max(network.given, default=0))
    with torch.compiler.set_stance("force_eager"):  # sampling would compile everything once more
        write_preview(state.with_suffix(".png"), objective, look, _tokenizer(asked.out, config, device))
    return finished


def _tokenizer(out: Path, config: ModelConfig, device: torch.device) -> Tokenizer:
    folder = out / folders.TOKENIZER
    own = [folder / name for name in folders.TOKENIZER_FILES]
    return load_tokenizer(folder, device, torch.float32, config.window_frames, own)


def _sources(
    asked: argparse.Namespace, batch: int, config: ModelConfig, device: torch.device
) -> list[tuple[Latents, ModelConfig, int]]:
    """What the steps draw from in turn: latents, the model at their length, and examples a step; long videos last."""
    kind = dataset_spec(config)
    encoder = TextEncoder(asked.out / folders.TEXT_ENCODER, device, config.denoiser.text_tokens)
    long = read_dataset(asked.data, kind)
    found = [(_latents(asked, kind, long, asked.lidar_scenes, config, encoder, device), config, batch)]
    if is_drawn(asked.data, short_spec(kind)):
        size, drawn = replace(config, window_frames=short_spec(kind).frames), read_dataset(asked.data, short_spec(kind))
        lidar_scenes = _short_lidar(asked, len(drawn.colour))
        short = _latents(asked, short_spec(kind), drawn, lidar_scenes, size, encoder, device)
        found = [(short, size, batch * config.latent_frames // size.latent_frames)] * (_LONG_EVERY - 1) + found
    return found


def _short_lidar(asked: argparse.Namespace, short_scenes: int) -> int:
    """Short LiDAR videos, where so many scenes are drawn as short clips."""
    return min(_SHORT_LIDAR * asked.lidar_scenes, short_scenes)


def _latents(
    asked: argparse.Namespace,
    kind: DatasetSpec,
    drawn: VideoDataset,
    lidar_scenes: int,
    config: ModelConfig,
    encoder: TextEncoder,
    device: torch.device,
) -> Latents:
    hint = draw_lidar(asked.data, kind, lidar_scenes, asked.seed) if asked.stage == "lidar" else None
    begun = time.perf_counter()
    tokenizer = _tokenizer(asked.out, config, device)
    # Other footage, another tokenizer or another text encoder makes other latents.
    text = sorted((asked.out / folders.TEXT_ENCODER).glob("*.safetensors"))
    of = (asked.data / f"{kind.name}.json", asked.out / folders.TOKENIZER / "encoder.jit", *text)
    digest = hashlib.sha256("".join(map(sha256, of)).encode()).hexdigest()[:12]
    data = encode_dataset(drawn, config, tokenizer, encoder, asked.data / f"{kind.name}_{digest}", hint)
    log.info(
        "%s: encoded %d videos of %d scenes (%d held out) and %d texts, %.0f s",
        asked.stage,
        len(data.latent),
        len(data.hint),
        HELD_OUT,
        len(data.text) - 1,
        time.perf_counter() - begun,
    )
    return data


@torch.no_grad()
def _copy_weights(path: Path, network: Denoiser | ControlBranch) -> None:
    like = next(network.parameters())
    other, _ = load_network(type(network), network.config, path, like.device, like.dtype)
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        mine.copy_(theirs)
