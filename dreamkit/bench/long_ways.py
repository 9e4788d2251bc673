"""Ways to make a front video of several windows with a model that takes no previous frames, to be compared.

`separate` is `windows: all`. `blend` denoises overlapping windows together, see `dreamkit.transfer.joined`. `known`
makes one window after another and replaces the estimate of the clean latent at the frames that the window before has
made, at every noise level, as RePaint does (Lugmayr et al. 2022, arXiv 2201.09865), with the same resampling: some
steps are taken again after noise has been added anew. `both` does so with weights that fall over the overlap, so that
the window's own estimate is blended in. `shift` uses two sets of windows in turn, one moved by half a window, as
SpotDiffusion does with patches (Frolov et al. 2024, arXiv 2407.15507).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch

from dreamkit.transfer.denoising import (
    Estimates,
    Window,
    denoise_window,
    estimate_passes,
    guided_estimate,
    prepare_passes,
)
from dreamkit.transfer.engine import Networks
from dreamkit.transfer.joined import JoinedLatents, denoise_joined, hinted, join_frames, joined_noise, without_hints
from dreamkit.transfer.model_files import FIRST_WINDOW
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT, SingleViewPipeline
from dreamkit.transfer.sampling import X0, sample, second_order_step, seeded_noise, sigma_schedule
from dreamkit.transfer.windows import WindowPlan, cut_window, joined_starts, single_view_windows


@dataclass(frozen=True)
class Way:
    """One way and its settings.

    Attributes:
        name: in tables.
        kind: separate, blend, known, both or shift.
        overlap: latent frames that neighbouring windows share at least, the later one's own first latent not counted.
        ramp: latent frames of the overlap that `blend` blends, see JoinedLatents.
        again: share of the steps that `known` and `both` take again, those in the middle.
        repeat_noise: latent frames after which the noise repeats in another order (FreeNoise, Qiu et al. 2023, arXiv
            2310.15169); 0 for never.
        fade: frames over which decoded windows are faded, at the end of the overlap; 0 for all of it.
    """

    name: str
    kind: str
    overlap: int = 3
    ramp: int = 1
    again: float = 0.0
    repeat_noise: int = 0
    fade: int = 0


@dataclass(frozen=True)
class LongSettings:
    """How the videos of a measurement are sampled.

    Attributes:
        steps: solver steps.
        guidance: guidance.
        weight: control weight.
        seed: of the noise.
    """

    steps: int
    guidance: float
    weight: float
    seed: int


class LongVideo:
    """The inputs of one long video, and how it is made in different ways.

    Args:
        pipeline: the model.
        caption: the prompt.
        hdmap_THWC: condition video, uint8.
        settings: steps, guidance, control weight and seed.
    """

    def __init__(
        self, pipeline: SingleViewPipeline, caption: str, hdmap_THWC: np.ndarray, settings: LongSettings
    ) -> None:
        self.pipeline, self.hdmap_THWC, self.settings = pipeline, hdmap_THWC, settings
        self.steps, self.seed = settings.steps, settings.seed
        self.config, self.device = pipeline.config, pipeline.compute.device
        self.text, self.negative = pipeline.text.encode([caption, NEGATIVE_PROMPT])[:, None]
        self.evaluations = 0
        self._hints: dict[int, torch.Tensor] = {}

    @property
    def frames(self) -> int:
        """Frames of the video."""
        return len(self.hdmap_THWC)

    @cached_property
    def networks(self) -> Networks:
        """The networks."""
        return self.pipeline.store.run(FIRST_WINDOW, lambda networks: networks)

    def seeded(self, index: int) -> torch.Tensor:
        """The noise of window `index`, [1, C, T, H, W]."""
        return seeded_noise((1, *self.config.latent_shape), self.seed + index, self.device)

    def window(self, start: int, noise: torch.Tensor) -> Window:
        """A window from pixel frame `start` on."""
        if start not in self._hints:
            frames = cut_window(self.hdmap_THWC, start, self.config.window_frames)
            self._hints[start] = self.pipeline.encode_frames(frames)
        hints, weights = {"hdmap": self._hints[start]}, {"hdmap": self.settings.weight}
        sampled = (self.settings.steps, self.settings.guidance, 24, self.config.window_frames)
        return Window(self.text, self.negative, hints, weights, noise, *sampled)

    @torch.inference_mode()
    def make(self, way: Way) -> tuple[np.ndarray, list[int]]:
        """The video, uint8 [T, H, W, 3], and the frames after which the windows that make a frame change."""
        self.evaluations = 0
        if way.kind == "separate":
            return self._separate()
        latents, window = 1 + math.ceil((self.frames - 1) / 8), self.config.latent_frames
        starts = joined_starts(latents, window, way.overlap)
        if way.kind == "blend":
            layout = JoinedLatents(tuple(starts), window, way.ramp)
            latent = self._blend(layout, self._noise(layout, way))
            return self._decode(layout, latent, way.fade)
        if way.kind == "shift":
            return self._shift(latents, window, way)
        return self._one_after_another(starts, way)

    def _noise(self, layout: JoinedLatents, way: Way) -> torch.Tensor:
        noise = joined_noise(layout, self.seeded)
        period = way.repeat_noise
        if period:
            for start in range(period, layout.length, period):  # each repetition in another order of its frames
                end = min(start + period, layout.length)
                order = np.random.RandomState(self.seed + start).permutation(period)[: end - start]
                noise[:, :, start:end] = noise[:, :, order.tolist()]
        return noise

    def _separate(self) -> tuple[np.ndarray, list[int]]:
        plan = single_view_windows(self.frames, self.config.window_frames, every=True)
        made = np.empty((self.frames, *self.pipeline.size, 3), np.uint8)
        for index, start in enumerate(plan.starts):
            latent = denoise_window(self.networks, self.config, self.window(start, self.seeded(index)))
            self.evaluations += self.steps + 1
            skip = 1 if index else 0
            end = min(self.frames, start + self.config.window_frames)
            made[start + skip : end] = self.pipeline.decode_latent(latent)[skip : end - start]
        return made, list(plan.starts[1:])

    def _blend(self, layout: JoinedLatents, noise: torch.Tensor) -> torch.Tensor:
        windows = [self.window(8 * start, layout.cut(noise, index)) for index, start in enumerate(layout.starts)]
        self.evaluations += len(windows) * (self.steps + 1)
        return denoise_joined(self.networks, self.config, windows, layout, noise)

    def _decode(self, layout: JoinedLatents, latent: torch.Tensor, fade: int) -> tuple[np.ndarray, list[int]]:
        plan = WindowPlan(self.frames, tuple(8 * start for start in layout.starts), 1, joined=True)
        made = np.empty((self.frames, *self.pipeline.size, 3), np.uint8)
        decoded = (self.pipeline.decode_latent(layout.cut(latent, index)) for index in range(len(layout.starts)))
        faded(plan, decoded, made, fade) if fade else join_frames(plan, decoded, made)
        return made, self._borders(plan.starts)

    def _borders(self, starts: Sequence[int]) -> list[int]:
        """The frames before every latent of the overlaps, and the last frames of the windows before them."""
        last = self.config.window_frames - 1
        ends = [(start, before + last) for before, start in pairwise(starts)]
        return sorted({at for start, end in ends for at in range(start, min(end, self.frames - 2) + 1, 8)})

    def _shift(self, latents: int, window: int, way: Way) -> tuple[np.ndarray, list[int]]:
        """Windows without overlap in every other evaluation, and in the others windows moved by half of one."""
        plain = joined_starts(latents, window, 0)
        middles = [(a + b) // 2 for a, b in pairwise(plain)]
        moved = [0, *middles, plain[-1]]
        layout = JoinedLatents(tuple(sorted({*plain, *moved})), window)
        noise = joined_noise(layout, self.seeded)
        windows = [self.window(8 * start, layout.cut(noise, index)) for index, start in enumerate(layout.starts)]
        passes = without_hints(prepare_passes(self.networks, self.config, windows[0]))
        last: list[Estimates] = []

        def estimates_of(x: torch.Tensor, sigma: float) -> Estimates:
            number = self._shifts
            self._shifts += 1
            used = layout.starts if number == 0 else plain if number % 2 else moved
            chosen = [layout.starts.index(start) for start in used]
            found = []
            for index in chosen:
                hints = hinted(self.networks, self.config, windows[index], passes)
                args = (self.networks, self.config, windows[index], hints, layout.cut(x, index), sigma)
                found.append(estimate_passes(*args))
            self.evaluations += len(chosen)
            part = JoinedLatents(tuple(used), window)
            blended = [part.blend(of_pass) for of_pass in zip(*found, strict=True)]
            full = []
            for number_of_pass, joined in enumerate(blended):
                firsts = last[-1][number_of_pass][:, :, layout.length :].clone() if last else None
                whole = torch.cat([joined[:, :, : layout.length], joined.new_zeros(*x.shape[:2], 0, *x.shape[3:])], 2)
                if firsts is None:
                    firsts = joined[:, :, layout.length :]
                else:
                    for at, index in enumerate(chosen[1:]):
                        firsts[:, :, index - 1] = joined[:, :, layout.length + at]
                full.append(torch.cat([whole, firsts], dim=2))
            last[:] = [full]
            return full

        self._shifts = 0
        x0_of = guided_estimate(self.networks, self.config, windows[0], estimates_of)
        latent = sample(x0_of, noise, self.steps)
        return self._decode(layout, latent, way.fade)

    def _one_after_another(self, starts: Sequence[int], way: Way) -> tuple[np.ndarray, list[int]]:
        pipeline, frames_of = self.pipeline, self.config.window_frames
        plan = WindowPlan(self.frames, tuple(8 * start for start in starts), 1, joined=True)
        made = np.zeros((self.frames, *pipeline.size, 3), np.uint8)
        covered = 0
        for index, start in enumerate(plan.starts):
            window = self.window(start, self.seeded(index))
            passes = prepare_passes(self.networks, self.config, window)
            x0_of = guided_estimate(
                self.networks,
                self.config,
                window,
                lambda x, sigma, w=window, p=passes: estimate_passes(self.networks, self.config, w, p, x, sigma),
            )
            again: Collection[int] = ()
            if index:
                shared = (covered - 1 - start) // 8  # latent frames, the first one not counted
                previous = np.zeros((frames_of, *pipeline.size, 3), np.uint8)
                previous[: 1 + 8 * shared] = made[start : start + 1 + 8 * shared]
                clean = pipeline.encode_frames(previous)
                share = torch.zeros(self.config.latent_frames)
                share[: shared + 1] = 1
                if way.kind == "both":
                    share[: shared + 1] -= torch.arange(shared + 1) / (shared + 1)
                x0_of = self._with_known(x0_of, clean, share.to(clean)[:, None, None])
                count = round(way.again * self.steps)
                again = range((self.steps - count) // 2, (self.steps - count) // 2 + count)
            self.evaluations += self.steps + 1 + len(again)
            latent = sample_again(x0_of, window.noise, self.steps, again, self.seed + 1000 + index)
            decoded = pipeline.decode_latent(latent)[: self.frames - start]
            if index:
                count = covered - start - 1
                rise = (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None, None, None]
                before = made[start + 1 : covered].astype(np.float32)
                made[start + 1 : covered] = np.rint(before + rise * (decoded[1 : count + 1] - before)).astype(np.uint8)
                made[covered : start + len(decoded)] = decoded[count + 1 :]
            else:
                made[: len(decoded)] = decoded
            covered = start + len(decoded)
        return made, self._borders(plan.starts)

    @staticmethod
    def _with_known(x0_of: X0, clean: torch.Tensor, share: torch.Tensor) -> X0:
        """An estimate of which `share` is the known clean latent."""
        return lambda x, sigma: x0_of(x, sigma).lerp(clean, share.expand_as(clean))


def faded(plan: WindowPlan, decoded: object, made_THWC: np.ndarray, fade: int) -> None:
    """As `join_frames`, with a fade over the last `fade` frames of each overlap alone."""
    covered = 0
    for start, frames_THWC in zip(plan.starts, decoded, strict=True):  # pyright: ignore[reportArgumentType]
        frames_THWC = frames_THWC[: plan.frames - start]
        if start == 0:
            made_THWC[: len(frames_THWC)] = frames_THWC
        else:
            count = min(fade, covered - start - 1)
            rise = (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None, None, None]
            before = made_THWC[covered - count : covered].astype(np.float32)
            own = frames_THWC[covered - count - start : covered - start]
            made_THWC[covered - count : covered] = np.rint(before + rise * (own - before)).astype(np.uint8)
            made_THWC[covered : start + len(frames_THWC)] = frames_THWC[covered - start :]
        covered = start + len(frames_THWC)


def sample_again(
    x0_of: Callable[[torch.Tensor, float], torch.Tensor],
    noise: torch.Tensor,
    steps: int,
    again: Collection[int],
    seed: int,
) -> torch.Tensor:
    """`sample` that takes the steps whose numbers are in `again` twice, with noise added between (RePaint, alg. 1)."""
    sigmas = sigma_schedule(steps).tolist()
    x, previous = noise.double() * sigmas[0], None
    for index, (sigma, next_sigma) in enumerate(pairwise(sigmas)):
        x0 = x0_of(x.float(), sigma).double()
        lower = second_order_step(x, sigma, next_sigma, x0, previous)
        if index in again:
            fresh = seeded_noise(tuple(noise.shape), seed + index, noise.device).double()
            x = lower + math.sqrt(sigma**2 - next_sigma**2) * fresh
            x0 = x0_of(x.float(), sigma).double()
            lower = second_order_step(x, sigma, next_sigma, x0, previous)
        x, previous = lower, (x0, sigma)
    return x0_of(x.float(), sigmas[-1])
