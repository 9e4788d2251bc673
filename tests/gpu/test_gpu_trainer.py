"""Training steps on a GPU: those replayed as CUDA graphs equal those run directly."""

import micro
import pytest
import torch

from dreamkit.tinyworld.train.objective import Batch, Objective, add_noise, by_muon, start_base, start_branch
from dreamkit.tinyworld.train.trainer import Fit, Schedule
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.views import condition_mask

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
STEPS = 14


def trained(path, config, record):
    """Masters and averages of a branch after some steps in two shapes, and how often its loss was asked for."""
    device, shape, asked = torch.device("cuda"), config.denoiser, []
    torch.manual_seed(0)
    base = start_base(Denoiser(shape), 0).to(device).requires_grad_(False)
    branch = start_branch(ControlBranch(shape).to(device), base, 0)
    objective = Objective(config, base, branch)
    fit = Fit(branch, Schedule(STEPS, warmup=2), path, 0, by_muon)

    def draw(generator):
        count = 2 + fit.step % 2
        latent = torch.randn(count, *config.latent_shape, generator=generator, device=device) * config.sigma_data
        text = torch.randn(count * config.views, 8, shape.text_width, generator=generator, device=device)
        given = None
        if config.views > 1:
            mask = condition_mask(config.views, config.latent_frames, 1, device).expand(count, -1, -1, -1, -1)
            given = (mask, latent)
        return add_noise(Batch(latent, text, 2 * latent, given), generator, 1.0 if fit.step % 3 else 0.5)

    def loss(examples):
        asked.append(1)
        return objective.loss(examples)

    assert fit.run(draw, loss, record=record)
    return fit.masters, fit.averages, len(asked)


@pytest.mark.parametrize("config", [micro.SINGLE, micro.MULTI], ids=["single", "multi"])
def test_replayed_steps_are_the_steps_themselves(tmp_path, config):
    *plain, asked = trained(tmp_path / "plain.pt", config, record=False)
    assert asked == STEPS
    *replayed, asked = trained(tmp_path / "replayed.pt", config, record=True)
    assert asked == 6  # two as they are and one recorded, for each of two shapes
    for mine, theirs in zip(replayed, plain, strict=True):
        for name, value in theirs.items():
            assert torch.allclose(mine[name], value, rtol=1e-3, atol=2e-4), name
