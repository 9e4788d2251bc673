"""Checkpoint folders: .pt files, mean_std.pt, dreamkit.json, the text encoder's files, cached embeddings."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch

import dreamkit
from dreamkit.transfer.config import TINY_SINGLE, read_config
from dreamkit.transfer.load import read_checkpoint
from dreamkit.transfer.tensor_files import load_tensors
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.text_cache import read_embedding
from dreamkit.transfer.torchscript import load_torchscript
from tests.fuzz import mutate
from tests.fuzz.driver import refused
from tests.fuzz.formats.weight_map import saved

T5 = Path(dreamkit.__file__).parent / "tiny" / "google-t5" / "t5-11b"


def seeds(folder):
    tensors = {"net.a.weight": torch.rand(4, 4), "net.b._extra_state": torch.rand(1)}
    pair = (torch.zeros(16, 16), torch.ones(16, 16))
    # transformers takes seconds to import, which is no case's time.
    from safetensors.torch import save
    from transformers import AutoTokenizer, T5EncoderModel  # noqa: F401

    return (
        saved({"model": tensors}),
        saved(pair),
        json.loads(json.dumps(asdict(TINY_SINGLE))),
        save({"embedding": torch.rand(5, 8)}),
    )


def case(rng, folder, given):
    checkpoint, pair, config, embedding = given
    (folder / "a.pt").write_bytes(rng.choice((b"text", b"", mutate.damage(rng, checkpoint), checkpoint)))
    with refused():
        read_checkpoint(folder / "a.pt")
    (folder / "m.pt").write_bytes(mutate.damage(rng, pair))
    with refused():
        load_tensors(folder / "m.pt", "m.pt cannot be read", "Fetch it again.")
    (folder / "dreamkit.json").write_bytes(mutate.hostile_json(rng, config))
    with refused():
        read_config(folder, TINY_SINGLE)
    (folder / "e.safetensors").write_bytes(mutate.damage(rng, embedding) if rng.random() < 0.7 else embedding)
    try:
        read_embedding(folder / "e.safetensors", 512)
    except Exception:
        pass  # the caller takes every exception as a miss
    else:
        raise AssertionError("an embedding without this user's code was read")
    (folder / "a.jit").write_bytes(mutate.damage(rng, checkpoint))
    with refused():
        load_torchscript(folder / "a.jit", torch.device("cpu"))
    if rng.random() < 0.05:
        shutil.copytree(T5, folder / "t5", ignore=shutil.ignore_patterns("model.safetensors"))
        (folder / "t5" / "model.safetensors").write_bytes(b"x" * 200)
        chosen = folder / "t5" / rng.choice(("config.json", "tokenizer.json", "tokenizer_config.json"))
        data = chosen.read_bytes()
        chosen.write_bytes(
            mutate.hostile_json(rng, json.loads(data)) if len(data) < 10**5 else mutate.damage(rng, data)
        )
        with refused():
            TextEncoder(folder / "t5", torch.device("cpu"), 512).encode(["A road."])
