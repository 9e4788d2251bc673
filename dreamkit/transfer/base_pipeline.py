"""The base of both pipelines: loading, encoding of condition videos, the loop over windows, previews."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders
from dreamkit.transfer.call_checks import check_frames, check_loaded, check_videos, check_weights_and_steps
from dreamkit.transfer.config import latent_length
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.encoded_controls import EncodedControls, Given, VideoInputs, Weights
from dreamkit.transfer.engine import ComputeSettings, Networks, choose_compute
from dreamkit.transfer.memory import explain_out_of_memory
from dreamkit.transfer.model_files import FIRST_WINDOW, LATER_WINDOWS, ModelFiles
from dreamkit.transfer.network_store import NetworkStore
from dreamkit.transfer.parallel import Ranks, decode_views
from dreamkit.transfer.reports import Listener, Reporter
from dreamkit.transfer.sampling import seeded_noise
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import Tokenizer, load_tokenizer
from dreamkit.transfer.views import VIEW_IDS
from dreamkit.transfer.weight_maps import weight_of_window
from dreamkit.transfer.windows import WindowPlan, cut_window

if TYPE_CHECKING:
    from typing_extensions import Self

RUN_HINT = "Set a smaller preset (24gb, 16gb or 12gb), free the GPU, or use a larger one."


class Pipeline:
    """A loaded model: the common base of SingleViewPipeline and MultiViewPipeline, which can be called.

    Attributes:
        model: its sizes and checkpoint files.
        store: its networks, and where their weights are.
        tokenizer: frames to latents and back.
        text: prompts to embeddings.
    """

    axes: ClassVar[str]
    """Axes of a control's frames: THWC or VTHWC."""

    def __init__(
        self,
        model: ModelFiles,
        compute: ComputeSettings,
        tokenizer: Tokenizer,
        text: TextEncoder,
        offload: bool,
        store: NetworkStore | None = None,
    ) -> None:
        self.model = model
        self.config = model.config
        self.store = store or NetworkStore(model, compute, offload)
        self.tokenizer = tokenizer
        self.text = text
        self.text.budget = self.store.budget
        self._encode_peak = 0
        if compute.preset.memory_gib is None:
            self.store.get(FIRST_WINDOW)
        # Else on first use: host memory then holds the weights, and before them the text encoder, not both.

    @classmethod
    def load(
        cls,
        model: ModelFiles,
        preset: str = "exact",
        device: str | torch.device | None = None,
        *,
        attention: str = "auto",
        text_cache: Path | None = None,
        trust_jit: Sequence[Path] = (),
        offload: bool = False,
        tokenizer: Tokenizer | None = None,
        ranks: Ranks | None = None,
    ) -> Self:
        """Load a model that `single_view_model` or `multi_view_model` found; see `from_checkpoints` for the rest.

        `ranks` is for the processes of `workers`, which divide every window among them.
        """
        config, root = model.config, model.root
        compute = replace(choose_compute(device, preset, attention, config), ranks=ranks)
        tokenizer = tokenizer or load_tokenizer(
            root / folders.TOKENIZER, compute.device, compute.dtype, config.window_frames, trust_jit
        )
        text = TextEncoder(root / folders.TEXT_ENCODER, compute.device, config.denoiser.text_tokens, text_cache)
        return cls(model, compute, tokenizer, text, offload)

    @property
    def compute(self) -> ComputeSettings:
        """Device, dtype, preset and attention backend."""
        return self.store.compute

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the videos it makes."""
        return self.config.height, self.config.width

    @property
    def window_frames(self) -> int:
        """Frames of one window."""
        return self.config.window_frames

    @property
    def has_extension(self) -> bool:
        """Whether windows after the first have networks of their own."""
        return self.model.has_extension

    def encode_prompts(self, prompts: Sequence[str]) -> None:
        """Encode all prompts of a batch now, in one load of the text encoder; calls find them in its cache."""
        self.text.encode(prompts)

    def info(self) -> dict[str, Any]:
        """Preset, device, dtype and kernels, and peak GPU memory in bytes of the last call, for the sidecar."""
        device = self.compute.device
        cuda = device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name(device) if cuda else "cpu",
            "dtype": str(self.compute.dtype).removeprefix("torch."),
            **self.store.info(),
            "peak_gpu_bytes": max(self._encode_peak, self._peak()),
        }

    def _peak(self) -> int:
        device = self.compute.device
        return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0

    def _reset_peak(self) -> None:
        if self.compute.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.compute.device)

    def encode_frames(self, frames_THWC: np.ndarray) -> torch.Tensor:
        """Latent times sigma_data, float32 [1, C, t, h, w], of one window of frames, uint8 [T, H, W, 3] of any size."""
        if frames_THWC.shape[1:3] != self.size:
            from dreamkit.workspace.video import resize  # OpenCV, needed for inputs of another size only

            frames_THWC = resize(frames_THWC, *self.size)
        return self.tokenizer.encode(frames_THWC, self.store.budget) * self.config.sigma_data

    def decode_latent(self, latent_BCTHW: torch.Tensor) -> np.ndarray:
        """Frames, uint8 [T, H, W, 3], of one view's latent times sigma_data, [1, C, t, h, w]."""
        return self.tokenizer.decode(latent_BCTHW / self.config.sigma_data, self.store.budget)

    @torch.inference_mode()
    def encode_controls(
        self, controls: Mapping[str, Iterable[np.ndarray]], windows: WindowPlan, progress: Listener | None = None
    ) -> EncodedControls:
        """Encode condition videos once; calls accept the result in place of the frames.

        Args:
            controls: control -> frames of each view in the rig's order (of one view for single view), uint8
                [T, H, W, 3] of any size, at least `windows.frames` long. An iterator may decode each view when it is
                requested; only one view is in memory at a time.
            windows: the windows to make, from `single_view_windows` or `multi_view_windows`.
            progress: called before each window and view.

        Raises:
            DreamkitError: a control was not loaded; wrong frames or too few of them; a view is missing; out of memory.
        """
        check_loaded(controls, self._controls)
        self._reset_peak()
        with explain_out_of_memory(self.compute.device, RUN_HINT):
            latents = self._encode(controls, windows, Reporter(progress, len(windows.starts)))
        return EncodedControls(windows, latents, self._peak())

    def _encode(
        self, controls: Mapping[str, Iterable[np.ndarray]], windows: WindowPlan, report: Reporter
    ) -> tuple[Mapping[str, torch.Tensor], ...]:
        """Latents per window and control; each view of a window is a tokenizer chunk of its own."""
        total, done = len(controls) * self.config.views, 0
        parts: list[dict[str, list[torch.Tensor]]] = [{name: [] for name in controls} for _ in windows.starts]
        for name, views in controls.items():
            for frames_THWC in views:
                check_frames(f"The control {name}", frames_THWC, "THWC")
                if len(frames_THWC) < windows.frames:
                    raise DreamkitError(
                        f"The control {name} has {len(frames_THWC)} frames; {windows.frames} are made.",
                        "Give condition videos that are at least as long as the result.",
                    )
                for report.window, start in enumerate(windows.starts):
                    report("encode", done, total)
                    part = cut_window(frames_THWC[: windows.frames], start, self.window_frames)
                    parts[report.window][name].append(self.encode_frames(part).cpu())
                done += 1
        report.window = 0
        for name, views in parts[0].items():
            if len(views) != self.config.views:
                raise DreamkitError(
                    f"The control {name} has {len(views)} views, expected {self.config.views}.", "Give every view."
                )
        return tuple({name: torch.cat(views, dim=2) for name, views in window.items()} for window in parts)

    def _make(
        self, inputs: VideoInputs, report: Reporter, given: Callable[[np.ndarray, int, int], Given] | None = None
    ) -> np.ndarray:
        """All windows of a video, uint8 [V, T, H, W, 3].

        `given` returns the mask and clean latent of a window from the frames made so far, its start and its overlap.
        """
        config, device, windows = self.config, self.compute.device, inputs.controls.windows
        frames, views, window_frames = windows.frames, self.config.views, self.window_frames
        made = np.empty((views, frames, *self.size, 3), np.uint8)
        for index, start in enumerate(windows.starts):
            report.window = index
            overlap = windows.overlap if index else 0
            noise = seeded_noise((1, *config.latent_shape), inputs.seed + index, device)
            known = given(made, start, overlap) if given else None
            window = self.window(inputs, index, noise, known)
            kind = LATER_WINDOWS if index and self.has_extension else FIRST_WINDOW
            on_step = self.on_step(report, inputs.steps, latent_length(overlap) if given else 0)
            latent = self._denoise(kind, window, report, on_step)
            end = min(frames, start + window_frames)
            parts, shape = latent.chunk(views, dim=2), (window_frames, *self.size, 3)
            for view, frames_THWC in decode_views(self.compute.ranks, parts, self.decode_latent, shape, report):
                made[view, start + overlap : end] = frames_THWC[overlap : end - start]
        report("decode", views, views)
        return made

    def window(self, inputs: VideoInputs, index: int, noise: torch.Tensor, given: Given | None) -> Window:
        """The inputs of window `index` of a video, its conditions and weight maps cut to its frames."""
        plan, device = inputs.controls.windows, self.compute.device
        start, weights = plan.starts[index], inputs.weights or {}
        return Window(
            inputs.text_VMC,
            inputs.negative_VMC,
            {name: latent.to(device) for name, latent in inputs.controls.latents[index].items()},
            {name: weight_of_window(w, plan.frames, start, self.window_frames) for name, w in weights.items()},
            noise,
            inputs.steps,
            inputs.guidance,
            inputs.fps,
            self.window_frames,
            given,
            VIEW_IDS.get(self.config.views, (0,)),
        )

    def _denoise(
        self, kind: str, window: Window, report: Reporter, on_step: Callable[[int, torch.Tensor], None] | None
    ) -> torch.Tensor:
        """A window's latent, by the networks of `kind`."""

        def work(networks: Networks) -> torch.Tensor:
            report("denoise", 0, window.steps + 1)
            return denoise_window(networks, self.config, window, on_step)

        return self.store.run(kind, work)

    def on_step(self, report: Reporter, steps: int, given_latents: int) -> Callable[[int, torch.Tensor], None] | None:
        """The callback of `denoise_window` that reports each step; None without a listener."""
        if report.listener is None:
            return None

        def on_step(step: int, x0: torch.Tensor) -> None:
            if self.compute.device.type == "cuda":
                torch.cuda.synchronize(self.compute.device)  # else a step would be reported before it is done
            report("denoise", step, steps + 1, functools.partial(self.preview_frame, x0, given_latents))

        return on_step

    @torch.inference_mode()
    def preview_frame(self, latent_BCTHW: torch.Tensor, given_latents: int = 0) -> np.ndarray | None:
        """One frame per view, uint8 [V, H, W, 3], decoded from a window's latent, [1, C, V x T, H, W] times sigma_data.

        It is the last pixel frame of the first generated latent frame; later latent frames are not decoded. With the
        released tokenizer's design that is a twentieth of the arithmetic of decoding a whole single view, and about a
        tenth for six views. None where the GPU has too little memory even for tiles.
        """
        latents = 1 + given_latents
        parts = latent_BCTHW.chunk(self.config.views, dim=2)
        try:
            # TorchScript specialises to the shapes that it has run with; a preview must not affect the result.
            with torch.jit.optimized_execution(False):  # pyright: ignore[reportPrivateImportUsage] - torch's stub lacks it
                return np.stack([self.decode_latent(part[:, :, :latents])[-1] for part in parts])
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return None

    @property
    def _controls(self) -> list[str]:
        """Names of the controls that were loaded."""
        return list(self.model.denoisers[FIRST_WINDOW])[1:]

    def _check_call(
        self, controls: Mapping[str, np.ndarray] | EncodedControls, weights: Weights | None, steps: int
    ) -> None:
        """Raise a DreamkitError for condition videos, weights and steps that a call cannot take."""
        names = list(controls.latents[0] if isinstance(controls, EncodedControls) else controls)
        check_weights_and_steps(names, weights or {}, steps)
        check_loaded(names, self._controls)
        if not isinstance(controls, EncodedControls):
            check_videos(controls, self.axes)
