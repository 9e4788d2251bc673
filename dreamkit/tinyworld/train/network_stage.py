"""Training a denoiser base together with its HDMap control branch, or a further branch over a base that is kept."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, replace

import torch

from dreamkit.tinyworld.train.bundle import released_tensors
from dreamkit.tinyworld.train.dataset import (
    DatasetSpec,
    VideoDataset,
    dataset_spec,
    draw_lidar,
    is_drawn,
    read_dataset,
    short_spec,
)
from dreamkit.tinyworld.train.latents import (
    HELD_OUT,
    Latents,
    draw_batch,
    encode_dataset,
    given_masks,
    held_out_batch,
)
from dreamkit.tinyworld.train.objective import Noised, Objective, add_noise, by_muon, init_base, init_branch
from dreamkit.tinyworld.train.options import StageOptions
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.tinyworld.train.training_preview import write_preview
from dreamkit.transfer import folders
from dreamkit.transfer.config import ModelConfig, save_config
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.load import load_network
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import Tokenizer, load_tokenizer
from dreamkit.workspace.files import sha256

log = logging.getLogger("dreamkit")


@dataclass(frozen=True)
class NetworkStage:
    """How one control branch is trained, with its base or over it.

    Attributes:
        folder: model folder in the bundle.
        base: released name of the base's checkpoint file.
        branch: released name of the branch's file.
        with_base: whether base and branch are trained together; else the base is read from its file and kept.
        steps: number of training steps.
        batch: examples per step.
        given: for six views, numbers of given latent frames; each example takes one at random.
        begins_with: files of another stage with the initial weights of base and branch; None for random ones.
    """

    folder: str
    base: str
    branch: str
    with_base: bool
    steps: int
    batch: int = 16
    given: tuple[int, ...] = ()
    begins_with: tuple[str, str] | None = None


_FIRST, _LATER = (0,), (1, 2, 2)  # given latent frames of a first window and of later ones
_FRONT_FILES = ("base_model.pt", "hdmap_control.pt")
_FIRST_FILES, _LATER_FILES = ((f"{kind}_base_model.pt", f"{kind}_hdmap_control.pt") for kind in ("t2w", "v2w"))
NETWORKS = {
    "front": NetworkStage(folders.SINGLE_VIEW, *_FRONT_FILES, True, 8000),
    "lidar": NetworkStage(
        folders.SINGLE_VIEW, "base_model.pt", "lidar_control.pt", False, 1000, begins_with=_FRONT_FILES
    ),
    "six-first": NetworkStage(folders.MULTI_VIEW, *_FIRST_FILES, True, 8000, given=_FIRST),
    "six-later": NetworkStage(folders.MULTI_VIEW, *_LATER_FILES, True, 3000, given=_LATER, begins_with=_FIRST_FILES),
}
_LONG_EVERY = 4  # every 4th step uses long videos, the others short ones, if short clips are drawn
_SHORT_LIDAR = 4  # short LiDAR videos per long one
# Control weights of successive steps: mostly 1, sometimes less; with 0 the base learns to do without its branch. Seven
# steps have no divisor in common with _LONG_EVERY, so each weight is used with short videos and with long ones.
_WEIGHTS_WITH_BASE = (1.0, 1.0, 0.0, 1.0, 1.0, 0.6, 1.0)
_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.6)


@dataclass(frozen=True)
class _Source:
    """Latents that the batches of some steps are drawn from.

    Attributes:
        data: the latents.
        config: of the model, with the length of these videos.
        count: examples per batch.
        masks: of given latents for six views, from `given_masks`.
    """

    data: Latents
    config: ModelConfig
    count: int
    masks: torch.Tensor | None


def train_network(options: StageOptions, config: ModelConfig) -> bool:
    """Train a branch, with its base or over it, and write the checkpoint files in the released layout.

    Args:
        options: of the stage.
        config: of the stage's model.

    Returns:
        Whether the schedule was finished; the files are written only then.

    Raises:
        DreamkitError: files of an earlier stage are missing, or there are too few scenes.
    """
    stage = NETWORKS[options.stage]
    if options.fresh:
        stage = replace(stage, begins_with=None)
    if options.goes_on:
        stage = replace(stage, begins_with=(stage.base, stage.branch))
    folder = options.out / stage.folder
    sources = _sources(options, stage, config)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder)
    base, branch = _networks(options, stage, config)
    objective = Objective(config, base, branch)
    trained = objective if stage.with_base else branch
    weights = _WEIGHTS_WITH_BASE if stage.with_base else _WEIGHTS
    trainer = Trainer(trained, Schedule(options.steps or stage.steps), options.state, options.seed, by_muon)

    def draw(generator: torch.Generator) -> Noised:
        source = sources[trainer.step % len(sources)]
        examples = draw_batch(source.data, source.config, source.count, generator, source.masks)
        return add_noise(examples, generator, weights[trainer.step % len(weights)])

    finished = trainer.run(draw, objective.loss, options.minutes, options.seconds)
    trainer.use_average()
    if finished:
        if stage.with_base:
            torch.save(released_tensors(base), folder / stage.base)
        torch.save(released_tensors(branch), folder / stage.branch)
    examples = held_out_batch(sources[-1].data, config, max(stage.given, default=0))
    with torch.compiler.set_stance("force_eager"):  # sampling has other shapes: it would compile every block again
        write_preview(options.state.with_suffix(".png"), objective, examples, _tokenizer(options, config))
    return finished


def _networks(options: StageOptions, stage: NetworkStage, config: ModelConfig) -> tuple[Denoiser, ControlBranch]:
    """Base and branch with the stage's initial weights; those of a base that is kept need no gradient."""
    device, folder = options.device, options.out / stage.folder
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(options.seed)
    if stage.with_base:
        base = init_base(Denoiser(config.denoiser), options.seed).to(device, dtype)
    else:
        base, _ = load_network(Denoiser, config.denoiser, folder / stage.base, device, dtype)
    branch = init_branch(ControlBranch(config.denoiser).to(device, dtype), base, options.seed)
    if stage.begins_with:
        first_base, first_branch = (folder / name for name in stage.begins_with)
        if stage.with_base:
            base.load_state_dict(load_network(Denoiser, config.denoiser, first_base, device, dtype)[0].state_dict())
        first, _ = load_network(ControlBranch, config.denoiser, first_branch, device, dtype)
        branch.load_state_dict(first.state_dict())
    if device.type == "cuda" and options.compile:
        for block in (b for part in (base, branch) for b in part.trunk.blocks):
            block.compile(dynamic=False)
    return base, branch


def _tokenizer(options: StageOptions, config: ModelConfig) -> Tokenizer:
    folder = options.out / folders.TOKENIZER
    own = [folder / name for name in folders.TOKENIZER_FILES]
    return load_tokenizer(folder, options.device, torch.float32, config.window_frames, own)


def _sources(options: StageOptions, stage: NetworkStage, config: ModelConfig) -> list[_Source]:
    """The sources of successive steps, used in rotation; long videos last."""
    spec = dataset_spec(config)
    encoder = TextEncoder(options.out / folders.TEXT_ENCODER, options.device, config.denoiser.text_tokens)

    def source(spec: DatasetSpec, drawn: VideoDataset, lidar_scenes: int, size: ModelConfig) -> _Source:
        data = _latents(options, spec, drawn, lidar_scenes, size, encoder)
        # As many latent frames per step in short clips as in long ones.
        count = (options.batch or stage.batch) * config.latent_frames // size.latent_frames
        return _Source(data, size, count, given_masks(size, stage.given, options.device))

    found = [source(spec, read_dataset(options.data, spec), options.lidar_scenes, config)]
    short = short_spec(spec)
    if is_drawn(options.data, short):
        size, drawn = replace(config, window_frames=short.frames), read_dataset(options.data, short)
        lidar_scenes = short_lidar_scenes(options, len(drawn.colour))
        found = [source(short, drawn, lidar_scenes, size)] * (_LONG_EVERY - 1) + found
    return found


def short_lidar_scenes(options: StageOptions, short_scenes: int) -> int:
    """Number of short LiDAR videos: four for each long one, but at most one for each of the short scenes."""
    return min(_SHORT_LIDAR * options.lidar_scenes, short_scenes)


def _latents(
    options: StageOptions,
    spec: DatasetSpec,
    drawn: VideoDataset,
    lidar_scenes: int,
    config: ModelConfig,
    encoder: TextEncoder,
) -> Latents:
    hint = draw_lidar(options.data, spec, lidar_scenes, options.seed) if options.stage == "lidar" else None
    begun = time.perf_counter()
    tokenizer = _tokenizer(options, config)
    # The digest identifies the videos, tokenizer and text encoder that cached latents come from.
    text = sorted((options.out / folders.TEXT_ENCODER).glob("*.safetensors"))
    files = (options.data / f"{spec.name}.json", options.out / folders.TOKENIZER / "encoder.jit", *text)
    digest = hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:12]
    data = encode_dataset(drawn, config, tokenizer, encoder, options.data / f"{spec.name}_{digest}", hint)
    log.info(
        "%s: encoded %d videos of %d scenes (%d held out) and %d texts, %.0f s",
        options.stage,
        len(data.latent),
        len(data.hint),
        HELD_OUT,
        len(data.text) - 1,
        time.perf_counter() - begun,
    )
    return data
