"""Several workers against one: the same latents and videos; failures, interrupts, and that no process stays behind.

The workers run on the CPU over gloo, which `device: cpu` with `num_gpus` above 1 does; on GPUs the same code runs over
NCCL.
"""

import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import micro
import numpy as np
import psutil
import pytest
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer import parallel
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, TINY_SINGLE
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.model_files import FIRST_WINDOW, multi_view_model, single_view_model
from dreamkit.transfer.parallel_pipeline import ParallelPipeline
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.transfer.views import VIEW_IDS, condition_mask
from dreamkit.transfer.workers import WorkerPool

pytestmark = pytest.mark.usefixtures("one_thread")
# Four columns of tokens and four heads, so that two and four workers divide them.
_WIDER = {"width": 96, "heads": 4}
SINGLE = replace(micro.SINGLE, denoiser=replace(micro.SINGLE.denoiser, **_WIDER), width=64)
MULTI = replace(micro.MULTI, denoiser=replace(micro.MULTI.denoiser, **_WIDER), width=64)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    from dreamkit.tinyworld.train.bundle import write_random_bundle

    folder = tmp_path_factory.mktemp("wider")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DREAMKIT_CACHE", str(folder / "cache"))
        yield write_random_bundle(folder / "checkpoints", single=SINGLE, multi=MULTI)


def both_pipelines(root, ranks, device):
    """The build function of the workers here: both models, because starting a worker takes seconds."""
    torch.set_num_threads(1)
    return {
        "single": SingleViewPipeline.load(single_view_model(root, ("hdmap", "lidar")), device=device, ranks=ranks),
        "multi": MultiViewPipeline.load(multi_view_model(root, ("hdmap",)), device=device, ranks=ranks),
    }


def window(kind, config, guidance):
    """A window of random inputs; in single view with a weight map, in six views with given latents."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    views, shape, denoiser = config.views, (1, *config.latent_shape), config.denoiser
    controls = ("hdmap", "lidar") if kind == "single" else ("hdmap",)
    text = normal(2, views, denoiser.text_tokens, denoiser.text_width)
    given = None
    if kind == "multi":
        given = condition_mask(views, config.latent_frames, 1, torch.device("cpu")), normal(*shape)
    return Window(
        text[0],
        text[1] if kind == "single" else torch.zeros_like(text[1]),
        {name: normal(*shape) for name in controls},
        {"hdmap": normal(config.window_frames, 32, 64).abs() if kind == "single" else 0.7, "lidar": 0.4},
        normal(*shape),
        3,
        guidance,
        24,
        config.window_frames,
        given,
        VIEW_IDS.get(views, (0,)),
    )


def made_latent(worker, kind, guidance):
    return latent_of(worker.pipeline[kind], kind, guidance)


def latent_of(pipe, kind, guidance):
    return denoise_window(pipe.networks(FIRST_WINDOW), pipe.config, window(kind, pipe.config, guidance))


@pytest.mark.parametrize("size", [2, 4])
def test_workers_make_the_latent_of_one(checkpoints, size):
    """With guidance two workers take a pass each and four take half of the columns too; without, all take columns."""
    one = both_pipelines(checkpoints, None, "cpu")
    pool = WorkerPool(functools.partial(both_pipelines, checkpoints), size, "cpu")
    try:
        for kind in ("single", "multi"):
            for guidance in (0, 2.0):
                alone = latent_of(one[kind], kind, guidance)
                first, *others = pool.run(made_latent, kind, guidance)
                assert all(torch.equal(first, other) for other in others)
                error = float((first - alone).norm() / alone.norm())
                assert error < 1e-5, (kind, guidance)
                assert alone.std() > 0.1
    finally:
        pool.close()
