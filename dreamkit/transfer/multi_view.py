"""The multi-view pipeline: from a front video, condition videos and a prompt per view, the videos of all views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.base_pipeline import RUN_HINT, Pipeline
from dreamkit.transfer.call_checks import check_frames
from dreamkit.transfer.config import latent_length
from dreamkit.transfer.encoded_controls import EncodedControls, Given, VideoInputs, Weights
from dreamkit.transfer.joined_video import make_joined
from dreamkit.transfer.memory import explain_out_of_memory
from dreamkit.transfer.model_files import multi_view_model
from dreamkit.transfer.reports import Listener, Reporter
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.transfer.views import condition_mask
from dreamkit.transfer.windows import cut_window, multi_view_windows


class MultiViewPipeline(Pipeline):
    """The multi-view model (Cosmos-Transfer1-7B-Sample-AV-Single2MultiView); a call returns the videos of all views."""

    axes = "VTHWC"

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
        return cls.load(
            multi_view_model(Path(checkpoints), controls, control_files, views),
            preset,
            device,
            attention=attention,
            text_cache=text_cache,
            trust_jit=trust_jit,
            offload=offload,
            tokenizer=tokenizer,
        )

    @torch.inference_mode()
    def __call__(
        self,
        prompts: Sequence[str],
        front: np.ndarray,
        controls: Mapping[str, np.ndarray] | EncodedControls,
        *,
        weights: Weights | None = None,
        steps: int = 35,
        guidance: float = 3.0,
        seed: int = 0,
        fps: float = 24,
        num_input_frames: int = 9,
        windows: Literal["extension", "joined"] = "extension",
        progress: Listener | None = None,
    ) -> np.ndarray:
        """Generate the videos of all views from a front video.

        Args:
            prompts: one per view, camera sentences included.
            front: front video, uint8 [T, H, W, 3] of any size.
            controls: per control, uint8 [V, T, H, W, 3] of any size; or the result of `encode_controls`.
            weights: per control a number, or None (0.5); maps are for single view.
            steps: solver steps.
            guidance: g in cond + g (cond - uncond); 0 for no guidance. There is no negative prompt.
            seed: of the first window's noise; window i has seed + i.
            fps: of the result; the model takes it as an input.
            num_input_frames: frames that a later window takes over from the one before, 9 or 1. Not used with encoded
                controls, whose windows are fixed.
            windows: of a front video longer than one window: `extension` makes one window after another by the `v2w`
                files, as upstream; `joined` denoises overlapping windows together by the `t2w` files, see `joined`.
                Not used with encoded controls.
            progress: called at every stage and step; after a step it can decode a preview frame.

        Returns:
            uint8 [V, T, H, W, 3] at the model's size. Without the `v2w` files T is at most one window
            with `extension`.

        Raises:
            DreamkitError: an argument of another shape, type or range; out of memory.
        """
        views = self.config.views
        self._check_call(controls, weights, steps)
        check_frames("The front video", front, "THWC")
        _check_views(prompts, front, controls, views, num_input_frames)
        if any(isinstance(weight, torch.Tensor) for weight in (weights or {}).values()):
            raise DreamkitError(
                "A control weight map is given for several views.", "Give a number; maps work in single view only."
            )
        self._reset_peak()
        if isinstance(controls, EncodedControls):
            plan, self._encode_peak = controls.windows, controls.peak_gpu_bytes
        else:
            plan = multi_view_windows(front.shape[0], self.window_frames, num_input_frames, self.has_extension, windows)
            self._encode_peak = 0
        report = Reporter(progress, len(plan.starts))
        report("text", 0, 1)
        text_VMC = self.text.encode(list(prompts))
        front = front[: plan.frames]

        def given(made: np.ndarray, start: int, overlap: int) -> Given:
            return self._given(front, made, start, overlap)

        with explain_out_of_memory(self.compute.device, RUN_HINT):
            if not isinstance(controls, EncodedControls):
                controls = EncodedControls(plan, self._encode(controls, plan, report), 0)
            negative = torch.zeros_like(text_VMC)
            inputs = VideoInputs(text_VMC, negative, controls, weights, steps, guidance, seed, fps)
            if plan.joined:
                return make_joined(self, inputs, report, lambda start: self._given(front, front[None], start, 0))
            return self._make(inputs, report, given)

    def _given(self, front: np.ndarray, made: np.ndarray, start: int, overlap: int) -> Given:
        """Mask and clean latents of what is not generated: the front view, and the overlap of every other view.

        The overlap is encoded again from uint8 frames, followed by black ones; the tokenizer is causal, so these do not
        change the latents before them.
        """
        config, window_frames = self.config, self.window_frames
        latents = [self.encode_frames(cut_window(front, start, window_frames))]
        for view in range(1, config.views):
            if overlap:
                previous = np.zeros((window_frames, config.height, config.width, 3), np.uint8)
                previous[:overlap] = made[view, start : start + overlap]
                latents.append(self.encode_frames(previous))
            else:
                latents.append(torch.zeros_like(latents[0]))
        mask = condition_mask(config.views, config.latent_frames, latent_length(overlap), self.compute.device)
        return mask, torch.cat(latents, dim=2)


def _check_views(
    prompts: Sequence[str],
    front: np.ndarray,
    controls: Mapping[str, np.ndarray] | EncodedControls,
    views: int,
    num_input_frames: int,
) -> None:
    if len(prompts) != views:
        raise DreamkitError(f"{len(prompts)} prompts are given for {views} views.", "Give one prompt for each view.")
    if num_input_frames not in (1, 9):
        raise DreamkitError(f"num_input_frames is {num_input_frames}; the model takes 1 or 9.", "Use 9.")
    if isinstance(controls, EncodedControls):
        if front.shape[0] < controls.windows.frames:
            raise DreamkitError(
                f"The front video has {front.shape[0]} frames, the encoded controls {controls.windows.frames}.",
                "Encode the controls for as many frames as the front video has.",
            )
        return
    for name, videos in controls.items():
        if videos.shape[0] != views:
            raise DreamkitError(
                f"The control {name} has {videos.shape[0]} views, expected {views}.", "Give every view."
            )
        if videos.shape[1] < front.shape[0]:
            raise DreamkitError(
                f"The control {name} has {videos.shape[1]} frames, the front video {front.shape[0]}.",
                "Cut the front video, or render longer conditions.",
            )
