"""The single-view pipeline: from HDMap and LiDAR condition videos and a caption, a front video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from dreamkit.transfer.base_pipeline import RUN_HINT, Pipeline
from dreamkit.transfer.encoded_controls import EncodedControls, VideoInputs, Weights
from dreamkit.transfer.joined_video import make_joined
from dreamkit.transfer.memory import explain_out_of_memory
from dreamkit.transfer.model_files import single_view_model
from dreamkit.transfer.reports import Listener, Reporter
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.transfer.windows import front_windows

# A model input, verbatim from cosmos-transfer1 diffusion/inference/transfer.py (--negative_prompt).
NEGATIVE_PROMPT = (
    "The video captures a game playing, with bad crappy graphics and cartoonish frames. It represents a recording of "
    "old outdated games. The lighting looks very fake. The textures are very raw and basic. The geometries are very "
    "primitive. The images are very pixelated and of poor CG quality. There are many subtitles in the footage. "
    "Overall, the video is unrealistic at all."
)


class SingleViewPipeline(Pipeline):
    """The single-view model (Cosmos-Transfer1-7B-Sample-AV); a call returns a front video."""

    axes = "THWC"

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
    ) -> SingleViewPipeline:
        """Load from a folder in NVIDIA's layout, which the tiny bundle has too.

        Args:
            checkpoints: the folder.
            controls: `hdmap`, `lidar` or both.
            preset: a name of `presets.PRESETS`.
            device: None for the first GPU, or the CPU where there is none.
            attention: `auto`, `te`, `cudnn` or `sdpa`.
            control_files: control -> file that replaces the folder's own.
            text_cache: folder for text embeddings.
            trust_jit: TorchScript files to run although their checksums are unknown.
            offload: keep the denoiser in host memory while the text encoder or the tokenizer runs.
            tokenizer: a loaded one to use instead of the folder's.

        Raises:
            DreamkitError: a file is missing, broken, of another kind or not trusted; no GPU for the 7B models.
        """
        return cls.load(
            single_view_model(Path(checkpoints), controls, control_files),
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
        prompt: str,
        controls: Mapping[str, np.ndarray] | EncodedControls,
        *,
        weights: Weights | None = None,
        steps: int = 35,
        guidance: float = 5.0,
        seed: int = 0,
        negative_prompt: str | None = None,
        fps: float = 24,
        windows: Literal["first", "all", "joined"] = "first",
        progress: Listener | None = None,
    ) -> np.ndarray:
        """Generate a front video.

        Args:
            prompt: the caption.
            controls: per control, uint8 [T, H, W, 3] of any size, all of one length; or the
                result of `encode_controls`.
            weights: per control a number, a map [T, H, W] or [H, W], or None (0.5).
            steps: solver steps.
            guidance: g in cond + g (cond - uncond), uncond with the negative prompt; 0 for no guidance.
            seed: of the first window's noise; window i has seed + i.
            negative_prompt: None for upstream's.
            fps: of the result; the model takes it as an input.
            windows: `first` makes one window; `all` the whole length, and the scene jumps between windows because this
                model takes no previous frames; `joined` the whole length in overlapping windows that are denoised
                together, see `joined`. Not used with encoded controls, whose windows are fixed.
            progress: called at every stage and step; after a step it can decode a preview frame.

        Returns:
            uint8 [T, H, W, 3] at the model's size; T is the input's length, at most one window with `first`.

        Raises:
            DreamkitError: an argument of another shape, type or range; out of memory.
        """
        self._check_call(controls, weights, steps)
        self._reset_peak()
        if isinstance(controls, EncodedControls):
            plan, self._encode_peak = controls.windows, controls.peak_gpu_bytes
        else:
            frames = next(iter(controls.values())).shape[0]
            plan, self._encode_peak = front_windows(frames, self.window_frames, windows), 0
        report = Reporter(progress, len(plan.starts))
        report("text", 0, 1)
        negative = NEGATIVE_PROMPT if negative_prompt is None else negative_prompt
        text_VMC, negative_VMC = self.text.encode([prompt, negative])[:, None]
        with explain_out_of_memory(self.compute.device, RUN_HINT):
            if not isinstance(controls, EncodedControls):
                latents = self._encode({name: [video] for name, video in controls.items()}, plan, report)
                controls = EncodedControls(plan, latents, 0)
            inputs = VideoInputs(text_VMC, negative_VMC, controls, weights, steps, guidance, seed, fps)
            return (make_joined(self, inputs, report) if plan.joined else self._make(inputs, report))[0]
