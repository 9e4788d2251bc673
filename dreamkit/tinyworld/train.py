"""The recipe that trains the tiny bundle, one command a stage:

python -m dreamkit.tinyworld.train STAGE --data FOLDER --out FOLDER [--steps N] [--minutes M] [--seed S] [--device D]

Stages, in the order in which they need each other: draw-front and draw-six (footage), lidar-footage, text, tokenizer;
then base, hdmap, lidar (single view) and t2w, t2w-hdmap, v2w, v2w-hdmap (six views). Each leaves its files in --out as
they ship, and a state to go on from in --out/states. `--minutes` ends a piece early; the same command goes on with it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from dreamkit.files import sha256
from dreamkit.tinyworld import footage
from dreamkit.tinyworld.bundle import released_tensors
from dreamkit.tinyworld.fit import Fit, Schedule
from dreamkit.tinyworld.latents import HELD_OUT, Latents, draw_batch, held_out_batch, make_latents
from dreamkit.tinyworld.look import write_look
from dreamkit.tinyworld.objective import Objective, by_muon, start_base, start_branch
from dreamkit.tinyworld.text_stage import train_text
from dreamkit.tinyworld.tokenizer_stage import train_tokenizer
from dreamkit.transfer import folders
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE, ModelConfig, save_config
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.dit import Denoiser
from dreamkit.transfer.load import load_network
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import load_tokenizer

log = logging.getLogger("dreamkit")

# stage -> (model, released file, file of the base it needs, steps, examples a step, latent frames given)
NETWORKS = {
    "base": ("single", "base_model.pt", None, 2000, 16, ()),
    "hdmap": ("single", "hdmap_control.pt", "base_model.pt", 3500, 16, ()),
    "lidar": ("single", "lidar_control.pt", "base_model.pt", 1000, 16, ()),
    "t2w": ("multi", "t2w_base_model.pt", None, 2000, 16, (0,)),
    "t2w-hdmap": ("multi", "t2w_hdmap_control.pt", "t2w_base_model.pt", 2500, 16, (0,)),
    "v2w": ("multi", "v2w_base_model.pt", None, 600, 16, (1, 2, 2)),
    "v2w-hdmap": ("multi", "v2w_hdmap_control.pt", "v2w_base_model.pt", 1000, 16, (1, 2, 2)),
}
# A stage that goes on from another one's weights.
BEGINS_WITH = {"v2w": "t2w_base_model.pt", "v2w-hdmap": "t2w_hdmap_control.pt", "lidar": "hdmap_control.pt"}
STAGES = ("draw-front", "draw-six", "lidar-footage", "text", "tokenizer", *NETWORKS)
_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.6)  # control weights in turn: mostly the demo's, now and then a lower one


def main(arguments: Sequence[str]) -> int:
    """Run one stage; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dreamkit.tinyworld.train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--data", type=Path, required=True, help="footage, some 40 GB")
    parser.add_argument("--out", type=Path, required=True, help="the bundle in NVIDIA's layout, and states/")
    parser.add_argument("--scenes", type=int, default=400, help="scenes of each kind of footage")
    parser.add_argument("--styles", type=int, default=2, help="styles of each scene")
    parser.add_argument("--lidar-scenes", type=int, default=80)
    parser.add_argument("--steps", type=int, help="instead of the stage's own number")
    parser.add_argument("--seconds", type=float, help="as many steps as fit into so long, instead of a number")
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
    finished = _run(asked, device)
    log.info("%s: %s after %.0f s", asked.stage, "done" if finished else "stopped early", time.perf_counter() - begun)
    return 0 if finished else 3


def _run(asked: argparse.Namespace, device: torch.device) -> bool:
    states = asked.out / "states"
    match asked.stage:
        case "draw-front" | "draw-six":
            kind = footage.KINDS[asked.stage.removeprefix("draw-")]
            footage.draw_footage(asked.data, kind, asked.scenes, asked.styles, asked.seed, device, asked.samples)
            return True
        case "lidar-footage":
            footage.draw_lidar(asked.data, asked.lidar_scenes, asked.seed)
            return True
        case "text":
            return train_text(
                asked.out / folders.TEXT_ENCODER, states / "text.pt", TINY_SINGLE.denoiser.text_width, 1000,
                asked.scenes, footage.scene_seed(asked.seed, 0), asked.steps or 800, asked.seed, device, asked.minutes,
                asked.seconds,
            )  # fmt: skip
        case "tokenizer":
            return train_tokenizer(
                asked.out / folders.TOKENIZER, states / "tokenizer.pt", asked.data, asked.steps or 3000, asked.seed,
                device, asked.minutes, asked.seconds,
            )  # fmt: skip
    return train_network(asked, device)


def train_network(asked: argparse.Namespace, device: torch.device) -> bool:
    """Train one base or branch; True when it was finished, and its file written as it ships."""
    model, file, base_file, steps, batch, given = NETWORKS[asked.stage]
    config, folder = _model(model, asked.out)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    data = _latents(asked, config, device, dtype)
    count = asked.batch or batch
    torch.manual_seed(asked.seed)
    if base_file is None:
        base = start_base(Denoiser(config.denoiser), asked.seed).to(device, dtype)
        _begin_with(asked.stage, base, folder)
        objective, trained = Objective(config, base), base
    else:
        base, _ = load_network(Denoiser, config.denoiser, folder / base_file, device, dtype)
        branch = ControlBranch(config.denoiser).to(device, dtype)
        start_branch(branch, base, asked.seed)
        _begin_with(asked.stage, branch, folder)
        objective, trained = Objective(config, base, branch), branch
    if device.type == "cuda" and not asked.no_compile:
        for block in (b for network in (base, trained) for b in network.trunk.blocks):
            block.compile()
    fit = Fit(trained, Schedule(asked.steps or steps), asked.out / "states" / f"{asked.stage}.pt", asked.seed, by_muon)

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        examples = draw_batch(data, config, count, generator, base_file is not None, given)
        return objective.loss(examples, generator, _WEIGHTS[fit.step % len(_WEIGHTS)])

    finished = fit.run(loss_of, asked.minutes, asked.seconds)
    fit.use_average()
    if finished:
        torch.save(released_tensors(trained), folder / file)
    look = held_out_batch(data, config, base_file is not None, max(given, default=0))
    with torch.compiler.set_stance("force_eager"):  # sampling would compile everything once more
        write_look(asked.out / "states" / f"{asked.stage}.png", objective, look, _tokenizer(asked.out, config, device))
    return finished


def _model(name: str, out: Path) -> tuple[ModelConfig, Path]:
    if name == "single":
        return TINY_SINGLE, out / folders.SINGLE_VIEW
    return TINY_MULTI, out / folders.MULTI_VIEW


def _tokenizer(out: Path, config: ModelConfig, device: torch.device):  # noqa: ANN202
    folder = out / folders.TOKENIZER
    own = [folder / name for name in folders.TOKENIZER_FILES]
    return load_tokenizer(folder, device, torch.float32, config.window_frames, own)


def _latents(asked: argparse.Namespace, config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Latents:
    kind = footage.FRONT if config.views == 1 else footage.SIX
    drawn = footage.read_footage(asked.data, kind)
    hint = footage.draw_lidar(asked.data, asked.lidar_scenes, asked.seed) if asked.stage == "lidar" else None
    encoder = TextEncoder(asked.out / folders.TEXT_ENCODER, device, config.denoiser.text_tokens)
    begun = time.perf_counter()
    tokenizer = _tokenizer(asked.out, config, device)
    cache = asked.data / f"{kind.name}_{sha256(asked.out / folders.TOKENIZER / 'encoder.jit')[:12]}"
    data = make_latents(drawn, config, tokenizer, encoder, cache, hint)
    log.info("%s: encoded %d videos of %d scenes (%d held out) and %d texts, %.0f s", asked.stage, len(data.latent),
             len(data.hint), HELD_OUT, len(data.text) - 1, time.perf_counter() - begun)  # fmt: skip
    return data


def _begin_with(stage: str, network: Denoiser | ControlBranch, folder: Path) -> None:
    """Take another stage's weights to begin with, where this stage does so."""
    if stage not in BEGINS_WITH:
        return
    like = next(network.parameters())
    base = folder / ("v2w_base_model.pt" if stage == "v2w-hdmap" else "base_model.pt")
    other, _ = load_network(type(network), network.config, folder / BEGINS_WITH[stage], like.device, like.dtype,
                            base if isinstance(network, ControlBranch) else None)  # fmt: skip
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
