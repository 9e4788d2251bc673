import numpy as np
import pytest
import torch
from test_rds_lidar import FRONT, PINHOLE, clip, sweeps_of  # noqa: F401 (clip is a fixture)

from dreamkit.rds import lidar


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_gives_the_cpu_s_pictures(clip):  # noqa: F811
    camera = PINHOLE.scaled_to(640, 360)
    cpu, gpu = (
        next(lidar.draw(sweeps_of(clip, device=device), {FRONT: camera}, {FRONT: clip[1]}, [10]))[FRONT]
        for device in ("cpu", "cuda")
    )
    assert np.abs(gpu.astype(int) - cpu).max() <= 1
