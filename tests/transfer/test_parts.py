"""Attention choice, control weights, windows, tokenizer tiling, text cache, TorchScript trust."""

import shutil
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import T5Config, T5EncoderModel

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.train import bundle
from dreamkit.transfer import folders, text, torchscript
from dreamkit.transfer.attention import _build as build_attention
from dreamkit.transfer.attention import choose_attention
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import MOST_SPLITS, Tokenizer, _need, _run_tiles, _spans, load_tokenizer
from dreamkit.transfer.weight_maps import weight_of_window
from dreamkit.transfer.windows import cut_window, multi_view_starts, single_view_starts

CPU = torch.device("cpu")


# ---- attention


def test_attention_on_a_cpu_is_sdpa_and_right():
    attention = choose_attention(2, 8, CPU, torch.float32)
    q, k, v = (torch.randn(1, n, 2, 8) for n in (5, 7, 7))
    out = attention(q, k, v)
    scores = torch.einsum("blhd,bmhd->bhlm", q, k) / 8**0.5
    assert attention.name == "sdpa"
    assert torch.allclose(out, torch.einsum("bhlm,bmhd->blhd", scores.softmax(-1), v), atol=1e-6)


@pytest.mark.parametrize("name", ["te", "cudnn", "flash4"])
def test_a_forced_backend_that_cannot_run_says_why(name):
    with pytest.raises(DreamkitError, match=f"{name}: {name} needs a CUDA device"):
        choose_attention(2, 8, CPU, torch.float32, name)
    with pytest.raises(DreamkitError, match="no attention backend"):
        choose_attention(2, 8, CPU, torch.float32, "flash")


def test_flash4_is_its_function_without_the_sums_and_needs_hopper(monkeypatch):
    package, cute = ModuleType("flash_attn"), ModuleType("flash_attn.cute")
    cute.flash_attn_func = lambda q, k, v: (q + k + v, "log of sums")
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    monkeypatch.setitem(sys.modules, "flash_attn.cute", cute)
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"flash-attn-4": "4.0"}[name])
    for name in ("FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED", "FLASH_ATTENTION_CUTE_DSL_CACHE_DIR"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    attention = build_attention("flash4", 2, 8, torch.device("cuda"))
    x = torch.ones(1, 3, 2, 8)
    assert (attention.name, attention.version) == ("flash4", "flash4 4.0") and torch.equal(attention(x, x, x), 3 * x)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 9))
    with pytest.raises(RuntimeError, match="Hopper"):
        build_attention("flash4", 2, 8, torch.device("cuda"))


# ---- windows


def test_window_starts():
    assert single_view_starts(121, 121) == [0]
    assert single_view_starts(57, 121) == [0]
    assert single_view_starts(190, 121) == [0, 120]
    assert single_view_starts(646, 121) == [0, 120, 240, 360, 480, 600]
    assert multi_view_starts(121, 57, 9) == [0, 48, 64]
    assert multi_view_starts(57, 57, 9) == [0]
    assert multi_view_starts(40, 57, 9) == [0]
    assert multi_view_starts(105, 57, 9) == [0, 48]
    assert multi_view_starts(58, 57, 1) == [0, 1]


@pytest.mark.parametrize("frames", [57, 58, 100, 113, 121, 190, 646])
@pytest.mark.parametrize("given", [1, 9])
def test_multi_view_windows_cover_every_frame_and_always_have_their_given_ones(frames, given):
    covered = 0
    for index, start in enumerate(multi_view_starts(frames, 57, given)):
        assert start + (given if index else 0) <= covered or index == 0
        covered = start + 57
    assert covered == frames


def test_padding_repeats_the_last_frame_and_maps_follow():
    video = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    assert cut_window(video, 1, 4).ravel().tolist() == [1, 2, 2, 2]
    moving = torch.arange(3.0).reshape(3, 1, 1)
    assert weight_of_window(moving, 3, 1, 4).ravel().tolist() == [1, 2, 2, 2]
    assert weight_of_window(0.5, 3, 1, 4) == 0.5 and weight_of_window(None, 3, 1, 4) is None


# ---- tokenizer


class Halves(nn.Module):
    """Stands for a network: pixel means of 8x8x8 patches, and their repetition."""

    def forward(self, x):
        b, c, _, h, w = x.shape
        x = torch.cat([x[:, :, :1].expand(b, c, 7, h, w), x], dim=2)
        return (x.reshape(b, c, -1, 8, h // 8, 8, w // 8, 8).mean((3, 5, 7)).repeat(1, 6, 1, 1, 1)[:, :16],)


def test_normalisation_is_per_channel_and_latent_frame():
    mean = torch.arange(3.0).reshape(1, 1, 3, 1, 1).expand(1, 16, 3, 1, 1)
    tokenizer = Tokenizer(Halves(), None, mean, torch.full_like(mean, 2.0), torch.float32)
    latent = tokenizer.encode(np.full((17, 16, 24, 3), 255, np.uint8))
    assert latent.shape == (1, 16, 3, 2, 3)
    assert latent[0, 0, :, 0, 0].tolist() == [0.5, 0.0, -0.5]


def test_decoded_pixels_are_clamped_and_truncated():
    ones = torch.ones(1, 16, 1, 1, 1)
    tokenizer = Tokenizer(
        None, lambda z: z[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2), 0 * ones, ones, torch.float32
    )
    latent = torch.zeros(1, 16, 1, 1, 3)
    latent[0, :, 0, 0] = torch.tensor([-5.0, 0.0, 5.0])
    assert tokenizer.decode(latent)[0, 0, ::8, 0].tolist() == [0, 127, 255]


@pytest.mark.parametrize("splits", [2, 3, 5])
def test_tiles_cover_the_picture_and_blend_to_the_whole(splits):
    covered = np.zeros(44, int)
    for start, end in _spans(44, splits):
        covered[start:end] += 1
    assert covered.min() >= 1
    x = torch.randn(1, 3, 2, 44 * 8, 30 * 8)
    whole = torch.nn.functional.avg_pool3d(x, (1, 8, 8))
    tiled = _run_tiles(lambda part: torch.nn.functional.avg_pool3d(part, (1, 8, 8)), x, splits, (44, 30), 8, 1)
    assert torch.allclose(tiled, whole, atol=1e-6)


def test_tiles_of_a_7b_window_fit_the_memory_presets():
    def splits(frames, height, width, budget):
        return next(n for n in range(1, MOST_SPLITS + 1) if _need(frames, height, width, n) < budget * 2**30)

    front, view = (121, 88, 160), (57, 72, 128)
    assert [splits(*front, gib) for gib in (40, 23, 15, 11)] == [1, 2, 2, 2]
    assert [splits(*view, gib) for gib in (15, 11, 5)] == [1, 1, 2]


def test_out_of_memory_leads_to_smaller_tiles():
    sizes = []

    def encoder(x):
        sizes.append(x.shape[-1])
        if x.shape[-1] > 300:
            raise torch.cuda.OutOfMemoryError("Tried to allocate 9 GiB")
        return torch.nn.functional.avg_pool3d(x, (1, 8, 8))[:, :1, ::8].expand(-1, 16, -1, -1, -1)

    ones = torch.ones(1, 16, 3, 1, 1)
    tokenizer = Tokenizer(encoder, None, 0 * ones, ones, torch.float32)
    latent = tokenizer.encode(np.full((17, 96, 640, 3), 255, np.uint8))
    assert sizes[0] == 640 and sizes[-1] <= 300
    assert latent.shape == (1, 16, 3, 12, 80) and torch.allclose(latent, torch.ones_like(latent))


def test_tokenizer_files(micro_checkpoints, tmp_path):
    folder = micro_checkpoints / folders.TOKENIZER
    tokenizer = load_tokenizer(folder, CPU, torch.float32, 17)
    frames = np.random.default_rng(0).integers(0, 255, (17, 32, 48, 3), np.uint8)
    frames[:] = frames.mean((1, 2), keepdims=True).mean(0, keepdims=True)  # flat colour survives any low-pass
    assert np.abs(tokenizer.decode(tokenizer.encode(frames)).astype(int) - frames).max() <= 1
    with pytest.raises(DreamkitError, match=r"mean_std\.pt is not a pair"):
        load_tokenizer(folder, CPU, torch.float32, 121)
    with pytest.raises(DreamkitError, match="There is no tokenizer file at"):
        load_tokenizer(tmp_path, CPU, torch.float32, 17)


# ---- TorchScript


def test_torchscript_runs_only_with_a_trusted_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "encoder.jit"
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(DreamkitError, match="unknown checksum"):
        torchscript.load_torchscript(path, CPU)
    assert torchscript.load_torchscript(path, CPU, [path])
    torchscript.trust(path)
    assert torchscript.load_torchscript(path, CPU)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DreamkitError, match="unknown checksum"):
        torchscript.load_torchscript(path, CPU)
    path.write_bytes(b"nothing")
    with pytest.raises(DreamkitError, match="not a readable TorchScript file"):
        torchscript.load_torchscript(path, CPU, [path])


def test_a_random_bundle_never_replaces_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    mine = tmp_path / "checkpoints" / "nvidia" / "base_model.pt"
    mine.parent.mkdir(parents=True)
    mine.write_text("28 GB")
    with pytest.raises(DreamkitError, match="is not a random tiny bundle"):
        bundle.write_random_bundle(tmp_path / "checkpoints")
    assert mine.read_text() == "28 GB"


# ---- text


def encoder(micro_checkpoints, cache):
    return TextEncoder(micro_checkpoints / folders.TEXT_ENCODER, CPU, 32, cache)


def test_embeddings_are_zero_past_the_prompt_and_come_from_the_cache(micro_checkpoints, tmp_path, monkeypatch):
    first = encoder(micro_checkpoints, tmp_path).encode(["a car", "a car drives on a wet road at night", "a car"])
    assert first.shape == (3, 32, 32) and torch.equal(first[0], first[2])
    used = [int(e.abs().sum(-1).gt(0).sum()) for e in first]
    assert 0 < used[0] < used[1] < 32
    monkeypatch.setattr(text.TextEncoder, "_load", lambda _: pytest.fail("the encoder was loaded again"))
    assert torch.equal(encoder(micro_checkpoints, tmp_path).encode(["a car"])[0], first[0])


def test_a_batch_loads_the_encoder_once(micro_checkpoints, tmp_path, monkeypatch):
    loads = []
    load = text.TextEncoder._load
    monkeypatch.setattr(text.TextEncoder, "_load", lambda self: loads.append(1) or load(self))
    made = encoder(micro_checkpoints, None)
    made.encode(["one", "two", "three"])
    made.encode(["two", "three"])
    assert len(loads) == 1


@pytest.mark.parametrize(("share", "place"), [(1.2, "all"), (0.9, "layers"), (0.1, "cpu")])
def test_the_encoder_is_placed_by_free_memory(monkeypatch, share, place):
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 8, "num_heads": 2, "vocab_size": 64}
    model, gpu, streamed = T5EncoderModel(T5Config(**sizes)), torch.device("cuda", 0), []
    size = sum(4 * parameter.numel() for parameter in model.parameters())
    monkeypatch.setattr(text, "free_memory", lambda *_: share * size)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *_: self)
    monkeypatch.setattr(text, "stream_layers", lambda model, _: streamed.append(model))
    assert text.place_layers(model, gpu, None) == (model, CPU if place == "cpu" else gpu)
    assert len(streamed) == (place == "layers")


def test_layers_one_at_a_time_give_the_same_embeddings(micro_checkpoints, monkeypatch):
    expected = encoder(micro_checkpoints, None).encode(["a car", "a wet road at night"])

    def by_layers(model, device, _):
        text.stream_layers(model, device)
        return model, device

    monkeypatch.setattr(text, "place_layers", by_layers)
    assert torch.equal(encoder(micro_checkpoints, None).encode(["a car", "a wet road at night"]), expected)


def test_long_prompts_are_cut_with_a_warning(micro_checkpoints, caplog):
    out = encoder(micro_checkpoints, None).encode(["car " * 100])
    assert out[0].abs().sum(-1).gt(0).all() and "only the first 32 count" in caplog.text


def test_a_broken_cache_entry_is_a_miss(micro_checkpoints, tmp_path):
    first = encoder(micro_checkpoints, tmp_path).encode(["a car"])
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"broken")
    assert torch.equal(encoder(micro_checkpoints, tmp_path).encode(["a car"]), first)


def test_another_encoder_of_the_same_shape_has_its_own_embeddings(micro_checkpoints, tmp_path):
    first = encoder(micro_checkpoints, tmp_path).encode(["a car"])
    bundle.save_text_encoder(tmp_path / "t5", 32, seed=9)
    other = TextEncoder(tmp_path / "t5", CPU, 32, tmp_path).encode(["a car"])
    assert not torch.equal(other, first)


def test_a_cache_that_cannot_be_written_costs_a_warning(micro_checkpoints, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file, not a folder")
    assert encoder(micro_checkpoints, tmp_path / "cache").encode(["a car"]).any()
    assert "kept in memory only" in caplog.text


def test_a_missing_or_broken_encoder(micro_checkpoints, tmp_path):
    with pytest.raises(DreamkitError, match="There is no text encoder in"):
        TextEncoder(tmp_path, CPU, 32).encode(["a car"])
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DreamkitError, match="not a readable T5 encoder"):
        TextEncoder(tmp_path, CPU, 32).encode(["a car"])


def test_an_encoder_that_lacks_a_tensor_is_refused(micro_checkpoints, tmp_path):
    folder = shutil.copytree(micro_checkpoints / folders.TEXT_ENCODER, tmp_path / "t5")
    tensors = load_file(folder / "model.safetensors")
    gone = "encoder.block.1.layer.0.SelfAttention.q.weight"
    save_file({n: t for n, t in tensors.items() if n != gone}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DreamkitError, match=f"lacks 1 tensors of a T5 encoder: {gone}"):
        TextEncoder(folder, CPU, 32).encode(["a car"])
