"""Sampling: noise schedule, preconditioning, guidance and the solver, as free functions.

EDM preconditioning and schedule: Karras et al. 2022 (arXiv 2206.00364), eq. 5 and 7. Second-order multistep solver:
refined exponential solver, Zhang et al. 2023 (arXiv 2308.02157), Adams-Bashforth form, in float64 as in
cosmos-transfer1 diffusion/modules/res_sampler.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

SIGMA_MAX = 80.0
SIGMA_MIN = 0.002
RHO = 7.0

X0 = Callable[[torch.Tensor, float], torch.Tensor]  # (x, sigma) to the estimate of the clean latent


def sigma_schedule(steps: int, sigma_max: float = SIGMA_MAX, sigma_min: float = SIGMA_MIN) -> torch.Tensor:
    """Noise levels from `sigma_max` down to `sigma_min`, float64 [steps + 1], evenly spaced in sigma^(1/7)."""
    ramp = torch.arange(steps + 1, dtype=torch.float64) / steps
    high, low = sigma_max ** (1 / RHO), sigma_min ** (1 / RHO)
    return (high + ramp * (low - high)) ** RHO


def seeded_noise(shape: tuple[int, ...], seed: int, device: torch.device) -> torch.Tensor:
    """Unit normal noise, float32, the same on every device: numpy's legacy generator, as upstream."""
    noise = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(noise).to(device)


@dataclass(frozen=True)
class Preconditioning:
    """EDM's coefficients at one noise level.

    Attributes:
        c_skip: factor of the noisy latent in x0.
        c_out: factor of the network's output in x0.
        c_in: factor of the network's input.
        c_noise: noise level as the network takes it, ln(sigma) / 4, [1] in the network's dtype.
        sigma: the noise level, rounded to the network's dtype.
    """

    c_skip: float
    c_out: float
    c_in: float
    c_noise: torch.Tensor
    sigma: float


def precondition(sigma: float, sigma_data: float, device: torch.device, dtype: torch.dtype) -> Preconditioning:
    """Coefficients at noise level `sigma`, which is rounded to the network's dtype first, as upstream does."""
    rounded = torch.tensor([sigma], dtype=dtype, device="cpu")
    s = float(rounded)
    total = s * s + sigma_data * sigma_data
    return Preconditioning(
        c_skip=sigma_data**2 / total,
        c_out=s * sigma_data / math.sqrt(total),
        c_in=1 / math.sqrt(total),
        c_noise=torch.full((1,), float(0.25 * rounded.log()), dtype=dtype, device=device),  # a copy would synchronise
        sigma=s,
    )


def denoise(
    network: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    sigma: float,
    sigma_data: float,
    dtype: torch.dtype,
    given: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Estimate x0, the clean latent, with one evaluation of the network.

    Args:
        network: (c_in * x, c_noise) to the raw prediction, in `dtype`, or to those of P passes, joined along the batch
            axis (of size 1 in x).
        x: noisy latent, float32 [B, C, T, H, W].
        sigma: noise level of x.
        sigma_data: standard deviation of the data that the model was trained with, 0.5.
        dtype: dtype of the network.
        given: (mask [1, 1, T, 1, 1], clean latent [B, C, T, H, W]). Where the mask is 1, the clean latent replaces the
            input, scaled as at sigma 0, and the result.

    Returns:
        x0, float32 [B, C, T, H, W], of several passes joined as they are.
    """
    c = precondition(sigma, sigma_data, x.device, dtype)
    scaled = c.c_in * x
    if given is not None:
        mask, latent = given
        scaled = torch.where(mask.gt(0), latent / sigma_data, scaled)  # c_in(0) = 1 / sigma_data
    raw = network(scaled.to(dtype), c.c_noise).float()
    x0 = c.c_skip * x + c.c_out * raw
    if given is not None:
        mask, latent = given
        x0 = torch.where(mask.gt(0), latent, x0)
    return x0


def guide(conditional: torch.Tensor, unconditional: torch.Tensor, guidance: float) -> torch.Tensor:
    """Classifier-free guidance as these models define it: cond + g (cond - uncond)."""
    return conditional + guidance * (conditional - unconditional)


def second_order_step(
    x: torch.Tensor, sigma: float, next_sigma: float, x0: torch.Tensor, previous: tuple[torch.Tensor, float] | None
) -> torch.Tensor:
    """One solver step in float64, from noise level `sigma` to `next_sigma`.

    Args:
        x: noisy latent at `sigma`, float64.
        sigma: noise level of x.
        next_sigma: noise level to reach.
        x0: estimate of the clean latent at `sigma`, float64.
        previous: (x0, sigma) of the step before; None at the first step, which is then an Euler step.

    Returns:
        The latent at `next_sigma`, float64.
    """
    if previous is None:
        return x * (next_sigma / sigma) + x0 * ((sigma - next_sigma) / sigma)
    last_x0, last_sigma = previous
    now, then = -math.log(sigma), -math.log(next_sigma)
    h = then - now
    c2 = (-math.log(last_sigma) - now) / h  # negative: the second node is the step before
    phi1 = math.expm1(-h) / -h
    phi2 = (phi1 - 1.0) / -h
    b2 = phi2 / c2
    return x * math.exp(-h) + h * ((phi1 - b2) * x0 + b2 * last_x0)


def sample(
    x0_of: X0,
    noise: torch.Tensor,
    steps: int,
    sigma_max: float = SIGMA_MAX,
    on_step: Callable[[int, torch.Tensor], None] | None = None,
) -> torch.Tensor:
    """Sample a clean latent: `steps` solver steps, then one evaluation at the lowest noise level.

    Args:
        x0_of: guided estimate of the clean latent, float32 to float32.
        noise: unit normal noise, float32.
        steps: number of solver steps; there are steps + 1 evaluations of `x0_of`.
        sigma_max: first noise level.
        on_step: called after each evaluation with its number, from 1 to steps + 1, and its x0.

    Returns:
        x0 of the last evaluation, float32.
    """
    sigmas = sigma_schedule(steps, sigma_max).tolist()
    x = noise.double() * sigma_max
    previous = None
    for index, (sigma, next_sigma) in enumerate(pairwise(sigmas)):
        x0 = x0_of(x.float(), sigma)
        if on_step:
            on_step(index + 1, x0)
        x0 = x0.double()
        x = second_order_step(x, sigma, next_sigma, x0, previous)
        previous = (x0, sigma)
    x0 = x0_of(x.float(), sigmas[-1])
    if on_step:
        on_step(steps + 1, x0)
    return x0
