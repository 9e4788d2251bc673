"""The training loss of the tiny bundle's networks, and their initial weights."""

import math

import micro
import pytest
import torch

from dreamkit.tinyworld.train.bundle import fill_random
from dreamkit.tinyworld.train.objective import (
    FPS,
    Batch,
    Objective,
    add_noise,
    by_muon,
    draw_sigma,
    init_base,
    init_branch,
)
from dreamkit.transfer.config import TINY_MULTI
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.sampling import SIGMA_MAX, denoise
from dreamkit.transfer.views import condition_mask

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
MODELS = pytest.mark.parametrize("config", [micro.SINGLE, micro.MULTI], ids=["single", "multi"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random(kind, config, seed=0):
    network = kind(config.denoiser)
    fill_random(network, generator(seed))
    return network.requires_grad_(False)


def batch_of(config, count=2, given=1, seed=1):
    draw = generator(seed)
    latent = torch.randn(count, *config.latent_shape, generator=draw) * config.sigma_data
    shape = config.denoiser
    text = torch.randn(count * config.views, shape.text_tokens, shape.text_width, generator=draw)
    hint = torch.randn(latent.shape, generator=draw)
    if config.views == 1:
        return Batch(latent, text, hint)
    mask = condition_mask(config.views, config.latent_frames, given, CPU).expand(count, -1, -1, -1, -1)
    return Batch(latent, text, hint, (mask, latent + 0.1 * torch.randn(latent.shape, generator=draw)))


def perfect(objective, batch):
    """A raw output from which `denoise` computes the true latent."""
    data = objective.config.sigma_data

    def evaluate(x, sigma_B, _batch, _weight=1.0):
        sigma = sigma_B.view(-1, 1, 1, 1, 1)
        total = sigma**2 + data**2
        return (batch.latent - x * data**2 / total) / (sigma * data / total.sqrt())

    return evaluate


@MODELS
def test_a_perfect_network_has_no_loss(config, monkeypatch):
    objective, batch = Objective(config, random(Denoiser, config)), batch_of(config)
    monkeypatch.setattr(objective, "denoiser_output", perfect(objective, batch))
    assert float(objective.loss(add_noise(batch, generator()))) < 1e-6
    monkeypatch.setattr(objective, "denoiser_output", lambda *a: perfect(objective, batch)(*a) + 2.0)
    assert float(objective.loss(add_noise(batch, generator()))) == pytest.approx(4.0, rel=1e-4)


@MODELS
def test_an_untrained_network_costs_about_one(config):
    objective, batch = Objective(config, init_base(Denoiser(config.denoiser), 0)), batch_of(config, 8)
    with torch.no_grad():
        assert 0.7 < float(objective.loss(add_noise(batch, generator()))) < 2.5


def test_given_latents_do_not_count(monkeypatch):
    objective, batch = Objective(micro.MULTI, random(Denoiser, micro.MULTI)), batch_of(micro.MULTI)
    mask = batch.given[0]
    assert 0 < mask.mean() < 1
    monkeypatch.setattr(objective, "denoiser_output", lambda *a: perfect(objective, batch)(*a) + 100 * mask)
    assert float(objective.loss(add_noise(batch, generator()))) < 1e-6
    monkeypatch.setattr(objective, "denoiser_output", lambda *a: perfect(objective, batch)(*a) + 3 * (1 - mask))
    assert float(objective.loss(add_noise(batch, generator()))) == pytest.approx(9.0, rel=1e-4)


@pytest.mark.parametrize("with_hint", [False, True])
@pytest.mark.parametrize("sigma", [0.01, 0.7, 80.0])
@MODELS
def test_training_asks_what_the_engine_asks(config, sigma, with_hint):
    base, branch, batch = random(Denoiser, config), random(ControlBranch, config, 1), batch_of(config)
    x = batch.latent + sigma * torch.randn(batch.latent.shape, generator=generator(2))
    made = Objective(config, base, branch if with_hint else None).x0(x, sigma, batch)
    views = config.views
    for row in range(len(x)):
        one = slice(row, row + 1)
        given = None if batch.given is None else (batch.given[0][one], batch.given[1][one])
        options = {"fps": FPS, "view_ids": range(views), "condition_mask": None if given is None else given[0]}
        text = batch.text[row * views : (row + 1) * views]
        prepared, controls = base.trunk.prepare(text, x[one].shape, **options), []
        if with_hint:
            own = branch.trunk.prepare(text, x[one].shape, **options)
            controls = [(branch, branch.prepare(own, batch.hint[one], 1.0))]
        expected = denoise(
            lambda scaled, c_noise, p=prepared, c=controls: base(scaled, c_noise, p, c),
            x[one],
            sigma,
            config.sigma_data,
            torch.float32,
            given,
        )
        assert torch.allclose(made[one], expected, atol=2e-5 * float(expected.abs().max()))
        if given is not None:
            assert torch.equal(torch.where(given[0] > 0, made[one], 0), torch.where(given[0] > 0, given[1], 0))


def test_noise_levels_reach_from_clear_pictures_to_the_first_step():
    sigma = draw_sigma(4000, generator(), CPU)
    assert sigma.shape == (4000,) and sigma.max() <= SIGMA_MAX * 1.0001
    assert (sigma < 0.1).float().mean() > 0.05 and (sigma > 20).float().mean() > 0.05
    assert 0.8 < sigma.median() < 3


@MODELS
def test_a_base_begins_with_open_gates_and_no_shift_at_every_noise_level(config):
    base = init_base(Denoiser(config.denoiser), 3)
    assert torch.equal(base.trunk.patch.weight, init_base(Denoiser(config.denoiser), 3).trunk.patch.weight)
    for sigma in (0.03, 1.0, 80.0):
        _, shared = base.trunk.timestep(torch.tensor([0.25 * math.log(sigma)]))
        shift, scale, gate = shared.chunk(3, dim=-1)
        assert not shift.any() and not scale.any(), sigma
        assert gate.min() > 0.2 and gate.max() < 0.8, sigma
    emb, shared = base.trunk.timestep(torch.zeros(1))
    for block in base.trunk.blocks:
        for modulation in (block.self_modulation, block.cross_modulation, block.mlp_modulation):
            shift, scale, gate = modulation(emb, shared)
            assert not shift.any() and not scale.any()
            assert torch.allclose(gate, torch.tensor(0.5), atol=1e-5)


@MODELS
def test_a_branch_begins_as_the_base_s_first_blocks_and_adds_nothing(config):
    base = random(Denoiser, config)
    branch = init_branch(ControlBranch(config.denoiser), base, 0)
    theirs = dict(base.trunk.named_parameters())
    assert all(torch.equal(p, theirs[name]) for name, p in branch.trunk.named_parameters())
    batch, x = batch_of(config), torch.randn(2, *config.latent_shape, generator=generator())
    with torch.no_grad():
        alone = Objective(config, base).denoiser_output(x, torch.tensor([0.3, 5.0]), batch)
        together = Objective(config, base, branch).denoiser_output(x, torch.tensor([0.3, 5.0]), batch)
    assert torch.equal(alone, together)
    # Its output layers still have gradients at the first step.
    Objective(config, base, branch).loss(add_noise(batch, generator())).backward()
    assert all(out.weight.grad.abs().max() > 0 for out in branch.out)


def test_muon_moves_the_inside_of_the_network():
    with torch.device("meta"):
        names = [name for name, p in Denoiser(TINY_MULTI.denoiser).named_parameters() if p.ndim == 2]
    mine = [name for name in names if by_muon(name)]
    assert all(".blocks." in name or name.startswith("final_modulation.") for name in mine)
    assert len(mine) > 0.8 * len(names)
    assert not any(by_muon(name) for name in ("trunk.patch.weight", "final.weight", "trunk.views.table"))
