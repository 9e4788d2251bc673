"""Two GPUs against one, with random weights of the tiny size."""

from __future__ import annotations

import pytest
import torch

from dreamkit.bench.scaling import time_denoising
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")]


@pytest.mark.parametrize("config", [TINY_SINGLE, TINY_MULTI], ids=["single", "multi"])
def test_two_gpus_make_the_latent_of_one(config):
    _, alone = time_denoising("tiny", config, 1, 4, "cuda", None)
    row, _ = time_denoising("tiny", config, 2, 4, "cuda", alone)
    assert row.error is not None and row.error < 2e-2
