"""Preset exact against the plain engine of tests/support: the same latents after a trajectory."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from plain_engine import plain_window

from dreamkit.bench.random_weights import random_network
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.engine import Networks
from dreamkit.transfer.fused_ops import EPS, head_norm_rope
from dreamkit.transfer.views import VIEW_IDS, condition_mask

CPU = torch.device("cpu")
SMALL = {"height": 64, "width": 96, "window_frames": 17}
"""Tiny widths and depths with few tokens, so that a trajectory takes a second."""


def small_networks(config, dtype=torch.float32, device=CPU):
    controls = {
        name: random_network(ControlBranch, config.denoiser, device, dtype, i) for i, name in enumerate("ab", 1)
    }
    return Networks(random_network(Denoiser, config.denoiser, device, dtype), controls, [])


def window_of(config, guidance, steps=6, zeroed=False, device=CPU):
    """Random inputs; six views have a given front view, and `zeroed` text in the second pass."""
    generator = torch.Generator(device).manual_seed(5)

    def normal(*shape):
        return torch.randn(shape, generator=generator, device=device)

    shape, sizes, views = (1, *config.latent_shape), config.denoiser, config.views
    text, negative = (normal(views, sizes.text_tokens, sizes.text_width) for _ in range(2))
    given = (condition_mask(views, config.latent_frames, 0, device), 0.5 * normal(*shape)) if views > 1 else None
    hints = {name: 0.5 * normal(*shape) for name in "ab"}
    return Window(
        text,
        torch.zeros_like(negative) if zeroed else negative,
        hints,
        {"a": 0.7, "b": torch.rand(config.window_frames, 8, 8, generator=generator, device=device)},
        normal(*shape),
        steps,
        guidance,
        24,
        config.window_frames,
        given,
        VIEW_IDS.get(views, (0,)),
    )


@pytest.mark.parametrize("guidance", [0.0, 3.0])
@pytest.mark.parametrize(("model", "zeroed"), [(TINY_SINGLE, False), (TINY_SINGLE, True), (TINY_MULTI, True)])
def test_exact_is_the_plain_engine(model, zeroed, guidance):
    config = replace(model, **SMALL)
    networks, window = small_networks(config), window_of(config, guidance, zeroed=zeroed)
    plain, exact = plain_window(networks, config, window), denoise_window(networks, config, window)
    assert plain.std() > 0.05
    assert float((exact - plain).norm() / plain.norm()) <= 1e-5


def test_what_precedes_the_text_is_computed_once(monkeypatch):
    config = replace(TINY_MULTI, **SMALL)
    networks, counts = small_networks(config), []
    blocks = [block for trunk in networks.trunks for block in trunk.blocks]
    for number, block in enumerate(blocks):
        block.self_attention.register_forward_hook(lambda *_, number=number: counts.append(number))
    denoise_window(networks, config, window_of(config, 3.0, steps=1))
    first = [sum(len(trunk.blocks) for trunk in networks.trunks[:at]) for at in range(3)]
    evaluations = 2
    assert [counts.count(n) for n in range(len(blocks))] == [
        evaluations * (1 if n in first else 2) for n in range(len(blocks))
    ]


def test_rotary_embedding_has_the_bits_of_its_definition_with_a_rotated_copy():
    generator = torch.Generator().manual_seed(0)
    q, cos, sin = (torch.randn(2, 50, 3, 24, generator=generator), *torch.randn(2, 50, 24, generator=generator))
    weight = torch.randn(24, generator=generator)
    normed = F.rms_norm(q, (24,), weight, eps=EPS)
    first, second = normed.chunk(2, dim=-1)
    right = normed * cos[:, None] + torch.cat([-second, first], dim=-1) * sin[:, None]
    assert torch.equal(head_norm_rope(q, weight, cos, sin), right)


def test_rotary_embedding_half_by_half_can_be_trained():
    (q, other), weight = torch.randn(2, 1, 10, 2, 24).unbind(), torch.randn(24)
    cos, sin = torch.randn(2, 10, 24)
    q.requires_grad_()
    head_norm_rope(q, weight, cos, sin).mul(other).sum().backward()
    made, q.grad = q.grad, None
    normed = F.rms_norm(q, (24,), weight, eps=EPS)
    first, second = normed.chunk(2, dim=-1)
    (normed * cos[:, None] + torch.cat([-second, first], dim=-1) * sin[:, None]).mul(other).sum().backward()
    assert made is not None and torch.allclose(made, q.grad, atol=1e-6)
