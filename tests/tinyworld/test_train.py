"""The recipe of the tiny bundle at the micro size: every stage in order, then the pipelines with its files."""

import json
import logging
import shutil
import subprocess
import sys
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial

import cv2
import micro
import numpy as np
import pytest
import torch

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld import __main__ as command
from dreamkit.tinyworld.evaluate import judge as judge_figures
from dreamkit.tinyworld.evaluate import tokenizer as tokenizer_figures
from dreamkit.tinyworld.evaluate.held_out import VideoSizes
from dreamkit.tinyworld.render.colour import condition_pictures
from dreamkit.tinyworld.render.scene_tensors import build_scene_tensors
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train import dataset, judge_stage, network_stage, paraphrases, text_stage
from dreamkit.tinyworld.train import recipe as recipe_module
from dreamkit.tinyworld.train.codec import Decoder, Encoder
from dreamkit.tinyworld.train.dataset import (
    DatasetSpec,
    dataset_spec,
    draw_dataset,
    draw_lidar,
    read_dataset,
    scene_seed,
    short_spec,
)
from dreamkit.tinyworld.train.latents import (
    HELD_OUT,
    Latents,
    draw_batch,
    given_masks,
    held_out_batch,
    latent_weights,
)
from dreamkit.tinyworld.train.objective import Objective, add_noise, init_base
from dreamkit.tinyworld.world.scene import make_scene
from dreamkit.transfer import folders
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.load import read_checkpoint
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.workspace.cameras import SIX_VIEWS

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
SCENES = HELD_OUT + 1
FRONT = DatasetSpec("front", SIX_VIEWS.names[:1], (16, 32), 2)


class Here(Executor):
    """A pool that runs every task at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):
        done = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def here(workers, preload):
    return Here()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, one_thread):
    """Folders of training videos and bundle after all stages, and the log.

    Conditions are drawn at a quarter of their size, and LiDAR videos are noise: they take most of the time.
    """
    root = tmp_path_factory.mktemp("recipe")
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("dreamkit")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "draw_pool", here)
        patch.setattr(dataset, "condition_pictures", quarter)
        patch.setattr(dataset, "lidar_pictures", noise)
        patch.setattr(judge_stage, "draw_pool", here)
        for name, value in (("_FRAMES", 3), ("_FRONT", (32, 48)), ("_SIDE", (32, 48)), ("_CROP", (16, 24))):
            patch.setattr(judge_stage, name, value)
        for stage in recipe_module.STAGES:
            assert run(stage, root) == 0, stage
    log.removeHandler(handler)
    log.setLevel(level)
    return root / "data", root / "out", "\n".join(lines)


def run(stage, root, *more):
    options = ["--scenes", SCENES, "--styles", 1, "--lidar-scenes", SCENES, "--steps", 4, "--batch", 2, "--samples", 1]
    asked = [stage, "--data", root / "data", "--out", root / "out", *options, "--device", "cpu", *more]
    return recipe_module.train_stage(list(map(str, asked)), micro.SINGLE, micro.MULTI)


def quarter(scene, cameras, size):
    return condition_pictures(scene, cameras, size, reduced=4)


def noise(scene, stage, size):
    return np.random.default_rng(0).integers(0, 255, (scene.frames, *size, 3), np.uint8)


# ---- footage


def test_footage_is_of_the_models_size():
    assert dataset_spec(TINY_SINGLE) == DatasetSpec("front", ("front_wide_120fov",), (160, 288), 121)
    assert dataset_spec(TINY_MULTI) == DatasetSpec("six", SIX_VIEWS.names, (96, 160), 57)


def test_short_clips_are_of_other_scenes_and_drawn_beside_the_long_ones(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(dataset, "draw_pool", here)
    monkeypatch.setattr(dataset, "make_scene", lambda seed, frames: drawn.append(seed) or make_scene(seed, frames))
    assert short_spec(dataset_spec(TINY_SINGLE)) == DatasetSpec(
        "front_short", SIX_VIEWS.names[:1], (160, 288), 17, 50_000
    )
    assert short_spec(dataset_spec(TINY_MULTI)).frames == 17 and short_spec(FRONT).frames == FRONT.frames
    draw_dataset(tmp_path, FRONT, 1, 1, 0, [CPU], samples=1)
    draw_dataset(tmp_path, short_spec(FRONT), 2, 1, 0, [CPU], samples=1)
    assert drawn == [scene_seed(0, 0), scene_seed(0, 50_000), scene_seed(0, 50_001)]
    assert len(read_dataset(tmp_path, FRONT).colour) == 1 and len(read_dataset(tmp_path, short_spec(FRONT)).colour) == 2


def test_a_network_learns_from_short_clips_and_long_ones_in_turn(recipe, tmp_path):
    data, out, _ = recipe
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "out").mkdir()
    for name in ("google-t5", folders.TOKENIZER):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).symlink_to(out / name)
    short = replace(dataset_spec(micro.SINGLE), name="front_short", frames=9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "draw_pool", here)
        patch.setattr(dataset, "condition_pictures", quarter)
        draw_dataset(tmp_path / "data", short, SCENES, 1, 0, [CPU], samples=1)
        patch.setattr(network_stage, "short_spec", lambda kind: short)
        seen = []
        draw = network_stage.draw_batch
        patch.setattr(network_stage, "draw_batch", lambda *given: seen.append(batch := draw(*given)) or batch)
        assert run("front", tmp_path) == 0
    long = micro.SINGLE.latent_frames
    # Examples and latent frames of each step: as many latent frames in all, in short clips as in long ones.
    assert [tuple(batch.latent.shape[:3:2]) for batch in seen] == 3 * [(2 * long // 2, 2)] + [(2, long)]


def test_a_pool_of_processes_draws_the_same_scenes(tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # set for the pool's processes; restored afterwards
    drawn = draw_dataset(tmp_path, FRONT, 2, 2, 3, [CPU], samples=1)
    assert drawn.colour.shape == (2, 2, 1, 2, 16, 32, 3) and drawn.hdmap.shape == (2, 1, 2, 16, 32, 3)
    assert drawn.styles == [list(STYLES[:2]), list(STYLES[2:4])]
    for index in range(2):
        assert np.array_equal(
            drawn.hdmap[index], condition_pictures(make_scene(scene_seed(3, index), 2), size=(16, 32))
        )
    assert (drawn.colour[0, 0] != drawn.colour[0, 1]).any() and drawn.captions[0][0] != drawn.captions[0][1]
    lidar = draw_lidar(tmp_path, FRONT, 1, 3)
    scene = make_scene(scene_seed(3, 0), 2)
    assert np.array_equal(lidar[0, 0], dataset.lidar_pictures(scene, build_scene_tensors(scene), (16, 32)))


def test_footage_is_drawn_once_and_again_when_something_else_is_asked(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(dataset, "draw_pool", here)
    monkeypatch.setattr(dataset, "make_scene", lambda seed, frames: drawn.append(seed) or make_scene(seed, frames))
    monkeypatch.setattr(
        dataset, "_lidar_video", lambda kind, seed: drawn.append(seed) or noise(make_scene(seed, 2), None, kind.size)
    )
    for scenes, seed, expected in ((1, 0, 1), (1, 0, 0), (2, 0, 2), (2, 1, 2), (2, 1, 0)):
        for draw in (partial(draw_dataset, styles=1, devices=[CPU], samples=1), draw_lidar):
            drawn.clear()
            draw(tmp_path, FRONT, scenes=scenes, seed=seed)
            assert drawn == [scene_seed(seed, index) for index in range(expected)], (draw, scenes, seed)


def test_when_the_time_is_over_there_are_as_many_scenes_as_were_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "draw_pool", here)
    options = {"styles": 2, "seed": 0, "devices": [CPU], "samples": 1}
    for footage_of in (draw_dataset(tmp_path, FRONT, 3, until=0.0, **options), read_dataset(tmp_path, FRONT)):
        assert len(footage_of.colour) == len(footage_of.hdmap) == 1
        assert footage_of.styles == [list(STYLES[:2])] and len(footage_of.captions[0]) == 2
        assert footage_of.colour[0].std() > 10
    assert len(draw_dataset(tmp_path, FRONT, 3, **options).colour) == 1  # it is not drawn again
    assert len(draw_dataset(tmp_path, FRONT, 2, **options).colour) == 2


def test_footage_that_was_not_finished_is_none(tmp_path, monkeypatch):
    with pytest.raises(DreamkitError, match=r"no footage front in .*") as caught:
        read_dataset(tmp_path, FRONT)
    assert "draw-front" in caught.value.hint
    monkeypatch.setattr(dataset, "draw_pool", here)
    draw_dataset(tmp_path, FRONT, 1, 1, 0, [CPU], samples=1)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "render_scene", stop)
    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path, FRONT, 2, 1, 0, [CPU], samples=1)
    with pytest.raises(DreamkitError, match="no footage front"):
        read_dataset(tmp_path, FRONT)


# ---- batches


def latents(config, scenes=HELD_OUT + 4, styles=2):
    """Latents and hints that hold the number of their video and scene, texts that hold their row."""
    videos = scenes * styles
    shape = config.latent_shape
    return Latents(
        latent=torch.arange(videos).view(-1, 1, 1, 1, 1).expand(-1, *shape).bfloat16(),
        hint=torch.arange(scenes).view(-1, 1, 1, 1, 1).expand(-1, *shape).bfloat16(),
        loss_weight=torch.arange(scenes, dtype=torch.uint8).view(-1, 1, 1, 1, 1).expand(-1, 1, *shape[1:]),
        scene=torch.arange(scenes).repeat_interleave(styles),
        text=torch.arange(videos + 2.0).view(-1, 1, 1).expand(-1, 2, 3),
        prompt=torch.arange(1, videos + 1).view(-1, 1, 1).expand(-1, 2, config.views),
        nothing=videos + 1,
        negative=0,
    )


@pytest.mark.parametrize("config", [micro.SINGLE, micro.MULTI], ids=["single", "multi"])
def test_a_batch_fits_together_and_leaves_scenes_out(config):
    data = latents(config)
    batch = draw_batch(data, config, 400, torch.Generator().manual_seed(0), given_masks(config, (1, 2, 2), CPU))
    video = batch.latent[:, 0, 0, 0, 0].long()
    assert sorted(set(video.tolist())) == list(range(8))  # four scenes in two styles; eight are held out
    assert torch.equal(batch.hint[:, 0, 0, 0, 0].long(), data.scene[video])
    assert torch.equal(batch.loss_weight[:, 0, 0, 0, 0].long(), data.scene[video])
    rows = batch.text[:, 0, 0].view(400, config.views)
    assert (rows == rows[:, :1]).all()
    own, none = rows[:, 0] == video + 1, rows[:, 0] == data.nothing
    assert 0.05 < none.float().mean() < 0.16
    if config.views == 1:
        negative = rows[:, 0] == data.negative
        assert 0.02 < negative.float().mean() < 0.09 and (own | none | negative).all()
        assert batch.given is None
        return
    assert (own | none).all()
    mask, given = batch.given
    frames = mask.view(400, 6, config.latent_frames)
    # The front view is given whole, or in a fifth of the examples not at all.
    whole = frames[:, 0].all(1)
    assert 0.72 < whole.float().mean() < 0.88 and not frames[~whole, 0].any()
    assert (frames[:, 1:] == frames[:, 1:2]).all()
    assert 0.55 < (frames[:, 1].sum(1) == 2).float().mean() < 0.78
    dirt = (given - batch.latent).flatten(1).std(1)
    assert dirt.min() < 0.01 and 0.1 < dirt.max() < 0.13


def test_road_users_and_marks_weigh_more_in_the_loss():
    kinds = np.zeros((1, 2, 17, 16, 24), np.uint8)  # one scene, two views, three latent frames of 2 x 3 positions
    kinds[0, 0, 0, 3, 9] = 1  # paint in the first frame
    kinds[0, 1, 9, 15, 23], kinds[0, 1, 16, 8, 16] = 2, 1  # a vehicle in one of the last eight frames
    weight = latent_weights(kinds, CPU)
    assert weight.shape == (1, 1, 6, 2, 3) and weight.dtype == torch.uint8
    wanted = torch.ones(6, 2, 3, dtype=torch.uint8)
    wanted[0, 0, 1], wanted[5, 1, 2] = 2, 4
    assert torch.equal(weight[0, 0], wanted)


def test_the_loss_is_a_weighted_mean_over_latents_that_are_not_given():
    objective = Objective(micro.MULTI, init_base(Denoiser(micro.MULTI.denoiser), 0))
    data = latents(micro.MULTI)
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(data, micro.MULTI, 2, generator, given_masks(micro.MULTI, (0,), CPU))
    text = torch.zeros(12, 2, micro.MULTI.denoiser.text_width)
    noised = add_noise(replace(batch, text=text, given=(batch.given[0] * 0, batch.given[1])), generator)
    target = torch.zeros_like(batch.latent)

    def error(weight):
        return objective._error(
            noised.batch.latent, replace(noised, batch=replace(noised.batch, loss_weight=weight)), target
        )

    even = error(None)
    one, other = torch.zeros(2, *batch.loss_weight.shape)
    one[..., 0], other[..., 1:] = 3, 3
    share = one.mean() / 3
    assert torch.allclose(error(torch.ones_like(one)), even)
    assert torch.allclose(share * error(one) + (1 - share) * error(other), even, rtol=1e-5)


def test_scenes_held_out_are_looked_at():
    data = latents(micro.MULTI)
    batch = held_out_batch(data, micro.MULTI, 1)
    video = batch.latent[:, 0, 0, 0, 0].long()
    assert data.scene[video].tolist() == list(range(4, 12))
    assert set((video % 2).tolist()) == {0, 1}
    assert torch.equal(batch.hint[:, 0, 0, 0, 0].long(), data.scene[video])
    assert batch.given[0].shape[:3] == (HELD_OUT, 1, 18)
    assert held_out_batch(latents(micro.SINGLE), micro.SINGLE).given is None


# ---- the text encoder's facts


def test_captions_are_labelled_with_what_they_say():
    texts, facts = text_stage.labelled_captions(3, 7)
    assert len(texts) == len(facts) == 1 + 3 * len(STYLES) * 7
    assert facts[0] == (-100,) * 4
    for text, (style, *place) in zip(texts, facts, strict=True):
        words = {"Night": "night", "Foggy": "fog", "Snowy": "snow"}.get(STYLES[style]) if style >= 0 else None
        assert words is None or words in text.lower(), text
        assert style >= 0 or set(place) == {-100}


def test_other_wordings_name_their_style():
    texts, styles = paraphrases.paraphrased_captions(160, 3)
    assert len(set(texts)) > 150 and [styles.count(style) for style in range(len(STYLES))] == [20] * len(STYLES)
    assert texts == paraphrases.paraphrased_captions(160, 3)[0] != paraphrases.paraphrased_captions(160, 4)[0]
    said = paraphrases.read_paraphrases()
    assert set(said["styles"]) == set(STYLES)
    for text, style in zip(texts, styles, strict=True):
        own = said["styles"][STYLES[style]]
        assert any(part in text for part in (*own["clauses"], *own["sentences"])), (text, STYLES[style])


# ---- all stages


def test_every_stage_leaves_its_files(recipe):
    data, out, said = recipe
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    shipped = {str(path.relative_to(folders.TINY_FOLDER)) for path in folders.TINY_FOLDER.rglob("*") if path.is_file()}
    states = {
        f"states/{stage}.pt"
        for stage in ("judge", "text", "text-words", "tokenizer", "tokenizer-fine", *network_stage.NETWORKS)
    }
    looks = {f"states/{stage}.png" for stage in network_stage.NETWORKS}
    models = {name for name in shipped if name.startswith(("nvidia/", "google-t5/"))}
    assert files == models | states | looks | {"vehicle_judge.safetensors"}
    assert json.loads((data / "front.json").read_text())["asked"] == [SCENES, 1, 0, 1]
    for stage in recipe_module.STAGES:
        assert f"{stage}: done after" in said
    assert "six-first: encoded 9 videos of 9 scenes (8 held out)" in said


def test_a_look_shows_truth_picture_and_condition(recipe):
    _, out, _ = recipe
    # Six examples of three rows; one view shows three frames, six views one each.
    for name, columns in (("front", 3), ("lidar", 3), ("six-first", 6), ("six-later", 6)):
        assert cv2.imread(str(out / "states" / f"{name}.png")).shape == (6 * 3 * 32, columns * 48, 3), name


def test_the_tokenizer_and_the_judge_are_measured_alone(recipe, tmp_path, monkeypatch, capsys):
    _, out, _ = recipe
    small = VideoSizes((32, 48), 57, (32, 48), 57)
    monkeypatch.setattr(tokenizer_figures, "SIZES", small)
    monkeypatch.setattr(judge_figures, "judge_sizes", lambda: [small])
    shared = ["--judge", str(out / "vehicle_judge.safetensors"), "--scenes", "1", "--device", "cpu"]
    files = ["--out", str(tmp_path / "facts.json"), "--sheet", str(tmp_path / "sheet.png")]
    assert command.run_tinyworld(["tokenizer", str(out / folders.TOKENIZER), *shared, *files]) == 0
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert set(facts) == {"front", "side views"} and 3 < facts["front"]["psnr, all"] < 40
    assert facts["front"]["found"]["0-15"][0] == facts["front"]["found in true pictures"]["0-15"][0]
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * (2 * 32 + 4), 4 * 48, 3)
    assert command.run_tinyworld(["judge", *shared]) == 0
    assert "side views 32x48: {'iou': {'nothing':" in capsys.readouterr().out


def test_stages_go_on_from_one_another(recipe):
    _, out, _ = recipe
    folder = out / folders.MULTI_VIEW
    first, later, other = (
        read_checkpoint(path)
        for path in (
            folder / "t2w_base_model.pt",
            folder / "v2w_base_model.pt",
            out / folders.SINGLE_VIEW / "base_model.pt",
        )
    )
    name = "blocks.block0.blocks.2.block.layer1.weight"
    assert 0 < (later[name] - first[name]).abs().max() < 0.01 < (other[name] - first[name]).abs().max()


def test_a_stage_begins_with_random_weights_where_another_one_is_not_trained_yet(recipe, tmp_path):
    data, out, _ = recipe
    (tmp_path / "data").symlink_to(data)
    for name in ("google-t5", folders.TOKENIZER):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).symlink_to(out / name)
    with pytest.raises(DreamkitError, match=r"There is no checkpoint file at .*t2w_base_model\.pt"):
        run("six-later", tmp_path)
    assert run("six-later", tmp_path, "--fresh") == 0
    assert (tmp_path / "out" / folders.MULTI_VIEW / "v2w_hdmap_control.pt").is_file()


def test_both_pipelines_run_the_trained_bundle(recipe):
    _, out, _ = recipe
    trust = [out / folders.TOKENIZER / name for name in folders.TOKENIZER_FILES]
    video = np.random.default_rng(0).integers(0, 255, (6, 25, 32, 48, 3), np.uint8)
    single = SingleViewPipeline.from_checkpoints(out, ("hdmap", "lidar"), device="cpu", trust_jit=trust)
    front = single("a car", {"hdmap": video[0], "lidar": video[1]}, steps=2, windows="all")
    assert front.shape == (25, 32, 48, 3) and front.std() > 0
    multi = MultiViewPipeline.from_checkpoints(out, device="cpu", trust_jit=trust)
    assert multi.has_extension
    views = multi(["a car"] * 6, front, {"hdmap": video}, steps=2)
    assert views.shape == (6, 25, 32, 48, 3)
    assert single.info()["tensors_from_base"] == multi.info()["tensors_from_base"] == 0


def test_a_tensor_lacking_in_a_trained_file_is_named(recipe, tmp_path):
    _, out, _ = recipe
    trust = [out / folders.TOKENIZER / name for name in folders.TOKENIZER_FILES]
    for part in ("google-t5", folders.TOKENIZER):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).symlink_to(out / part)
    shutil.copytree(out / folders.SINGLE_VIEW, tmp_path / folders.SINGLE_VIEW)
    path = tmp_path / folders.SINGLE_VIEW / "base_model.pt"
    tensors = read_checkpoint(path)
    gone = "blocks.block0.blocks.1.block.attn.to_k.0.weight"
    torch.save({name: tensor.clone() for name, tensor in tensors.items() if name != gone}, path)
    with pytest.raises(DreamkitError, match=f"base_model.pt does not fit the model: 1 missing: {gone}"):
        SingleViewPipeline.from_checkpoints(tmp_path, device="cpu", trust_jit=trust)


def test_a_network_goes_on_from_its_file(recipe, tmp_path):
    data, out, _ = recipe
    shutil.copytree(out, tmp_path / "out", ignore=shutil.ignore_patterns("states"))
    (tmp_path / "data").symlink_to(data)
    path = tmp_path / "out" / folders.SINGLE_VIEW / "base_model.pt"
    before = read_checkpoint(path)
    assert run("front", tmp_path, "--goes-on", "--steps", 1) == 0
    after = read_checkpoint(path)
    # One step at the beginning of the warm-up moves next to nothing; other random weights would be far away.
    assert all(
        (after[name].float() - value.float()).norm() <= 0.01 * value.float().norm() for name, value in before.items()
    )


def test_a_base_is_trained_with_its_branch_and_without_it_but_kept_for_lidar(recipe, tmp_path, monkeypatch):
    data, out, _ = recipe
    shutil.copytree(out, tmp_path / "out", ignore=shutil.ignore_patterns("states"))
    (tmp_path / "data").symlink_to(data)
    folder, weights = tmp_path / "out" / folders.SINGLE_VIEW, []
    monkeypatch.setattr(
        network_stage, "add_noise", lambda *given: weights.append(given[2]) or add_noise(given[0], given[1], given[2])
    )
    base = (folder / "base_model.pt").read_bytes()
    assert run("lidar", tmp_path, "--steps", 6) == 0
    assert weights.count(1) == 5 and 0 not in weights and (folder / "base_model.pt").read_bytes() == base
    weights.clear()
    assert run("front", tmp_path, "--steps", 7) == 0
    assert sorted(weights) == [0, 0.6, 1, 1, 1, 1, 1] and (folder / "base_model.pt").read_bytes() != base


def test_the_tokenizer_goes_on_from_its_files(recipe, tmp_path):
    data, out, _ = recipe
    shutil.copytree(out, tmp_path / "out", ignore=shutil.ignore_patterns("states"))
    (tmp_path / "data").symlink_to(data)
    path = tmp_path / "out" / folders.TOKENIZER / "encoder.jit"
    before = torch.jit.load(path).state_dict()
    assert run("tokenizer", tmp_path, "--goes-on", "--steps", 1) == 0
    after = torch.jit.load(path).state_dict()
    assert all((after[n].float() - v.float()).norm() <= 0.01 * v.float().norm() + 1e-3 for n, v in before.items())


def test_a_finished_stage_is_not_run_again(recipe):
    data, out, _ = recipe
    before = (out / folders.SINGLE_VIEW / "lidar_control.pt").read_bytes()
    assert run("lidar", data.parent) == 0
    assert (out / folders.SINGLE_VIEW / "lidar_control.pt").read_bytes() == before


def test_a_stage_that_was_stopped_goes_on(recipe, tmp_path):
    data, out, _ = recipe
    (tmp_path / "data").symlink_to(data)
    (tmp_path / "out").mkdir()
    for name in ("google-t5", folders.TOKENIZER):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).symlink_to(out / name)
    file = tmp_path / "out" / folders.SINGLE_VIEW / "base_model.pt"
    assert run("front", tmp_path, "--minutes", "0") == 3
    assert not file.exists()
    assert torch.load(tmp_path / "out/states/front.pt", weights_only=True)["step"] == 1
    assert run("front", tmp_path) == 0
    once = read_checkpoint(out / folders.SINGLE_VIEW / "base_model.pt")
    for name, tensor in read_checkpoint(file).items():
        assert torch.allclose(tensor.float(), once[name].float(), atol=1e-2), name


def test_what_an_earlier_stage_makes_is_asked_for(recipe, tmp_path):
    data, out, _ = recipe
    with pytest.raises(DreamkitError, match="no footage six"):
        run("six-first", tmp_path)
    with pytest.raises(DreamkitError, match="no footage front"):
        run("tokenizer", tmp_path)
    (tmp_path / "data").symlink_to(data)
    with pytest.raises(DreamkitError, match="There is no tokenizer file at"):
        run("front", tmp_path)
    (tmp_path / "out").mkdir(exist_ok=True)
    for name in ("google-t5", folders.TOKENIZER):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).symlink_to(out / name)
    with pytest.raises(DreamkitError, match=r"There is no checkpoint file at .*base_model\.pt"):
        run("lidar", tmp_path)


def test_too_few_scenes_are_refused(recipe, tmp_path, monkeypatch):
    data, out, _ = recipe
    monkeypatch.setattr(dataset, "draw_pool", here)
    monkeypatch.setattr(dataset, "lidar_pictures", noise)
    (tmp_path / "out").symlink_to(out)
    (tmp_path / "data").mkdir()
    for path in data.glob("front*"):
        if "lidar" not in path.name:
            (tmp_path / "data" / path.name).symlink_to(path)
    with pytest.raises(DreamkitError, match="conditions of 8 scenes, and footage of 9; 8 scenes are held out"):
        run("lidar", tmp_path, "--lidar-scenes", "8")
    with pytest.raises(DreamkitError, match="conditions of 10 scenes, and footage of 9"):
        run("lidar", tmp_path, "--lidar-scenes", "10")


# ---- commands


def test_the_help_names_the_stages(capsys):
    assert command.run_tinyworld([]) == 2
    assert "python -m dreamkit.tinyworld.train STAGE" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        recipe_module.train_stage(["--help"])
    assert "six-first and six-later" in capsys.readouterr().out


def test_a_mistake_ends_in_its_message(tmp_path):
    called = [sys.executable, "-m", "dreamkit.tinyworld.train", "tokenizer", "--data", tmp_path, "--out", tmp_path]
    done = subprocess.run(called, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"There is no footage front in {tmp_path}." in done.stderr


def test_the_random_bundle_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("dreamkit.setup.sample_clip.write_condition_clip", lambda folder: folder.mkdir())
    assert command.run_tinyworld(["random", str(tmp_path / "made")]) == 0
    assert "RANDOM weights: its videos are noise" in capsys.readouterr().out
    pipeline = SingleViewPipeline.from_checkpoints(tmp_path / "made" / "checkpoints", device="cpu")
    assert pipeline.config == TINY_SINGLE
    assert "RANDOM" in next((tmp_path / "made" / "checkpoints").glob("*.txt")).read_text()


def test_the_codec_of_the_recipe_is_what_ships():
    for name, kind in (("encoder", Encoder), ("decoder", Decoder)):
        shipped = torch.jit.load(str(folders.TINY_FOLDER / folders.TOKENIZER / f"{name}.jit"))
        shapes = {n: p.shape for n, p in shipped.named_parameters()}
        fine = next(shape[0] for n, shape in shapes.items() if n.startswith("fine."))
        width = shapes["blocks.0.space.weight"][0]
        assert shapes == {n: p.shape for n, p in kind(fine, width).named_parameters()}
