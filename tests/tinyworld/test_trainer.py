"""The training loop: schedule, resuming from a state, averaged weights, Muon."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import nn

from dreamkit.tinyworld.train.trainer import Schedule, Trainer, orthogonal

pytestmark = pytest.mark.usefixtures("one_thread")
SCHEDULE = Schedule(steps=12, adamw_lr=1e-2, warmup=3, weight_decay=0.0)


def inside(name):
    return name.startswith("1.")


class Task:
    """A small network that must learn a linear map from noisy examples."""

    def __init__(self, path, schedule=SCHEDULE, by_muon=inside, seed=5):
        torch.manual_seed(0)
        self.network = nn.Sequential(*(nn.Linear(16, 16) for _ in range(3)))
        self.truth = torch.randn(16, 16) / 4
        self.trainer = Trainer(self.network, schedule, path, seed, by_muon)
        self.asked = 0

    def draw(self, generator):
        self.asked += 1
        return torch.randn(64, 16, generator=generator)

    def loss(self, x):
        return (self.network(x) - x @ self.truth).square().mean()

    def run(self, **options):
        return self.trainer.run(self.draw, self.loss, **options)

    def weights(self):
        return {name: p.detach().clone() for name, p in self.network.named_parameters()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "states" / "task.pt"


class Clock:
    """A clock that every step advances by `seconds`."""

    def __init__(self, monkeypatch, task, seconds):
        self.now = 100.0
        draw = task.draw

        def slow(generator):
            self.now += seconds
            return draw(generator)

        task.draw = slow
        monkeypatch.setattr("dreamkit.tinyworld.train.trainer.time.perf_counter", lambda: self.now)


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine():
    schedule = Schedule(steps=110, warmup=10)
    assert [schedule.lr_scale(step) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert schedule.lr_scale(60) == pytest.approx(0.505)
    assert schedule.lr_scale(110) == schedule.lr_scale(500) == pytest.approx(0.01)


def test_a_stage_learns_and_is_not_run_again(path):
    task = Task(path, replace(SCHEDULE, steps=200))
    before = float(task.loss(task.draw(torch.Generator().manual_seed(0))).detach())
    assert task.run() and task.asked == 201
    task.trainer.use_average()
    assert float(task.loss(task.draw(torch.Generator().manual_seed(0))).detach()) < 0.2 * before
    again = Task(path, replace(SCHEDULE, steps=200))
    assert again.run() and again.asked == 0
    for name, weight in again.trainer.use_average().named_parameters():
        assert torch.equal(weight, dict(task.network.named_parameters())[name]), name


def test_in_two_pieces_as_in_one(path, tmp_path, monkeypatch):
    whole, first = Task(tmp_path / "whole.pt"), Task(path)
    assert whole.run()
    with monkeypatch.context() as patch:
        Clock(patch, first, 7.0)
        assert not first.run(minutes=0.5)  # stops in the fifth step
    assert first.trainer.step == 5 and first.trainer.seconds == 35.0
    second = Task(path)
    assert second.run(minutes=0.5)
    assert second.asked == 7 and second.trainer.step == 12
    for name in whole.trainer.masters:
        moved = (whole.trainer.masters[name] - Task(tmp_path / "none.pt").trainer.masters[name]).norm()
        for kept in ("masters", "averages"):
            # The optimizer's moments are kept in bf16; all else is as it was, and the examples are the same.
            difference = (getattr(second.trainer, kept)[name] - getattr(whole.trainer, kept)[name]).norm()
            assert difference < 5e-3 * moved, (kept, name)


def test_other_examples_with_another_seed(path, tmp_path):
    one, other = Task(path), Task(tmp_path / "other.pt", seed=6)
    one.run()
    other.run()
    assert not torch.allclose(one.trainer.masters["0.weight"], other.trainer.masters["0.weight"], atol=1e-3)


def test_what_is_delivered_is_an_average_of_the_masters(path):
    task, seen = Task(path, replace(SCHEDULE, ema_decay=0.6)), []

    draw = task.draw
    task.draw = lambda generator: seen.append(task.weights()) or draw(generator)
    task.run()
    seen.append(task.weights())
    expected = seen[0]
    for step, weights in enumerate(seen[1:], 1):
        keep = min(0.6, (1 + step) / (10 + step))
        expected = {name: keep * expected[name] + (1 - keep) * weights[name] for name in expected}
    for name, weight in task.trainer.use_average().named_parameters():
        assert torch.allclose(weight, expected[name], atol=1e-6), name


def test_seconds_decide_the_number_of_steps(path, monkeypatch, caplog):
    task = Task(path, replace(SCHEDULE, steps=1000))
    Clock(monkeypatch, task, 2.0)
    with caplog.at_level(logging.INFO, "dreamkit"):
        assert task.run(seconds=400.0)
    assert task.trainer.step == task.asked == 200
    assert task.trainer.seconds == 400.0
    assert "2000.0 ms a step, 200 steps" in caplog.text


@pytest.mark.parametrize("stopped", [0.9, 1.4, 4.0])
def test_seconds_count_over_all_pieces(path, monkeypatch, stopped):
    schedule, pieces = replace(SCHEDULE, steps=1000), 0
    with monkeypatch.context() as patch:
        first = Task(path, schedule)
        Clock(patch, first, 2.0)
        assert not first.run(minutes=stopped, seconds=400.0)  # after 28, 43 or 121 steps
        pieces += first.asked
    second = Task(path, schedule)
    Clock(monkeypatch, second, 2.0)
    assert second.run(seconds=400.0)
    assert pieces + second.asked == second.trainer.step == 200


def test_frozen_parameters_stay(path):
    task = Task(path)
    task.network[0].requires_grad_(False)
    task.trainer = Trainer(task.network, SCHEDULE, path)
    before = task.weights()
    task.run()
    assert torch.equal(task.network[0].weight, before["0.weight"])
    assert not torch.equal(task.network[2].weight, before["2.weight"])


@pytest.mark.parametrize("shape", [(24, 24), (16, 48), (48, 16)])
def test_muon_s_matrices_have_singular_values_near_one(shape):
    random = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(random, full_matrices=False)
    matrices = left * torch.linspace(7.0, 1.0, min(shape)) @ right
    made = orthogonal(matrices)
    assert made.shape == matrices.shape
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.65 and values.max() < 1.2
    assert torch.allclose(
        (left.mT @ made @ right.mT).diagonal(dim1=1, dim2=2).sort().values, values.sort().values, atol=1e-4
    )


def test_muon_moves_only_what_it_is_given(path):
    task = Task(path)
    assert list(task.trainer.momentum) == ["1.weight"]
    before = task.weights()
    task.run()
    # Twelve steps of orthogonal matrices at a rate of at most 0.03 cannot go farther.
    moved = torch.linalg.svdvals(task.trainer.masters["1.weight"] - before["1.weight"]).max()
    assert 0.03 < moved < 12 * 0.03 * 1.2
