"""Ways to make six views over a long front video, to be compared.

`extension` is upstream's: one window after another, each given the last frames of the one before, decoded and encoded
again, to networks of their own (v2w). `latents` gives the latent of those frames where the tokenizer allows, without
decoding. `first` makes every window with the networks of the first one and gives nothing, so that it jumps. `joined`
denoises overlapping windows together with the networks of the first one, see `dreamkit.transfer.joined`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from dreamkit.bench.long_ways import LongSettings
from dreamkit.transfer.config import latent_length
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.engine import Networks
from dreamkit.transfer.joined import JoinedLatents, denoise_joined, join_frames, joined_noise
from dreamkit.transfer.model_files import FIRST_WINDOW, LATER_WINDOWS
from dreamkit.transfer.pipeline import MultiViewPipeline
from dreamkit.transfer.sampling import seeded_noise
from dreamkit.transfer.views import VIEW_IDS, condition_mask
from dreamkit.transfer.windows import WindowPlan, cut_window, joined_starts, multi_view_windows
from dreamkit.workspace.cameras import view_prompts


@dataclass(frozen=True)
class SixWay:
    """One way and its settings.

    Attributes:
        name: in tables.
        kind: extension, latents, first or joined.
        given: frames given to a later window, 9 or 1.
        overlap: latent frames that neighbouring joined windows share at least, beside the later one's own first latent.
        ramp: latent frames of the overlap that are blended, see JoinedLatents.
    """

    name: str
    kind: str
    given: int = 9
    overlap: int = 1
    ramp: int = 1


SIX_WAYS = {
    way.name: way
    for way in (
        SixWay("extension", "extension"),
        SixWay("extension-1", "extension", given=1),
        SixWay("latents", "latents"),
        SixWay("first", "first"),
        SixWay("joined-1", "joined"),
        SixWay("joined-2", "joined", overlap=2),
        SixWay("joined-3", "joined", overlap=3),
        SixWay("joined-3-wide", "joined", overlap=3, ramp=3),
    )
}


class LongViews:
    """The inputs of long videos of six views, and how they are made in different ways.

    Args:
        pipeline: the model.
        caption: the front view's prompt.
        front_THWC: the front video, uint8.
        hdmap_VTHWC: condition videos, uint8.
        settings: steps, guidance, control weight and seed.
    """

    def __init__(
        self,
        pipeline: MultiViewPipeline,
        caption: str,
        front_THWC: np.ndarray,
        hdmap_VTHWC: np.ndarray,
        settings: LongSettings,
    ) -> None:
        self.pipeline, self.front_THWC, self.hdmap_VTHWC, self.settings = pipeline, front_THWC, hdmap_VTHWC, settings
        self.config, self.device = pipeline.config, pipeline.compute.device
        self.text = pipeline.text.encode(view_prompts(caption))
        self.evaluations = 0
        self._encoded: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @cached_property
    def networks(self) -> dict[str, Networks]:
        """The networks of first and of later windows."""
        return {kind: self.pipeline.store.run(kind, lambda found: found) for kind in (FIRST_WINDOW, LATER_WINDOWS)}

    @torch.inference_mode()
    def make(self, way: SixWay) -> tuple[np.ndarray, list[int]]:
        """The videos, uint8 [V, T, H, W, 3], and the frames after which the windows that make a frame change."""
        self.evaluations = 0
        return self._joined(way) if way.kind == "joined" else self._one_after_another(way)

    def _window(self, start: int, noise: torch.Tensor, given: torch.Tensor | None, latents: int) -> Window:
        """A window from frame `start` on; `given` is the clean latent of all views whose first `latents` are given."""
        if start not in self._encoded:
            frames, encode = self.config.window_frames, self.pipeline.encode_frames
            hints = [encode(cut_window(view, start, frames)) for view in self.hdmap_VTHWC]
            self._encoded[start] = torch.cat(hints, dim=2), encode(cut_window(self.front_THWC, start, frames))
        hint, front = self._encoded[start]
        views, count = self.config.views, self.config.latent_frames
        clean = torch.zeros_like(hint) if given is None else given.clone()
        clean[:, :, :count] = front
        mask = condition_mask(views, count, latents, self.device)
        sampled = (self.settings.steps, self.settings.guidance, 24, self.config.window_frames)
        weights, rest = {"hdmap": self.settings.weight}, ((mask, clean), VIEW_IDS[views])
        return Window(self.text, torch.zeros_like(self.text), {"hdmap": hint}, weights, noise, *sampled, *rest)

    def _seeded(self, index: int) -> torch.Tensor:
        return seeded_noise((1, *self.config.latent_shape), self.settings.seed + index, self.device)

    def _joined(self, way: SixWay) -> tuple[np.ndarray, list[int]]:
        frames, views = len(self.front_THWC), self.config.views
        starts = joined_starts(latent_length(frames + 7), self.config.latent_frames, way.overlap)
        layout = JoinedLatents(tuple(starts), self.config.latent_frames, way.ramp, views)
        noise = joined_noise(layout, self._seeded)
        windows = [self._window(8 * start, layout.cut(noise, index), None, 0) for index, start in enumerate(starts)]
        latent = denoise_joined(self.networks[FIRST_WINDOW], self.config, windows, layout, noise)
        self.evaluations += len(windows) * (self.settings.steps + 1)
        plan = WindowPlan(frames, tuple(8 * start for start in starts), 1, joined=True)
        made = np.empty((views, frames, *self.pipeline.size, 3), np.uint8)
        parts = [layout.cut(latent, index).chunk(views, dim=2) for index in range(len(starts))]
        for view in range(views):
            join_frames(plan, (self.pipeline.decode_latent(part[view]) for part in parts), made[view])
        return made, [8 * start for start in starts[1:]]

    def _one_after_another(self, way: SixWay) -> tuple[np.ndarray, list[int]]:
        config, views, frames = self.config, self.config.views, len(self.front_THWC)
        plan = multi_view_windows(frames, config.window_frames, way.given, extension=True)
        made = np.empty((views, frames, *self.pipeline.size, 3), np.uint8)
        latent, before = None, 0
        for index, start in enumerate(plan.starts):
            overlap = way.given if index else 0
            given, networks = None, self.networks[FIRST_WINDOW]
            if index and way.kind != "first":
                given, networks = self._given(made, start, overlap), self.networks[LATER_WINDOWS]
                if way.kind == "latents" and latent is not None:
                    self._keep_latent(given, latent, (start - before) // 8)
            latents = latent_length(overlap) if given is not None else 0
            window = self._window(start, self._seeded(index), given, latents)
            latent, before = denoise_window(networks, config, window), start
            self.evaluations += self.settings.steps + 1
            end, skip = min(frames, start + config.window_frames), min(overlap, 1 if given is None else overlap)
            for view, part in enumerate(latent.chunk(views, dim=2)):
                made[view, start + skip : end] = self.pipeline.decode_latent(part)[skip : end - start]
        return made, [start + (1 if way.kind == "first" else way.given) - 1 for start in plan.starts[1:]]

    def _given(self, made_VTHWC: np.ndarray, start: int, overlap: int) -> torch.Tensor:
        """The latents of all views whose first `overlap` frames were made, decoded and encoded again."""
        previous = np.zeros((self.config.views, self.config.window_frames, *self.pipeline.size, 3), np.uint8)
        previous[:, :overlap] = made_VTHWC[:, start : start + overlap]
        return torch.cat([self.pipeline.encode_frames(view) for view in previous], dim=2)

    def _keep_latent(self, given: torch.Tensor, latent: torch.Tensor, offset: int) -> None:
        """Put the latent that the window before has for its frame `offset + 1` where the next window has its second."""
        tokenizer, sigma_data = self.pipeline.tokenizer, self.config.sigma_data
        parts: Sequence[torch.Tensor] = latent.chunk(self.config.views, dim=2)
        for into, part in zip(given.chunk(self.config.views, dim=2), parts, strict=True):
            mean, std = tokenizer.mean[:, :, offset + 1], tokenizer.std[:, :, offset + 1]
            raw = part[:, :, offset + 1] / sigma_data * std + mean
            into[:, :, 1] = (raw - tokenizer.mean[:, :, 1]) / tokenizer.std[:, :, 1] * sigma_data
