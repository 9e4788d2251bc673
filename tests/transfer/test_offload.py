"""Blocks streamed from host memory: the same latents, whatever order, number of buffers and resident blocks."""

from __future__ import annotations

import pytest
import torch
from micro import MULTI, SINGLE
from other_device import other_device

from dreamkit.bench.forward import one_forward
from dreamkit.bench.random_weights import random_network
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.host_memory import flat, pack, pack_blocks
from dreamkit.transfer.load import set_parameter
from dreamkit.transfer.offload import BlockStream

CPU = torch.device("cpu")


def networks(config, streamed):
    made = []
    for kind, seed in ((Denoiser, 0), (ControlBranch, 1)):
        network = random_network(kind, config.denoiser, CPU, torch.float32, seed)
        if streamed:
            packed, _ = pack_blocks(dict(network.named_parameters()), torch.float32, page_locked=False)
            for name, tensor in packed.items():
                set_parameter(network, name, tensor)
        made.append(network)
    return made


@pytest.mark.parametrize("config", [SINGLE, MULTI], ids=["single", "multi"])
@pytest.mark.parametrize(("buffers", "resident"), [(1, 0), (2, 0), (2, 1), (3, 2), (2, 9)])
@torch.inference_mode()
def test_streamed_blocks_give_the_same_forward(config, buffers, resident):
    expected = one_forward(config, *networks(config, False), CPU, torch.float32)()
    base, branch = networks(config, True)
    stream = BlockStream([base.trunk, branch.trunk], CPU, buffers)
    for trunk in (base.trunk, branch.trunk):
        trunk.keep_text = False
    stream.acquire(resident)
    assert stream.resident == min(resident, len(stream))
    run = one_forward(config, base, branch, CPU, torch.float32)
    assert torch.equal(run(), expected)
    stream.release()
    assert stream.resident == 0
    stream.acquire(resident)
    assert torch.equal(run(), expected)


@torch.inference_mode()
def test_an_unforeseen_order_is_right_too():
    base, branch = networks(SINGLE, True)
    wanted = [[p.clone() for p in block.parameters()] for block in base.trunk.blocks]
    stream = BlockStream([base.trunk, branch.trunk], CPU, buffers=2)
    stream.acquire(0)
    for index in (1, 0, 1, 1, 0, 0, 1, 0):
        found = list(base.trunk.blocks[index].parameters())
        assert all(map(torch.equal, found, wanted[index]))


def test_a_block_takes_one_buffer_of_its_own_size():
    tensors = {"a": torch.randn(5, 3), "b": torch.randn(64)}
    packed = pack(tensors, torch.bfloat16, page_locked=False)
    assert all(torch.equal(packed[name], tensor.bfloat16()) for name, tensor in tensors.items())
    assert flat(packed["a"]).data_ptr() == flat(packed["b"]).data_ptr()
    assert flat(packed["a"]).shape == (512,)  # 30 and 128 bytes, each rounded up to 256


@torch.no_grad()
def test_no_block_computes_with_weights_of_the_host(monkeypatch):
    """On a device that refuses tensors of the CPU, as CUDA does."""
    expected = one_forward(MULTI, *networks(MULTI, False), CPU, torch.float32)()
    base, branch = networks(MULTI, True)
    with other_device() as device:
        for network in (base, branch):
            rest = pack_blocks(dict(network.named_parameters()), torch.float32, page_locked=False)[1]
            for name, tensor in rest.items():
                set_parameter(network, name, tensor.to(device))
            network.trunk.keep_text = False
        stream = BlockStream([base.trunk, branch.trunk], device)
        stream.acquire(1)
        cpu_generator = torch.Generator
        monkeypatch.setattr(torch, "Generator", lambda _: cpu_generator())
        out = one_forward(MULTI, base, branch, device, torch.float32)()
    assert torch.allclose(out.near, expected, atol=1e-5)
