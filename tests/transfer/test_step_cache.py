"""Skipped evaluations: which are computed, the extrapolation, given latents, and how often the networks run."""

import math
from dataclasses import replace

import micro
import numpy as np
import pytest
import torch

from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.model_files import FIRST_WINDOW
from dreamkit.transfer.pipeline import SingleViewPipeline
from dreamkit.transfer.presets import PRESETS
from dreamkit.transfer.sampling import precondition, sigma_schedule
from dreamkit.transfer.step_cache import COMPUTED_OF_36, StepCache, computed_evaluations, extrapolate

CPU = torch.device("cpu")
SHAPE = (1, 2, 3, 4, 4)


def test_the_pattern_keeps_the_first_third_at_any_number_of_steps():
    assert computed_evaluations(35) == COMPUTED_OF_36
    assert computed_evaluations(35, range(0, 36, 2)) == (0, 1, *range(2, 36, 2))
    for steps in range(1, 101):
        computed = computed_evaluations(steps)
        assert list(computed) == sorted(set(computed)) and computed[-1] <= steps
        assert set(range(min(steps + 1, max(2, round(0.3 * steps))))) <= set(computed)
        assert len(computed) / (steps + 1) <= (0.5 if steps >= 30 else 1)


def test_extrapolation_is_along_the_line_through_the_last_two():
    points = [(0.0, torch.tensor(100.0)), (1.0, torch.tensor(3.0)), (3.0, torch.tensor(7.0))]
    assert extrapolate(points, 6.0).item() == pytest.approx(13)
    assert extrapolate(points[:1], 6.0).item() == 100


def test_a_prediction_linear_in_ln_sigma_is_reproduced_and_given_latents_stay():
    """x0 = c_skip x + c_out (a + b ln sigma) at every evaluation, though the networks run at a few only."""
    a, b, clean = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(n)) for n in range(3))
    mask = torch.zeros(1, 1, 3, 1, 1)
    mask[:, :, 0] = 1
    computed = computed_evaluations(35)
    cache = StepCache(computed, 0.5, torch.float32, (mask, clean))
    called = []
    for number, sigma in enumerate(sigma_schedule(35).tolist()):
        x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(10 + number)) * sigma
        c = precondition(sigma, 0.5, CPU, torch.float32)
        right = [
            torch.where(mask.gt(0), clean, c.c_skip * x + c.c_out * sign * (a + b * math.log(sigma)))
            for sign in (1, -1)  # the conditional and the unconditional pass
        ]

        def compute(number=number, right=right):
            called.append(number)
            return right

        for got, wanted in zip(cache.estimates(number, x, sigma, compute), right, strict=True):
            assert torch.allclose(got, wanted, atol=2e-3)
            assert torch.equal(got[:, :, 0], clean[:, :, 0])
    assert tuple(called) == computed


@pytest.mark.usefixtures("one_thread")
def test_one_decision_serves_both_passes_and_the_control_branch(micro_checkpoints, monkeypatch):
    single = SingleViewPipeline.from_checkpoints(micro_checkpoints)
    ran = {Denoiser: 0, ControlBranch: 0}
    for kind, name in ((Denoiser, "forward"), (ControlBranch, "run")):
        before = getattr(kind, name)

        def counted(self, *given, kind=kind, before=before):
            ran[kind] += 1
            return before(self, *given)

        monkeypatch.setattr(kind, name, counted)
    video = np.random.default_rng(0).integers(0, 255, (17, 32, 48, 3), np.uint8)
    steps, made, frames = 11, [], micro.SINGLE.window_frames

    def make():
        ran.update(dict.fromkeys(ran, 0))
        seen = []
        out = single("a car", {"hdmap": video}, steps=steps, guidance=1.5, progress=lambda p: seen.append(p.step))
        made.append(out)
        return seen

    make()
    assert ran == {Denoiser: 2 * (steps + 1), ControlBranch: 2 * (steps + 1)}
    single.store.get(FIRST_WINDOW).preset = replace(PRESETS["fast"], fp8=False)
    seen = make()
    computed = len(computed_evaluations(steps))
    assert ran == {Denoiser: 2 * computed, ControlBranch: 2 * computed}
    assert set(range(1, steps + 2)) <= set(seen), "skipped evaluations are reported too"
    assert len(made[1]) == frames and made[0].tobytes() != made[1].tobytes()
