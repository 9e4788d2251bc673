"""A front video and per-view conditions to all views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders
from dreamkit.transfer.base_pipeline import Listener, Pipeline, Reporter, Weights, build_parts, check_frames, reset_peak
from dreamkit.transfer.config import COSMOS_7B_MULTI
from dreamkit.transfer.engine import Networks, Window, denoise_window, load_networks
from dreamkit.transfer.memory import explain_out_of_memory, free_memory
from dreamkit.transfer.sampling import seeded_noise
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.transfer.views import VIEW_IDS, condition_mask
from dreamkit.transfer.windows import cut_window, latents_of, multi_view_starts


class MultiViewPipeline(Pipeline):
    """A front video and per-view conditions to all views (Cosmos-Transfer1-7B-Sample-AV-Single2MultiView)."""

    @classmethod
    def from_checkpoints(
        cls,
        checkpoints: Path | str,
        controls: Sequence[str] = ("hdmap",),
        preset: str = "exact",
        device: str | torch.device | None = None,
        *,
        attention: str = "auto",
        control_files: Mapping[str, Path] | None = None,
        text_cache: Path | None = None,
        trust_jit: Sequence[Path] = (),
        offload: bool = False,
        tokenizer: Tokenizer | None = None,
        views: int = 6,
    ) -> MultiViewPipeline:
        """Load from a folder in NVIDIA's layout; arguments as for `SingleViewPipeline`, and the number of views.

        The `t2w` files make the first window. Where the `v2w` files are there too (`has_extension`), longer videos are
        made window by window. Five views need a control file of the user's own.
        """
        if views not in VIEW_IDS:
            raise DreamkitError(f"views is {views}; the models know {sorted(VIEW_IDS)}", "Use six views, or five.")
        root = Path(checkpoints)
        config, setup, tokenizer, text = build_parts(
            root, folders.MULTI_VIEW, COSMOS_7B_MULTI, preset, device, attention, text_cache, trust_jit, tokenizer
        )
        config = replace(config, views=views)
        pipeline = cls(config, setup, tokenizer, text, offload)
        pipeline.files = {"t2w": folders.multi_view_files(root, "t2w", controls, control_files)}
        pipeline.has_extension = folders.has_extension(root, controls, control_files)
        if pipeline.has_extension:
            pipeline.files["v2w"] = folders.multi_view_files(root, "v2w", controls, control_files)
        pipeline.loaded = {}
        pipeline._networks("t2w")
        return pipeline

    files: dict[str, dict[str, Path]]
    has_extension: bool
    loaded: dict[str, Networks]

    def info(self) -> dict[str, Any]:
        """What ran, for the sidecar; see `SingleViewPipeline.info`."""
        networks = next(iter(self.loaded.values()), None)
        return self.parts_info(networks)

    def _networks(self, kind: str) -> Networks:
        """The networks of a kind; the other kind leaves the GPU first when both do not fit."""
        if kind not in self.loaded:
            need = sum(path.stat().st_size for path in self.files[kind].values() if path.is_file())
            # A forward needs about two thirds of the weights' size on top of them.
            if self.setup.device.type == "cuda" and self.loaded and free_memory(self.setup.device) < 2 * need:
                self.loaded.clear()
                torch.cuda.empty_cache()
            with explain_out_of_memory(self.setup.device, "Free the GPU of other work, or use a larger one."):
                self.loaded[kind] = load_networks(self.config.denoiser, self.files[kind], self.setup)
            if self.offload:
                self.loaded[kind].to(torch.device("cpu"))
        return self.loaded[kind]

    @torch.inference_mode()
    def __call__(
        self,
        prompts: Sequence[str],
        front: np.ndarray,
        controls: Mapping[str, np.ndarray],
        *,
        weights: Weights | None = None,
        steps: int = 35,
        guidance: float = 3.0,
        seed: int = 0,
        fps: float = 24,
        num_input_frames: int = 9,
        progress: Listener | None = None,
    ) -> np.ndarray:
        """Make all views.

        Args:
            prompts: one per view, camera sentences included.
            front: front video, uint8 [T, H, W, 3] of any size.
            controls: per control, uint8 [V, T, H, W, 3] of any size.
            weights: per control a number, or None (0.5); maps are for single view.
            steps: solver steps.
            guidance: weight of the prompts against zeroed text.
            seed: of the first window; window i adds i.
            fps: of the output.
            num_input_frames: frames that an extension window is given of every view, 9 or 1.
            progress: called at every stage and step; it may ask for a still after a step.

        Returns:
            uint8 [V, T, H, W, 3] at the model's size. Without the `v2w` files T is at most one window.
        """
        views, window_frames = self.config.views, self.config.window_frames
        self.check_controls(controls, weights, steps, list(self._networks("t2w").branches), "VTHWC")
        check_frames("the front video", front, "THWC")
        _check_views(prompts, front, controls, views, num_input_frames)
        if any(isinstance(w, torch.Tensor) for w in (weights or {}).values()):
            raise DreamkitError("a control weight map is given for several views", "Maps work in single view only.")
        reset_peak(self.setup.device)
        frames = front.shape[0] if self.has_extension else min(front.shape[0], window_frames)
        starts = multi_view_starts(frames, window_frames, num_input_frames)
        report = Reporter(progress, len(starts))
        report("text", 0, 1)
        text_VMC = self.text.encode(list(prompts))
        out = np.empty((views, frames, self.config.height, self.config.width, 3), np.uint8)
        with explain_out_of_memory(self.setup.device, "Set offload: true, free the GPU, or use a larger one."):
            for index, start in enumerate(starts):
                report.window = index
                given_frames = num_input_frames if index else 0
                hints = self._encode_views(controls, frames, start, report)
                window = Window(
                    text_VMC,
                    torch.zeros_like(text_VMC),
                    hints,
                    dict(weights or {}),
                    seeded_noise((1, *self.config.latent_shape), seed + index, self.setup.device),
                    steps,
                    guidance,
                    fps,
                    window_frames,
                    self._given(front[:frames], out, start, given_frames),
                    VIEW_IDS[views],
                )
                networks = self._networks("v2w" if index else "t2w")
                if self.offload:
                    networks.to(self.setup.device)
                report("denoise", 0, steps + 1)
                given_latents = latents_of(given_frames)
                latent = denoise_window(networks, self.config, window, self.listen(report, steps, given_latents))
                if self.offload:
                    networks.to(torch.device("cpu"))
                end = min(frames, start + window_frames)
                for view, part in enumerate(latent.chunk(views, dim=2)):
                    report("decode", view, views)
                    out[view, start + given_frames : end] = self.decode_latent(part)[given_frames : end - start]
        report("decode", views, views)
        return out

    def _encode_views(
        self, controls: Mapping[str, np.ndarray], frames: int, start: int, report: Reporter
    ) -> dict[str, torch.Tensor]:
        """Hints of a window, per control [1, C, V x T, H, W]: each view encoded by itself."""
        total, done, hints = len(controls) * self.config.views, 0, {}
        for name, videos in controls.items():
            latents = []
            for video in videos:
                report("encode", done, total)
                part = cut_window(video[:frames], start, self.config.window_frames)
                latents.append(self.encode_frames(part))
                done += 1
            hints[name] = torch.cat(latents, dim=2)
        return hints

    def _given(
        self, front: np.ndarray, made: np.ndarray, start: int, given_frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask and clean latents of what a window is given: the whole front view, the last frames made of every view.

        The frames made are re-encoded from uint8 with black after them; the tokenizer is causal, so only theirs count.
        """
        config = self.config
        window_frames, latent_frames = config.window_frames, config.latent_frames
        latents = [self.encode_frames(cut_window(front, start, window_frames))]
        for view in range(1, config.views):
            if given_frames:
                previous = np.zeros((window_frames, config.height, config.width, 3), np.uint8)
                previous[:given_frames] = made[view, start : start + given_frames]
                latents.append(self.encode_frames(previous))
            else:
                latents.append(torch.zeros_like(latents[0]))
        mask = condition_mask(config.views, latent_frames, latents_of(given_frames), self.setup.device)
        return mask, torch.cat(latents, dim=2)


def _check_views(
    prompts: Sequence[str], front: np.ndarray, controls: Mapping[str, np.ndarray], views: int, num_input_frames: int
) -> None:
    if len(prompts) != views:
        raise DreamkitError(f"{len(prompts)} prompts for {views} views", "Give one prompt for each view.")
    if num_input_frames not in (1, 9):
        raise DreamkitError(f"num_input_frames is {num_input_frames}; the model knows 1 and 9", "Use 9.")
    for name, videos in controls.items():
        if videos.shape[0] != views:
            raise DreamkitError(f"control {name!r} has {videos.shape[0]} views, expected {views}", "Give every view.")
        if videos.shape[1] < front.shape[0]:
            raise DreamkitError(
                f"control {name!r} has {videos.shape[1]} frames, the front video {front.shape[0]}",
                "Cut the front video, or render longer conditions.",
            )
