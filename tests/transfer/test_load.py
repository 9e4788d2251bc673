"""Checkpoint files: wrappers and extra entries of the released form, and errors for files that do not fit."""

import io
from dataclasses import replace

import micro
import pytest
import torch

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.train.bundle import fill_random, released_tensors
from dreamkit.transfer import folders
from dreamkit.transfer.config import COSMOS_7B_SINGLE, read_config, save_config
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.load import load_network, read_checkpoint
from dreamkit.transfer.names import released_name

CPU = torch.device("cpu")
SHAPE = micro.SINGLE.denoiser


def network(kind, shape=SHAPE, seed=0):
    made = kind(shape)
    fill_random(made, torch.Generator().manual_seed(seed))
    return made


def load(kind, path, shape=SHAPE, base=None, dtype=torch.float32):
    return load_network(kind, shape, path, CPU, dtype, base)


@pytest.fixture
def base_file(tmp_path):
    torch.save(released_tensors(network(Denoiser)), tmp_path / "base_model.pt")
    return tmp_path / "base_model.pt"


def rewrite(path, change):
    """The file's raw entries, changed in place and saved again."""
    with torch.serialization.safe_globals([io.BytesIO, bytes]):
        data = torch.load(path, weights_only=True)
    torch.save(change(data) or data, path)


def test_every_weight_is_loaded(base_file):
    loaded, report = load(Denoiser, base_file)
    original = network(Denoiser)
    for (name, ours), parameter in zip(loaded.named_parameters(), original.parameters(), strict=True):
        assert torch.equal(ours, parameter.bfloat16().float()), name
    assert report.own == len(list(original.parameters())) and report.from_base == ()


def test_weights_loaded_in_inference_mode_are_ordinary_tensors(base_file):
    with torch.inference_mode():
        loaded, _ = load(Denoiser, base_file)
    assert not any(p.is_inference() for p in loaded.parameters())


def test_released_names_are_one_to_one():
    for kind, shape in ((Denoiser, SHAPE), (Denoiser, micro.MULTI.denoiser), (ControlBranch, micro.MULTI.denoiser)):
        names = [released_name(n) for n, _ in kind(shape).named_parameters()]
        assert len(set(names)) == len(names)
    with pytest.raises(KeyError):
        released_name("no.such.parameter")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: {"ema": {k.replace(".", "-"): v for k, v in d.items()}, "model": {"net.x": torch.zeros(1)}},
        lambda d: {"model": d, "ema": None},
        lambda d: {k.removeprefix("net."): v for k, v in d.items()},
        lambda d: {**d, "net.pos_embedder.seq": torch.arange(9.0), "net.a._extra_state": io.BytesIO(b"state")},
    ],
)
def test_outer_dictionaries_and_entries_that_are_no_weights(base_file, wrap):
    expected = load(Denoiser, base_file)[0].state_dict()
    rewrite(base_file, wrap)
    found = load(Denoiser, base_file)[0].state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_an_old_file_without_memory_map_loads(base_file):
    torch.save(released_tensors(network(Denoiser)), base_file, _use_new_zipfile_serialization=False)
    assert load(Denoiser, base_file)[1].own


def test_a_missing_and_an_unexpected_name_are_listed(base_file):
    gone = "net.blocks.block1.blocks.0.block.attn.to_q.1.weight"
    rewrite(base_file, lambda d: {**{k: v for k, v in d.items() if k != gone}, "net.extra.weight": torch.ones(1)})
    with pytest.raises(DreamkitError) as caught:
        load(Denoiser, base_file)
    assert gone.removeprefix("net.") in caught.value.message and "extra.weight" in caught.value.message


def test_a_wrong_shape_is_named(base_file):
    with pytest.raises(DreamkitError, match=r"50 wrong shape: affline_norm\.weight is \[48\], expected \[96\]"):
        load(Denoiser, base_file, replace(SHAPE, width=96))


def test_control_takes_absent_tensors_from_the_base_and_lists_them(tmp_path, base_file):
    tensors = released_tensors(network(ControlBranch, seed=1))
    shared = [n for n in tensors if "to_out" in n or "x_embedder.proj" in n]
    path = tmp_path / "hdmap_control.pt"
    torch.save({n: t for n, t in tensors.items() if n not in shared}, path)
    loaded, report = load(ControlBranch, path, base=base_file)
    assert set(report.from_base) == {n.removeprefix("net.") for n in shared}
    base = load(Denoiser, base_file)[0]
    assert torch.equal(loaded.trunk.patch.weight, base.trunk.patch.weight)
    with pytest.raises(DreamkitError, match="missing"):
        load(ControlBranch, path)


def test_a_control_file_must_have_the_tensors_of_its_own(tmp_path, base_file):
    tensors = released_tensors(network(ControlBranch))
    del tensors["net.zero_blocks.block0.weight"]
    torch.save(tensors, tmp_path / "c.pt")
    with pytest.raises(DreamkitError):
        load(ControlBranch, tmp_path / "c.pt", base=base_file)


def test_the_copy_of_the_last_layer_in_a_control_file_is_ignored(tmp_path, base_file):
    tensors = released_tensors(network(ControlBranch))
    tensors["net.final_layer.linear.weight"] = torch.ones(2, 2)
    torch.save(tensors, tmp_path / "c.pt")
    load(ControlBranch, tmp_path / "c.pt", base=base_file)


def test_a_checkpoint_of_another_kind_is_refused(tmp_path, base_file):
    multi = tmp_path / "multi.pt"
    torch.save(released_tensors(network(Denoiser, micro.MULTI.denoiser)), multi)
    with pytest.raises(
        DreamkitError, match="holds a multi-view base model, where a single-view base model is expected"
    ):
        load(Denoiser, multi)
    with pytest.raises(DreamkitError, match="holds a single-view base model, where a single-view control branch"):
        load(ControlBranch, base_file)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_unreadable_files(tmp_path, content):
    path = tmp_path / "base_model.pt"
    path.write_bytes(content)
    with pytest.raises(DreamkitError, match="not a readable checkpoint"):
        read_checkpoint(path)


def test_a_cut_off_file(base_file):
    base_file.write_bytes(base_file.read_bytes()[:-5000])
    with pytest.raises(DreamkitError, match="not a readable checkpoint"):
        read_checkpoint(base_file)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_pickled_code_is_refused(tmp_path, capsys):
    torch.save({"net.x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(DreamkitError):
        read_checkpoint(tmp_path / "evil.pt")
    assert "executed" not in capsys.readouterr().out


def test_a_missing_file_is_refused_with_the_names_of_the_others(base_file):
    with pytest.raises(DreamkitError, match=r"hdmap_control\.pt .*has: base_model\.pt"):
        read_checkpoint(base_file.with_name("hdmap_control.pt"))
    with pytest.raises(DreamkitError, match="not named tensors"):
        torch.save([1, 2], base_file)
        read_checkpoint(base_file)


def test_config_file_or_released_sizes(tmp_path):
    assert read_config(tmp_path, COSMOS_7B_SINGLE) == COSMOS_7B_SINGLE
    save_config(micro.MULTI, tmp_path)
    assert read_config(tmp_path, COSMOS_7B_SINGLE) == micro.MULTI
    (tmp_path / "dreamkit.json").write_text('{"denoiser": {"widht": 1}, "height": 1}')
    with pytest.raises(DreamkitError, match="unknown keys: widht"):
        read_config(tmp_path, COSMOS_7B_SINGLE)
    (tmp_path / "dreamkit.json").write_text("{")
    with pytest.raises(DreamkitError, match="cannot be read"):
        read_config(tmp_path, COSMOS_7B_SINGLE)


def test_released_sizes():
    with torch.device("meta"):
        base, branch = Denoiser(COSMOS_7B_SINGLE.denoiser), ControlBranch(COSMOS_7B_SINGLE.denoiser)
    count = [sum(p.numel() for p in n.parameters()) / 1e9 for n in (base, branch)]
    assert count == pytest.approx([7.24, 0.89], abs=0.01)
    assert COSMOS_7B_SINGLE.latent_shape == (16, 16, 88, 160)


def test_files_of_own_controls(tmp_path):
    own = tmp_path / "t2w_mine.pt"
    files = folders.multi_view_files(tmp_path, "t2w", ["hdmap"], {"hdmap": own})
    assert files["hdmap"] == own
    assert folders.multi_view_files(tmp_path, "v2w", ["hdmap"], {"hdmap": own})["hdmap"] == tmp_path / "v2w_mine.pt"
    plain = {"hdmap": tmp_path / "mine.pt"}
    assert folders.multi_view_files(tmp_path, "t2w", ["hdmap"], plain)["hdmap"] == tmp_path / "mine.pt"
    assert folders.multi_view_files(tmp_path, "v2w", ["hdmap"], plain)["hdmap"] == tmp_path / "v2w_mine.pt"
    released = tmp_path / folders.MULTI_VIEW
    released.mkdir(parents=True)
    for name in ("v2w_base_model.pt", "v2w_hdmap_control.pt"):
        (released / name).touch()
    assert folders.has_extension(tmp_path, ["hdmap"])
    assert not folders.has_extension(tmp_path, ["hdmap"], plain)
    with pytest.raises(DreamkitError, match="There is no control 'depth'"):
        folders.single_view_files(tmp_path, ["depth"])
