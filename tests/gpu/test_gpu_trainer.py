"""Training steps on a GPU: those replayed as CUDA graphs equal those run directly."""

import micro
import pytest
import torch

from dreamkit.tinyworld.train.objective import Batch, Objective, add_noise, by_muon, init_base, init_branch
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.views import condition_mask

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
STEPS = 14


def trained(path, config, use_graphs):
    """Masters and averages of a branch after some steps in two shapes, and how often its loss was asked for."""
    device, shape, asked = torch.device("cuda"), config.denoiser, []
    torch.manual_seed(0)
    base = init_base(Denoiser(shape), 0).to(device).requires_grad_(False)
    branch = init_branch(ControlBranch(shape).to(device), base, 0)
    objective = Objective(config, base, branch)
    trainer = Trainer(branch, Schedule(STEPS, warmup=2), path, 0, by_muon)

    def draw(generator):
        count = 2 + trainer.step % 2
        latent = torch.randn(count, *config.latent_shape, generator=generator, device=device) * config.sigma_data
        text = torch.randn(count * config.views, 8, shape.text_width, generator=generator, device=device)
        given = None
        if config.views > 1:
            mask = condition_mask(config.views, config.latent_frames, 1, device).expand(count, -1, -1, -1, -1)
            given = (mask, latent)
        return add_noise(Batch(latent, text, 2 * latent, given), generator, 1.0 if trainer.step % 3 else 0.5)

    def loss(examples):
        asked.append(1)
        return objective.loss(examples)

    assert trainer.run(draw, loss, use_graphs=use_graphs)
    return trainer.masters, trainer.averages, len(asked)


@pytest.mark.parametrize("config", [micro.SINGLE, micro.MULTI], ids=["single", "multi"])
def test_replayed_steps_are_the_steps_themselves(tmp_path, config):
    *plain, asked = trained(tmp_path / "plain.pt", config, use_graphs=False)
    assert asked == STEPS
    *replayed, asked = trained(tmp_path / "replayed.pt", config, use_graphs=True)
    assert asked == 6  # two eager and one captured, for each of two shapes
    for mine, theirs in zip(replayed, plain, strict=True):
        for name, value in theirs.items():
            assert torch.allclose(mine[name], value, rtol=1e-3, atol=2e-4), name
