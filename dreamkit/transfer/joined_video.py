"""Videos whose windows are denoised together: inputs of each window, sampling, decoding, joining of frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from dreamkit.transfer.encoded_controls import Given, VideoInputs
from dreamkit.transfer.engine import Networks
from dreamkit.transfer.joined import JoinedLatents, denoise_joined, join_frames, joined_noise
from dreamkit.transfer.model_files import FIRST_WINDOW
from dreamkit.transfer.parallel import decode_views
from dreamkit.transfer.reports import Reporter
from dreamkit.transfer.sampling import seeded_noise

if TYPE_CHECKING:
    from dreamkit.transfer.base_pipeline import Pipeline


def make_joined(
    pipeline: Pipeline, inputs: VideoInputs, report: Reporter, given: Callable[[int], Given] | None = None
) -> np.ndarray:
    """All windows of a video, denoised together by the networks of the first window, uint8 [V, T, H, W, 3].

    `given` returns the mask and the clean latent of what is not generated, of the window that starts at a frame.
    """
    config, device, plan = pipeline.config, pipeline.compute.device, inputs.controls.windows
    layout = JoinedLatents.of(plan, config)
    noise = joined_noise(layout, lambda index: seeded_noise((1, *config.latent_shape), inputs.seed + index, device))
    windows = [
        pipeline.window(inputs, index, layout.cut(noise, index), given(start) if given else None)
        for index, start in enumerate(plan.starts)
    ]
    report.window, report.windows = 0, 1
    on_step = pipeline.on_step(report, inputs.steps, 0)

    def work(networks: Networks) -> torch.Tensor:
        report("denoise", 0, inputs.steps + 1)
        return denoise_joined(networks, config, windows, layout, noise, on_step)

    latent = pipeline.store.run(FIRST_WINDOW, work)
    made = np.empty((config.views, plan.frames, *pipeline.size, 3), np.uint8)
    shape = (pipeline.window_frames, *pipeline.size, 3)
    of_windows = [layout.cut(latent, index).chunk(config.views, dim=2) for index in range(len(windows))]
    for view, parts in enumerate(zip(*of_windows, strict=True)):
        decoded = decode_views(pipeline.compute.ranks, parts, pipeline.decode_latent, shape, report)
        join_frames(plan, (frames_THWC for _, frames_THWC in decoded), made[view])
    report("decode", len(windows), len(windows))
    return made
