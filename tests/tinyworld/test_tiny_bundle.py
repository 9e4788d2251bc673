"""The trained tiny bundle that ships with the kit: its size, files and weights, and loading as the released models."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.evaluate.models import demo_settings
from dreamkit.tinyworld.render.colour import render_scene
from dreamkit.tinyworld.world.scene import make_scene
from dreamkit.tinyworld.world.scene_captions import style_captions
from dreamkit.transfer import folders
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, bundle_configs, read_settings
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.engine import load_networks
from dreamkit.transfer.load import load_network, read_checkpoint
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import load_tokenizer
from dreamkit.transfer.torchscript import KNOWN_SHA256
from dreamkit.workspace.files import sha256

pytestmark = pytest.mark.usefixtures("one_thread", "no_trust")
TINY = folders.TINY_FOLDER
SINGLE, MULTI = bundle_configs(TINY)
CPU = torch.device("cpu")
MB = 1_000_000


@pytest.fixture
def no_trust(tmp_path, monkeypatch):
    """An empty user cache, which must stay without a list of trusted files."""
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    yield
    assert not (tmp_path / "cache" / "trusted_torchscript.json").exists()


@pytest.fixture
def copy(tmp_path):
    """The bundle as links, so that a test can put another file in the place of one."""
    for path in TINY.rglob("*"):
        if path.is_file() and "clips" not in path.parts:
            link = tmp_path / "copy" / path.relative_to(TINY)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return tmp_path / "copy"


def without(path, name):
    """The checkpoint file without one tensor, in the place of a link to it."""
    tensors = read_checkpoint(path)
    del tensors[name]
    path.unlink()
    torch.save({f"net.{n}": tensor for n, tensor in tensors.items()}, path)


def networks():
    for folder, config in ((folders.SINGLE_VIEW, SINGLE), (folders.MULTI_VIEW, MULTI)):
        for path in sorted((TINY / folder).glob("*.pt")):
            yield pytest.param(path, config.denoiser, id=path.stem)


def test_it_has_thirty_six_megabytes_at_most_and_no_file_over_eight():
    sizes = [path.stat().st_size for path in TINY.rglob("*") if path.is_file()]
    assert sum(sizes) <= 36 * MB and max(sizes) <= 8 * MB


def test_its_models_are_the_released_ones_in_small():
    for own, released in ((SINGLE, COSMOS_7B_SINGLE), (MULTI, COSMOS_7B_MULTI)):
        same = ("position", "condition_mask", "view_table", "view_width", "latent_channels", "patch", "text_tokens")
        assert [getattr(own.denoiser, name) for name in same] == [getattr(released.denoiser, name) for name in same]
        assert (own.window_frames, own.views) == (released.window_frames, released.views)
        rows, columns = own.token_grid[1:]
        assert rows <= own.denoiser.table_h and columns <= own.denoiser.table_w
    assert (
        replace(MULTI.denoiser, position="learned", condition_mask=False, view_table=0, view_width=0) == SINGLE.denoiser
    )


def test_it_names_the_settings_of_the_demo():
    demo = demo_settings()
    assert read_settings(TINY / folders.SINGLE_VIEW) == {"num_steps": demo.steps, "guidance": demo.guidance}
    assert read_settings(TINY / folders.MULTI_VIEW) == {"num_steps": demo.six_steps, "guidance": demo.six_guidance}


def test_the_checksums_of_its_torchscript_are_known():
    files = [TINY / folders.TOKENIZER / name for name in ("encoder.jit", "decoder.jit")]
    assert set(map(sha256, files)) <= set(KNOWN_SHA256)


@pytest.mark.parametrize(("path", "shape"), [*networks()])
def test_every_weight_is_there_and_finite(path, shape):
    kind = ControlBranch if "control" in path.name else Denoiser
    network, report = load_network(kind, shape, path, CPU, torch.float32)  # without a base that fills missing tensors
    assert report.own == len(list(network.parameters()))
    for name, weight in network.named_parameters():
        assert weight.isfinite().all() and weight.any(), name


@pytest.mark.parametrize("name", ["blocks.block1.blocks.2.block.layer1.weight", "t_embedder.1.linear_1.weight"])
@pytest.mark.parametrize(("path", "shape"), [*networks()])
def test_a_tensor_lacking_is_named(path, shape, name, copy):
    lacking = copy / path.relative_to(TINY)
    without(lacking, name)
    kind = ControlBranch if "control" in path.name else Denoiser
    with pytest.raises(DreamkitError, match=f"1 missing: {name}") as caught:
        load_network(kind, shape, lacking, CPU, torch.float32)
    assert str(lacking) in caught.value.message


def test_pipelines_name_a_tensor_lacking(copy):
    without(copy / folders.SINGLE_VIEW / "lidar_control.pt", "zero_blocks.block1.weight")
    SingleViewPipeline.from_checkpoints(copy, device="cpu")
    with pytest.raises(DreamkitError, match=r"lidar_control\.pt .*1 missing: zero_blocks\.block1\.weight"):
        SingleViewPipeline.from_checkpoints(copy, ("hdmap", "lidar"), device="cpu")
    without(copy / folders.MULTI_VIEW / "t2w_base_model.pt", "final_layer.linear.weight")
    with pytest.raises(DreamkitError, match=r"t2w_base_model\.pt .*1 missing: final_layer\.linear\.weight"):
        MultiViewPipeline.from_checkpoints(copy, device="cpu")


def test_a_text_encoder_without_a_tensor_is_refused(copy):
    path = copy / folders.TEXT_ENCODER / "model.safetensors"
    tensors = load_file(path)
    gone = "encoder.block.1.layer.0.SelfAttention.q.weight"
    del tensors[gone]
    path.unlink()
    save_file(tensors, path, {"format": "pt"})
    pipeline = SingleViewPipeline.from_checkpoints(copy, device="cpu")
    with pytest.raises(DreamkitError, match=gone):
        pipeline.text.encode(["a car"])


@pytest.mark.parametrize("name", folders.TOKENIZER_FILES)
def test_a_tokenizer_file_lacking_is_named(name, copy):
    (copy / folders.TOKENIZER / name).unlink()
    with pytest.raises(DreamkitError, match=f"There is no tokenizer file at .*{name}"):
        SingleViewPipeline.from_checkpoints(copy, device="cpu")


def test_a_changed_tokenizer_is_not_executed(copy):
    path = copy / folders.TOKENIZER / "encoder.jit"
    path.unlink()
    shutil.copy(TINY / folders.TOKENIZER / "decoder.jit", path)
    SingleViewPipeline.from_checkpoints(copy, device="cpu")  # known, though in another place
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DreamkitError, match=r"encoder\.jit is TorchScript with an unknown checksum"):
        SingleViewPipeline.from_checkpoints(copy, device="cpu")


def test_pipelines_load_every_file():
    single = SingleViewPipeline.from_checkpoints(TINY, ("hdmap", "lidar"), device="cpu")
    multi = MultiViewPipeline.from_checkpoints(TINY, device="cpu")
    assert multi.has_extension
    later = load_networks(multi.config.denoiser, multi.model.denoisers["v2w"], multi.compute)
    assert single.info()["tensors_from_base"] == multi.info()["tensors_from_base"] == 0
    assert [report.from_base for report in later.reports] == [(), ()]
    text = single.text.encode(["A road at night.", "A road in the snow."])
    assert text.shape == (2, SINGLE.denoiser.text_tokens, SINGLE.denoiser.text_width)
    assert not torch.allclose(text[0, 0], text[1, 0], atol=0.1)


def test_the_tokenizer_gives_a_made_up_scene_back():
    tokenizer = load_tokenizer(TINY / folders.TOKENIZER, CPU, torch.float32, 9)
    true = render_scene(make_scene(600_001, 9), "Sunny", size=(MULTI.height, MULTI.width)).colour[0].numpy()
    latent = tokenizer.encode(true)
    assert latent.shape == (1, 16, 2, *MULTI.latent_shape[2:]) and 0.5 < latent.std() < 2
    error = (tokenizer.decode(latent).astype(float) - true) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 22


# Captions unlike those of the training: most tokens must be closest to the mean token of their own style.
OTHER_WORDS = {
    "Golden hour": "Cars head west on a boulevard while the evening sun glows orange between the houses at sunset.",
    "Morning": "Commuters fill an avenue at sunrise; the early morning is bright and cool, and day has just begun.",
    "Night": "A taxi waits at a junction at night. Only lamps and headlights shine in the darkness of the street.",
    "Rainy": "Heavy rain pours on an expressway, and trucks throw up spray from the wet, shiny asphalt.",
    "Snowy": "Fresh snow covers the fields and the road, and more snowflakes fall from a white winter sky.",
    "Sunny": "A convertible cruises along the coast under a cloudless blue sky in bright midday sunshine.",
    "Foggy": "The fog is so dense that the bridge ahead vanishes in the mist after a few meters.",
}


def test_captions_in_other_words_are_understood():
    encoder = TextEncoder(TINY / folders.TEXT_ENCODER, CPU, SINGLE.denoiser.text_tokens)

    def tokens(texts):
        return [rows[rows.any(-1)] for rows in encoder.encode(texts)]

    known = [style_captions(make_scene(seed, 2), seed) for seed in range(600_000, 600_006)]
    styles = list(known[0])
    means = torch.stack([torch.cat(tokens([texts[style] for texts in known])).mean(0) for style in styles])
    middle = means.mean(0)
    # Today's rules write these captions: where they change, `text-words` of the recipe teaches the encoder again.
    for texts in known:
        for number, rows in enumerate(tokens(list(texts.values()))):
            share = (torch.cdist(rows, means).argmin(1) == number).float().mean()
            assert share > 0.9, (styles[number], float(share))
    for style, rows in zip(OTHER_WORDS, tokens(list(OTHER_WORDS.values())), strict=True):
        likeness = torch.cosine_similarity((rows - middle)[:, None], (means - middle)[None], dim=-1)
        share = (likeness.argmax(1) == styles.index(style)).float().mean()
        assert share > 0.5, (style, float(share))
