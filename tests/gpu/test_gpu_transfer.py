"""The world model on a GPU: attention backends, compiled operations, loading, both pipelines, tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dreamkit.bench.measure import memory_cap
from dreamkit.errors import DreamkitError
from dreamkit.transfer import network_store
from dreamkit.transfer.attention import BACKENDS, choose_attention
from dreamkit.transfer.device_copy import copy_to_device
from dreamkit.transfer.memory import free_memory
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.workspace.sizes import GIB

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.fixture
def device():
    return torch.device("cuda", 0)


def error(out, exact):
    return float((out.float() - exact.float()).norm() / exact.float().norm())


def test_every_backend_that_runs_gives_the_same(device):
    q, k, v = (torch.randn(2, n, 4, 128, device=device) for n in (640, 512, 512))
    exact = choose_attention(4, 128, device, torch.float32)(q, k, v)
    chosen = choose_attention(4, 128, device, torch.bfloat16)
    if torch.cuda.get_device_capability(device) >= (9, 0):
        assert chosen.name in ("te", "cudnn", "flash4")  # not the slower flash kernel
    ran = []
    for name in BACKENDS:
        try:
            attention = choose_attention(4, 128, device, torch.bfloat16, name)
        except DreamkitError:  # not installed
            continue
        ran.append(name)
        out = attention(*(t.bfloat16() for t in (q, k, v)))
        assert out.shape == q.shape and error(out, exact) < 1e-2, name
    assert {"auto", "cudnn", "sdpa", chosen.name} <= set(ran)


def test_tensors_of_any_dtype_are_copied_whole(device):
    tensors = {
        "large": torch.randn(40_000_000).bfloat16(),
        "half": torch.randn(1000, 3).half(),
        "single": torch.randn(7, 5).t(),
        "scalar": torch.tensor(3.0),
    }
    moved = copy_to_device(tensors, device, torch.float32)
    for name, tensor in tensors.items():
        assert torch.equal(moved[name].cpu(), tensor.float()), name


def test_pipelines_run(micro_checkpoints, device):
    rng = np.random.default_rng(0)
    single = SingleViewPipeline.from_checkpoints(micro_checkpoints, ("hdmap", "lidar"), offload=True)
    video = rng.integers(0, 255, (33, 32, 48, 3), np.uint8)
    front = single("a car", {"hdmap": video, "lidar": video}, steps=2, windows="all")
    assert front.shape == (33, 32, 48, 3) and single.info()["dtype"] == "bfloat16"
    multi = MultiViewPipeline.from_checkpoints(micro_checkpoints)
    views = multi(["a car"] * 6, front, {"hdmap": np.stack([video] * 6)}, steps=2)
    assert views.shape == (6, 33, 32, 48, 3)
    assert multi.info()["peak_gpu_bytes"] > 0


def test_a_tokenizer_that_does_not_fit_runs_in_tiles(device):
    sizes = []

    def encoder(x):
        sizes.append(x.shape[-1])
        torch.empty(int(x.numel() * 4000), dtype=torch.uint8, device=device)
        return torch.nn.functional.avg_pool3d(x, (1, 8, 8))[:, :1, ::8].expand(-1, 16, -1, -1, -1)

    ones = torch.ones(1, 16, 3, 1, 1, device=device)
    tokenizer = Tokenizer(encoder, lambda z: z, 0 * ones, ones, torch.float32)
    frames = np.random.default_rng(0).integers(0, 255, (17, 352, 640, 3), np.uint8)
    whole = tokenizer.encode(frames)
    with memory_cap(device, 14.0):
        assert free_memory(device) < 14.5 * GIB
        tiled = tokenizer.encode(frames)
    assert sizes[0] == 640 and min(sizes) < 640
    assert torch.allclose(tiled, whole, atol=1e-5)


def test_blocks_streamed_from_host_memory_give_the_same_video(device, micro_checkpoints, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 255, (17, 32, 48, 3), np.uint8)
    exact = SingleViewPipeline.from_checkpoints(micro_checkpoints, device=device)
    expected = exact("a car", {"hdmap": frames}, steps=3)
    for resident in (0, 1):
        monkeypatch.setattr(network_store, "resident_blocks", lambda *_, resident=resident: resident)
        small = SingleViewPipeline.from_checkpoints(micro_checkpoints, ["hdmap"], "12gb", device)
        for _ in range(2):  # the second time over the same buffers
            assert np.array_equal(small("a car", {"hdmap": frames}, steps=3), expected)
        assert small.info()["blocks_on_gpu"] == f"{resident} of 3"
