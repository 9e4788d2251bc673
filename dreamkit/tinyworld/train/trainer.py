"""One loop for every stage of the recipe: master weights, their average, a schedule, a state to go on from, a log."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from dreamkit.tinyworld.train.cuda_graph import Replay
from dreamkit.workspace.files import replacing

log = logging.getLogger("dreamkit")

Examples = TypeVar("Examples")
_LOG_EVERY = 100
_PACE_FROM, _PACE_TO = 30, 90  # the steps that tell how long one takes; the first ones compile


@dataclass(frozen=True)
class Schedule:
    """How a stage is trained.

    steps: in all; rate: highest learning rate of AdamW; turn: that of Muon, in its own measure; warmup: steps to reach
    them; decay: of AdamW's matrices; average: of the averaged weights, fewer steps in the beginning.
    """

    steps: int
    rate: float = 1.5e-3
    turn: float = 0.03
    warmup: int = 150
    decay: float = 0.01
    average: float = 0.998

    def share_at(self, step: int) -> float:
        """The share of the highest rates that a step takes: a linear rise, then half a cosine down to a hundredth."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


@dataclass
class Fit:
    """A network in training.

    The network runs in its own dtype (bf16 on a GPU); float32 masters of its weights are what the optimizers move, and
    an exponential average of them is what the stage delivers. Matrices inside of the network are moved by Muon, the
    first and last layers, tables and vectors by AdamW.

    Attributes:
        network: the module whose parameters with gradients are trained.
        schedule: how.
        path: file of the resumable state.
        seed: of the stage; step i draws its batch from a generator seeded with (seed, i).
        by_muon: whether the matrix of that name is Muon's.
        step: steps made so far.
        seconds: spent on them, in all pieces together.
        masters: float32 weights by name.
        averages: of the masters, by name.
    """

    network: nn.Module
    schedule: Schedule
    path: Path
    seed: int = 0
    by_muon: Callable[[str], bool] = lambda name: False
    step: int = 0
    seconds: float = 0.0
    masters: dict[str, torch.Tensor] = field(init=False)
    averages: dict[str, torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.trained = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        self.masters = {name: p.detach().float().clone() for name, p in self.trained.items()}
        self.grads = [torch.zeros_like(p) for p in self.masters.values()]
        for master, grad in zip(self.masters.values(), self.grads, strict=True):
            master.grad = grad
        self.averages = {name: p.clone() for name, p in self.masters.items()}
        self.momentum = {n: torch.zeros_like(p) for n, p in self.masters.items() if p.ndim == 2 and self.by_muon(n)}
        matrices = [p for n, p in self.masters.items() if p.ndim > 1 and n not in self.momentum]
        vectors = [p for p in self.masters.values() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": self.schedule.decay}, {"params": vectors, "weight_decay": 0.0}]
        self.device = next(iter(self.masters.values())).device
        # Numbers that change with the step lie on the device, so that a recorded step reads those of its turn.
        self.share, self.fresh, rate = torch.zeros(3, device=self.device).unbind()
        cuda = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            groups, lr=rate if cuda else 0.0, betas=(0.9, 0.98), fused=cuda, capturable=cuda
        )

    def run(
        self,
        draw: Callable[[torch.Generator], Examples],
        loss_of: Callable[[Examples], torch.Tensor],
        minutes: float | None = None,
        seconds: float | None = None,
        record: bool = True,
    ) -> bool:
        """Train until the schedule's end or for so many minutes; returns whether the end was reached.

        Args:
            draw: examples from a generator on the network's device, and all else that is drawn at random.
            loss_of: their loss; what `Replay` says of a step holds for it.
            minutes: stop after so long; the state is saved either way.
            seconds: shorten or lengthen the schedule to what fits into so long, found out in the first steps.
            record: whether steps may be replayed on a GPU.
        """

        def step(examples: Examples) -> torch.Tensor:
            loss = loss_of(examples)
            loss.backward()
            self._move()
            return loss

        self.load()
        replay = Replay(step, self.device if record else torch.device("cpu"))
        with replay.alone():
            return self._run(draw, replay, minutes, seconds)

    def _run(
        self,
        draw: Callable[[torch.Generator], Examples],
        step: Callable[[Examples], torch.Tensor],
        minutes: float | None,
        seconds: float | None,
    ) -> bool:
        generator = torch.Generator(self.device)
        begun, before = time.perf_counter(), self.seconds
        # A schedule found out once goes on with the state; until then a piece measures its own first steps.
        pace_from = self.step + _PACE_FROM if seconds is not None and self.step < _PACE_TO else None
        losses: list[torch.Tensor] = []
        self.network.train()
        while self.step < self.schedule.steps:
            generator.manual_seed(self.seed * 1_000_003 + self.step)
            examples = draw(generator)
            self._set_rates()
            loss = step(examples)
            self.step += 1
            losses.append(loss)
            if self.step == pace_from:
                loss.item()  # wait for the GPU
                paced_from = time.perf_counter()
            if pace_from is not None and self.step == pace_from + _PACE_TO - _PACE_FROM:
                loss.item()
                now = time.perf_counter()
                pace = (now - paced_from) / (_PACE_TO - _PACE_FROM)
                left = seconds - (before + now - begun)
                self.schedule = replace(self.schedule, steps=self.step + max(1, int(left / pace)))
                log.info("%s: %.1f ms a step, %d steps", self.path.stem, 1000 * pace, self.schedule.steps)
            if self.step % _LOG_EVERY == 0 or self.step == self.schedule.steps:
                mean = torch.stack(losses).float().mean().item()  # also waits for the GPU
                losses.clear()
                self.seconds = before + time.perf_counter() - begun
                log.info("%s step %d/%d loss %.4f rate %.2e %.0f s", self.path.stem, self.step, self.schedule.steps,
                         mean, self.schedule.rate * self.schedule.share_at(self.step), self.seconds)  # fmt: skip
            if minutes is not None and time.perf_counter() - begun > 60 * minutes:
                break
        self.seconds = before + time.perf_counter() - begun
        self.save()
        return self.step >= self.schedule.steps

    def _set_rates(self) -> None:
        share = self.schedule.share_at(self.step)
        self.share.fill_(share)
        self.fresh.fill_(1 - min(self.schedule.average, (2 + self.step) / (11 + self.step)))
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(self.schedule.rate * share)
            else:
                group["lr"] = self.schedule.rate * share

    @torch.no_grad()
    def _move(self) -> None:
        """One step of the optimizer on the masters, then on to the network and the average."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.trained.values()]
        torch._foreach_copy_(self.grads, grads)
        self.network.zero_grad(set_to_none=True)
        torch.nn.utils.clip_grad_norm_(self.masters.values(), 1.0)
        self.optimizer.step()
        turn(self.masters, self.momentum, self.schedule.turn * self.share)
        masters, averages = list(self.masters.values()), list(self.averages.values())
        moved = torch._foreach_sub(masters, averages)
        torch._foreach_mul_(moved, self.fresh)
        torch._foreach_add_(averages, moved)
        torch._foreach_copy_(list(self.trained.values()), masters)

    @torch.no_grad()
    def use_average(self) -> nn.Module:
        """The network with the averaged weights, for delivery."""
        for name, parameter in self.trained.items():
            parameter.copy_(self.averages[name])
        return self.network.eval()

    def save(self) -> None:
        """Write the state whole or not at all; the optimizer's moments in bf16, which keeps a file under 16 MiB."""
        moments = {
            name: {key: value.bfloat16() if value.ndim else value for key, value in self.optimizer.state[p].items()}
            for name, p in self.masters.items()
            if p in self.optimizer.state
        }
        state = {
            "step": self.step, "steps": self.schedule.steps, "seconds": self.seconds,
            "masters": self.masters, "averages": self.averages,
            "moments": moments, "momentum": {name: m.bfloat16() for name, m in self.momentum.items()},
        }  # fmt: skip
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as part:
            torch.save(state, part)

    @torch.no_grad()
    def load(self) -> None:
        """Go on from the state on disk, where there is one."""
        if not self.path.is_file():
            return
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.schedule = replace(self.schedule, steps=state["steps"])
        for name, master in self.masters.items():
            master.copy_(state["masters"][name])
            self.averages[name].copy_(state["averages"][name])
            self.trained[name].copy_(master)
            if name in self.momentum:
                self.momentum[name].copy_(state["momentum"][name])
            if name in state["moments"]:
                found = state["moments"][name]
                # The count of steps is a float32 scalar; fused kernels want it on the device.
                self.optimizer.state[master] = {key: value.float().to(self.device) for key, value in found.items()}
        log.info("%s goes on at step %d", self.path.stem, self.step)


@torch.no_grad()
def turn(weights: dict[str, torch.Tensor], momentum: dict[str, torch.Tensor], rate: float | torch.Tensor) -> None:
    """One step of Muon on the weights that have a momentum; their gradients are taken from `.grad`.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks": Nesterov momentum 0.95, made
    orthogonal by five Newton-Schulz steps. Matrices of one shape go together, which is a few large products.
    """
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name in momentum:
        by_shape.setdefault(tuple(weights[name].shape), []).append(name)
    for shape, names in by_shape.items():
        grads = torch.stack([weights[name].grad for name in names])
        kept = torch.stack([momentum[name] for name in names]).lerp_(grads, 0.05)
        step = orthogonal(grads.lerp(kept, 0.95)) * (-rate * max(1.0, shape[0] / shape[1]) ** 0.5)
        for name, kept_one, step_one in zip(names, kept, step, strict=True):
            momentum[name].copy_(kept_one)
            weights[name].add_(step_one)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """About the nearest matrices with singular values of one, [N, R, C]; the coefficients are Jordan's."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
