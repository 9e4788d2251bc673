"""Overlapping windows that are denoised together into one long latent, so that a video does not jump between them.

At every evaluation each window's estimate of the clean latent is computed, and where two windows overlap,
their estimates are averaged with weights that change linearly over the overlap; the solver steps the long latent as a
whole. This is MultiDiffusion (Bar-Tal et al. 2023, arXiv 2302.08113, eq. 5) along the time axis, as in Gen-L-Video
(Wang et al. 2023, arXiv 2305.18264).

A window's first latent frame encodes one pixel frame, all others encode eight, and the tokenizer normalises it by
numbers of its own. So a window that starts at latent frame s > 0 of the video has a first latent of its own for the
last pixel frame of the long latent's frame s: it is sampled beside the long latent and never blended. The window's
further latent frames are the long latent's s + 1 to s + T - 1. Rotary and absolute positions are those of one window.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from dreamkit.transfer.config import TEMPORAL_COMPRESSION, ModelConfig
from dreamkit.transfer.denoising import (
    Estimates,
    GuidancePass,
    Window,
    control_weights,
    estimate_passes,
    guided_estimate,
    prepare_passes,
)
from dreamkit.transfer.engine import Networks
from dreamkit.transfer.sampling import sample
from dreamkit.transfer.windows import WindowPlan


@dataclass(frozen=True)
class JoinedLatents:
    """Where the latents of overlapping windows stand in one tensor, [1, C, V x (L + n - 1), H, W].

    Of each view, the first L frames are the long latent; behind them are the first latents of the windows after the
    first.

    Attributes:
        starts: first latent frame of each window, ascending from 0.
        window: latent frames of a window.
        ramp: latent frames in the middle of an overlap that are blended of both windows, or the whole overlap where it
            is shorter. Before them the earlier window counts alone, behind them the later one: means of two estimates
            are smoother than either, so few are blended.
        views: V, the views of a window, which stand one after the other on the time axis.
    """

    starts: tuple[int, ...]
    window: int
    ramp: int = 1
    views: int = 1

    @classmethod
    def of(cls, plan: WindowPlan, config: ModelConfig) -> JoinedLatents:
        """The layout of a plan from `joined_windows`."""
        return cls(
            tuple(start // TEMPORAL_COMPRESSION for start in plan.starts), config.latent_frames, views=config.views
        )

    @property
    def length(self) -> int:
        """L, the latent frames of the long latent."""
        return self.starts[-1] + self.window

    def cut(self, joined_BCTHW: torch.Tensor, index: int) -> torch.Tensor:
        """The latent of one window, [1, C, V x T, H, W]."""
        start, first = self.starts[index], self.length + index - 1
        frames = slice(0, 1) if index == 0 else slice(first, first + 1)
        parts = []
        for view_BCTHW in joined_BCTHW.chunk(self.views, dim=2):
            parts += [view_BCTHW[:, :, frames], view_BCTHW[:, :, start + 1 : start + self.window]]
        return torch.cat(parts, dim=2)

    def weights(self) -> torch.Tensor:
        """Weight of each window's estimate at each of its latent frames, float32 [n, T]; 1 for its own first latent.

        Over r blended latent frames the later window's weights are 1 / (r + 1), 2 / (r + 1), ...
        """
        weights = torch.ones(len(self.starts), self.window)
        for index, (before, start) in enumerate(pairwise(self.starts), start=1):
            stride = start - before
            shared = self.window - 1 - stride
            from_middle = torch.arange(1, shared + 1) - (shared + 1) / 2
            ramp = (from_middle / (min(self.ramp, shared) + 1) + 0.5).clamp(0, 1)
            weights[index, 1 : shared + 1] *= ramp
            weights[index - 1, stride + 1 :] *= 1 - ramp
        total = torch.zeros(self.length)
        for index, start in enumerate(self.starts):
            own = 0 if index == 0 else 1
            total[start + own : start + self.window] += weights[index, own:]
        for index, start in enumerate(self.starts):  # three windows overlap where they are spread densely
            own = 0 if index == 0 else 1
            weights[index, own:] /= total[start + own : start + self.window]
        return weights

    def blend(self, windows_BCTHW: Iterable[torch.Tensor]) -> torch.Tensor:
        """One tensor of the windows' latents, weighted where they overlap; the windows are taken one after another."""
        weights, joined = self.weights(), None
        for index, latent_BCTHW in enumerate(windows_BCTHW):
            if joined is None:
                shape = list(latent_BCTHW.shape)
                shape[2] = self.views * (self.length + len(self.starts) - 1)
                joined = latent_BCTHW.new_zeros(shape)
            start, own = self.starts[index], 0 if index == 0 else 1
            parts = latent_BCTHW.chunk(self.views, dim=2), joined.chunk(self.views, dim=2)
            for part_BCTHW, view_BCTHW in zip(*parts, strict=True):  # the latter are views of one tensor, filled here
                weighted = part_BCTHW * weights[index].to(latent_BCTHW)[:, None, None]
                view_BCTHW[:, :, start + own : start + self.window] += weighted[:, :, own:]
                if own:
                    view_BCTHW[:, :, self.length + index - 1] = weighted[:, :, 0]
        assert joined is not None  # there is a window
        return joined


@torch.inference_mode()
def denoise_joined(
    networks: Networks,
    config: ModelConfig,
    windows: Sequence[Window],
    layout: JoinedLatents,
    noise: torch.Tensor,
    on_step: Callable[[int, torch.Tensor], None] | None = None,
) -> torch.Tensor:
    """Sample the clean latents of all windows together, float32 like `noise`, times sigma_data.

    The memory is that of one window and of the long latent: the windows are evaluated one after another, and their
    condition videos' features are computed anew for each evaluation.

    Args:
        networks: the networks.
        config: sizes of the model.
        windows: the windows; they differ in their hints, weights and given latents alone.
        layout: where their latents stand.
        noise: unit normal, [1, C, V x (L + n - 1), H, W].
        on_step: as for `denoise_window`; the estimate is that of the whole tensor.
    """
    passes = without_hints(prepare_passes(networks, config, windows[0]))

    def estimates_of(x: torch.Tensor, sigma: float) -> Estimates:
        of_windows = [
            estimate_passes(networks, config, window, hinted(networks, config, window, passes), part, sigma)
            for window, part in zip(windows, map(functools.partial(layout.cut, x), range(len(windows))), strict=True)
        ]
        return [layout.blend(of_pass) for of_pass in zip(*of_windows, strict=True)]

    whole = replace(windows[0], given=joined_given(windows, layout))
    x0_of = guided_estimate(networks, config, whole, estimates_of)
    return sample(x0_of, noise.to(networks.base.trunk.patch.weight.device), windows[0].steps, on_step=on_step)


def joined_given(windows: Sequence[Window], layout: JoinedLatents) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mask and clean latent of what is not generated, in the whole tensor; None where all is generated."""
    given = [window.given for window in windows if window.given is not None]
    if not given:
        return None
    masks, latents = zip(*given, strict=True)
    return layout.blend(masks), layout.blend(latents)


def without_hints(passes: Sequence[GuidancePass]) -> list[GuidancePass]:
    """Passes whose controls have no features of a condition video yet; see `hinted`."""
    return [
        replace(
            of_pass,
            controls=tuple((b, replace(c, hint_BLC=c.hint_BLC.new_empty(0), weight=0.0)) for b, c in of_pass.controls),
        )
        for of_pass in passes
    ]


def hinted(
    networks: Networks, config: ModelConfig, window: Window, passes: Sequence[GuidancePass]
) -> list[GuidancePass]:
    """The passes with a window's own condition videos and control weights."""
    weights = control_weights(config, window)
    division = networks.division(window.guidance, tuple(window.noise.shape))
    like = networks.base.trunk.patch.weight
    features = []
    for name, weight in weights.items():
        weight = weight.to(like) if isinstance(weight, torch.Tensor) else weight
        branch, prepared = networks.branches[name], passes[0].controls[len(features)][1]
        hint_BLC = branch.prepare(prepared.trunk, window.hints[name].to(like.device), weight).hint_BLC
        if division is not None:
            hint_BLC = division.tokens(hint_BLC)
            weight = division.tokens(weight) if isinstance(weight, torch.Tensor) else weight
        features.append((hint_BLC, weight))
    return [
        replace(
            of_pass,
            controls=tuple(
                (branch, replace(control, hint_BLC=hint_BLC, weight=weight))
                for (branch, control), (hint_BLC, weight) in zip(of_pass.controls, features, strict=True)
            ),
        )
        for of_pass in passes
    ]


def joined_noise(layout: JoinedLatents, seeded: Callable[[int], torch.Tensor]) -> torch.Tensor:
    """Noise of the long latents and the first latents, [1, C, V x (L + n - 1), H, W].

    `seeded(i)` is the noise of window i where windows do not overlap, [1, C, V x T, H, W]; their latent frames follow
    each other here as they do there.
    """
    later, covered = len(layout.starts) - 1, layout.window
    noises = [seeded(0)]
    while covered < layout.length or len(noises) <= later:
        noises.append(seeded(len(noises)))
        covered += layout.window - 1
    views = []
    for of_view in zip(*(noise.chunk(layout.views, dim=2) for noise in noises), strict=True):
        long_BCTHW = torch.cat([of_view[0], *(noise[:, :, 1:] for noise in of_view[1:])], dim=2)
        views += [long_BCTHW[:, :, : layout.length], *(noise[:, :, :1] for noise in of_view[1 : later + 1])]
    return torch.cat(views, dim=2)


def join_frames(plan: WindowPlan, decoded: Iterable[np.ndarray], made_THWC: np.ndarray) -> None:
    """Put the windows' frames into the video, faded where windows overlap.

    Args:
        plan: the windows.
        decoded: the frames of each window in turn, uint8 [T, H, W, 3].
        made_THWC: filled with the frames of the video, uint8.
    """
    covered = 0
    for start, frames_THWC in zip(plan.starts, decoded, strict=True):
        frames_THWC = frames_THWC[: plan.frames - start]
        if start == 0:
            made_THWC[: len(frames_THWC)] = frames_THWC
        else:
            shared = slice(start + 1, covered)
            count = covered - start - 1
            share = (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None, None, None]
            before = made_THWC[shared].astype(np.float32)
            made_THWC[shared] = np.rint(before + share * (frames_THWC[1 : count + 1] - before)).astype(np.uint8)
            made_THWC[covered : start + len(frames_THWC)] = frames_THWC[count + 1 :]
        covered = start + len(frames_THWC)
