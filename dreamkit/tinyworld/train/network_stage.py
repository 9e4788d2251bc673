"""Training one denoiser base or control branch of the tiny bundle."""

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
    """How one base or branch is trained.

    Attributes:
        folder: model folder in the bundle.
        file: released name of the checkpoint file.
        base: file of the base that a branch is trained on; None for a base.
        steps: number of training steps.
        batch: examples per step.
        given: for six views, numbers of given latent frames; each example takes one at random.
        begins_with: file of another stage with the initial weights; None for random ones.
        guidance: towards the control, of which the file `begins_with` is the teacher; 0 to train on true latents.
    """

    folder: str
    file: str
    base: str | None
    steps: int
    batch: int = 16
    given: tuple[int, ...] = ()
    begins_with: str | None = None
    guidance: float = 0.0


_FIRST, _LATER = (0,), (1, 2, 2)  # given latent frames of a first window and of later ones
NETWORKS = {
    "base": NetworkStage(folders.SINGLE_VIEW, "base_model.pt", None, 2000),
    "hdmap": NetworkStage(folders.SINGLE_VIEW, "hdmap_control.pt", "base_model.pt", 3500),
    "lidar": NetworkStage(
        folders.SINGLE_VIEW, "lidar_control.pt", "base_model.pt", 1000, begins_with="hdmap_control.pt"
    ),
    "t2w": NetworkStage(folders.MULTI_VIEW, "t2w_base_model.pt", None, 2000, given=_FIRST),
    "t2w-hdmap": NetworkStage(folders.MULTI_VIEW, "t2w_hdmap_control.pt", "t2w_base_model.pt", 2500, given=_FIRST),
    "v2w": NetworkStage(
        folders.MULTI_VIEW, "v2w_base_model.pt", None, 600, given=_LATER, begins_with="t2w_base_model.pt"
    ),
    "v2w-hdmap": NetworkStage(
        folders.MULTI_VIEW,
        "v2w_hdmap_control.pt",
        "v2w_base_model.pt",
        1000,
        given=_LATER,
        begins_with="t2w_hdmap_control.pt",
    ),
}
_GUIDANCE = 0.5
# Each of these replaces a branch by one that does in one pass what guidance towards the control does in two.
NETWORKS |= {
    f"{name}-guided": replace(NETWORKS[name], steps=800, begins_with=NETWORKS[name].file, guidance=_GUIDANCE)
    for name in ("hdmap", "t2w-hdmap", "v2w-hdmap")
}
_LONG_EVERY = 4  # every 4th step uses long videos, the others short ones, if short clips are drawn
_SHORT_LIDAR = 4  # short LiDAR videos per long one
_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.6)  # control weights of successive steps: mostly 1, sometimes less


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
    """Train one base or branch, and write its checkpoint file in the released layout.

    Args:
        options: of the stage.
        config: of the stage's model.

    Returns:
        Whether the schedule was finished; the file is written only then.

    Raises:
        DreamkitError: files of an earlier stage are missing, or there are too few scenes.
    """
    stage = NETWORKS[options.stage]
    if options.goes_on:
        stage = replace(stage, begins_with=stage.file)
    folder = options.out / stage.folder
    sources = _sources(options, stage, config)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder)
    with_hint = stage.base is not None
    trained, objective = _networks(options, stage, config)
    teacher = _networks(options, stage, config)[1].requires_grad_(False) if stage.guidance else None
    trainer = Trainer(trained, Schedule(options.steps or stage.steps), options.state, options.seed, by_muon)

    def draw(generator: torch.Generator) -> Noised:
        source = sources[trainer.step % len(sources)]
        examples = draw_batch(source.data, source.config, source.count, generator, with_hint, source.masks)
        return add_noise(examples, generator, _WEIGHTS[trainer.step % len(_WEIGHTS)])

    def loss_of(examples: Noised) -> torch.Tensor:
        return objective.guided_loss(examples, teacher, stage.guidance) if teacher else objective.loss(examples)

    finished = trainer.run(draw, loss_of, options.minutes, options.seconds)
    trainer.use_average()
    if finished:
        torch.save(released_tensors(trained), folder / stage.file)
    examples = held_out_batch(sources[-1].data, config, with_hint, max(stage.given, default=0))
    with torch.compiler.set_stance("force_eager"):  # sampling has other shapes: it would compile every block again
        write_preview(options.state.with_suffix(".png"), objective, examples, _tokenizer(options, config))
    return finished


def _networks(
    options: StageOptions, stage: NetworkStage, config: ModelConfig
) -> tuple[Denoiser | ControlBranch, Objective]:
    """The network to train, and the objective around it."""
    device, folder = options.device, options.out / stage.folder
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(options.seed)
    trained: Denoiser | ControlBranch
    if stage.base is None:
        base = trained = init_base(Denoiser(config.denoiser), options.seed).to(device, dtype)
        objective = Objective(config, base)
    else:
        base, _ = load_network(Denoiser, config.denoiser, folder / stage.base, device, dtype)
        trained = init_branch(ControlBranch(config.denoiser).to(device, dtype), base, options.seed)
        objective = Objective(config, base, trained)
    if stage.begins_with:
        path = folder / stage.begins_with
        if stage.base is None:
            other, _ = load_network(Denoiser, config.denoiser, path, device, dtype)
        else:
            other, _ = load_network(ControlBranch, config.denoiser, path, device, dtype)
        with torch.no_grad():
            for mine, theirs in zip(trained.parameters(), other.parameters(), strict=True):
                mine.copy_(theirs)
    if device.type == "cuda" and options.compile:
        for block in (b for part in (base, trained) for b in part.trunk.blocks):
            block.compile(dynamic=False)
    return trained, objective


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
