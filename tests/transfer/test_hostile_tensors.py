"""Tensor files and cached embeddings from other people."""

import json
import zipfile
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from dreamkit.errors import DreamkitError
from dreamkit.generate.weight_files import read_weight_map
from dreamkit.transfer.config import TINY_SINGLE, config_values, read_config
from dreamkit.transfer.load import read_checkpoint
from dreamkit.transfer.text_cache import embedding_mark, read_embedding, read_mark, same_mark, write_embedding


def test_a_small_file_that_expands_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "map.pt"
    torch.save(torch.ones(1).expand(1000, 1600, 1600), path)
    assert path.stat().st_size < 2000
    with pytest.raises(DreamkitError, match="expands far beyond"):
        read_weight_map(path)
    torch.save(torch.ones(1, 4, 4).expand(6, 4, 4), path)
    assert read_weight_map(path).shape == (6, 4, 4)


def test_compressed_parts_are_refused(tmp_path):
    torch.save(torch.zeros(4, 4), tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DreamkitError, match="compressed"):
        read_weight_map(tmp_path / "b.pt")
    with pytest.raises(DreamkitError, match="compressed"):
        read_checkpoint(tmp_path / "b.pt")


@pytest.mark.parametrize(
    "change",
    [
        {"height": "160"},
        {"height": 10**9},
        {"sigma_data": None},
        {"views": True},
        {"denoiser": []},
        {"denoiser": {"width": 1.5}},
        {"denoiser": {"heads": 0}},
        {"denoiser": {"heads": 7}},
        {"denoiser": {"position": "other"}},
        {"denoiser": {"hint_widths": [1, "2"]}},
        {"what": 1},
    ],
)
def test_sizes_of_another_type_are_refused(tmp_path, change):
    data = json.loads(json.dumps(asdict(TINY_SINGLE)))
    denoiser = change.pop("denoiser", {})
    data = {**data, **change, "denoiser": {**data["denoiser"], **denoiser} if isinstance(denoiser, dict) else denoiser}
    (tmp_path / "dreamkit.json").write_text(json.dumps(data))
    with pytest.raises(DreamkitError, match=r"dreamkit\.json"):
        read_config(tmp_path, TINY_SINGLE)


def test_the_sizes_in_an_identity_are_json_and_change_with_sigma_data():
    values = config_values(TINY_SINGLE)
    assert json.loads(json.dumps(values)) == values
    assert values != config_values(replace(TINY_SINGLE, sigma_data=0.6))


def test_an_embedding_of_another_user_or_a_changed_one_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "mine"))
    path, embedding = tmp_path / "a.safetensors", torch.rand(5, 8)
    write_embedding(path, embedding)
    assert torch.equal(read_embedding(path, 512), embedding)
    assert (tmp_path / "mine" / "embedding_key").stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="shape"):
        read_embedding(path, 4)
    path.rename(tmp_path / "b.safetensors")  # another prompt's
    with pytest.raises(ValueError, match="this user"):
        read_embedding(tmp_path / "b.safetensors", 512)
    write_embedding(path, embedding)
    with monkeypatch.context() as patch:
        patch.setenv("DREAMKIT_CACHE", str(tmp_path / "theirs"))
        write_embedding(tmp_path / "other.safetensors", embedding)
        with pytest.raises(ValueError, match="this user"):
            read_embedding(path, 512)
    save_file({"embedding": load_file(path)["embedding"] + 1}, path)
    with pytest.raises(ValueError, match="this user"):
        read_embedding(path, 512)


def test_the_mark_of_an_embedding_tells_others_apart_and_not_devices(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "mine"))
    embedding = torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    mark = embedding_mark(embedding)
    assert same_mark(mark, embedding_mark(embedding * (1 + 1e-3 * torch.rand(40, 64))))
    for other in (embedding.flip(0), embedding[:39], embedding + 0.5 * torch.randn(40, 64), 1.1 * embedding):
        assert not same_mark(mark, embedding_mark(other))
    path = tmp_path / "a.safetensors"
    write_embedding(path, embedding)
    assert read_mark(path) == mark and read_mark(tmp_path / "b.safetensors") is None
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "theirs"))
    write_embedding(tmp_path / "c.safetensors", embedding)  # makes their key
    assert read_mark(path) is None


@pytest.mark.parametrize("data", [b"plain text", b"", b"\x80\x02.", b"PK\x03\x04" + bytes(50)])
def test_whatever_is_no_tensor_file_names_the_file(tmp_path, data):
    for name, read in (("a.pt", read_checkpoint), ("map.pt", read_weight_map)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DreamkitError, match=name):
            read(tmp_path / name)
