"""HDMap and LiDAR condition videos and a caption to a front video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dreamkit.transfer import folders
from dreamkit.transfer.base_pipeline import Listener, Pipeline, Reporter, Weights, build_parts, reset_peak
from dreamkit.transfer.config import COSMOS_7B_SINGLE
from dreamkit.transfer.engine import Networks, Window, denoise_window, load_networks
from dreamkit.transfer.memory import explain_out_of_memory
from dreamkit.transfer.sampling import seeded_noise
from dreamkit.transfer.tokenizer import Tokenizer
from dreamkit.transfer.windows import cut_weight, cut_window, single_view_starts

# A model input, verbatim from cosmos-transfer1 diffusion/inference/transfer.py (--negative_prompt).
NEGATIVE_PROMPT = (
    "The video captures a game playing, with bad crappy graphics and cartoonish frames. It represents a recording of "
    "old outdated games. The lighting looks very fake. The textures are very raw and basic. The geometries are very "
    "primitive. The images are very pixelated and of poor CG quality. There are many subtitles in the footage. "
    "Overall, the video is unrealistic at all."
)


class SingleViewPipeline(Pipeline):
    """HDMap and LiDAR condition videos and a caption to a front video (Cosmos-Transfer1-7B-Sample-AV)."""

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
        """Load from a folder in NVIDIA's layout (the tiny bundle has the same one).

        Args:
            checkpoints: the folder.
            controls: `hdmap`, `lidar` or both.
            preset: `exact`.
            device: CUDA where there is one, else the CPU.
            attention: `auto`, `te`, `cudnn` or `sdpa`.
            control_files: files that replace a control's own, by name.
            text_cache: folder for text embeddings.
            trust_jit: TorchScript files to run though their checksums are unknown.
            offload: keep the denoiser in host memory while text encoder or tokenizer work.
            tokenizer: one of the caller's own instead of the folder's.

        Raises:
            DreamkitError: a file is missing, broken, of another kind or not trusted; no GPU for the 7B models.
        """
        root = Path(checkpoints)
        files = folders.single_view_files(root, controls, control_files)
        config, setup, tokenizer, text = build_parts(
            root, folders.SINGLE_VIEW, COSMOS_7B_SINGLE, preset, device, attention, text_cache, trust_jit, tokenizer
        )
        with explain_out_of_memory(setup.device, "Free the GPU of other work, or use a larger one."):
            networks = load_networks(config.denoiser, files, setup)
        if offload:
            networks.to(torch.device("cpu"))
        pipeline = cls(config, setup, tokenizer, text, offload)
        pipeline.files, pipeline.networks = files, networks
        return pipeline

    files: dict[str, Path]
    networks: Networks

    def info(self) -> dict[str, Any]:
        """What ran, for the sidecar: preset, device, kernels, peak memory of the last call."""
        return self.parts_info(self.networks)

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str,
        controls: Mapping[str, np.ndarray],
        *,
        weights: Weights | None = None,
        steps: int = 35,
        guidance: float = 5.0,
        seed: int = 0,
        negative_prompt: str | None = None,
        fps: float = 24,
        windows: Literal["first", "all"] = "first",
        progress: Listener | None = None,
    ) -> np.ndarray:
        """Make a front video.

        Args:
            prompt: the caption.
            controls: per control, uint8 [T, H, W, 3] of any size; all of one length.
            weights: per control a number, a map [T, H, W] or [H, W], or None (0.5).
            steps: solver steps.
            guidance: weight of the prompt against the negative one.
            seed: of the first window; window i adds i.
            negative_prompt: None for upstream's.
            fps: of the output, which the model takes into account.
            windows: `first` makes one window; `all` the whole length, the scene jumping between windows because this
                model takes no previous frames.
            progress: called at every stage and step; it may ask for a still after a step.

        Returns:
            uint8 [T, H, W, 3] at the model's size; T is the input's length, at most one window with `first`.
        """
        self.check_controls(controls, weights, steps, list(self.networks.branches), "THWC")
        reset_peak(self.setup.device)
        window_frames = self.config.window_frames
        frames = next(iter(controls.values())).shape[0]
        frames = min(frames, window_frames) if windows == "first" else frames
        starts = single_view_starts(frames, window_frames)
        report = Reporter(progress, len(starts))
        report("text", 0, 1)
        negative = NEGATIVE_PROMPT if negative_prompt is None else negative_prompt
        text_VMC, negative_VMC = self.text.encode([prompt, negative])[:, None]
        out = np.empty((frames, self.config.height, self.config.width, 3), np.uint8)
        with explain_out_of_memory(self.setup.device, "Set offload: true, free the GPU, or use a larger one."):
            for index, start in enumerate(starts):
                report.window = index
                hints = {}
                for number, (name, video) in enumerate(controls.items()):
                    report("encode", number, len(controls))
                    part = cut_window(video[:frames], start, window_frames)
                    hints[name] = self.encode_frames(part)
                window = Window(
                    text_VMC,
                    negative_VMC,
                    hints,
                    {n: cut_weight(w, frames, start, window_frames) for n, w in (weights or {}).items()},
                    seeded_noise((1, *self.config.latent_shape), seed + index, self.setup.device),
                    steps,
                    guidance,
                    fps,
                    window_frames,
                )
                if self.offload:
                    self.networks.to(self.setup.device)
                report("denoise", 0, steps + 1)
                latent = denoise_window(self.networks, self.config, window, self.listen(report, steps))
                if self.offload:
                    self.networks.to(torch.device("cpu"))
                report("decode", 0, 1)
                made = self.decode_latent(latent)
                first = 0 if index == 0 else 1  # a later window repeats the frame before it
                end = min(frames, start + window_frames)
                out[start + first : end] = made[first : end - start]
        report("decode", 1, 1)
        return out
