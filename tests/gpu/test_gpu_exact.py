"""Preset exact on a GPU: its kernels against plain PyTorch, and trajectories at full width against the plain engine."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from plain_engine import plain_window

from dreamkit.bench.random_weights import random_network
from dreamkit.transfer.attention import BACKENDS, choose_attention
from dreamkit.transfer.attention_timing import CACHE_FILE
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.engine import Networks, choose_compute, choose_kernels
from dreamkit.transfer.fused_ops import FusedOps, KernelOps, Tokens, choose_fused_ops, linear_gelu
from dreamkit.transfer.views import VIEW_IDS, condition_mask

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

BLOCKS = 8
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 1e-2}
SHAPES = [(torch.float32, 1, 96, 2, 24), (torch.bfloat16, 2, 70, 4, 32), (torch.bfloat16, 1, 130, 32, 128)]


@pytest.fixture
def device():
    return torch.device("cuda", 0)


def error(out, exact):
    return float((out.double() - exact.double()).norm() / exact.double().norm())


@pytest.mark.parametrize(("dtype", "batch", "length", "heads", "dim"), SHAPES)
def test_kernels_agree_with_plain_operations(device, dtype, batch, length, heads, dim):
    kernels, plain, width = KernelOps(), FusedOps(), heads * dim

    def normal(*shape):
        return torch.randn(*shape, device=device).to(dtype)

    for gated, added, placed, keep in itertools.product((False, True), repeat=4):
        shift, scale, gate = normal(batch, 1, 3 * width).chunk(3, dim=-1)
        x, y, control, position = *(normal(batch, length, width) for _ in range(3)), normal(length // 2, width)

        def tokens(x=x, y=y, gate=gate, control=control, gated=gated, added=added, keep=keep):
            y, control = y.clone(), control if added else None
            return Tokens(x.clone(), gate if gated else None, y if gated else None, control, keep=keep)

        position = position if placed else None
        mine = tokens()
        sums = kernels.modulate(mine, scale, shift, position), plain.modulate(tokens(), scale, shift, position)
        assert all(error(out, exact) < ROUNDING[dtype] for out, exact in zip(*sums, strict=True))
        assert (sums[0][0].data_ptr() == mine.x_BLD.data_ptr()) != keep
        assert error(kernels.settle(tokens()), plain.settle(tokens())) < ROUNDING[dtype]
    q, weight = normal(batch, length, heads, dim), normal(dim)
    rope = [torch.randn(length, dim // 2, device=device).repeat(1, 2) for _ in range(2)]
    assert error(kernels.head_norm(q.clone(), weight), plain.head_norm(q, weight)) < ROUNDING[dtype]
    out, exact = (ops.head_norm_rope(q.clone(), weight, *rope) for ops in (kernels, plain))
    assert error(out, exact) < ROUNDING[dtype]


def test_gelu_in_the_product_is_closer_than_two_operations(device):
    layer = torch.nn.Linear(512, 2048, bias=False, device=device, dtype=torch.bfloat16)
    x = torch.randn(1, 4096, 512, device=device).bfloat16()
    with torch.inference_mode():
        exact = torch.nn.functional.gelu(x.double() @ layer.weight.double().t())
        two = torch.nn.functional.gelu(layer(x))
        assert error(linear_gelu(layer, x), exact) < error(two, exact) < 5e-3


def wide(model, device, dtype=torch.bfloat16):
    """A model of full width with BLOCKS blocks and few frames, its networks, and a window without guidance."""
    config = replace(model, denoiser=replace(model.denoiser, blocks=BLOCKS), window_frames=17)
    branch = random_network(ControlBranch, config.denoiser, device, dtype, seed=1)
    networks = Networks(random_network(Denoiser, config.denoiser, device, dtype), {"hdmap": branch}, [])
    generator = torch.Generator(device).manual_seed(5)

    def normal(*shape):
        return torch.randn(shape, generator=generator, device=device)

    shape, views = (1, *config.latent_shape), config.views
    text, negative = (normal(views, config.denoiser.text_tokens, config.denoiser.text_width) for _ in range(2))
    given = (condition_mask(views, config.latent_frames, 0, device), 0.5 * normal(*shape)) if views > 1 else None
    hints = {"hdmap": 0.5 * normal(*shape)}
    ids = VIEW_IDS.get(views, (0,))
    window = Window(text, negative, hints, {"hdmap": 0.7}, normal(*shape), 6, 0.0, 24, 17, given, ids)
    return config, networks, window


@pytest.mark.parametrize("model", [COSMOS_7B_SINGLE, COSMOS_7B_MULTI], ids=["single", "multi"])
def test_exact_is_the_plain_engine_to_rounding(device, model):
    """At most 2e-2 in bfloat16; guidance, which multiplies the rounding of both, is compared in float32 below."""
    config, networks, window = wide(model, device)
    plain = plain_window(networks, config, window)
    choose_kernels(networks, config.denoiser, choose_compute(device, "exact", "auto", config))
    assert networks.chosen()["pointwise"] == "triton"
    assert error(denoise_window(networks, config, window), plain) <= 2e-2


def test_with_guidance_exact_is_no_further_from_float32_than_the_plain_engine(device):
    config, networks, window = wide(COSMOS_7B_SINGLE, device)
    window = replace(window, guidance=3.0)
    plain = plain_window(networks, config, window)
    choose_kernels(networks, config.denoiser, choose_compute(device, "exact", "cudnn", config))
    exact = denoise_window(networks, config, window)
    for network in (networks.base, *networks.branches.values()):
        network.float()
        network.trunk.ops, network.trunk.attention = FusedOps(), choose_attention(32, 128, device, torch.float32)
    reference = plain_window(networks, config, window)
    assert error(exact, reference) <= 1.05 * error(plain, reference)


def test_auto_times_the_backends_of_a_shape_once(device, tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path))
    first, again = (choose_attention(32, 128, device, torch.bfloat16, tokens=4096) for _ in range(2))
    assert first.name == again.name and first.name in BACKENDS
    timed = [name for name in BACKENDS if name not in ("auto", "sdpa") and _runs(name, device)]
    assert (tmp_path / CACHE_FILE).exists() == (len(timed) > 1)


def _runs(name, device):
    try:
        return bool(choose_attention(32, 128, device, torch.bfloat16, name))
    except Exception:
        return False


def test_kernels_are_chosen_on_this_gpu(device):
    assert choose_fused_ops(device).name == "triton"
