"""The training loop of every stage: float32 master weights, their average, a schedule and a resumable state."""

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

from dreamkit.tinyworld.train.cuda_graph import CapturedStep
from dreamkit.workspace.files import replacing

log = logging.getLogger("dreamkit")

Examples = TypeVar("Examples")
_LOG_EVERY = 100
_PACE_FROM, _PACE_TO = 30, 90  # steps over which the time of a step is measured; the first ones compile


@dataclass(frozen=True)
class Schedule:
    """Number of steps and learning rates of a stage.

    Attributes:
        steps: total number of training steps.
        adamw_lr: peak learning rate of AdamW.
        muon_lr: peak learning rate of Muon: the spectral norm of a square matrix's update.
        warmup: steps of the linear warm-up.
        weight_decay: of the matrices that AdamW trains.
        ema_decay: of the averaged weights; smaller in the first steps.
    """

    steps: int
    adamw_lr: float = 1.5e-3
    muon_lr: float = 0.03
    warmup: int = 150
    weight_decay: float = 0.01
    ema_decay: float = 0.998

    def lr_scale(self, step: int) -> float:
        """Factor of both learning rates at a step: linear warm-up to 1, then a half cosine down to 0.01."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


@dataclass
class Trainer:
    """Trains one network with AdamW and Muon.

    The network runs in its own dtype (bf16 on a GPU). The optimizers update float32 master weights; the stage delivers
    their exponential moving average. Muon trains the matrices inside the network, AdamW all other parameters.

    Attributes:
        network: module whose parameters with `requires_grad` are trained.
        schedule: number of steps and learning rates.
        path: file of the resumable state.
        seed: of the stage; step i draws its batch from a generator seeded with (seed, i).
        by_muon: predicate on parameter names: whether Muon trains this matrix.
        step: number of steps done.
        seconds: training time, summed over all runs.
        masters: float32 weights by name.
        averages: exponential moving average of the masters, by name.
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
        groups = [
            {"params": matrices, "weight_decay": self.schedule.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.device = next(iter(self.masters.values())).device
        # These change at every step; as tensors on the device, a captured step reads their current values.
        self.lr_share, self.ema_weight, adamw_lr = torch.zeros(3, device=self.device).unbind()
        cuda = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            groups, lr=adamw_lr if cuda else 0.0, betas=(0.9, 0.98), fused=cuda, capturable=cuda
        )

    def run(
        self,
        draw: Callable[[torch.Generator], Examples],
        loss_of: Callable[[Examples], torch.Tensor],
        minutes: float | None = None,
        seconds: float | None = None,
        use_graphs: bool = True,
    ) -> bool:
        """Train to the end of the schedule, or until the time limit.

        Args:
            draw: makes a batch, with all random numbers of the step, from a generator on the network's device.
            loss_of: loss of a batch; must meet the conditions that `CapturedStep` sets for a step.
            minutes: stop after this time; the state is saved in any case.
            seconds: set the number of steps to what fits into this time, measured over the first steps.
            use_graphs: whether steps are captured as CUDA graphs on a GPU.

        Returns:
            Whether the end of the schedule was reached.
        """

        def step(examples: Examples) -> torch.Tensor:
            loss = loss_of(examples)
            loss.backward()
            self._move()
            return loss

        self.load()
        captured = CapturedStep(step, self.device if use_graphs else torch.device("cpu"))
        with captured.side_stream():
            return self._run(draw, captured, minutes, seconds)

    def _run(
        self,
        draw: Callable[[torch.Generator], Examples],
        step: Callable[[Examples], torch.Tensor],
        minutes: float | None,
        seconds: float | None,
    ) -> bool:
        generator = torch.Generator(self.device)
        begun, before = time.perf_counter(), self.seconds
        # Measured once: a resumed run past the measured steps keeps the number of steps saved in the state.
        pace_from = self.step + _PACE_FROM if seconds is not None and self.step < _PACE_TO else None
        paced_from = begun
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
                loss.item()  # synchronise with the GPU
                paced_from = time.perf_counter()
            if seconds is not None and pace_from is not None and self.step == pace_from + _PACE_TO - _PACE_FROM:
                loss.item()
                now = time.perf_counter()
                pace = (now - paced_from) / (_PACE_TO - _PACE_FROM)
                left = seconds - (before + now - begun)
                self.schedule = replace(self.schedule, steps=self.step + max(1, int(left / pace)))
                log.info("%s: %.1f ms a step, %d steps", self.path.stem, 1000 * pace, self.schedule.steps)
            if self.step % _LOG_EVERY == 0 or self.step == self.schedule.steps:
                mean = torch.stack(losses).float().mean().item()  # synchronises with the GPU
                losses.clear()
                self.seconds = before + time.perf_counter() - begun
                log.info(
                    "%s step %d/%d loss %.4f rate %.2e %.0f s",
                    self.path.stem,
                    self.step,
                    self.schedule.steps,
                    mean,
                    self.schedule.adamw_lr * self.schedule.lr_scale(self.step),
                    self.seconds,
                )
            if minutes is not None and time.perf_counter() - begun > 60 * minutes:
                break
        self.seconds = before + time.perf_counter() - begun
        self.save()
        return self.step >= self.schedule.steps

    def _set_rates(self) -> None:
        share = self.schedule.lr_scale(self.step)
        self.lr_share.fill_(share)
        self.ema_weight.fill_(1 - min(self.schedule.ema_decay, (2 + self.step) / (11 + self.step)))
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(self.schedule.adamw_lr * share)
            else:
                group["lr"] = self.schedule.adamw_lr * share

    @torch.no_grad()
    def _move(self) -> None:
        """One optimizer step on the master weights, then update the network and the average."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.trained.values()]
        torch._foreach_copy_(self.grads, grads)  # pyright: ignore[reportPrivateImportUsage]  # not in torch's stubs
        self.network.zero_grad(set_to_none=True)
        torch.nn.utils.clip_grad_norm_(self.masters.values(), 1.0)
        self.optimizer.step()
        muon_step(self.masters, self.momentum, self.schedule.muon_lr * self.lr_share)
        masters, averages = list(self.masters.values()), list(self.averages.values())
        # torch's stubs do not declare the _foreach_ operations.
        moved = torch._foreach_sub(masters, averages)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_mul_(moved, self.ema_weight)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_add_(averages, moved)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_copy_(list(self.trained.values()), masters)  # pyright: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def use_average(self) -> nn.Module:
        """Copy the averaged weights into the network; returns it in evaluation mode."""
        for name, parameter in self.trained.items():
            parameter.copy_(self.averages[name])
        return self.network.eval()

    def save(self) -> None:
        """Write the state atomically; the optimizer's moments in bf16, which keeps the file under 16 MiB."""
        moments = {
            name: {key: value.bfloat16() if value.ndim else value for key, value in self.optimizer.state[p].items()}
            for name, p in self.masters.items()
            if p in self.optimizer.state
        }
        state = {
            "step": self.step,
            "steps": self.schedule.steps,
            "seconds": self.seconds,
            "masters": self.masters,
            "averages": self.averages,
            "moments": moments,
            "momentum": {name: m.bfloat16() for name, m in self.momentum.items()},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as part:
            torch.save(state, part)

    @torch.no_grad()
    def load(self) -> None:
        """Resume from the state on disk, if there is one."""
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
                # The step count is a float32 scalar; fused kernels need it on the device.
                self.optimizer.state[master] = {key: value.float().to(self.device) for key, value in found.items()}
        log.info("%s resumes at step %d", self.path.stem, self.step)


@torch.no_grad()
def muon_step(weights: dict[str, torch.Tensor], momentum: dict[str, torch.Tensor], lr: float | torch.Tensor) -> None:
    """One Muon step, in place, on every weight that has a momentum buffer; gradients are read from `.grad`.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks": Nesterov momentum 0.95,
    orthogonalized by five Newton-Schulz iterations. Matrices of one shape are stacked, for few large products.
    """
    # torch.optim.Muon (2.9; the floor is 2.7) iterates in bf16, one matrix at a time: other numbers, more launches.
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name in momentum:
        by_shape.setdefault(tuple(weights[name].shape), []).append(name)
    for shape, names in by_shape.items():
        grads = torch.stack([_gradient(weights[name]) for name in names])
        kept = torch.stack([momentum[name] for name in names]).lerp_(grads, 0.05)
        step = orthogonal(grads.lerp(kept, 0.95)) * (-lr * max(1.0, shape[0] / shape[1]) ** 0.5)
        for name, kept_one, step_one in zip(names, kept, step, strict=True):
            momentum[name].copy_(kept_one)
            weights[name].add_(step_one)


def _gradient(weight: torch.Tensor) -> torch.Tensor:
    assert weight.grad is not None
    return weight.grad


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Approximately the nearest semi-orthogonal matrices to [N, R, C]; coefficients from Jordan et al. 2024."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
