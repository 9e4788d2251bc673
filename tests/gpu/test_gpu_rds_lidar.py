"""LiDAR condition pictures: the same on GPU and CPU."""

import numpy as np
import pytest
import torch
from lidar_clips import FRONT, sweeps_of
from rds_clips import PINHOLE

from dreamkit.rds import lidar

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_pictures_of_gpu_and_cpu_are_the_same(clip):
    camera = PINHOLE.scaled_to(640, 360)
    cpu, gpu = (
        next(lidar.draw_lidar_frames(sweeps_of(clip, device=device), {FRONT: camera}, {FRONT: clip[1]}, [10]))[FRONT]
        for device in ("cpu", "cuda")
    )
    assert np.abs(gpu.astype(int) - cpu).max() <= 1
