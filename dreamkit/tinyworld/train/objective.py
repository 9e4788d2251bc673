"""Training loss of a denoiser or a control branch: EDM's loss over latents; and the initial weights of both.

Loss and preconditioning: Karras et al. 2022 (arXiv 2206.00364), eq. 7 and 8 with weight (sigma^2 + sigma_data^2) /
(sigma sigma_data)^2, which makes it the unweighted squared error of the network's raw output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.dit import Prepared, Trunk
from dreamkit.transfer.patches import timestep_features
from dreamkit.transfer.sampling import SIGMA_MAX
from dreamkit.transfer.views import VIEW_IDS

FPS = 24.0
# ln sigma: half of the examples normal around mid noise levels, half uniform up to the first level of sampling.
_MEAN, _SPREAD = 0.5, 1.5
_EVEN_SHARE, _EVEN_FROM = 0.5, 0.03


@dataclass(frozen=True)
class Batch:
    """Examples of one step.

    Attributes:
        latent: float32 [B, C, V x T, H, W], times sigma_data.
        text: text embeddings [B x V, M, C].
        hint: latent of the condition video, in the latent's shape; None without a control branch.
        given: for six-view models: mask [B, 1, V x T, 1, 1] of the given latent frames, and the given latent in the
            latent's shape.
        loss_weight: of each latent position, [B, 1, V x T, H, W]; None for equal weights.
    """

    latent: torch.Tensor
    text: torch.Tensor
    hint: torch.Tensor | None = None
    given: tuple[torch.Tensor, torch.Tensor] | None = None
    loss_weight: torch.Tensor | None = None


@dataclass(frozen=True)
class Noised:
    """Examples and their noise.

    Attributes:
        batch: the examples.
        sigma: noise levels, float32 [B].
        noise: standard normal, in the latent's shape.
        weight: control weight of the branch, float32 [].
    """

    batch: Batch
    sigma: torch.Tensor
    noise: torch.Tensor
    weight: torch.Tensor


def add_noise(batch: Batch, generator: torch.Generator, weight: float = 1.0) -> Noised:
    """Draw noise levels and noise for a batch; `weight` is the control weight of this step."""
    device = batch.latent.device
    sigma = draw_sigma(len(batch.latent), generator, device)
    noise = torch.randn(batch.latent.shape, generator=generator, device=device)
    return Noised(batch, sigma, noise, torch.full((), weight, device=device))


class Objective(nn.Module):
    """Training loss of a base denoiser and a control branch, together or of the branch alone; or of a base alone."""

    def __init__(self, config: ModelConfig, base: Denoiser, branch: ControlBranch | None = None) -> None:
        super().__init__()
        self.config = config
        self.base = base
        self.branch = branch

    def denoiser_output(
        self, x: torch.Tensor, sigma_B: torch.Tensor, batch: Batch, weight: float | torch.Tensor = 1.0
    ) -> torch.Tensor:
        """The network's raw output F (EDM eq. 7) for noisy latents [B, C, V x T, H, W], in the network's dtype.

        Args:
            x: noisy latents.
            sigma_B: their noise levels.
            batch: text, condition and given latents.
            weight: control weight.
        """
        dtype = self.base.trunk.patch.weight.dtype
        level = sigma_B.view(-1, 1, 1, 1, 1)
        data = self.config.sigma_data
        scaled = x / (level.square() + data**2).sqrt()
        mask = None
        if batch.given is not None:
            mask, given = batch.given
            scaled = torch.where(mask > 0, given / data, scaled)
        c_noise = (0.25 * sigma_B.log()).to(dtype)
        text, shape = batch.text.to(dtype), x.shape
        prepared = self._prepare(self.base.trunk, text, shape, mask)
        controls = []
        if self.branch is not None and batch.hint is not None:
            if isinstance(weight, torch.Tensor):
                weight = weight.to(dtype)
            own = self._prepare(self.branch.trunk, text, shape, mask)
            controls.append((self.branch, self.branch.prepare(own, batch.hint, weight)))
        return self.base(scaled.to(dtype), c_noise, prepared, controls)

    def _prepare(self, trunk: Trunk, text: torch.Tensor, shape: torch.Size, mask: torch.Tensor | None) -> Prepared:
        views = VIEW_IDS.get(self.config.views, (0,))
        # Without text here: `prepare` tests text for zeros, which would synchronise with the GPU at every step.
        prepared = trunk.prepare(None, shape, fps=FPS, view_ids=views, condition_mask=mask)
        return replace(prepared, text=trunk.project_text(text))

    def loss(self, noised: Noised) -> torch.Tensor:
        """Mean squared error of F over the latents that are not given, with the batch's weights, float32 []."""
        batch, level, data = noised.batch, noised.sigma.view(-1, 1, 1, 1, 1), self.config.sigma_data
        x = self._noisy(noised)
        total = level.square() + data**2
        target = (batch.latent - x * data**2 / total) * total.sqrt() / (level * data)
        return self._error(x, noised, target)

    def _noisy(self, noised: Noised) -> torch.Tensor:
        return noised.batch.latent + noised.sigma.view(-1, 1, 1, 1, 1) * noised.noise

    def _error(self, x: torch.Tensor, noised: Noised, target: torch.Tensor) -> torch.Tensor:
        batch = noised.batch
        error = (self.denoiser_output(x, noised.sigma, batch, noised.weight).float() - target).square()
        weight = torch.ones_like(error[:, :1]) if batch.loss_weight is None else batch.loss_weight
        if batch.given is not None:
            weight = weight * (1 - batch.given[0])
        return (error * weight).sum() / (weight.sum() * error.shape[1])

    @torch.no_grad()
    def x0(self, x: torch.Tensor, sigma: float, batch: Batch) -> torch.Tensor:
        """The network's estimate of the clean latent from noisy latents `x` at noise level `sigma`."""
        data = self.config.sigma_data
        sigma_B = torch.full((len(x),), sigma, device=x.device)
        total = sigma**2 + data**2
        raw = self.denoiser_output(x, sigma_B, batch).float()
        clean = x * data**2 / total + raw * sigma * data / math.sqrt(total)
        return clean if batch.given is None else torch.where(batch.given[0] > 0, batch.given[1], clean)


def draw_sigma(count: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Random noise levels of training, float32 [count]."""
    normal = _MEAN + _SPREAD * torch.randn(count, generator=generator, device=device)
    low, high = math.log(_EVEN_FROM), math.log(SIGMA_MAX)
    even = low + (high - low) * torch.rand(count, generator=generator, device=device)
    pick = torch.rand(count, generator=generator, device=device) < _EVEN_SHARE
    return torch.where(pick, even, normal).clamp(max=high).exp()


@torch.no_grad()
def init_base(base: Denoiser, seed: int) -> Denoiser:
    """Initialize a base in place: Xavier for linears, ones for norms, gates near 0.5 at every noise level.

    The modulation of each block starts at zero. As there are no biases, the AdaLN term shared by all blocks is set to
    give the gates.
    """
    torch.manual_seed(seed)
    for name, parameter in base.named_parameters():
        leaf = name.rsplit(".", 1)[-1]
        if leaf in ("q_norm", "k_norm", "time_norm"):
            nn.init.ones_(parameter)
        elif "modulation.up" in name or leaf == "bias":
            nn.init.zeros_(parameter)
        elif name.startswith("final."):
            nn.init.xavier_uniform_(parameter, gain=0.3)
        elif "pos_emb" in name or "views.table" in name:
            nn.init.normal_(parameter, std=0.3)
        else:
            nn.init.xavier_uniform_(parameter)
    trunk, width = base.trunk, base.config.width
    features = timestep_features(torch.zeros(1, device=trunk.time1.weight.device), width)
    hidden = F.silu(trunk.time1(features))[0]
    trunk.time2.weight.zero_()
    trunk.time2.weight[2 * width :] = 0.5 * hidden / hidden.square().sum()
    return base


def by_muon(name: str) -> bool:
    """Whether Muon trains the matrix of this name: all inside the network, not input, output and embedding layers."""
    return not any(part in name for part in ("patch", "final.", "pos_emb", "views.", "time1", "time2"))


@torch.no_grad()
def init_branch(branch: ControlBranch, base: Denoiser, seed: int) -> ControlBranch:
    """Initialize a branch in place: the base's first blocks, a random condition encoder, and zero output layers."""
    torch.manual_seed(seed)
    theirs = dict(base.named_parameters())
    for name, parameter in branch.named_parameters():
        if name.startswith("trunk."):
            parameter.copy_(theirs[name])
        elif name.startswith("out.") or name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_uniform_(parameter, gain=1.3)  # SiLU shrinks the variance in every layer of the encoder
    return branch
