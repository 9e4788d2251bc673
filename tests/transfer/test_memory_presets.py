"""Presets that bound GPU memory: the same videos, one fall back when memory runs out, and what they need on paper."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer import base_pipeline, network_store
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE
from dreamkit.transfer.memory_needs import activation_bytes, resident_blocks
from dreamkit.transfer.network_store import smaller_preset
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.transfer.presets import PRESETS

GIB = 2**30
STEPS = 2
RNG = np.random.default_rng(0)
FRONT = RNG.integers(0, 255, (33, 32, 48, 3), np.uint8)
VIEWS = RNG.integers(0, 255, (6, 33, 32, 48, 3), np.uint8)


@pytest.fixture(params=[0, 1], ids=["all streamed", "one resident"])
def few_resident(request, monkeypatch):
    """As on a GPU that is full: this many blocks stay on the device."""
    monkeypatch.setattr(network_store, "resident_blocks", lambda *_: request.param)
    return request.param


def test_the_video_is_that_of_exact(micro_checkpoints, few_resident):
    single = SingleViewPipeline.from_checkpoints(micro_checkpoints)
    small = SingleViewPipeline.from_checkpoints(micro_checkpoints, preset="12gb")
    make = {"steps": STEPS, "seed": 3}
    for prompt in ("a car", "a truck"):
        expected = single(prompt, {"hdmap": FRONT[:17]}, **make)
        assert np.array_equal(small(prompt, {"hdmap": FRONT[:17]}, **make), expected)
    info = small.info()
    assert (info["preset"], info["blocks_on_gpu"]) == ("12gb", f"{few_resident} of 3")
    assert "blocks_on_gpu" not in single.info() and "out_of_memory_with" not in info


def test_later_windows_of_six_views_stream_too(micro_checkpoints, few_resident):
    pipes = [MultiViewPipeline.from_checkpoints(micro_checkpoints, preset=preset) for preset in ("exact", "16gb")]
    made = [pipe(["a car"] * 6, FRONT, {"hdmap": VIEWS}, steps=STEPS) for pipe in pipes]
    assert np.array_equal(*made)


def test_joined_windows_stream_too(micro_checkpoints, few_resident):
    """All windows go through the streamed blocks at every evaluation, with both passes of guidance."""
    pipes = [SingleViewPipeline.from_checkpoints(micro_checkpoints, preset=preset) for preset in ("exact", "16gb")]
    made = [pipe("a car", {"hdmap": FRONT}, steps=STEPS, windows="joined") for pipe in pipes]
    assert len(made[0]) == len(FRONT) and np.array_equal(*made)


def out_of_memory(times, then):
    """A function that runs out of memory a number of times, then does what `then` does."""

    def function(*args):
        if len(calls) < times:
            calls.append(args)
            raise torch.cuda.OutOfMemoryError("Tried to allocate 7.00 GiB. GPU 0 has ...")
        return then(*args)

    calls: list[object] = []
    return function


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("P", (), {"total_memory": 15.7 * GIB}))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 1.0, raising=False)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 15 * GIB)


@pytest.mark.parametrize("where", ["denoise", "load"])
def test_out_of_memory_goes_on_with_a_smaller_preset_once(micro_checkpoints, monkeypatch, card, caplog, where):
    expected = SingleViewPipeline.from_checkpoints(micro_checkpoints)("a car", {"hdmap": FRONT[:17]}, steps=STEPS)
    module, name = (base_pipeline, "denoise_window") if where == "denoise" else (network_store, "load_networks")
    monkeypatch.setattr(module, name, out_of_memory(1, getattr(module, name)))
    with caplog.at_level(logging.WARNING):
        pipe = SingleViewPipeline.from_checkpoints(micro_checkpoints)
        made = pipe("a car", {"hdmap": FRONT[:17]}, steps=STEPS)
    assert np.array_equal(made, expected)
    assert pipe.info()["preset"] == "16gb" and pipe.info()["out_of_memory_with"] == "exact"
    assert "Out of GPU memory with preset exact (Tried to allocate 7.00 GiB" in caplog.text
    assert "going on with preset 16gb" in caplog.text


def test_out_of_memory_while_loading_twice_is_an_error(micro_checkpoints, monkeypatch, card):
    monkeypatch.setattr(network_store, "load_networks", out_of_memory(2, network_store.load_networks))
    with pytest.raises(DreamkitError, match="Out of GPU memory"):
        SingleViewPipeline.from_checkpoints(micro_checkpoints)


@pytest.mark.parametrize(("preset", "times"), [("exact", 2), ("12gb", 1)])
def test_out_of_memory_again_is_an_error(micro_checkpoints, monkeypatch, card, preset, times):
    monkeypatch.setattr(base_pipeline, "denoise_window", out_of_memory(times, base_pipeline.denoise_window))
    pipe = SingleViewPipeline.from_checkpoints(micro_checkpoints, preset=preset)
    with pytest.raises(DreamkitError, match="Out of GPU memory"):
        pipe("a car", {"hdmap": FRONT[:17]}, steps=STEPS)
    assert len(pipe("a car", {"hdmap": FRONT[:17]}, steps=STEPS)) == 17  # and the pipeline is whole


@pytest.mark.parametrize(
    ("preset", "card_gib", "smaller"),
    [
        ("exact", 80, "24gb"),
        ("exact", 23.7, "24gb"),
        ("exact", 20, "16gb"),
        ("24gb", 80, "16gb"),
        ("16gb", 15.7, "12gb"),
        ("12gb", 80, None),
        ("exact", 8, None),
        ("fp8", 80, None),  # the others compute with other arithmetic
    ],
)
def test_the_next_smaller_preset_fits_the_card(preset, card_gib, smaller):
    found = smaller_preset(PRESETS[preset], int(card_gib * GIB))
    assert (found.name if found else None) == smaller


def test_memory_on_paper():
    """Six views of 110,592 tokens x 4096 in bf16 are 0.84 GiB a tensor; ten of them are alive at once."""
    assert 10 * 0.84375 < activation_bytes(COSMOS_7B_MULTI, 1) / GIB < 10 * 0.84375 + 0.6
    assert 10 * 0.4296875 < activation_bytes(COSMOS_7B_SINGLE, 1) / GIB < 10 * 0.4296875 + 1.1
    assert resident_blocks(16 * GIB, GIB, 8 * GIB, GIB // 2, 2) == 7
    assert resident_blocks(4 * GIB, GIB, 8 * GIB, GIB // 2, 2) == 0
